"""Become a command, as a container's ENTRYPOINT is: `python -m groundfog.opt_ml.entrypoint COMMAND ARGUMENTS`."""

import os
import sys

from groundfog.opt_ml import own_packages


def main(command: list[str]) -> int:
    """The exit code that a shell has for a command that cannot be run; it does not return otherwise."""
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, {**os.environ, **own_packages.provide(os.environ)})  # noqa: S606
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
