#!/usr/bin/env python3
"""check.py REQUEST ANSWER: are the rows of the answer the softmax of the rows of the request? Prints the largest error."""

import json
import math
import sys
from pathlib import Path


def main():
    logits = json.loads(Path(sys.argv[1]).read_text())["logits"]
    answer = json.loads(Path(sys.argv[2]).read_text())["probabilities"]
    worst = 0
    for row, got in zip(logits, answer, strict=True):
        powers = [math.exp(value - max(row)) for value in row]
        expected = [power / sum(powers) for power in powers]
        worst = max(abs(a - b) / b for a, b in zip(got, expected, strict=True))
    print(f"{len(logits)} x {len(logits[0])}, largest relative error {worst:.1e}")
    return 0 if worst < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
