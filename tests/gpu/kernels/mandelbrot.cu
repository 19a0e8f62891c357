extern "C" __global__ void mandelbrot(uchar4 *image, int width, int height, float x0, float y0, float step, int limit)
{
	int px = blockIdx.x * blockDim.x + threadIdx.x;
	int py = blockIdx.y * blockDim.y + threadIdx.y;

	if (px >= width || py >= height)
		return;
	float cx = x0 + step * (float)px, cy = y0 + step * (float)py;
	float x = 0.0f, y = 0.0f;
	int n = 0;

	while (n < limit && x * x + y * y < 4.0f) {
		float next = x * x - y * y + cx;

		y = 2.0f * x * y + cy;
		x = next;
		n++;
	}
	image[py * width + px] = make_uchar4(n & 255, (n >> 2) & 255, (n * 7) & 255, 255);
}
