/* The Mandelbrot set as a Windows bitmap of 24 bits per pixel. One thread for each pixel. */
#define HEADER_BYTES 54

__device__ static void write_u32(unsigned char *bytes, unsigned value)
{
	bytes[0] = value & 255;
	bytes[1] = value >> 8 & 255;
	bytes[2] = value >> 16 & 255;
	bytes[3] = value >> 24;
}

__device__ static void write_header(unsigned char *out, unsigned width, unsigned height, unsigned stride)
{
	out[0] = 'B';
	out[1] = 'M';
	write_u32(out + 2, HEADER_BYTES + stride * height);
	write_u32(out + 10, HEADER_BYTES);
	write_u32(out + 14, 40);
	write_u32(out + 18, width);
	write_u32(out + 22, height);
	out[26] = 1;
	out[28] = 24;
	write_u32(out + 34, stride * height);
	write_u32(out + 38, 2835);
	write_u32(out + 42, 2835);
}

extern "C" __global__ void mandelbrot(unsigned char *out, unsigned width, unsigned height, double center_x,
				      double center_y, double span, unsigned iterations)
{
	unsigned column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
	unsigned stride = (width * 3 + 3) / 4 * 4, n = 0;
	double step = span / width, x = 0, y = 0, cx, cy;
	unsigned char *pixel;

	if (column >= width || row >= height)
		return;
	if (column == 0 && row == 0)
		write_header(out, width, height, stride);
	cx = center_x + (column + 0.5 - width * 0.5) * step;
	cy = center_y + (row + 0.5 - height * 0.5) * step;
	while (n < iterations && x * x + y * y < 4) {
		double next = x * x - y * y + cx;

		y = 2 * x * y + cy;
		x = next;
		n++;
	}
	/* Rows of a bitmap go from the bottom to the top, as y does. */
	pixel = out + HEADER_BYTES + (unsigned long long)stride * row + column * 3;
	if (n < iterations) {
		pixel[0] = (unsigned char)min(255u, 64 + n * 9);
		pixel[1] = (unsigned char)(n * 5 & 255);
		pixel[2] = (unsigned char)(n * 3 & 255);
	}
}
