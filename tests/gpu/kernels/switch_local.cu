extern "C" __global__ void switch_local(const int *in, int *out, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	int table[16];

	if (i >= n)
		return;
	int x = in[i];

	for (int j = 0; j < 16; j++)
		table[j] = j * x + (j ^ i);
	int r = 0;

	for (int j = 0; j < 8; j++) {
		int k = (x >> j) & 15;

		switch (k) {
		case 0: r += table[(x + j) & 15]; break;
		case 1: r -= table[k]; break;
		case 2: r ^= table[k + j & 15] << 1; break;
		case 3: r = r * 3 + 1; break;
		case 5: r += j; table[j] = r; break;
		case 7: r = ~r; break;
		case 9: r = (r << 3) | (int)((unsigned)r >> 29); break;
		case 12: table[(k + r) & 15] += r; break;
		default: r += k; break;
		}
	}
	out[i] = r + table[r & 15];
}
