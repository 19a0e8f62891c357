extern "C" __global__ void nbody(const float4 *position, float4 *acceleration, int n, float softening)
{
	extern __shared__ float4 tile[];
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	float4 self = i < n ? position[i] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
	float ax = 0.0f, ay = 0.0f, az = 0.0f;

	for (int base = 0; base < n; base += blockDim.x) {
		int j = base + threadIdx.x;

		tile[threadIdx.x] = j < n ? position[j] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
		__syncthreads();
		for (unsigned t = 0; t < blockDim.x; t++) {
			float dx = tile[t].x - self.x, dy = tile[t].y - self.y, dz = tile[t].z - self.z;
			float inverse = rsqrtf(dx * dx + dy * dy + dz * dz + softening);
			float strength = tile[t].w * inverse * inverse * inverse;

			ax += dx * strength;
			ay += dy * strength;
			az += dz * strength;
		}
		__syncthreads();
	}
	if (i < n)
		acceleration[i] = make_float4(ax, ay, az, 0.0f);
}
