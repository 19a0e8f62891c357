/*
 * Single instructions on edge values, on every set of lane operations that this CPU can run, each twice: for all lanes,
 * and for every second lane only, after which the others must hold what they held before.
 */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"
#include "tests/unit/softdev/engine_backend.h"

#include <string.h>

#include "tests/unit/main.h"

#define THREADS	 48u
#define SENTINEL 0x5a5a5a5a5a5a5a5aull
#define S32_MIN	 0x80000000u
#define S64_MIN	 0x8000000000000000ull
#define NAN32	 0x7fffffffu
#define ONE	 0x3f800000u
#define TWO	 0x40000000u
#define INF	 0x7f800000u
#define DENORMAL 0x00000001u
#define MAX32	 0x7f7fffffu
#define D_ONE	 0x3ff0000000000000ull

/* The result is %p0, %h0 (16 bits), %r0 (32) or %d0 (64); the sources are a, b, c in %h1..3, %r1..3, %d1..3, %p1..3. */
struct row {
	const char *text;
	char result;
	uint64_t a, b, c, want;
};

static const struct row rows[] = {
	/* integers */
	{"add.s32 %r0, %r1, %r2;", 'r', 0x7fffffff, 1, 0, S32_MIN},
	{"add.sat.s32 %r0, %r1, %r2;", 'r', 0x7fffffff, 1, 0, 0x7fffffff},
	{"sub.sat.s32 %r0, %r1, %r2;", 'r', S32_MIN, 1, 0, S32_MIN},
	{"add.u16 %h0, %h1, %h2;", 'h', 0xffff, 2, 0, 1},
	{"sub.s64 %d0, %d1, %d2;", 'd', 0, 1, 0, UINT64_MAX},
	{"mul.lo.s16 %h0, %h1, %h2;", 'h', 0xffff, 0xffff, 0, 1},
	{"mul.lo.s32 %r0, %r1, %r2;", 'r', S32_MIN, 0xffffffff, 0, S32_MIN},
	{"mul.hi.s32 %r0, %r1, %r2;", 'r', S32_MIN, S32_MIN, 0, 0x40000000},
	{"mul.hi.u32 %r0, %r1, %r2;", 'r', 0xffffffff, 0xffffffff, 0, 0xfffffffe},
	{"mul.hi.u64 %d0, %d1, %d2;", 'd', UINT64_MAX, UINT64_MAX, 0, UINT64_MAX - 1},
	{"mul.hi.s64 %d0, %d1, %d2;", 'd', S64_MIN, 2, 0, UINT64_MAX},
	{"mul.hi.u16 %h0, %h1, %h2;", 'h', 0xffff, 0xffff, 0, 0xfffe},
	{"mul.wide.s32 %d0, %r1, %r2;", 'd', S32_MIN, 2, 0, 0xffffffff00000000ull},
	{"mul.wide.u32 %d0, %r1, %r2;", 'd', 0xffffffff, 0xffffffff, 0, 0xfffffffe00000001ull},
	{"mul.wide.u16 %r0, %h1, %h2;", 'r', 0xffff, 0xffff, 0, 0xfffe0001},
	{"mul.wide.s16 %r0, %h1, %h2;", 'r', 0x8000, 0x8000, 0, 0x40000000},
	{"mad.lo.s32 %r0, %r1, %r2, %r3;", 'r', 0x10000, 0x10000, 7, 7},
	{"mad.wide.u32 %d0, %r1, %r2, %d3;", 'd', 0xffffffff, 2, 1, 0x1ffffffffull},
	{"mad.hi.s32 %r0, %r1, %r2, %r3;", 'r', 0xffffffff, 1, 1, 0},
	{"div.s32 %r0, %r1, %r2;", 'r', S32_MIN, 0xffffffff, 0, S32_MIN},
	{"div.s32 %r0, %r1, %r2;", 'r', 7, 0, 0, 0xffffffff},
	{"div.s32 %r0, %r1, %r2;", 'r', 0xfffffff9, 2, 0, 0xfffffffd},
	{"rem.s32 %r0, %r1, %r2;", 'r', S32_MIN, 0xffffffff, 0, 0},
	{"rem.s32 %r0, %r1, %r2;", 'r', 0xfffffff9, 2, 0, 0xffffffff},
	{"rem.s32 %r0, %r1, %r2;", 'r', 7, 0, 0, 7},
	{"div.u32 %r0, %r1, %r2;", 'r', 0xffffffff, 0, 0, 0xffffffff},
	{"div.u64 %d0, %d1, %d2;", 'd', UINT64_MAX, 10, 0, UINT64_MAX / 10},
	{"div.s64 %d0, %d1, %d2;", 'd', S64_MIN, UINT64_MAX, 0, S64_MIN},
	{"rem.s64 %d0, %d1, %d2;", 'd', S64_MIN, UINT64_MAX, 0, 0},
	{"div.s16 %h0, %h1, %h2;", 'h', 0x8000, 0xffff, 0, 0x8000},
	{"abs.s32 %r0, %r1;", 'r', S32_MIN, 0, 0, S32_MIN},
	{"abs.s64 %d0, %d1;", 'd', UINT64_MAX, 0, 0, 1},
	{"neg.s32 %r0, %r1;", 'r', S32_MIN, 0, 0, S32_MIN},
	{"neg.s16 %h0, %h1;", 'h', 1, 0, 0, 0xffff},
	{"min.s32 %r0, %r1, %r2;", 'r', S32_MIN, 1, 0, S32_MIN},
	{"min.u32 %r0, %r1, %r2;", 'r', S32_MIN, 1, 0, 1},
	{"max.s64 %d0, %d1, %d2;", 'd', UINT64_MAX, 1, 0, 1},
	{"max.u64 %d0, %d1, %d2;", 'd', UINT64_MAX, 1, 0, UINT64_MAX},
	{"max.s16 %h0, %h1, %h2;", 'h', 0xffff, 1, 0, 1},
	{"min.u16 %h0, %h1, %h2;", 'h', 0xffff, 1, 0, 1},
	{"sad.u32 %r0, %r1, %r2, %r3;", 'r', 1, 0xffffffff, 5, 3},
	{"sad.s32 %r0, %r1, %r2, %r3;", 'r', 1, 0xffffffff, 5, 7},
	/* bits */
	{"and.b32 %r0, %r1, 0xff00;", 'r', 0x1234, 0, 0, 0x1200},
	{"or.b64 %d0, %d1, %d2;", 'd', 1, S64_MIN, 0, S64_MIN | 1},
	{"xor.b16 %h0, %h1, %h2;", 'h', 0xffff, 0x0ff0, 0, 0xf00f},
	{"not.b32 %r0, %r1;", 'r', 0, 0, 0, 0xffffffff},
	{"cnot.b32 %r0, %r1;", 'r', 0, 0, 0, 1},
	{"shl.b32 %r0, %r1, %r2;", 'r', 1, 31, 0, S32_MIN},
	{"shl.b32 %r0, %r1, %r2;", 'r', 1, 32, 0, 0},
	{"shl.b32 %r0, %r1, %r2;", 'r', 1, 0xffffffff, 0, 0},
	{"shl.b64 %d0, %d1, %r2;", 'd', 1, 63, 0, S64_MIN},
	{"shl.b64 %d0, %d1, %r2;", 'd', 1, 64, 0, 0},
	{"shl.b16 %h0, %h1, %r2;", 'h', 1, 16, 0, 0},
	{"shr.u32 %r0, %r1, %r2;", 'r', S32_MIN, 32, 0, 0},
	{"shr.s32 %r0, %r1, %r2;", 'r', S32_MIN, 32, 0, 0xffffffff},
	{"shr.s32 %r0, %r1, %r2;", 'r', S32_MIN, 31, 0, 0xffffffff},
	{"shr.s64 %d0, %d1, %r2;", 'd', S64_MIN, 1000, 0, UINT64_MAX},
	{"shr.u64 %d0, %d1, %r2;", 'd', S64_MIN, 63, 0, 1},
	{"shr.s16 %h0, %h1, %r2;", 'h', 0x8000, 15, 0, 0xffff},
	{"shr.u16 %h0, %h1, %r2;", 'h', 0x8000, 15, 0, 1},
	{"shf.l.wrap.b32 %r0, %r1, %r2, %r3;", 'r', 0x80000000, 1, 33, 3},
	{"shf.l.clamp.b32 %r0, %r1, %r2, %r3;", 'r', 0x80000000, 1, 33, 0x80000000},
	{"shf.r.wrap.b32 %r0, %r1, %r2, %r3;", 'r', 2, 1, 33, 0x80000001},
	{"shf.r.clamp.b32 %r0, %r1, %r2, %r3;", 'r', 2, 1, 40, 1},
	{"shf.l.wrap.b32 %r0, %r1, %r2, %r3;", 'r', 5, 9, 0, 9},
	{"prmt.b32 %r0, %r1, %r2, %r3;", 'r', 0x44332211, 0x88776655, 0x7531, 0x88664422},
	{"prmt.b32 %r0, %r1, %r2, %r3;", 'r', 0x80, 0, 0x8, 0x808080ff},
	{"prmt.b32.f4e %r0, %r1, %r2, %r3;", 'r', 0x44332211, 0x88776655, 1, 0x55443322},
	{"prmt.b32.rc16 %r0, %r1, %r2, %r3;", 'r', 0x44332211, 0, 1, 0x44334433},
	{"bfe.u32 %r0, %r1, %r2, %r3;", 'r', 0xdeadbeef, 8, 8, 0xbe},
	{"bfe.s32 %r0, %r1, %r2, %r3;", 'r', 0xdeadbeef, 8, 8, 0xffffffbe},
	{"bfe.s32 %r0, %r1, %r2, %r3;", 'r', 0x80000000, 40, 8, 0xffffffff},
	{"bfe.u32 %r0, %r1, %r2, %r3;", 'r', 0xffffffff, 4, 0, 0},
	{"bfe.s32 %r0, %r1, %r2, %r3;", 'r', 0x80000000, 28, 16, 0xfffffff8},
	{"bfe.u64 %d0, %d1, %r2, %r3;", 'd', UINT64_MAX, 60, 10, 15},
	{"bfi.b32 %r0, %r1, %r2, %r3, 8;", 'r', 0xab, 0xffffffff, 8, 0xffffabff},
	{"bfi.b32 %r0, %r1, %r2, %r3, 8;", 'r', 0xab, 0x12345678, 32, 0x12345678},
	{"bfi.b64 %d0, %d1, %d2, %r3, 64;", 'd', 5, UINT64_MAX, 0, 5},
	{"bfind.u32 %r0, %r1;", 'r', 0, 0, 0, 0xffffffff},
	{"bfind.u32 %r0, %r1;", 'r', 0x00010000, 0, 0, 16},
	{"bfind.s32 %r0, %r1;", 'r', 0xffffffff, 0, 0, 0xffffffff},
	{"bfind.s32 %r0, %r1;", 'r', 0xfffffff0, 0, 0, 3},
	{"bfind.shiftamt.u32 %r0, %r1;", 'r', 0x00010000, 0, 0, 15},
	{"bfind.u64 %r0, %d1;", 'r', S64_MIN, 0, 0, 63},
	{"brev.b32 %r0, %r1;", 'r', 1, 0, 0, S32_MIN},
	{"brev.b64 %d0, %d1;", 'd', 2, 0, 0, 1ull << 62},
	{"clz.b32 %r0, %r1;", 'r', 0, 0, 0, 32},
	{"clz.b64 %r0, %d1;", 'r', 1, 0, 0, 63},
	{"popc.b32 %r0, %r1;", 'r', 0xf0f0f0f0, 0, 0, 16},
	{"popc.b64 %r0, %d1;", 'r', UINT64_MAX, 0, 0, 64},
	{"lop3.b32 %r0, %r1, %r2, %r3, 0x96;", 'r', 0xff00ff00, 0xf0f0f0f0, 0xcccccccc,
	 0xff00ff00 ^ 0xf0f0f0f0 ^ 0xcccccccc},
	{"lop3.b32 %r0, %r1, %r2, %r3, 0xe8;", 'r', 0xff, 0xf, 0xf0f, 0xf | (0xff & 0xf0f)},
	{"dp4a.s32.s32 %r0, %r1, %r2, %r3;", 'r', 0xff02fd04, 0x01010101, 10, 10 - 1 + 2 - 3 + 4},
	{"dp4a.u32.u32 %r0, %r1, %r2, %r3;", 'r', 0xffffffff, 0xffffffff, 0, 4 * 255 * 255},
	{"dp2a.lo.s32.u32 %r0, %r1, %r2, %r3;", 'r', 0xffff0002, 0x0000ff03, 1, (uint32_t)(1 + 6 - 255)},
	{"dp2a.hi.u32.u32 %r0, %r1, %r2, %r3;", 'r', 0x00010002, 0x04030000, 0, 6 + 4},
	{"fns.b32 %r0, %r1, %r2, %r3;", 'r', 0xaaaaaaaa, 3, 2, 5},
	{"fns.b32 %r0, %r1, %r2, %r3;", 'r', 0xaaaaaaaa, 3, 0xfffffffe, 1},
	/* selections, predicates */
	{"selp.b32 %r0, %r1, %r2, %p3;", 'r', 11, 22, 1, 11},
	{"selp.f64 %d0, %d1, %d2, %p3;", 'd', 11, 22, 0, 22},
	{"slct.u32.s32 %r0, %r1, %r2, %r3;", 'r', 1, 2, 0xffffffff, 2},
	{"slct.f32.f32 %r0, %r1, %r2, %r3;", 'r', 1, 2, 0x80000000, 1},
	{"and.pred %p0, %p1, %p2;", 'p', 1, 0, 0, 0},
	{"xor.pred %p0, %p1, %p2;", 'p', 1, 0, 0, 1},
	{"not.pred %p0, %p1;", 'p', 1, 0, 0, 0},
	{"mov.pred %p0, %p1;", 'p', 1, 0, 0, 1},
	{"setp.lt.s32 %p0, %r1, %r2;", 'p', S32_MIN, 0, 0, 1},
	{"setp.lt.u32 %p0, %r1, %r2;", 'p', S32_MIN, 0, 0, 0},
	{"setp.hi.u32 %p0, %r1, %r2;", 'p', S32_MIN, 0, 0, 1},
	{"setp.ge.s64 %p0, %d1, %d2;", 'p', UINT64_MAX, 0, 0, 0},
	{"setp.eq.s16 %p0, %h1, %h2;", 'p', 7, 7, 0, 1},
	{"setp.lt.and.s32 %p0, %r1, %r2, %p3;", 'p', 1, 2, 0, 0},
	{"setp.lt.and.s32 %p0, %r1, %r2, !%p3;", 'p', 1, 2, 0, 1},
	{"setp.lt.or.s32 %p2|%p0, %r1, %r2, %p3;", 'p', 1, 2, 0, 0},
	{"setp.lt.xor.s32 %p0|%p2, %r1, %r2, %p3;", 'p', 1, 2, 1, 0},
	{"setp.lt.f32 %p0, %r1, %r2;", 'p', ONE, TWO, 0, 1},
	{"setp.lt.f32 %p0, %r1, %r2;", 'p', NAN32, TWO, 0, 0},
	{"setp.ltu.f32 %p0, %r1, %r2;", 'p', NAN32, TWO, 0, 1},
	{"setp.ltu.f32 %p0, %r1, %r2;", 'p', TWO, ONE, 0, 0},
	{"setp.ltu.f32 %p0, %r1, %r2;", 'p', TWO, TWO, 0, 0},
	{"setp.leu.f32 %p0, %r1, %r2;", 'p', TWO, TWO, 0, 1},
	{"setp.gtu.f32 %p0, %r1, %r2;", 'p', TWO, ONE, 0, 1},
	{"setp.gtu.f32 %p0, %r1, %r2;", 'p', ONE, ONE, 0, 0},
	{"setp.geu.f32 %p0, %r1, %r2;", 'p', ONE, TWO, 0, 0},
	{"setp.geu.f32 %p0, %r1, %r2;", 'p', ONE, NAN32, 0, 1},
	{"setp.ne.f32 %p0, %r1, %r2;", 'p', NAN32, NAN32, 0, 0},
	{"setp.neu.f32 %p0, %r1, %r2;", 'p', NAN32, NAN32, 0, 1},
	{"setp.equ.f32 %p0, %r1, %r2;", 'p', NAN32, ONE, 0, 1},
	{"setp.equ.f32 %p0, %r1, %r2;", 'p', TWO, ONE, 0, 0},
	{"setp.eq.f32 %p0, %r1, %r2;", 'p', 0x80000000, 0, 0, 1},
	{"setp.eq.ftz.f32 %p0, %r1, %r2;", 'p', DENORMAL, 0, 0, 1},
	{"setp.eq.f32 %p0, %r1, %r2;", 'p', DENORMAL, 0, 0, 0},
	{"setp.num.f32 %p0, %r1, %r2;", 'p', ONE, NAN32, 0, 0},
	{"setp.nan.f64 %p0, %d1, %d2;", 'p', D_ONE, 0x7ff8000000000000ull, 0, 1},
	{"setp.gt.f64 %p0, %d1, %d2;", 'p', D_ONE, 0, 0, 1},
	{"setp.lt.f16 %p0, %h1, %h2;", 'p', 0x3c00, 0x4000, 0, 1},
	{"set.gt.u32.s32 %r0, %r1, %r2;", 'r', 5, 4, 0, 0xffffffff},
	{"set.lt.f32.f32 %r0, %r1, %r2;", 'r', ONE, TWO, 0, ONE},
	{"testp.infinite.f32 %p0, %r1;", 'p', 0xff800000, 0, 0, 1},
	{"testp.subnormal.f32 %p0, %r1;", 'p', DENORMAL, 0, 0, 1},
	{"testp.normal.f32 %p0, %r1;", 'p', 0, 0, 0, 0},
	{"testp.notanumber.f64 %p0, %d1;", 'p', 0x7ff8000000000000ull, 0, 0, 1},
	/* floating point */
	{"add.f32 %r0, %r1, %r2;", 'r', ONE, TWO, 0, 0x40400000},
	{"add.f32 %r0, %r1, %r2;", 'r', DENORMAL, DENORMAL, 0, 2},
	{"add.ftz.f32 %r0, %r1, %r2;", 'r', DENORMAL, DENORMAL, 0, 0},
	{"add.ftz.f32 %r0, %r1, %r2;", 'r', 0x80000001, 0x80000000, 0, 0x80000000},
	{"add.rz.f32 %r0, %r1, %r2;", 'r', ONE, 0x33ffffff, 0, ONE},
	{"add.rp.f32 %r0, %r1, %r2;", 'r', ONE, DENORMAL, 0, 0x3f800001},
	{"add.rm.f32 %r0, %r1, %r2;", 'r', ONE, 0x80000001, 0, 0x3f7fffff},
	{"add.rn.f32 %r0, %r1, %r2;", 'r', ONE, DENORMAL, 0, ONE},
	{"add.sat.f32 %r0, %r1, %r2;", 'r', ONE, TWO, 0, ONE},
	{"add.sat.f32 %r0, %r1, %r2;", 'r', NAN32, TWO, 0, 0},
	{"sub.f64 %d0, %d1, %d2;", 'd', D_ONE, D_ONE, 0, 0},
	{"mul.f32 %r0, %r1, %r2;", 'r', MAX32, TWO, 0, INF},
	{"mul.rz.f32 %r0, %r1, %r2;", 'r', MAX32, TWO, 0, MAX32},
	{"fma.rn.f32 %r0, %r1, %r2, %r3;", 'r', 0x3f800001, 0x3f800001, 0xbf800002, 0x28800000},
	{"fma.rz.f32 %r0, %r1, %r2, %r3;", 'r', ONE, ONE, 0x337fffff, ONE},
	{"fma.rp.f64 %d0, %d1, %d2, %d3;", 'd', D_ONE, D_ONE, 1, 0x3ff0000000000001ull},
	{"div.rn.f32 %r0, %r1, %r2;", 'r', ONE, 0x40400000, 0, 0x3eaaaaab},
	{"div.rz.f32 %r0, %r1, %r2;", 'r', ONE, 0x40400000, 0, 0x3eaaaaaa},
	{"div.rn.f32 %r0, %r1, %r2;", 'r', ONE, 0x80000000, 0, 0xff800000},
	{"div.full.f32 %r0, %r1, %r2;", 'r', TWO, ONE, 0, TWO},
	{"div.rn.f64 %d0, %d1, %d2;", 'd', D_ONE, 0x4008000000000000ull, 0, 0x3fd5555555555555ull},
	{"rcp.rn.f32 %r0, %r1;", 'r', TWO, 0, 0, 0x3f000000},
	{"rcp.approx.ftz.f64 %d0, %d1;", 'd', D_ONE, 0, 0, D_ONE},
	{"sqrt.rn.f32 %r0, %r1;", 'r', TWO, 0, 0, 0x3fb504f3},
	{"sqrt.rp.f32 %r0, %r1;", 'r', TWO, 0, 0, 0x3fb504f4},
	{"sqrt.rn.f64 %d0, %d1;", 'd', 0x4000000000000000ull, 0, 0, 0x3ff6a09e667f3bcdull},
	{"rsqrt.approx.f32 %r0, %r1;", 'r', 0x40800000, 0, 0, 0x3f000000},
	{"ex2.approx.ftz.f32 %r0, %r1;", 'r', 0x40400000, 0, 0, 0x41000000},
	{"lg2.approx.f32 %r0, %r1;", 'r', 0x41000000, 0, 0, 0x40400000},
	{"sin.approx.f32 %r0, %r1;", 'r', 0, 0, 0, 0},
	{"cos.approx.ftz.f32 %r0, %r1;", 'r', DENORMAL, 0, 0, ONE},
	{"tanh.approx.f32 %r0, %r1;", 'r', 0x42c80000, 0, 0, ONE},
	{"min.f32 %r0, %r1, %r2;", 'r', NAN32, ONE, 0, ONE},
	{"min.f32 %r0, %r1, %r2;", 'r', ONE, NAN32, 0, ONE},
	{"max.f32 %r0, %r1, %r2;", 'r', 0xffc00001, 0x7fc00001, 0, NAN32},
	{"min.NaN.f32 %r0, %r1, %r2;", 'r', ONE, 0x7fc00001, 0, NAN32},
	{"min.f32 %r0, %r1, %r2;", 'r', 0, 0x80000000, 0, 0x80000000},
	{"max.f32 %r0, %r1, %r2;", 'r', 0x80000000, 0, 0, 0},
	{"max.ftz.f32 %r0, %r1, %r2;", 'r', DENORMAL, 0x80000000, 0, 0},
	{"max.f64 %d0, %d1, %d2;", 'd', D_ONE, 0x7ff8000000000000ull, 0, D_ONE},
	{"abs.f32 %r0, %r1;", 'r', 0x80000001, 0, 0, 1},
	{"neg.f64 %d0, %d1;", 'd', D_ONE, 0, 0, D_ONE | S64_MIN},
	{"neg.ftz.f32 %r0, %r1;", 'r', DENORMAL, 0, 0, 0x80000000},
	{"copysign.f32 %r0, %r1, %r2;", 'r', 0x80000000, ONE, 0, 0xbf800000},
	/* 16-bit floats */
	{"add.f16 %h0, %h1, %h2;", 'h', 0x3c00, 0x4000, 0, 0x4200},
	{"add.f16 %h0, %h1, %h2;", 'h', 0x7bff, 0x7bff, 0, 0x7c00},
	{"mul.f16 %h0, %h1, %h2;", 'h', 0x0001, 0x3800, 0, 0},
	{"mul.f16 %h0, %h1, %h2;", 'h', 0x0003, 0x3800, 0, 2},
	{"sub.f16x2 %r0, %r1, %r2;", 'r', 0x40003c00, 0x3c003c00, 0, 0x3c000000},
	{"fma.rn.f16 %h0, %h1, %h2, %h3;", 'h', 0x3c01, 0x3c01, 0xbc02, 0x0010},
	{"fma.rn.f16x2 %r0, %r1, %r2, %r3;", 'r', 0x40003c00, 0x40004000, 0x3c003c00, 0x45004200},
	{"add.rn.bf16 %h0, %h1, %h2;", 'h', 0x3f80, 0x4000, 0, 0x4040},
	{"neg.f16 %h0, %h1;", 'h', 0x7e00, 0, 0, 0xfe00},
	{"max.f16 %h0, %h1, %h2;", 'h', 0x7e00, 0x3c00, 0, 0x3c00},
	{"ex2.approx.f16 %h0, %h1;", 'h', 0x4000, 0, 0, 0x4400},
	/* conversions */
	{"cvt.u64.u32 %d0, %r1;", 'd', 0xffffffff, 0, 0, 0xffffffff},
	{"cvt.s64.s32 %d0, %r1;", 'd', 0xffffffff, 0, 0, UINT64_MAX},
	{"cvt.u32.u64 %r0, %d1;", 'r', 0x1234567890ull, 0, 0, 0x34567890},
	{"cvt.s32.s16 %r0, %h1;", 'r', 0x8000, 0, 0, 0xffff8000},
	{"cvt.s16.s8 %h0, %h1;", 'h', 0x1280, 0, 0, 0xff80},
	{"cvt.u32.u8 %r0, %r1;", 'r', 0x12ff, 0, 0, 0xff},
	{"cvt.s8.s32 %r0, %r1;", 'r', 0x80, 0, 0, 0xffffff80},
	{"cvt.sat.s8.s32 %r0, %r1;", 'r', 1000, 0, 0, 127},
	{"cvt.sat.u8.s32 %r0, %r1;", 'r', 0xffffffff, 0, 0, 0},
	{"cvt.sat.u32.s64 %r0, %d1;", 'r', 0x100000000ull, 0, 0, 0xffffffff},
	{"cvt.rzi.s32.f32 %r0, %r1;", 'r', 0x4f000000, 0, 0, 0x7fffffff},
	{"cvt.rzi.s32.f32 %r0, %r1;", 'r', 0xff800000, 0, 0, S32_MIN},
	{"cvt.rzi.s32.f32 %r0, %r1;", 'r', NAN32, 0, 0, 0},
	{"cvt.rzi.u32.f32 %r0, %r1;", 'r', 0xbf800000, 0, 0, 0},
	{"cvt.rzi.u32.f32 %r0, %r1;", 'r', 0x4f800000, 0, 0, 0xffffffff},
	{"cvt.rzi.u32.f32 %r0, %r1;", 'r', 0x4f7fffff, 0, 0, 0xffffff00},
	{"cvt.rni.s32.f32 %r0, %r1;", 'r', 0x40200000, 0, 0, 2},
	{"cvt.rni.s32.f32 %r0, %r1;", 'r', 0x40600000, 0, 0, 4},
	{"cvt.rmi.s32.f32 %r0, %r1;", 'r', 0xbf000000, 0, 0, 0xffffffff},
	{"cvt.rpi.s32.f32 %r0, %r1;", 'r', 0x3f000000, 0, 0, 1},
	{"cvt.rzi.u8.f32 %r0, %r1;", 'r', 0x44800000, 0, 0, 255},
	{"cvt.rzi.s64.f64 %d0, %d1;", 'd', 0x43f0000000000000ull, 0, 0, INT64_MAX},
	{"cvt.rzi.u64.f32 %d0, %r1;", 'd', 0x5f800000, 0, 0, UINT64_MAX},
	{"cvt.rn.f32.s32 %r0, %r1;", 'r', 0x01000001, 0, 0, 0x4b800000},
	{"cvt.rz.f32.u32 %r0, %r1;", 'r', 0xffffffff, 0, 0, 0x4f7fffff},
	{"cvt.rn.f32.u64 %r0, %d1;", 'r', UINT64_MAX, 0, 0, 0x5f800000},
	{"cvt.rn.f64.s64 %d0, %d1;", 'd', UINT64_MAX, 0, 0, 0xbff0000000000000ull},
	{"cvt.rn.f32.u16 %r0, %h1;", 'r', 0xffff, 0, 0, 0x477fff00},
	{"cvt.f64.f32 %d0, %r1;", 'd', DENORMAL, 0, 0, 0x36a0000000000000ull},
	{"cvt.rn.f32.f64 %r0, %d1;", 'r', 0x47f0000000000000ull, 0, 0, INF},
	{"cvt.rz.f32.f64 %r0, %d1;", 'r', 0x47f0000000000000ull, 0, 0, MAX32},
	{"cvt.sat.f32.f32 %r0, %r1;", 'r', 0xbf800000, 0, 0, 0},
	{"cvt.sat.f32.f32 %r0, %r1;", 'r', NAN32, 0, 0, 0},
	{"cvt.rmi.f32.f32 %r0, %r1;", 'r', 0xbf000000, 0, 0, 0xbf800000},
	{"cvt.rni.f32.f32 %r0, %r1;", 'r', 0xbe800000, 0, 0, 0x80000000},
	{"cvt.rzi.ftz.f32.f32 %r0, %r1;", 'r', 0x40200000, 0, 0, TWO},
	{"cvt.f32.f16 %r0, %h1;", 'r', 0x0001, 0, 0, 0x33800000},
	{"cvt.rn.f16.f32 %h0, %r1;", 'h', 0x477ff000, 0, 0, 0x7c00},
	{"cvt.rn.f16.f32 %h0, %r1;", 'h', 0x477fefff, 0, 0, 0x7bff},
	{"cvt.rz.f16.f32 %h0, %r1;", 'h', MAX32, 0, 0, 0x7bff},
	{"cvt.rn.f16.f32 %h0, %r1;", 'h', 0x33000000, 0, 0, 0},
	{"cvt.rn.f16.f32 %h0, %r1;", 'h', 0x33000001, 0, 0, 1},
	{"cvt.rn.bf16.f32 %h0, %r1;", 'h', 0x3f808000, 0, 0, 0x3f80},
	{"cvt.rn.bf16.f32 %h0, %r1;", 'h', 0x3f818000, 0, 0, 0x3f82},
	{"cvt.f32.bf16 %r0, %h1;", 'r', 0x4040, 0, 0, 0x40400000},
	{"cvt.rn.f16x2.f32 %r0, %r1, %r2;", 'r', ONE, TWO, 0, 0x3c004000},
	/* moves */
	{"mov.b32 %r0, {%h1, %h2};", 'r', 0x1111, 0x2222, 0, 0x22221111},
	{"mov.b64 %d0, {%r1, %r2};", 'd', 1, 2, 0, 0x200000001ull},
	{"mov.b64 %d0, {%h1, %h2, %h3, %h1};", 'd', 1, 2, 3, 0x0001000300020001ull},
	{"mov.b64 {%r2, %r0}, %d1;", 'r', 0x0000000700000001ull, 0, 0, 7},
	{"mov.b64 {%r0, _}, %d1;", 'r', 0x0000000700000001ull, 0, 0, 1},
	{"mov.b32 {%h2, %h0}, %r1;", 'h', 0x12345678, 0, 0, 0x1234},
	{"mov.b64 {%h2, %h3, %h0, %h1}, %d1;", 'h', 0x0004000300020001ull, 0, 0, 3},
	{"mov.f32 %r0, 0f3F800000;", 'r', 0, 0, 0, ONE},
	{"mov.f64 %d0, 1.0;", 'd', 0, 0, 0, D_ONE},
	{"mov.u32 %r0, -1;", 'r', 0, 0, 0, 0xffffffff},
	{"mov.u64 %d0, 0b101;", 'd', 0, 0, 0, 5},
	{"mov.u32 %r0, 010;", 'r', 0, 0, 0, 8},
	{"mov.u32 %r0, WARP_SZ;", 'r', 0, 0, 0, 32},
	{"mov.u32 %r0, %ntid.x;", 'r', 0, 0, 0, THREADS},
	{"mov.u32 %r0, %nctaid.z;", 'r', 0, 0, 0, 1},
	{"{ .reg .b32 %r1; mov.b32 %r1, 9; mov.b32 %r0, %r1; }", 'r', 5, 0, 0, 9},
	{"@%p1 mov.u32 %r0, 1; @!%p1 mov.u32 %r0, 2;", 'r', 0, 0, 0, 2},
};

static const char *const store_result[] = {
	['p'] = "selp.b64 %d9, 1, 0, %p0;",
	['h'] = "cvt.u64.u16 %d9, %h0;",
	['r'] = "cvt.u64.u32 %d9, %r0;",
	['d'] = "mov.b64 %d9, %d0;",
};

/* Writes a kernel that runs ROW for all lanes and then for the even ones, with 5 words of data for each thread. */
static void write_kernel(char *text, size_t size, const struct row *row)
{
	(void)snprintf(
		text, size,
		".version 8.6\n.target sm_90\n.address_size 64\n"
		".visible .entry t(.param .u64 data)\n{\n"
		".reg .pred %%p<10>; .reg .b16 %%h<10>; .reg .b32 %%r<10>; .reg .b64 %%d<10>;\n"
		"ld.param.u64 %%d8, [data]; mov.u32 %%r8, %%tid.x; mad.wide.u32 %%d8, %%r8, 40, %%d8;\n"
		"and.b32 %%r9, %%r8, 1; setp.ne.s32 %%p9, %%r9, 0;\n"
		"ld.global.u64 %%d1, [%%d8]; ld.global.u64 %%d2, [%%d8+8]; ld.global.u64 %%d3, [%%d8+16];\n"
		"cvt.u32.u64 %%r1, %%d1; cvt.u32.u64 %%r2, %%d2; cvt.u32.u64 %%r3, %%d3;\n"
		"cvt.u16.u64 %%h1, %%d1; cvt.u16.u64 %%h2, %%d2; cvt.u16.u64 %%h3, %%d3;\n"
		"setp.ne.s64 %%p1, %%d1, 0; setp.ne.s64 %%p2, %%d2, 0; setp.ne.s64 %%p3, %%d3, 0;\n"
		"%s\n%s\nst.global.u64 [%%d8+24], %%d9;\n"
		"cvt.u32.u64 %%r1, %%d1; cvt.u32.u64 %%r2, %%d2; cvt.u32.u64 %%r3, %%d3;\n"
		"ld.global.u64 %%d1, [%%d8]; cvt.u16.u64 %%h1, %%d1; cvt.u16.u64 %%h2, %%d2; cvt.u16.u64 %%h3, %%d3;\n"
		"setp.ne.s64 %%p1, %%d1, 0; setp.ne.s64 %%p2, %%d2, 0; setp.ne.s64 %%p3, %%d3, 0;\n"
		"cvt.u32.u64 %%r1, %%d1;\n"
		"mov.u64 %%d0, 0x%llx; cvt.u32.u64 %%r0, %%d0; cvt.u16.u64 %%h0, %%d0; setp.ne.s64 %%p0, %%d0, 0;\n"
		"@%%p9 bra DONE;\n%s\nDONE:\n%s\nst.global.u64 [%%d8+32], %%d9;\nret;\n}\n",
		row->text, store_result[(unsigned char)row->result], (unsigned long long)SENTINEL, row->text,
		store_result[(unsigned char)row->result]);
}

static uint64_t sentinel(char result)
{
	return result == 'p' ? 1 : result == 'h' ? SENTINEL & 0xffff : result == 'r' ? SENTINEL & 0xffffffff : SENTINEL;
}

static bool run_row(struct engine *engine, const struct row *row, unsigned level)
{
	uint64_t data[THREADS][5], address = engine->backend.alloc(&engine->backend, sizeof(data));
	struct kernel_arg arg = {&address, sizeof(address)};
	char text[4096];

	for (unsigned i = 0; i < THREADS; i++)
		memcpy(data[i], (uint64_t[]){row->a, row->b, row->c, 0, 0}, sizeof(data[i]));
	write_kernel(text, sizeof(text), row);
	ck_assert_msg(engine->backend.load(&engine->backend, text, strlen(text)), "%s: %s", row->text,
		      engine->backend.error);
	ck_assert(engine->backend.put(&engine->backend, address, data, sizeof(data)));
	ck_assert_msg(engine->backend.launch(&engine->backend, "t", (unsigned[]){1, 1, 1}, (unsigned[]){THREADS, 1, 1},
					     0, &arg, 1),
		      "%s: %s", row->text, engine->backend.error);
	ck_assert(engine->backend.get(&engine->backend, data, address, sizeof(data)));
	engine->backend.release(&engine->backend, address);
	for (unsigned i = 0; i < THREADS; i++) {
		const uint64_t want[] = {row->want, i & 1 ? sentinel(row->result) : row->want};

		for (unsigned half = 0; half < 2; half++) {
			if (data[i][3 + half] == want[half])
				continue;
			fprintf(stderr, "%s: lane %u of %s, level %u: 0x%llx instead of 0x%llx\n", row->text, i,
				half ? "half" : "all", level, (unsigned long long)data[i][3 + half],
				(unsigned long long)want[half]);
			return false;
		}
	}
	return true;
}

START_TEST(instructions_do_what_the_manual_says)
{
	static const unsigned levels[] = {1, 3, 4};
	struct engine engine;
	unsigned wrong = 0;

	exec_limit_level(levels[_i]);
	engine_start(&engine, 4 * MIB, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		wrong += !run_row(&engine, &rows[i], levels[_i]);
	engine_stop(&engine);
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(unknown_instructions_are_named_with_their_line)
{
	static const char *const bad[] = {
		"foo.b32 %r0, %r1;",
		"add.s33 %r0, %r1, %r2;",
		"add.ftz.s32 %r0, %r1, %r2;",
		"add.s32.rn %r0, %r1, %r2;",
		"tex.2d.v4.f32.f32 {%r0, %r1, %r2, %r3}, [t, {%r1, %r2}];",
		"wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r0}, [%d1];",
		"cp.async.ca.shared.global [%r0], [%d1], 16;",
		"mul.s32 %r0, %r1, %r2;",
		"ld.global.b128 %r0, [%d1];",
		"cvt.s32.f32 %r0, %r1;",
		"setp.lt.b99 %p0, %r1, %r2;",
		"shfl.sync.sideways.b32 %r0, %r1, 1, 31, -1;",
		"atom.global.sub.u32 %r0, [%d1], %r1;",
		"bar.red.nand.pred %p0, 0, %p1;",
		"ex2.f32 %r0, %r1;",
	};
	struct engine engine;

	engine_start(&engine, 4 * MIB, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct row row = {bad[i], 'r', 0, 0, 0, 0};
		char text[4096];

		write_kernel(text, sizeof(text), &row);
		ck_assert(!engine.backend.load(&engine.backend, text, strlen(text)));
		ck_assert_int_eq(engine.status, PTX_INVALID_PTX);
		ck_assert_msg(strncmp(engine.log.text, "line 13: unknown instruction '", 30) == 0 &&
				      strncmp(engine.log.text + 30, bad[i], strcspn(bad[i], " ")) == 0,
			      "%s: %s", bad[i], engine.log.text);
	}
	engine_stop(&engine);
}
END_TEST

START_TEST(wrong_operands_are_refused)
{
	static const char *const bad[] = {
		"add.s32 %r0, %r1;",
		"add.s32 %r0, %r1, %d2;",
		"add.s32 5, %r1, %r2;",
		"add.s32 %r0, %r1, %nothing;",
		"mov.u32 %tid.x, 1;",
		"add.f32 %r0, %r1, 3;",
		"ld.global.u32 %r0, %d1;",
		"st.const.u32 [%d1], %r1;",
		"ld.global.u64 %r0, [%d1];",
		"bra NOWHERE;",
		"@%r1 mov.u32 %r0, 1;",
		"call nothing, (%r1);",
		"mov.b64 %d0, {%r1};",
		"setp.lt.s32 %r0, %r1, 1;",
		"lop3.b32 %r0, %r1, %r2, %r3, 256;",
		"mov.b32 %r0, {%r1, %r2};",
		"selp.b32 %r0, %r1, %r2, %r3;",
		"add.s32 %r0, %r1, %r2",
		"ld.param.u64 %d0, [data+8];",
		"shl.b32 %r0, %r1, %d2;",
		"mov.u32 %r0, data;",
		"atom.global.add.u32 %r0, [%d1], %d1;",
	};
	struct engine engine;

	engine_start(&engine, 4 * MIB, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct row row = {bad[i], 'r', 0, 0, 0, 0};
		char text[4096];

		write_kernel(text, sizeof(text), &row);
		ck_assert_msg(!engine.backend.load(&engine.backend, text, strlen(text)), "accepted: %s", bad[i]);
		ck_assert_int_eq(engine.status, PTX_INVALID_PTX);
		ck_assert_msg(strncmp(engine.log.text, "line ", 5) == 0, "%s: %s", bad[i], engine.log.text);
	}
	engine_stop(&engine);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("opcodes");
	TCase *tests = tcase_create("opcodes");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, instructions_do_what_the_manual_says, 0, 3);
	tcase_add_test(tests, unknown_instructions_are_named_with_their_line);
	tcase_add_test(tests, wrong_operands_are_refused);
	suite_add_tcase(suite, tests);
	return suite;
}
