"""Where a script that calls pip itself installs to: its environment is read-only, and serves other jobs too."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from groundfog.opt_ml import redirect


def provide(given: Mapping[str, str], first: str = "") -> dict[str, str]:
    """What a program must be told beside what it was given, clients of AWS's among it; of what is the user's, this
    folder of modules is `first` on its path."""
    prefix = Path(given.get("HOME", "/tmp"), "installed")  # noqa: S108  a sandbox's own
    scheme = {"base": str(prefix), "platbase": str(prefix)}
    modules = Path(sysconfig.get_path("purelib", "posix_prefix", scheme))
    # Python remembers of a folder on its path that it was not there.
    modules.mkdir(parents=True, exist_ok=True)
    own = {
        "PIP_PREFIX": str(prefix),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PATH": f"{prefix / 'bin'}{os.pathsep}{given.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(filter(None, (first, str(modules), given.get("PYTHONPATH", "")))),
    }
    return {**own, **redirect.environment({**given, **own})}
