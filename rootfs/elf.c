#include "rootfs/elf.h"

#include "supervisor/util.h"

#include <elf.h>
#include <string.h>

#define DYNAMIC_MAX 4096 /* entries of a dynamic section */

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#else
#define HOST_MACHINE EM_AARCH64
#endif

/* A file or bytes in memory. */
struct source {
	int fd;
	const unsigned char *bytes;
	size_t length;
};

struct layout {
	size_t n_segments;
	Elf64_Phdr segments[ELF_SEGMENTS_MAX];
};

uint16_t elf_host_machine(void)
{
	return HOST_MACHINE;
}

const char *elf_machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "AArch64";
	case EM_386:
		return "32-bit x86";
	case EM_ARM:
		return "32-bit ARM";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "POWER";
	case EM_S390:
		return "S/390";
	case EM_CUDA:
		return "a GPU (CUDA)";
	default:
		return "an unknown machine";
	}
}

/* 1: LENGTH bytes were read; 0: the file ends before. */
static int read_at(const struct source *s, uint64_t offset, void *buffer, size_t length, struct err *err)
{
	size_t done = 0;

	if (s->bytes) {
		if (offset > s->length || length > s->length - offset)
			return 0;
		memcpy(buffer, s->bytes + offset, length);
		return 1;
	}
	if (offset > INT64_MAX - length)
		return 0;
	while (done < length) {
		ssize_t n = pread(s->fd, (char *)buffer + done, length - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "read an ELF file");
		if (n == 0)
			return 0;
		done += (size_t)n;
	}
	return 1;
}

static int malformed(const char *why, struct err *err)
{
	return err_set(err, EINVAL, "malformed ELF file: %s", why);
}

/* Reads a part that the headers promise: its absence is an error. */
static int read_part(const struct source *s, uint64_t offset, void *buffer, size_t length, const char *what,
		     struct err *err)
{
	int r = read_at(s, offset, buffer, length, err);

	return r < 0 ? r : r == 0 ? malformed(what, err) : 0;
}

/* File offset of a virtual address, or UINT64_MAX. */
static uint64_t offset_of(const struct layout *l, uint64_t address)
{
	for (size_t i = 0; i < l->n_segments; i++) {
		const Elf64_Phdr *p = &l->segments[i];

		if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr < p->p_filesz &&
		    p->p_offset <= UINT64_MAX - (address - p->p_vaddr))
			return p->p_offset + (address - p->p_vaddr);
	}
	return UINT64_MAX;
}

/* A terminated string of at most SIZE - 1 bytes at OFFSET. */
static int read_string(const struct source *s, uint64_t offset, char *buffer, size_t size, struct err *err)
{
	size_t n = size;

	/* The string may be the last thing of the file. */
	while (n > 0) {
		int r = read_at(s, offset, buffer, n, err);

		if (r < 0)
			return r;
		if (r == 1)
			break;
		n /= 2;
	}
	for (size_t i = 0; i < n; i++)
		if (buffer[i] == '\0')
			return 0;
	/* Halving may have stopped short of the terminator: go on byte by byte. */
	for (; n < size; n++) {
		int r = read_at(s, offset + n, buffer + n, 1, err);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (buffer[n] == '\0')
			return 0;
	}
	return malformed("a name is too long or not terminated", err);
}

static bool name_is_plain(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~' || *name == '/' || *name == '\\')
			return false;
	return true;
}

static int read_names(const struct source *s, const Elf64_Dyn *dynamic, size_t n_dynamic, uint64_t strings,
		      struct elf_file *file, struct err *err)
{
	size_t wanted = 0;

	for (size_t i = 0; i < n_dynamic; i++)
		wanted += dynamic[i].d_tag == DT_NEEDED;
	if (wanted > ELF_NEEDED_MAX)
		return malformed("it needs too many libraries", err);
	file->needed = calloc(wanted + 1, sizeof(*file->needed));
	if (!file->needed)
		return err_sys(err, ENOMEM, "read an ELF file");
	for (size_t i = 0; i < n_dynamic; i++) {
		char *into = dynamic[i].d_tag == DT_SONAME   ? file->soname
			     : dynamic[i].d_tag == DT_NEEDED ? file->needed[file->n_needed]
							     : NULL;
		int r;

		if (!into)
			continue;
		if (dynamic[i].d_un.d_val > UINT64_MAX - strings)
			return malformed("a name is outside of the file", err);
		r = read_string(s, strings + dynamic[i].d_un.d_val, into, ELF_NAME_MAX + 1, err);
		if (r < 0)
			return r;
		/* A path as a library's name is legal but names nothing that a library search finds. */
		if (!name_is_plain(into))
			into[0] = '\0';
		else if (dynamic[i].d_tag == DT_NEEDED)
			file->n_needed++;
	}
	return 0;
}

static int read_dynamic(const struct source *s, const struct layout *l, const Elf64_Phdr *segment,
			struct elf_file *file, struct err *err)
{
	size_t n = segment->p_filesz / sizeof(Elf64_Dyn);
	_cleanup_free_ Elf64_Dyn *dynamic = NULL;
	uint64_t strings = UINT64_MAX;
	int r;

	file->is_dynamic = true;
	if (n > DYNAMIC_MAX)
		return malformed("its dynamic section is too large", err);
	dynamic = calloc(n + 1, sizeof(*dynamic));
	if (!dynamic)
		return err_sys(err, ENOMEM, "read an ELF file");
	r = read_part(s, segment->p_offset, dynamic, n * sizeof(*dynamic), "its dynamic section is cut off", err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (dynamic[i].d_tag == DT_NULL)
			n = i;
		else if (dynamic[i].d_tag == DT_FLAGS_1)
			file->is_executable = (dynamic[i].d_un.d_val & DF_1_PIE) != 0;
		else if (dynamic[i].d_tag == DT_STRTAB)
			strings = offset_of(l, dynamic[i].d_un.d_ptr);
	}
	/* Without a string table there are no names: a static PIE. */
	return strings == UINT64_MAX ? 0 : read_names(s, dynamic, n, strings, file, err);
}

static int read_segments(const struct source *s, const struct layout *l, struct elf_file *file, struct err *err)
{
	for (size_t i = 0; i < l->n_segments; i++) {
		const Elf64_Phdr *p = &l->segments[i];
		int r = 0;

		if (p->p_type == PT_INTERP) {
			if (p->p_filesz < 2 || p->p_filesz > ELF_INTERP_MAX)
				return malformed("the path of its loader is too long", err);
			r = read_part(s, p->p_offset, file->interp, p->p_filesz, "the path of its loader is cut off",
				      err);
			file->interp[p->p_filesz] = '\0';
		} else if (p->p_type == PT_DYNAMIC && !file->is_dynamic) {
			r = read_dynamic(s, l, p, file, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_file(const struct source *s, struct elf_file *ret, struct err *err)
{
	struct elf_file file = {0};
	_cleanup_free_ struct layout *l = NULL;
	Elf64_Ehdr header;
	int r = read_at(s, 0, &header, sizeof(header), err);

	*ret = file;
	if (r <= 0)
		return r;
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return 0;
	/* e_machine stands at the same place in both word sizes; other byte orders are another machine anyway. */
	ret->machine = file.machine = header.e_machine;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return 0;
	if (header.e_phnum == 0) {
		*ret = file; /* an object file */
		return 1;
	}
	if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > ELF_SEGMENTS_MAX)
		return malformed("its program headers have an unknown size", err);
	l = malloc(sizeof(*l));
	if (!l)
		return err_sys(err, ENOMEM, "read an ELF file");
	l->n_segments = header.e_phnum;
	r = read_part(s, header.e_phoff, l->segments, l->n_segments * sizeof(Elf64_Phdr),
		      "its program headers are cut off", err);
	if (r == 0)
		r = read_segments(s, l, &file, err);
	if (r < 0) {
		elf_file_clear(&file);
		return r;
	}
	file.is_executable |= header.e_type == ET_EXEC || file.interp[0];
	file.is_library = header.e_type == ET_DYN && !file.is_executable;
	*ret = file;
	return 1;
}

int elf_read(int fd, struct elf_file *ret, struct err *err)
{
	return read_file(&(struct source){.fd = fd}, ret, err);
}

int elf_read_bytes(const void *bytes, size_t length, struct elf_file *ret, struct err *err)
{
	return read_file(&(struct source){.fd = -1, .bytes = bytes, .length = length}, ret, err);
}

void elf_file_clear(struct elf_file *file)
{
	free_ptr(&file->needed);
	*file = (struct elf_file){0};
}
