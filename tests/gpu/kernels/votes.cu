/* Eight words for every warp: ballot, any, all, lowest lane, reversed ballot, count, active lanes, lanes below. */
extern "C" __global__ void votes(const int *in, unsigned *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	int value = i < n ? in[i] : 0;
	unsigned ballot = __ballot_sync(0xffffffffu, value & 1);
	int any = __any_sync(0xffffffffu, value > 100), all = __all_sync(0xffffffffu, value >= 0);
	unsigned active = __activemask();

	if ((threadIdx.x & 31) == 0) {
		unsigned *o = out + 8 * (i >> 5);

		o[0] = ballot;
		o[1] = any;
		o[2] = all;
		o[3] = __ffs(ballot);
		o[4] = __brev(ballot);
		o[5] = __popc(ballot);
		o[6] = active;
		o[7] = __clz(ballot);
	}
}
