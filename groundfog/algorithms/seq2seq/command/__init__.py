"""`groundfog seq2seq`: the algorithm on plain text, without a server.

    prepare      raw text to what the built-in algorithm's channels hold
    train        raw text, or a prepared folder, to a model
    translate    lines in, lines out, as they come
    evaluate     how often a model is right, and where it is not
    align        which part of a source a part of its target comes from
    export       a model for programs that have neither Groundfog nor torch

Each command is a file. `asking` has what they ask alike; `data` reads what is given and says what was assumed;
`assumptions` has what is chosen where nobody says. Tensor libraries are imported when a command runs, not for its help.
"""

import click

from .align import align
from .evaluate import evaluate
from .export import export
from .prepare import prepare
from .train import train
from .translate import translate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def seq2seq() -> None:
    """The commands; `groundfog.cli` has the help."""


for _command in (prepare, train, translate, evaluate, align, export):
    seq2seq.add_command(_command)
