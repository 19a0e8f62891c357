/*
 * Gravity between n bodies, softened. A body is (x, y, z, mass), its velocity (x, y, z, unused). Two kernels make one step:
 * `accelerate` reads all positions, tile by tile through shared memory, and changes the velocities; `move` then changes the
 * positions.
 */
#define TILE 128

extern "C" __global__ void accelerate(unsigned n, float dt, float softening, const float4 *bodies, float4 *velocities)
{
	__shared__ float4 tile[TILE];
	unsigned i = blockIdx.x * TILE + threadIdx.x;
	float4 me = i < n ? bodies[i] : make_float4(0, 0, 0, 0), v;
	float ax = 0, ay = 0, az = 0;

	for (unsigned start = 0; start < n; start += TILE) {
		unsigned j = start + threadIdx.x;

		tile[threadIdx.x] = j < n ? bodies[j] : make_float4(0, 0, 0, 0);
		__syncthreads();
		for (unsigned k = 0; k < TILE; k++) {
			float dx = tile[k].x - me.x, dy = tile[k].y - me.y, dz = tile[k].z - me.z;
			float square = dx * dx + dy * dy + dz * dz + softening * softening;
			float inverse = rsqrtf(square), factor = tile[k].w * inverse * inverse * inverse;

			ax += dx * factor;
			ay += dy * factor;
			az += dz * factor;
		}
		__syncthreads();
	}
	if (i >= n)
		return;
	v = velocities[i];
	velocities[i] = make_float4(v.x + ax * dt, v.y + ay * dt, v.z + az * dt, v.w);
}

extern "C" __global__ void move(unsigned n, float dt, float4 *bodies, const float4 *velocities)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n) {
		float4 b = bodies[i], v = velocities[i];

		bodies[i] = make_float4(b.x + v.x * dt, b.y + v.y * dt, b.z + v.z * dt, b.w);
	}
}
