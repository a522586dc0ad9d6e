"""Splits the lines of a file into some to learn from and some to be judged by."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--train-test-split-ratio", type=float, default=0.3)
ratio = parser.parse_args().train_test_split_ratio
place = Path("/opt/ml/processing")
lines = (place / "input" / "numbers.txt").read_text().split()
kept = round(len(lines) * (1 - ratio))
print(f"{kept} of {len(lines)} lines to learn from")
for name, part in (("train", lines[:kept]), ("test", lines[kept:])):
    (place / name / f"{name}.txt").write_text("\n".join(part))
