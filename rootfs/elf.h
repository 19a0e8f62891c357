/*
 * What ferrite needs to know of ELF files: for which machine they are, whether they are dynamic, and which libraries
 * they name. Every byte is hostile; reads are bounded, nothing is mapped or executed.
 */
#ifndef FERRITE_ROOTFS_ELF_H
#define FERRITE_ROOTFS_ELF_H

#include "supervisor/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ELF_NEEDED_MAX = 256,	/* DT_NEEDED entries of one file */
	ELF_NAME_MAX = 127,	/* bytes of a library's name */
	ELF_INTERP_MAX = 255,	/* bytes of the loader's path */
	ELF_SEGMENTS_MAX = 512, /* program headers */
};

struct elf_file {
	uint16_t machine; /* EM_… */
	bool is_executable;
	bool is_library; /* a shared object that is no program */
	bool is_dynamic;
	char interp[ELF_INTERP_MAX + 1]; /* empty: none */
	char soname[ELF_NAME_MAX + 1];	 /* empty: none */
	size_t n_needed;
	char (*needed)[ELF_NAME_MAX + 1];
};

/*
 * Reads an open file. 1: it is an ELF file of this machine's word size and byte order, the caller gives *ret to
 * elf_file_clear(); 0: it is none (another kind of file, or another word size: then only machine is set);
 * -EINVAL: it claims to be one but is malformed; other negative codes: reading failed.
 */
int elf_read(int fd, struct elf_file *ret, struct err *err);

/* The same from memory. */
int elf_read_bytes(const void *bytes, size_t length, struct elf_file *ret, struct err *err);

void elf_file_clear(struct elf_file *file);

/* EM_… of this machine, and a readable name of any. */
uint16_t elf_host_machine(void);
const char *elf_machine_name(uint16_t machine);

#endif
