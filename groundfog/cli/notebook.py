"""`groundfog notebook`: JupyterLab with AWS's clients turned to a server of ours.

The folder `jupyter` beside this file is configuration for it, below the user's own: a Python file opens as a notebook
(jupytext), and is saved as it was, without notes about the notebook; nothing is fetched from JupyterLab's makers.
"""

import importlib.util
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import click

from groundfog.cli.clients import run
from groundfog.cli.options import HOME, settings_of
from groundfog.cli.servers import server_of_our_own

CONFIGURATION = Path(__file__).parent / "jupyter"


@click.command(context_settings={"ignore_unknown_options": True})
@HOME
@click.option("--serve", "own", is_flag=True, help="Start a server on a free port for as long as JupyterLab runs.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def notebook(home: str | None, own: bool, arguments: tuple[str, ...]) -> None:
    """Open JupyterLab, where AWS's clients are turned to this server.

    ARGUMENTS are JupyterLab's: a script or a notebook to open, --no-browser, --port 8889.
    """
    settings = settings_of({"home": home})
    if missing := [package for package in ("jupyterlab", "jupytext") if importlib.util.find_spec(package) is None]:
        raise click.ClickException(f"{' and '.join(missing)} not installed: pip install 'groundfog[notebook]'")
    after_theirs = filter(None, [os.environ.get("JUPYTER_CONFIG_PATH"), str(CONFIGURATION)])
    with server_of_our_own(settings) if own else nullcontext():
        command = (sys.executable, "-m", "jupyterlab", *arguments)
        sys.exit(run(settings, command, {"JUPYTER_CONFIG_PATH": os.pathsep.join(after_theirs)}))
