"""`groundfog env` and `groundfog exec`: AWS's clients turned to a server of ours."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType

import click

from groundfog.cli.options import HOME, settings_of
from groundfog.cli.servers import environment, server_of_our_own
from groundfog.opt_ml import redirect
from groundfog.settings import Settings

# Where one of these is set, botocore looks elsewhere than at the key pair and the address that we hand out; so it does
# for an address of one service alone.
STRONGER = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)


@click.command()
@HOME
def env(home: str | None) -> None:
    """Print what to export: eval $(groundfog env)."""
    around = dict(os.environ)
    for name, value in turned(settings_of({"home": home}), around).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"unset {' '.join(sorted({*STRONGER, *filter(_is_stronger, around)}))}")


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@HOME
@click.option("--serve", "own", is_flag=True, help="Start a server on a free port for as long as the command runs.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(home: str | None, own: bool, command: tuple[str, ...]) -> None:
    """Run COMMAND with AWS's clients turned to this server: groundfog exec -- python train.py"""
    settings = settings_of({"home": home})
    with server_of_our_own(settings) if own else nullcontext():
        sys.exit(run(settings, command))


def run(settings: Settings, command: tuple[str, ...], more: Mapping[str, str] = MappingProxyType({})) -> int:
    """The command's exit code, as a shell has it. Ctrl-C is the command's to answer; we are there until it has."""
    around = {name: value for name, value in os.environ.items() if not _is_stronger(name)}
    if shutil.which(command[0]) is None:
        raise click.ClickException(f"{command[0]}: no such command")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, lambda *_: None)
    code = subprocess.run(command, env=around | turned(settings, around) | dict(more), check=False).returncode
    return code if code >= 0 else 128 - code


def turned(settings: Settings, around: dict[str, str]) -> dict[str, str]:
    """What turns the clients in the environment `around` to the server. Raises if none runs."""
    endpoint = environment(settings)
    return endpoint | redirect.environment(around | endpoint)


def _is_stronger(name: str) -> bool:
    return name in STRONGER or name.startswith("AWS_ENDPOINT_URL_")
