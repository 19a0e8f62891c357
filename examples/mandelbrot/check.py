#!/usr/bin/env python3
"""check.py REQUEST PICTURE: is it the whole Mandelbrot set with the default settings? Prints what was seen."""

import struct
import sys
from pathlib import Path

CENTER_X, CENTER_Y, SPAN, ITERATIONS = -0.5, 0, 3.2, 200


def colour(column, row, width, height):
    step = SPAN / width
    c = complex(CENTER_X + (column + 0.5 - width / 2) * step, CENTER_Y + (row + 0.5 - height / 2) * step)
    z, n = 0j, 0
    while n < ITERATIONS and z.real * z.real + z.imag * z.imag < 4:
        z, n = z * z + c, n + 1
    return bytes((min(255, 64 + n * 9), n * 5 & 255, n * 3 & 255)) if n < ITERATIONS else b"\0\0\0"


def main():
    data = Path(sys.argv[2]).read_bytes()
    magic, size, offset, width, height, bits = struct.unpack_from("<2sI4xI4xii2xH", data)
    if magic != b"BM" or size != len(data) or bits != 24:
        sys.exit("not a bitmap of 24 bits")
    stride = (width * 3 + 3) // 4 * 4
    # Every seventh pixel is enough; at the border of the set rounding decides, so a few may differ.
    places = range(0, width * height, 7)
    wrong = 0
    for place in places:
        row, column = divmod(place, width)
        at = offset + row * stride + column * 3
        wrong += data[at : at + 3] != colour(column, row, width, height)
    print(f"{width} x {height}, {wrong} of {len(places)} pixels looked at differ")
    return 0 if wrong * 200 < len(places) else 1


if __name__ == "__main__":
    sys.exit(main())
