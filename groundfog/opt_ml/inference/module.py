"""Where the user's module is: `SAGEMAKER_PROGRAM` in `SAGEMAKER_SUBMIT_DIRECTORY`, or `code/inference.py`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from groundfog.opt_ml.layout import Layout

_USUAL = "inference.py"


def load(layout: Layout) -> ModuleType | None:
    """The user's module, with its folder first on the path; None where there is none, which not every toolkit minds.

    Raises FileNotFoundError where one is named and is not there, and what the module raises.
    """
    named = os.environ.get("SAGEMAKER_PROGRAM")
    folders, program = _folders(layout), named or _USUAL
    found = next((folder for folder in folders if (folder / _file(program)).is_file()), None)
    if found is None:
        if named:
            looked = " or ".join(map(str, folders))
            raise FileNotFoundError(f"SAGEMAKER_PROGRAM names {named}, and there is none in {looked}.")
        return None
    sys.path.insert(0, str(found))
    return importlib.import_module(_file(program)[: -len(".py")].replace("/", "."))


def _folders(layout: Layout) -> list[Path]:
    """An archive in S3 was unpacked to the layout's `code` before anything started."""
    named = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    named = named[len("file://") :] if named.startswith("file://") else named
    local = [Path(named)] if named.startswith("/") else []
    return list(dict.fromkeys([*local, layout.model / "code", layout.code]))


def _file(program: str) -> str:
    """Users name a file or a module."""
    return program if program.endswith(".py") else f"{program}.py"
