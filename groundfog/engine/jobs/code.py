"""A user's source directory: fetched, unpacked with suspicion, and put where the program looks for it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.archive import contents, unpack
from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.launch import Program
from groundfog.engine.objects import Objects
from groundfog.engine.sandbox import within
from groundfog.opt_ml.layout import Layout

MOST_MEMBERS, MOST_BYTES = 20_000, 2 << 30
"""Of a source archive."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """An archive in a bucket, or a path below `/opt/ml`: a channel brought an archive or a folder."""

    bucket: str = ""
    key: str = ""
    path: str = ""
    in_place: bool = False
    """It is used where the channel has put it; only what it asks to be installed is of interest."""

    @property
    def named(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.bucket else f"/opt/ml/{self.path}"

    @property
    def channel(self) -> str:
        """That brings it; empty if none does."""
        return self.path.removeprefix("input/data/").partition("/")[0]

    def folder(self, layout: Layout) -> Path:
        """Where it lies, once it is fetched."""
        return layout.root / self.path if self.in_place else layout.code

    def fetch(self, objects: Objects, directory: Path) -> None:
        """Into a host's directory. Raises Unfit with what the user can put right."""
        layout = Layout(directory / "opt_ml")
        if self.in_place:
            return
        if not self.bucket:
            self._take(within(directory, layout.root / self.path), layout.code)
            return
        archive = directory / "sourcedir.tar.gz"
        try:
            objects.fetch(objects.find(self.bucket, self.key), archive, link=False)
        except Missing:
            raise Unfit(f"The source directory {self.named} is not there, or its bucket is not.") from None
        self._unpack(archive, layout.code)
        archive.unlink()

    def _take(self, here: Path, folder: Path) -> None:
        if here.is_dir():
            for path, name in contents(here):
                (folder / name).mkdir(exist_ok=True) if path.is_dir() else shutil.copyfile(path, folder / name)
        elif here.is_file():
            self._unpack(here, folder)
        else:
            raise Unfit(f"The source directory {self.named} is not there: no channel brought it.")

    def _unpack(self, archive: Path, folder: Path) -> None:
        try:
            unpack(archive, folder, most_members=MOST_MEMBERS, most_bytes=MOST_BYTES)
        except Unfit as unfit:
            raise Unfit(f"The source directory {self.named} cannot be used: {unfit}") from None


def code_channels(program: Program, code: Code | None) -> frozenset[str]:
    """Those that bring what is run, and whose files are therefore not only read."""
    return frozenset((*program.scratch_channels, code.channel if code is not None else "")) - {""}
