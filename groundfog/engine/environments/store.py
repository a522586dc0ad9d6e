"""All layers: each built once, kept while there is room, and never taken from under a program that uses it."""

import contextlib
import fcntl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import Distribution
from pathlib import Path

from groundfog.engine.channels import Interrupted
from groundfog.engine.environments import pythons, sharing, source
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.installing import Installer
from groundfog.engine.environments.layer import Layer
from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.environments.pythons import Python
from groundfog.engine.environments.recipe import Environment, Recipe, digest
from groundfog.engine.launch import Launcher, Program
from groundfog.engine.logs.file import say
from groundfog.engine.sandbox import within

_FORM = 2
"""Another whenever layers are made otherwise, so that older ones are not taken for them."""
_GLANCE = 0.1


@dataclass(frozen=True)
class _Wish:
    """A layer that is asked for: `directory` is the host's that will use it, and its log tells how it is made."""

    layer: Layer
    python: Python
    below: tuple[Layer, ...]
    shared: tuple[Distribution, ...]
    arguments: tuple[str, ...]
    code: Path | None
    directory: Path
    interrupted: Callable[[], bool]

    @property
    def readable(self) -> tuple[str, ...]:
        """All folders that a program in it must see."""
        lent = {str(one.locate_file("")) for one in self.shared}
        layers = [str(layer.folder) for layer in (self.layer, *self.below)]
        return tuple(dict.fromkeys([*layers, str(self.python.prefix), str(self.python.pip.parent), *sorted(lent)]))

    def say(self, line: str) -> None:
        say(self.directory / "log", line)


class Environments:
    """`room` is for how many bytes environments are kept that nobody uses. `elsewhere`: none is made here, but by each
    host's machine for itself, which then has an object of this class too, and asks it to `complete` the program."""

    def __init__(
        self,
        folder: Path,
        launcher: Launcher,
        *,
        profiles: Profiles,
        room: int,
        index: Index,
        elsewhere: bool = False,
    ) -> None:
        self._folder, self._room, self._elsewhere, self.profiles = folder, room, elsewhere, profiles
        self._installer = Installer(launcher, index)

    def sweep(self) -> None:
        """Remove what a server that died had begun to make."""
        for folder in self._folders():
            layer = Layer(folder)
            with contextlib.suppress(BlockingIOError), self._locked(layer):
                if not layer.is_ready:
                    self._installer.clear(layer)
                    layer.remove()

    def check(self, recipe: Recipe) -> None:
        """Raises Unfit if this machine has no Python for it; of others nothing is known."""
        if not self._elsewhere:
            pythons.find(recipe.python)

    def ready(
        self,
        recipe: Recipe,
        directory: Path,
        *,
        code: Path | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Environment:
        """For programs of this host, with what the source directory `code` asks for. Takes minutes where it is new.

        Raises Unfit with what pip says, Interrupted.
        """
        if self._elsewhere:
            return Environment(recipe=recipe, code="" if code is None else str(code.relative_to(directory)))
        wish = self._recipe(recipe, directory, interrupted)
        self._provide(wish)
        added = source.wanted(code) if code is not None else None
        if added is not None:
            wish = self._added(wish, added, code)
            self._provide(wish)
        return Environment(
            python=str(wish.layer.python),
            readable=wish.readable,
            variables={**recipe.variables, "PATH": wish.layer.path},
        )

    def complete(self, program: Program, directory: Path, interrupted: Callable[[], bool]) -> Program:
        """The program in the environment that it awaits, if any. Raises as `ready` does."""
        if not program.awaits:
            return program
        awaited = program.awaits
        code = within(directory, directory / awaited["code"]) if awaited["code"] else None
        made = self.ready(Recipe.read(awaited["recipe"]), directory, code=code, interrupted=interrupted)
        program = replace(program, awaits={})
        return made.around(program) if awaited["way"] == "around" else made.beside(program)

    def _recipe(self, recipe: Recipe, directory: Path, interrupted: Callable[[], bool]) -> _Wish:
        python = pythons.find(recipe.python)
        is_ours = python.version == sys.version_info[:3]
        shared = sharing.with_needs(recipe.shared) if is_ours else {}
        made_of = {name: [one.version, str(one.locate_file(""))] for name, one in shared.items()}
        name = digest(_FORM, str(python.executable), python.version, recipe.packages, made_of)
        return _Wish(
            self._layer(name), python, (), tuple(shared.values()), recipe.packages, None, directory, interrupted
        )

    def _added(self, base: _Wish, added: source.Wanted, code: Path | None) -> _Wish:
        name = digest(_FORM, base.layer.folder.name, added.name)
        return _Wish(
            self._layer(name),
            base.python,
            (base.layer,),
            base.shared,
            added.arguments,
            code,
            base.directory,
            base.interrupted,
        )

    def _layer(self, name: str) -> Layer:
        return Layer(self._folder / name)

    def _provide(self, wish: _Wish) -> None:
        with self._locked(wish.layer, _patience(wish)):
            if not wish.layer.is_ready:
                self._build(wish)
            wish.layer.hold(wish.directory)

    def _build(self, wish: _Wish) -> None:
        holds = " ".join(wish.arguments) or "nothing installed"
        wish.say(f"Preparing Python {'.'.join(map(str, wish.python.version))} with {holds}: once, it is kept.")
        began = time.monotonic()
        try:
            self._fill(wish)
        except BaseException:
            wish.layer.remove()
            raise
        wish.say(f"Prepared in {time.monotonic() - began:.0f} s, {wish.layer.size / 1e6:.0f} MB.")
        self.collect()

    def _fill(self, wish: _Wish) -> None:
        self._installer.clear(wish.layer)
        wish.layer.lay_out(wish.python, wish.below, () if wish.below else wish.shared)
        if wish.arguments:
            self._installer.install(
                wish.layer,
                wish.arguments,
                code=wish.code,
                readable=wish.readable,
                say=wish.say,
                interrupted=wish.interrupted,
            )
        wish.layer.finish(wish.below)

    def collect(self) -> None:
        """Remove what was not used for longest, until the rest has room. What is in use stays, whatever its size."""
        # Another server that shares the folder may be at it too.
        with contextlib.suppress(FileNotFoundError):
            self._collect()

    def _collect(self) -> None:
        layers = sorted(self._layers(), key=lambda layer: layer.used)
        total = sum(layer.size for layer in layers)
        for layer in layers:
            if total <= self._room:
                return
            needed = {name for other in self._layers() for name in other.below}
            with contextlib.suppress(BlockingIOError), self._locked(layer):
                if layer.folder.name not in needed and not layer.is_held:
                    total -= layer.size
                    layer.remove()

    def _layers(self) -> Sequence[Layer]:
        return [layer for folder in self._folders() if (layer := Layer(folder)).is_ready]

    def _folders(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.is_dir()] if self._folder.exists() else []

    @contextlib.contextmanager
    def _locked(self, layer: Layer, wait: Callable[[], None] | None = None) -> Iterator[None]:
        """While another builds or removes it, `wait` is called again and again; without it, raises BlockingIOError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{layer.folder.name}.lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if wait is None:
                        raise
                wait()
            yield


def _patience(wish: _Wish) -> Callable[[], None]:
    """Raises Interrupted when called by one who is not wanted any more."""
    told = False

    def wait() -> None:
        nonlocal told
        if wish.interrupted():
            raise Interrupted
        if not told:
            wish.say("Waiting for an environment that another job prepares.")
            told = True
        time.sleep(_GLANCE)

    return wait
