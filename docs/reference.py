"""Write the API reference, from docstrings: python docs/reference.py FOLDER"""

import importlib.util
import sys
import warnings
from pathlib import Path

import pdoc

from groundfog.algorithms import seq2seq

warnings.simplefilter("error")
# What only type checkers can read: annotations of a class that one of ours is made from, and arrays before Python 3.12.
warnings.filterwarnings("ignore", message="Error parsing type annotation .* for psycopg")
warnings.filterwarnings("ignore", message="Error parsing type annotation .* 'array.array' is not subscriptable")
# Its public names are there when they are first asked for; pdoc looks without asking.
for name in seq2seq.__all__:
    getattr(seq2seq, name)
# What imports an extra.
missing = () if importlib.util.find_spec("ray") else ("!groundfog.engine.launch.ray",)
pdoc.pdoc(
    "groundfog",
    "!groundfog.__main__",
    "!groundfog.algorithms.seq2seq.data.record_pb2",
    "!groundfog.engine.launch.ray.group",  # these two load Ray, which is not everybody's
    "!groundfog.engine.launch.ray.relay",
    "!groundfog.engine.launch.agent",  # a program, whose files find one another by their folder
    *missing,
    output_directory=Path(sys.argv[1]),
)
