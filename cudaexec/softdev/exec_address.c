/* From address registers to checked real addresses: the general case, and everything that fails. */
#include "cudaexec/softdev/exec.h"
#include "supervisor/util.h"

/* The allocation around ADDRESS, from the cache of the block or the memory. */
static bool find_range(struct exec_warp *warp, uint64_t address, struct device_range *ret_range)
{
	struct exec_block *block = warp->block;
	struct device_range *cached = &block->ranges[warp->pc % EXEC_RANGES];

	if (address - cached->base < cached->size) {
		*ret_range = *cached;
		return true;
	}
	if (!device_memory_find(block->run->device->memory, address, ret_range))
		return false;
	*cached = *ret_range;
	return true;
}

/* The part of the generic address space that ADDRESS is in, as LANE sees it. */
static bool generic_range(struct exec_warp *warp, unsigned lane, uint64_t address, struct device_range *ret_range)
{
	const struct exec_block *block = warp->block;
	uint64_t shared = (uint64_t)block->shared, local = (uint64_t)warp->local + (uint64_t)lane * block->local_stride;

	if (address - shared < block->shared_size)
		*ret_range = (struct device_range){shared, block->shared_size};
	else if (address - local < block->local_stride)
		*ret_range = (struct device_range){local, block->local_stride};
	else if (address - (uint64_t)block->run->params < block->run->params_size)
		*ret_range = (struct device_range){(uint64_t)block->run->params, block->run->params_size};
	else
		return find_range(warp, address, ret_range);
	return true;
}

bool exec_room(struct exec_warp *warp, unsigned lane, uint64_t address, uint64_t *ret_room)
{
	struct device_range range;

	if (!generic_range(warp, lane, address, &range))
		return false;
	*ret_room = range.size - (address - range.base);
	return true;
}

bool exec_check(struct exec_warp *warp, unsigned lane, uint64_t address, uint64_t length)
{
	uint64_t room = 0;

	return length == 0 || (exec_room(warp, lane, address, &room) && length <= room);
}

/* One lane: an address in SPACE to a real one; 0 when it is outside. */
static uint64_t lane_address(struct exec_warp *warp, enum ptx_space space, unsigned lane, uint64_t address,
			     uint32_t size)
{
	const struct exec_block *block = warp->block;
	const struct exec_run *run = block->run;
	uint8_t *local = warp->local + (size_t)lane * block->local_stride;
	struct device_range range;

	switch (space) {
	case SPACE_SHARED:
		return size <= block->shared_size && address <= block->shared_size - size
			       ? (uint64_t)block->shared + address
			       : 0;
	case SPACE_FRAME:
		address += warp->frame->local_base;
		__attribute__((fallthrough));
	case SPACE_LOCAL:
		return size <= block->local_stride && address <= block->local_stride - size ? (uint64_t)local + address
											    : 0;
	case SPACE_PARAM:
		range = (struct device_range){(uint64_t)run->params, run->params_size};
		break;
	case SPACE_GENERIC:
		if (!generic_range(warp, lane, address, &range))
			return 0;
		break;
	default:
		if (!find_range(warp, address, &range))
			return 0;
		break;
	}
	return size <= range.size && address - range.base <= range.size - size ? address : 0;
}

bool exec_addresses(struct exec_warp *warp, const struct ptx_insn *insn, uint32_t mask, uint32_t size,
		    uint64_t *ret_addresses)
{
	static const char *const names[] = {"generic", "global", "const", "shared", "local", "param", "local"};
	const enum ptx_space space = SUB_SPACE(insn->sub);
	const void *base = insn->a == PTX_OPERAND_NONE ? NULL : exec_lanes(warp, insn->a);
	uint64_t first = 0;

	for (uint32_t bits = mask; bits; bits &= bits - 1) {
		unsigned lane = exec_first_lane(bits);
		uint64_t address = (uint64_t)(int64_t)insn->imm, real;

		if (base)
			address += insn->sub & SUB_WIDE_ADDRESS ? ((const uint64_t *)base)[lane]
								: ((const uint32_t *)base)[lane];
		real = lane_address(warp, space, lane, address, size);
		if (real == 0) {
			(void)exec_fault(warp, PTX_ILLEGAL_ADDRESS, lane,
					 "%u bytes at %s address 0x%llx are out of range", size, names[space],
					 (unsigned long long)address);
			return false;
		}
		if (address & (size - 1)) {
			(void)exec_fault(warp, PTX_MISALIGNED_ADDRESS, lane,
					 "%u bytes at %s address 0x%llx are misaligned", size, names[space],
					 (unsigned long long)address);
			return false;
		}
		ret_addresses[lane] = real;
		first = real;
	}
	for (uint32_t bits = ~mask; bits; bits &= bits - 1)
		ret_addresses[exec_first_lane(bits)] = first;
	return true;
}
