/*
 * Scalar floating point helpers: 16-bit formats, and arithmetic in other rounding modes. Values travel as bits.
 * Internal to the executor. The functions leave the rounding mode of the thread as they found it: to nearest.
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_EXEC_FLOAT_H
#define FERRITE_CUDAEXEC_SOFTDEV_EXEC_FLOAT_H

#include "cudaexec/softdev/ptx_program.h"

/* A 16-bit float (T_F16 or T_BF16) as double, exactly. */
double exec_half_value(uint16_t bits, enum ptx_type type);

/* VALUE rounded to a 16-bit float; NaN becomes 0x7fff. */
uint16_t exec_half_bits(double value, enum ptx_type type, enum ptx_rounding rounding);

/* One operation of two or three operands in doubles, rounded so that a second rounding to 16 bits is right. */
double exec_half_operation(enum ptx_float_op op, double a, double b, double c);

#endif
