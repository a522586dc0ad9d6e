"""Building the kernels: where what is built lies, and what happens where nothing can be built."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from groundfog.algorithms.seq2seq import kernels

SOURCE = 'extern "C" int answer() { return ANSWER; }\n'


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """A source of our own, and two folders for what is built from it."""
    yield from laid_out(tmp_path, monkeypatch)


@pytest.fixture
def public_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Where others may look, too."""
    with TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        yield from laid_out(Path(root), monkeypatch)


def laid_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    sources, places = root / "kernels", [root / "first", root / "second"]
    sources.mkdir()
    (sources / "sample.cpp").write_text('#include "answer.h"\n' + SOURCE)
    (sources / "answer.h").write_text("#define ANSWER 42\n")
    monkeypatch.setattr(kernels, "_SOURCES", sources)
    monkeypatch.setattr(kernels, "_folders", lambda: iter(places))
    kernels._library.cache_clear()
    yield places
    kernels._library.cache_clear()


def test_a_source_is_built_once_and_found_again(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    built = kernels.library("sample")
    assert built is not None and built.answer() == 42
    assert [file.suffix for file in folders[0].iterdir()] == [".so"]
    kernels._library.cache_clear()
    monkeypatch.setattr(kernels, "_compile", None)
    again = kernels.library("sample")
    assert again is not None and again.answer() == 42


def test_a_changed_header_builds_anew(folders: list[Path]) -> None:
    kernels.library("sample")
    (folders[0].parent / "kernels" / "answer.h").write_text("#define ANSWER 43\n")
    kernels._library.cache_clear()
    built = kernels.library("sample")
    assert built is not None and built.answer() == 43


def test_where_the_first_folder_cannot_be_written_the_next_is_taken(folders: list[Path]) -> None:
    folders[0].write_text("a file, no folder")
    assert kernels.library("sample") is not None
    assert len(list(folders[1].iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_job_finds_what_was_built_before_it_though_it_runs_as_another_user(public_folders: list[Path]) -> None:
    built, folders = kernels.library("sample"), public_folders
    assert built is not None
    assert as_somebody_else(lambda: kernels._built("sample") == Path(built._name)) == 0
    # Where it may not look, it builds its own.
    folders[0].chmod(0o700)
    folders[1].mkdir()
    os.chown(folders[1], 12345, 12345)
    assert as_somebody_else(lambda: kernels._built("sample").parent == folders[1]) == 0


def as_somebody_else(true: Callable[[], bool]) -> int:
    """0 if it is true to them, too."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os.setgid(12345)
            os.setuid(12345)
            os._exit(0 if true() else 1)
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_folder_that_anybody_may_write_to_is_not_trusted(folders: list[Path]) -> None:
    folders[0].mkdir()
    folders[0].chmod(0o777)
    assert kernels.library("sample") is not None
    assert not list(folders[0].iterdir())
    assert len(list(folders[1].iterdir())) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_trusted(folders: list[Path]) -> None:
    folders[0].mkdir()
    os.chown(folders[0], 12345, 12345)
    assert kernels.library("sample") is not None
    assert not list(folders[0].iterdir())


def test_without_a_compiler_there_is_none_and_it_is_said(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernels, "_COMPILERS", ())
    with caplog.at_level(logging.INFO):
        assert kernels.library("sample") is None
    assert "PyTorch does its work: there is no compiler" in caplog.text


def test_a_source_that_does_not_compile_is_none_and_leaves_nothing(
    folders: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    (folders[0].parent / "kernels" / "answer.h").write_text("")
    with caplog.at_level(logging.INFO):
        assert kernels.library("sample") is None
    assert "ANSWER" in caplog.text
    assert not list(folders[0].iterdir())


def test_switched_off_there_is_none(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "enabled", False)
    assert kernels.library("sample") is None
    assert not folders[0].exists()


def test_the_folders_are_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    beside, home, temporary = kernels._folders()
    assert beside.parent == Path(kernels.__file__).parent
    assert home.is_relative_to(tmp_path)
    assert str(os.getuid()) in temporary.name


@pytest.mark.skipif(kernels.library("training") is None, reason="there is no C++ compiler")
def test_the_kernels_can_be_built_beforehand() -> None:
    command = [sys.executable, "-m", "groundfog.algorithms.seq2seq.kernels"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    built = dict(line.split(": ") for line in said)
    assert sorted(built) == ["decoding", "ngrams", "training"]
    assert all(Path(file).is_file() for file in built.values())


def test_a_link_is_not_trusted_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    assert kernels._is_ours(tmp_path / "ours")
    assert not kernels._is_ours(tmp_path / "link")
