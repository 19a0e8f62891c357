#!/usr/bin/env python3
"""check.py PICTURE THUMBNAIL: is the second the first one, bilinearly resized? Prints the sizes and the largest error."""

import struct
import sys
from pathlib import Path


def read(path):
    """Width, height, and a function that gives the colours of a pixel, counted from the top left."""
    data = Path(path).read_bytes()
    magic, size, offset, width, height, bits = struct.unpack_from("<2sI4xI4xii2xH", data)
    if magic != b"BM" or size != len(data) or bits != 24 or height < 1:
        sys.exit("not a bitmap of 24 bits")
    stride = (width * 3 + 3) // 4 * 4

    def pixel(x, y):
        at = offset + (height - 1 - y) * stride + x * 3
        return data[at : at + 3]

    return width, height, pixel


def place(index, to, size):
    """The two neighbours of a pixel's centre, and the weight of the second."""
    at = min(max((index + 0.5) * size / to - 0.5, 0), size - 1)
    return int(at), min(int(at) + 1, size - 1), at - int(at)


def main():
    width, height, pixel = read(sys.argv[1])
    small_width, small_height, small_pixel = read(sys.argv[2])
    worst = 0
    for y in range(small_height):
        y0, y1, down = place(y, small_height, height)
        for x in range(small_width):
            x0, x1, across = place(x, small_width, width)
            corners = zip(pixel(x0, y0), pixel(x1, y0), pixel(x0, y1), pixel(x1, y1), small_pixel(x, y))
            for a, b, c, d, got in corners:
                top, bottom = a * (1 - across) + b * across, c * (1 - across) + d * across
                worst = max(worst, abs(top * (1 - down) + bottom * down - got))
    print(f"{width} x {height} became {small_width} x {small_height}, largest error of a colour {worst:.2f}")
    return 0 if worst < 1 else 1


if __name__ == "__main__":
    sys.exit(main())
