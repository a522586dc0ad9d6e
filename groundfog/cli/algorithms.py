"""The algorithms' own commands, on plain files and without a server."""

import importlib

import click


class Algorithm(click.Group):
    """The commands that an algorithm brings along, imported when one is asked for: the others are to answer at once."""

    def _theirs(self) -> click.Group:
        theirs = getattr(importlib.import_module(f"groundfog.algorithms.{self.name}.command"), str(self.name))
        assert isinstance(theirs, click.Group)
        return theirs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return self._theirs().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._theirs().get_command(ctx, cmd_name)
