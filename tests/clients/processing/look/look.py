"""Looks at what was split, with a module from beside it and a package from its requirements."""

import importlib.metadata
from pathlib import Path

import counting

place = Path("/opt/ml/processing")
(lines,) = (place / "train").iterdir()
counting.write(lines, place / "seen" / "seen.json", importlib.metadata.version("toolz"))
