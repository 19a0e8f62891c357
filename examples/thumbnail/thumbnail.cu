/*
 * A picture in, a smaller (or larger) picture out, both as Windows bitmaps: reads 24 and 32 bits per pixel, writes 24.
 * One thread for each pixel of the result. A body that is no such bitmap leaves the result empty (all zero).
 */
#define HEADER_BYTES 54

struct picture {
	const unsigned char *rows; /* the first row of the file */
	int width, height;
	long long stride; /* bytes of a row */
	int pixel_bytes;
	bool top_down;
};

__device__ static unsigned read_u32(const unsigned char *bytes)
{
	return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (unsigned)bytes[3] << 24;
}

/* Every number of the header is checked against the size of the file before it is used. */
__device__ static bool open_picture(const unsigned char *file, unsigned long long bytes, struct picture *p)
{
	unsigned long long offset;
	int height;

	if (bytes < HEADER_BYTES || file[0] != 'B' || file[1] != 'M' || read_u32(file + 14) < 40)
		return false;
	offset = read_u32(file + 10);
	p->width = (int)read_u32(file + 18);
	height = (int)read_u32(file + 22);
	p->top_down = height < 0;
	p->height = height < 0 ? -height : height;
	p->pixel_bytes = (file[28] | file[29] << 8) / 8;
	if ((p->pixel_bytes != 3 && p->pixel_bytes != 4) || p->width < 1 || p->width > 65536 || p->height < 1 ||
	    p->height > 65536 || (read_u32(file + 30) != 0 && read_u32(file + 30) != 3))
		return false;
	p->stride = ((long long)p->width * p->pixel_bytes + 3) / 4 * 4;
	if (offset > bytes || bytes - offset < (unsigned long long)(p->stride * p->height))
		return false;
	p->rows = file + offset;
	return true;
}

/* One colour of the pixel at (x, y), counted from the top left. */
__device__ static float sample(const struct picture *p, int x, int y, int colour)
{
	int row = p->top_down ? y : p->height - 1 - y;

	return p->rows[p->stride * row + (long long)x * p->pixel_bytes + colour];
}

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

/* Where the centre of pixel I of TO lies among FROM pixels: the two neighbours and the weight of the second. */
__device__ static float place(unsigned i, unsigned to, int from, int *first, int *second)
{
	float at = ((float)i + 0.5f) * (float)from / (float)to - 0.5f;

	at = fminf(fmaxf(at, 0.0f), (float)(from - 1));
	*first = (int)at;
	*second = min(*first + 1, from - 1);
	return at - (float)*first;
}

extern "C" __global__ void thumbnail(const unsigned char *file, unsigned long long bytes, unsigned char *out,
				     unsigned width, unsigned height)
{
	unsigned x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
	unsigned stride = (width * 3 + 3) / 4 * 4;
	struct picture p;
	int x0, x1, y0, y1;
	float across, down;
	unsigned char *pixel;

	if (x >= width || y >= height || !open_picture(file, bytes, &p))
		return;
	if (x == 0 && y == 0)
		write_header(out, width, height, stride);
	across = place(x, width, p.width, &x0, &x1);
	down = place(y, height, p.height, &y0, &y1);
	pixel = out + HEADER_BYTES + (unsigned long long)stride * (height - 1 - y) + x * 3;
	for (int colour = 0; colour < 3; colour++) {
		float top = sample(&p, x0, y0, colour) * (1 - across) + sample(&p, x1, y0, colour) * across;
		float bottom = sample(&p, x0, y1, colour) * (1 - across) + sample(&p, x1, y1, colour) * across;

		pixel[colour] = (unsigned char)(top * (1 - down) + bottom * down + 0.5f);
	}
}
