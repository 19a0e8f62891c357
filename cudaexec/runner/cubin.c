/*
 * Reads the kernels of a cubin. A kernel is a function symbol with the entry bit in st_other; the section
 * .nv.info.NAME holds its attributes as records of format, attribute and either a short value or a sized payload.
 * EIATTR_KPARAM_INFO gives one parameter: index (u32), ordinal (u16), offset (u16), and a word whose upper 14 bits are
 * the size. Found by comparing what nvcc writes for sm_75, sm_90 and sm_100 with the kernels' source.
 */
#include "cudaexec/runner/kernel_list.h"
#include "supervisor/str.h"
#include "supervisor/util.h"

#include <elf.h>
#include <string.h>

#define MACHINE_CUDA	   190
#define STO_CUDA_ENTRY	   0x10
#define EIFMT_SVAL	   0x04
#define EIATTR_KPARAM_INFO 0x17
#define KPARAM_INFO_SIZE   12

struct cubin {
	const unsigned char *image;
	size_t length;
	Elf64_Ehdr header;
	struct err *err;
};

/* The bytes of a section, or NULL when it reaches outside the file. */
static const unsigned char *section_bytes(const struct cubin *c, const Elf64_Shdr *section)
{
	if (section->sh_offset > c->length || section->sh_size > c->length - section->sh_offset)
		return NULL;
	return c->image + section->sh_offset;
}

static int read_section(const struct cubin *c, size_t index, Elf64_Shdr *ret_section)
{
	if (index >= c->header.e_shnum)
		return err_set(c->err, EINVAL, "cubin: section %zu does not exist", index);
	memcpy(ret_section, c->image + c->header.e_shoff + index * sizeof(*ret_section), sizeof(*ret_section));
	if (ret_section->sh_type != SHT_NOBITS && !section_bytes(c, ret_section))
		return err_set(c->err, EINVAL, "cubin: section %zu reaches outside the file", index);
	return 0;
}

/* A terminated text of a string table, or NULL. */
static const char *read_text(const struct cubin *c, const Elf64_Shdr *strings, uint64_t offset)
{
	const unsigned char *bytes = section_bytes(c, strings);

	if (!bytes || offset >= strings->sh_size || !memchr(bytes + offset, 0, strings->sh_size - offset))
		return NULL;
	return (const char *)bytes + offset;
}

static int open_cubin(struct cubin *c)
{
	static const unsigned char ident[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};

	if (c->length < sizeof(c->header))
		return err_set(c->err, EINVAL, "cubin: %zu bytes are no ELF file", c->length);
	memcpy(&c->header, c->image, sizeof(c->header));
	if (memcmp(c->header.e_ident, ident, sizeof(ident)) != 0 || c->header.e_machine != MACHINE_CUDA)
		return err_set(c->err, EINVAL, "cubin: an ELF file, but not for a CUDA device");
	if (c->header.e_shentsize != sizeof(Elf64_Shdr) || c->header.e_shoff > c->length ||
	    c->header.e_shnum > (c->length - c->header.e_shoff) / sizeof(Elf64_Shdr))
		return err_set(c->err, EINVAL, "cubin: section headers reach outside the file");
	return 0;
}

/* Finds a section by its name and type; *RET_SECTION is all zero when there is none. */
static int find_section(const struct cubin *c, const char *name, Elf64_Shdr *ret_section)
{
	Elf64_Shdr names, section;
	int r = read_section(c, c->header.e_shstrndx, &names);

	*ret_section = (Elf64_Shdr){0};
	for (size_t i = 1; r == 0 && i < c->header.e_shnum; i++) {
		const char *text;

		r = read_section(c, i, &section);
		if (r < 0)
			break;
		text = read_text(c, &names, section.sh_name);
		if (text && strcmp(text, name) == 0) {
			*ret_section = section;
			break;
		}
	}
	return r;
}

/* Steps over the attribute records; *AT moves to the next one. False at the end or when a record is cut. */
static bool next_param(const unsigned char *info, size_t size, size_t *at, uint16_t *ret_ordinal, size_t *ret_bytes)
{
	while (size - *at >= 4) {
		const unsigned char *record = info + *at;
		uint16_t payload = 0;
		uint32_t packed;

		if (record[0] == EIFMT_SVAL)
			memcpy(&payload, record + 2, sizeof(payload));
		if (payload > size - *at - 4)
			return false;
		*at += 4u + payload;
		if (record[0] != EIFMT_SVAL || record[1] != EIATTR_KPARAM_INFO || payload != KPARAM_INFO_SIZE)
			continue;
		memcpy(ret_ordinal, record + 8, sizeof(*ret_ordinal));
		memcpy(&packed, record + 12, sizeof(packed));
		*ret_bytes = packed >> 18;
		return true;
	}
	return false;
}

static int read_params(const struct cubin *c, const char *name, const unsigned char *info, size_t size,
		       struct kernel_list *list)
{
	struct kernel_signature *kernel;
	size_t at = 0, count = 0, bytes = 0;
	uint16_t ordinal = 0;
	char shown[128];

	while (next_param(info, size, &at, &ordinal, &bytes))
		count++;
	kernel = kernel_list_add(list, name, count, c->err);
	if (!kernel)
		return -EINVAL;
	(void)str_escape(shown, sizeof(shown), name, strlen(name));
	if (at != size)
		return err_set(c->err, EINVAL, "cubin: the attributes of kernel \"%s\" are cut short", shown);
	for (at = 0; next_param(info, size, &at, &ordinal, &bytes);) {
		if (ordinal >= count || kernel->param_sizes[ordinal] != 0 || bytes == 0)
			return err_set(c->err, EINVAL, "cubin: the parameters of kernel \"%s\" are not in order",
				       shown);
		kernel->param_sizes[ordinal] = bytes;
	}
	return 0;
}

static int read_kernel(const struct cubin *c, const char *name, struct kernel_list *list)
{
	_cleanup_free_ char *section_name = NULL;
	Elf64_Shdr info;
	int r;

	if (asprintf(&section_name, ".nv.info.%s", name) < 0)
		return err_sys(c->err, ENOMEM, "read cubin");
	r = find_section(c, section_name, &info);
	if (r < 0)
		return r;
	if (info.sh_type == SHT_NULL || info.sh_type == SHT_NOBITS)
		return read_params(c, name, c->image, 0, list);
	return read_params(c, name, section_bytes(c, &info), info.sh_size, list);
}

int cubin_read_kernels(const void *image, size_t length, struct kernel_list *list, struct err *err)
{
	struct cubin c = {.image = image, .length = length, .err = err};
	Elf64_Shdr symbols = {0}, strings;
	int r = open_cubin(&c);

	for (size_t i = 1; r == 0 && i < c.header.e_shnum && symbols.sh_type != SHT_SYMTAB; i++)
		r = read_section(&c, i, &symbols);
	if (r == 0 && symbols.sh_type != SHT_SYMTAB)
		return err_set(err, EINVAL, "cubin: no symbol table");
	if (r == 0)
		r = read_section(&c, symbols.sh_link, &strings);
	for (size_t i = 0; r == 0 && i < symbols.sh_size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym symbol;
		const char *name;

		memcpy(&symbol, c.image + symbols.sh_offset + i * sizeof(symbol), sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || !(symbol.st_other & STO_CUDA_ENTRY))
			continue;
		name = read_text(&c, &strings, symbol.st_name);
		if (!name || !*name)
			return err_set(err, EINVAL, "cubin: a kernel without a name");
		r = read_kernel(&c, name, list);
	}
	return r;
}
