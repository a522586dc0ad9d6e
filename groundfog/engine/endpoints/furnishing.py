"""What an instance has before it starts: the model, the user's code, and an environment for it."""

from collections.abc import Callable
from typing import Literal, Protocol

from groundfog.engine.endpoints.replica import Replica
from groundfog.engine.environments import Environments, Recipe
from groundfog.engine.errors import EngineError, Missing, Unfit
from groundfog.engine.jobs.code import Code
from groundfog.engine.launch import Program
from groundfog.engine.objects import Objects
from groundfog.engine.sandbox import within

Lack = Literal["model", "archive", "code", "environment"]


class Unfurnished(EngineError):
    """`model`: it is not there; `archive`: the model cannot be unpacked; `code`, `environment`: the text says why."""

    def __init__(self, what: Lack, detail: str) -> None:
        super().__init__(detail)
        self.what = what


class Served(Protocol):
    """What is to be served."""

    @property
    def program(self) -> Program: ...
    @property
    def model(self) -> tuple[str, str] | None:
        """Bucket and key of the archive that becomes the model folder."""
        ...

    @property
    def code(self) -> Code | None:
        """Where the model's archive does not bring it."""
        ...

    @property
    def recipe(self) -> Recipe | None:
        """Of the environment in which the program runs the user's code; None: it runs none."""
        ...


class Furnisher:
    def __init__(self, objects: Objects, environments: Environments | None = None) -> None:
        self._objects, self._environments = objects, environments

    def furnish(self, replica: Replica, served: Served, interrupted: Callable[[], bool]) -> Program:
        """The program as it is to be started. May take minutes. Raises Unfurnished, Interrupted."""
        if served.model is not None:
            self._fill(replica, *served.model)
        if served.recipe is None or self._environments is None:
            return served.program
        try:
            if served.code is not None:
                served.code.fetch(self._objects, replica.directory)
            folder = replica.layout.code if served.code is not None else replica.layout.model / "code"
            code = within(replica.directory, folder) if folder.is_dir() else None
        except Unfit as unfit:
            raise Unfurnished("code", str(unfit)) from None
        try:
            made = self._environments.ready(served.recipe, replica.directory, code=code, interrupted=interrupted)
        except Unfit as unfit:
            raise Unfurnished("environment", str(unfit)) from None
        # The server of the model is ours and runs in our own Python; of the other, only the workers need to know.
        return made.beside(served.program)

    def _fill(self, replica: Replica, bucket: str, key: str) -> None:
        try:
            replica.fill(self._objects, bucket, key)
        except Missing:
            raise Unfurnished("model", f"{bucket}/{key} is not there") from None
        except Unfit as unfit:
            raise Unfurnished("archive", str(unfit)) from None
