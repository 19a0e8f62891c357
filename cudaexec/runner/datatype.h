/*
 * The element types of tensors and scalars (Open Inference Protocol names). Elements are stored as on the device:
 * little endian, BOOL as one byte 0 or 1, FP16 and BF16 as their 16 bits. No allocation, nothing fails.
 */
#ifndef FERRITE_CUDAEXEC_DATATYPE_H
#define FERRITE_CUDAEXEC_DATATYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum datatype {
	DATATYPE_BOOL,
	DATATYPE_INT8,
	DATATYPE_INT16,
	DATATYPE_INT32,
	DATATYPE_INT64,
	DATATYPE_UINT8,
	DATATYPE_UINT16,
	DATATYPE_UINT32,
	DATATYPE_UINT64,
	DATATYPE_FP16,
	DATATYPE_BF16,
	DATATYPE_FP32,
	DATATYPE_FP64,
	DATATYPE_MAX,
};

#define DATATYPE_SIZE_MAX 8

/* All names in the order of the enum, ended by NULL. */
extern const char *const datatype_names[DATATYPE_MAX + 1];

/* False when NAME is none of the names above (they are upper case, as in the protocol). */
bool datatype_parse(const char *name, enum datatype *ret_type);

/* Bytes of one element. */
size_t datatype_size(enum datatype type);

bool datatype_is_float(enum datatype type);

/* Of the types that expressions can use: every integer type, not BOOL. */
bool datatype_is_integer(enum datatype type);
bool datatype_is_signed(enum datatype type);

/* Round to nearest even; magnitudes beyond the largest finite value become infinities. NaN stays NaN. */
uint16_t datatype_fp16_from_double(double value);
uint16_t datatype_bf16_from_double(double value);
double datatype_fp16_to_double(uint16_t bits);
double datatype_bf16_to_double(uint16_t bits);

/*
 * Stores an integer as one element of TYPE (floating types round it). False, and nothing stored, when it does not fit.
 */
bool datatype_store_signed(enum datatype type, int64_t value, void *element);
bool datatype_store_unsigned(enum datatype type, uint64_t value, void *element);

/*
 * Stores a floating value. Integer types take only integral values in their range, BOOL takes none; a finite value
 * that a floating type cannot hold (it would become an infinity) is refused. False, and nothing stored, then.
 */
bool datatype_store_double(enum datatype type, double value, void *element);

#endif
