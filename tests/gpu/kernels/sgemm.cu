#define TILE 16

/* C[m][n] = A[m][k] * B[k][n], row major, blocks of 16 x 16 threads. */
extern "C" __global__ void sgemm(const float *a, const float *b, float *c, int m, int n, int k)
{
	__shared__ float as[TILE][TILE];
	__shared__ float bs[TILE][TILE];
	int row = blockIdx.y * TILE + threadIdx.y;
	int col = blockIdx.x * TILE + threadIdx.x;
	float sum = 0.0f;

	for (int t = 0; t < k; t += TILE) {
		as[threadIdx.y][threadIdx.x] = row < m && t + (int)threadIdx.x < k ? a[row * k + t + threadIdx.x] : 0.0f;
		bs[threadIdx.y][threadIdx.x] = col < n && t + (int)threadIdx.y < k ? b[(t + threadIdx.y) * n + col] : 0.0f;
		__syncthreads();
		for (int i = 0; i < TILE; i++)
			sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
		__syncthreads();
	}
	if (row < m && col < n)
		c[row * n + col] = sum;
}
