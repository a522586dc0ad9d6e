"""Write the API reference, from docstrings: python docs/reference.py FOLDER"""

import sys
import warnings
from pathlib import Path

import pdoc

from groundfog.algorithms import seq2seq

warnings.simplefilter("error")
# Its public names are there when they are first asked for; pdoc looks without asking.
for name in seq2seq.__all__:
    getattr(seq2seq, name)
pdoc.pdoc(
    "groundfog",
    "!groundfog.__main__",
    "!groundfog.algorithms.seq2seq.data.record_pb2",
    output_directory=Path(sys.argv[1]),
)
