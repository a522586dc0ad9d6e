"""What the commands' options have in common: each is a setting, by its name and with its sentence."""

from collections.abc import Callable
from typing import Any

import click

from groundfog.settings import Settings

HOME = click.option(
    "--home", type=click.Path(file_okay=False), help="Where everything is kept.  [default: ~/.groundfog]"
)


def options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One option for each of these settings, with the sentence that `settings.py` has for it."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            setting = Settings.__dataclass_fields__[name]
            text = f"{setting.metadata['sentence']}  [default: {setting.default}]"
            command = click.option(f"--{name.replace('_', '-')}", metavar=name.upper(), help=text)(command)
        return command

    return add


def settings_of(given: dict[str, Any]) -> Settings:
    try:
        return Settings.read(**given)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
