"""The command: one file for each group of commands, registered here.

What a command needs beyond the standard library and click it imports where it runs: the others are to answer at once.
"""

import click

from groundfog import __version__
from groundfog.cli.algorithms import Algorithm
from groundfog.cli.clients import env, exec_
from groundfog.cli.interrupt import interrupt
from groundfog.cli.looking import logs, status
from groundfog.cli.notebook import notebook
from groundfog.cli.serving import serve
from groundfog.cli.shard import shard
from groundfog.cli.tensorboard import tensorboard


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="groundfog")
def main() -> None:
    """AWS's machine-learning APIs on machines you own, really doing the work."""


main.add_command(Algorithm("seq2seq", help="Learn to turn lines into other lines, on plain text and without a server."))
main.add_command(serve)
main.add_command(env)
main.add_command(exec_)
main.add_command(notebook)
main.add_command(status)
main.add_command(logs)
main.add_command(interrupt)
main.add_command(tensorboard)
main.add_command(shard)
