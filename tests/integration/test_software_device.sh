#!/bin/sh
# The test kernels through the driver API of the software device; make check-gpu runs the same program on a real GPU.
exec "$BUILD/tests/gpu/test_kernels" "$BUILD/lib/ferrite/software-device/libcuda.so.1"
