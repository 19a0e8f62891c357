/*
 * What the parser makes and the executor runs: types, decoded instructions, functions, variables. Internal to the
 * engine. Everything hangs in the arena of the program and is freed with it.
 *
 * Operands. A register or constant is an array of 32 lanes; an operand is the byte offset of that array in one of four
 * areas (the two top bits): registers of the frame, constants of the function, special registers of the warp, special
 * registers of the block. 16-bit registers take 2 bytes per lane, others 4 or 8; a predicate is one word with a bit for
 * each lane. While a function is being decoded, register operands hold class and number instead (see ptx_regalloc.h).
 */
#ifndef FERRITE_CUDAEXEC_SOFTDEV_PTX_PROGRAM_H
#define FERRITE_CUDAEXEC_SOFTDEV_PTX_PROGRAM_H

#include "cudaexec/softdev/engine.h"
#include "cudaexec/softdev/ptx_arena.h"
#include "cudaexec/softdev/ptx_ops.h"

enum {
	PTX_FUNCTIONS_MAX = 65536,
	PTX_VARIABLES_MAX = 65536,
	PTX_SYMBOLS_MAX = 2 << 20,	/* names of one module */
	PTX_PARAMS_MAX = 512,		/* of one function */
	PTX_REGISTERS_MAX = 65536,	/* used by one function */
	PTX_RANGES_MAX = 32 << 20,	/* places of register ranges in one module */
	PTX_CONSTANTS_MAX = 65536,	/* of one function */
	PTX_INSTRUCTIONS_MAX = 4 << 20, /* of one function */
	PTX_SCOPES_MAX = 64,		/* nested { } */
	PTX_LOCAL_MAX = 512 << 10,	/* bytes of local memory of one function */
};
#define PTX_VARIABLE_BYTES_MAX ((uint64_t)1 << 32)

enum ptx_type {
	T_NONE,
	T_PRED,
	T_B8,
	T_U8,
	T_S8,
	T_B16,
	T_U16,
	T_S16,
	T_F16,
	T_BF16,
	T_B32,
	T_U32,
	T_S32,
	T_F32,
	T_F16X2,
	T_BF16X2,
	T_B64,
	T_U64,
	T_S64,
	T_F64,
};

/* Size in bytes; 0 for predicates. */
static inline uint32_t ptx_type_size(enum ptx_type type)
{
	if (type >= T_B64)
		return 8;
	if (type >= T_B32)
		return 4;
	if (type >= T_B16)
		return 2;
	return type >= T_B8 ? 1 : 0;
}

static inline bool ptx_type_is_float(enum ptx_type type)
{
	return type == T_F16 || type == T_BF16 || type == T_F32 || type == T_F64 || type == T_F16X2 || type == T_BF16X2;
}

static inline bool ptx_type_is_signed(enum ptx_type type)
{
	return type == T_S8 || type == T_S16 || type == T_S32 || type == T_S64;
}

enum ptx_space {
	SPACE_GENERIC,
	SPACE_GLOBAL,
	SPACE_CONST,
	SPACE_SHARED,
	SPACE_LOCAL,
	SPACE_PARAM, /* of the kernel, through a register */
	SPACE_FRAME, /* a local or parameter variable of this function: frame base + immediate */
};

/* Register classes, by the bytes of one lane; predicates have class 0. */
enum ptx_class { CLASS_PRED, CLASS_16, CLASS_32, CLASS_64, CLASS_COUNT };

static inline uint32_t ptx_class_bytes(enum ptx_class class)
{
	return class == CLASS_PRED ? 4 : 32u << class;
}

#define PTX_AREA_REGISTERS	    0u
#define PTX_AREA_CONSTANTS	    (1u << 30)
#define PTX_AREA_THREAD		    (2u << 30)
#define PTX_AREA_BLOCK		    (3u << 30)
#define PTX_AREA_MASK		    (3u << 30)
#define PTX_OPERAND_NONE	    UINT32_MAX
#define PTX_REGISTER(class, number) ((uint32_t)(class) << 24 | (number))

struct ptx_insn {
	uint16_t op;
	uint16_t guard; /* 0: none, else (predicate slot + 1) * 2, plus 1 when negated */
	uint32_t dst, a, b, c, aux;
	int32_t imm;
	uint32_t sub; /* details, by operation */
};

/* sub of comparisons */
#define SUB_SETP_INVERT	 1u
#define SUB_SETP_COMBINE 6u /* mask: 0 none, 2 and, 4 or, 6 xor, with predicate c */
#define SUB_SETP_AND	 2u
#define SUB_SETP_OR	 4u
#define SUB_SETP_XOR	 6u
#define SUB_SETP_NOT_C	 8u

/* sub of loads, stores and atomics */
#define SUB_SPACE(sub)	   ((enum ptx_space)((sub)&15u))
#define SUB_VECTOR(sub)	   ((sub) >> 4 & 7u) /* 1, 2, 4 */
#define SUB_KEEP	   (1u << 8) /* a load: remember how the address register looks, in a slot of the warp */
#define SUB_REPEAT	   (1u << 9) /* the slot may still hold what is known about the address register */
#define SUB_SLOT(sub)	   ((sub) >> 10 & 3u)
#define SUB_WIDE_ADDRESS   128u /* the address register has 64 bits */
#define SUB_ATOM_OP(sub)   ((sub) >> 8 & 31u)
#define SUB_ATOM_TYPE(sub) ((enum ptx_type)((sub) >> 16 & 31u))

enum ptx_atom {
	ATOM_ADD,
	ATOM_MIN,
	ATOM_MAX,
	ATOM_AND,
	ATOM_OR,
	ATOM_XOR,
	ATOM_EXCH,
	ATOM_CAS,
	ATOM_INC,
	ATOM_DEC,
};

/* sub of CVT, ROUND and HALF */
enum ptx_rounding { ROUND_N, ROUND_Z, ROUND_M, ROUND_P };
#define SUB_TO(sub)	   ((enum ptx_type)((sub)&31u))
#define SUB_FROM(sub)	   ((enum ptx_type)((sub) >> 5 & 31u))
#define SUB_ROUNDING(sub)  ((enum ptx_rounding)((sub) >> 10 & 3u))
#define SUB_INTEGRAL	   (1u << 12) /* rni, rzi, rmi, rpi */
#define SUB_SAT		   (1u << 13)
#define SUB_FTZ		   (1u << 14)
#define SUB_RELU	   (1u << 15)
#define SUB_WIDTH(sub)	   ((sub) >> 16 & 15u) /* bytes of the destination register */
#define SUB_SRC_WIDTH(sub) ((sub) >> 20 & 15u)
#define SUB_KIND(sub)	   ((enum ptx_float_op)((sub) >> 24))

enum ptx_float_op {
	FLOAT_ADD,
	FLOAT_SUB,
	FLOAT_MUL,
	FLOAT_FMA,
	FLOAT_DIV,
	FLOAT_RCP,
	FLOAT_SQRT,
	FLOAT_MIN,
	FLOAT_MAX,
	FLOAT_MINNAN,
	FLOAT_MAXNAN,
	FLOAT_ABS,
	FLOAT_NEG,
	FLOAT_EX2,
	FLOAT_TANH,
};

/* imm of VOTE, SHFL, REDUX and TESTP */
enum ptx_vote { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };
enum ptx_shfl { SHFL_UP, SHFL_DOWN, SHFL_BFLY, SHFL_IDX };
enum ptx_redux { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };
enum ptx_testp { TESTP_FINITE, TESTP_INFINITE, TESTP_NUMBER, TESTP_NAN, TESTP_NORMAL, TESTP_SUBNORMAL };

/* imm of CVTA */
enum { CVTA_FROM, CVTA_TO };

/* Special registers: offsets in the areas. */
enum ptx_special {
	/* of the warp */
	SPECIAL_TID_X = 0,
	SPECIAL_TID_Y,
	SPECIAL_TID_Z,
	SPECIAL_LANEID,
	SPECIAL_WARPID,
	SPECIAL_LANEMASK_EQ,
	SPECIAL_LANEMASK_LT,
	SPECIAL_LANEMASK_LE,
	SPECIAL_LANEMASK_GT,
	SPECIAL_LANEMASK_GE,
	SPECIAL_THREAD_COUNT,
	/* of the block */
	SPECIAL_CTAID_X = 0,
	SPECIAL_CTAID_Y,
	SPECIAL_CTAID_Z,
	SPECIAL_NTID_X,
	SPECIAL_NTID_Y,
	SPECIAL_NTID_Z,
	SPECIAL_NCTAID_X,
	SPECIAL_NCTAID_Y,
	SPECIAL_NCTAID_Z,
	SPECIAL_NWARPID,
	SPECIAL_SMID,
	SPECIAL_NSMID,
	SPECIAL_DYNAMIC_SMEM,
	SPECIAL_TOTAL_SMEM,
	SPECIAL_WARP_SIZE,
	SPECIAL_ENVREG1,
	SPECIAL_ENVREG2,
	SPECIAL_ZERO, /* two places: also as 64 bits */
	SPECIAL_ZERO_HIGH,
	SPECIAL_BLOCK_COUNT,
};
#define PTX_SPECIAL_BYTES 128u

/* A constant operand; relocated constants get their value when the module is loaded. */
enum ptx_reloc {
	RELOC_NONE,
	RELOC_SHARED_OWN,
	RELOC_SHARED_MODULE,
	RELOC_SHARED_DYNAMIC,
	RELOC_VARIABLE,
	RELOC_FUNCTION
};

struct ptx_constant {
	uint64_t value;	 /* addend of a relocation */
	uint32_t index;	 /* variable or function */
	uint32_t offset; /* in the constant area */
	uint8_t class;
	uint8_t reloc;
};

struct ptx_copy {
	uint32_t from, to, size; /* frame offsets */
};

struct ptx_call {
	uint32_t function; /* or UINT32_MAX for an indirect call */
	uint32_t arg_count, ret_count;
	struct ptx_copy *args; /* from the caller's frame to the callee's */
	struct ptx_copy *rets; /* from the callee's frame to the caller's */
};

enum ptx_builtin { BUILTIN_NONE, BUILTIN_VPRINTF, BUILTIN_MALLOC, BUILTIN_FREE, BUILTIN_ASSERTFAIL };

struct ptx_function {
	struct ptx_kernel kernel; /* name, parameters, sizes; for device functions too */
	bool entry;
	bool defined;
	bool module_shared; /* refers to .shared variables of the module */
	uint8_t builtin;
	struct ptx_param *rets;
	uint32_t ret_count;
	uint32_t args_bytes; /* results and parameters, at the start of the frame */
	struct ptx_insn *insns;
	uint32_t *lines; /* of the source, one for each instruction */
	uint32_t insn_count;
	uint32_t register_bytes; /* of one frame */
	uint32_t local_bytes;	 /* of one frame, arguments included */
	uint32_t shared_bytes;	 /* own .shared variables */
	struct ptx_constant *constants;
	uint32_t constant_count;
	uint32_t constant_bytes;
	struct ptx_call *calls;
	uint32_t call_count;
	bool calls_any;
};

/* A piece of an initial value that is an address. */
struct ptx_fixup {
	uint64_t offset; /* in the variable */
	uint64_t addend;
	uint32_t index; /* variable or function */
	bool function;
	struct ptx_fixup *next;
};

struct ptx_variable {
	const char *name;
	uint64_t size;
	uint64_t align;
	uint64_t offset;  /* in the image of the module */
	uint8_t *initial; /* NULL: zero */
	uint64_t initial_size;
	struct ptx_fixup *fixups;
	bool external;
};

struct ptx_program {
	struct ptx_arena arena;
	uint32_t version;
	uint32_t target;
	struct ptx_function **functions;
	uint32_t function_count;
	struct ptx_function **kernels;
	uint32_t kernel_count;
	struct ptx_variable **variables; /* .global and .const */
	uint32_t variable_count;
	uint64_t image_bytes;
	uint32_t module_shared_bytes;
	uint32_t dynamic_shared_offset; /* behind every static variable */
	bool uses_heap;
};

/* The "address" of function number INDEX, as device code sees it: no address of anything else. */
#define PTX_FUNCTION_ADDRESS(index) (0x4000000000000000ull + 16ull * (index))

#endif
