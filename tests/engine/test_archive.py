import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine import archive
from groundfog.engine.errors import Unfit


def tar_of(file: Path, *members: tuple[str, bytes, str]) -> Path:
    """Members are (name, type, what: contents or the link's target)."""
    with tarfile.open(file, "w:gz") as tar:
        for name, kind, what in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(what)
                tar.addfile(member, io.BytesIO(what.encode()))
            else:
                member.linkname = what
                tar.addfile(member)
    return file


def test_files_with_holes_longer_than_the_disk_are_not_packed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with (tmp_path / "model" / "hole").open("wb") as file:
        file.truncate(shutil.disk_usage(tmp_path).total)
    (tmp_path / "model" / "more").write_text("x")
    with pytest.raises(Unfit, match="longer than the disk is large"):
        archive.pack([tmp_path / "model"], tmp_path / "model.tar.gz")


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "deep" / "er").mkdir(parents=True)
    (model / "weights").write_bytes(os.urandom(70_000))
    (model / "deep" / "er" / "run.sh").write_text("x")
    (model / "deep" / "er" / "run.sh").chmod(0o755)
    os.link(model / "weights", model / "again")
    assert archive.pack([model], tmp_path / "model.tar.gz") == 3

    archive.unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    out = tmp_path / "out"
    assert (out / "weights").read_bytes() == (out / "again").read_bytes() == (model / "weights").read_bytes()
    assert os.access(out / "deep" / "er" / "run.sh", os.X_OK)
    assert not os.access(out / "weights", os.X_OK)


def test_a_link_that_leaves_the_folder_is_left_out_and_one_that_stays_becomes_a_file(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "secret").write_text("secret")
    (model / "real").write_text("real")
    (model / "inner").symlink_to("real")
    (model / "outer").symlink_to(tmp_path / "secret")
    (model / "folder").symlink_to(tmp_path)
    os.mkfifo(model / "pipe")
    archive.pack([model], tmp_path / "a.tar.gz")
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert {member.name: member.isfile() for member in tar} == {"inner": True, "real": True}


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/cron.d/x", tarfile.REGTYPE, "x")],
        [("../x", tarfile.REGTYPE, "x")],
        [("a/../../x", tarfile.REGTYPE, "x")],
        [("x", tarfile.SYMTYPE, "/etc/passwd")],
        [("x", tarfile.SYMTYPE, "../outside")],
        [("x", tarfile.LNKTYPE, "../outside")],
        [("x", tarfile.LNKTYPE, "not there")],
        [("x", tarfile.CHRTYPE, "")],
        [("x", tarfile.FIFOTYPE, "")],
        [("a", tarfile.REGTYPE, "x"), ("a/b", tarfile.REGTYPE, "x")],
        [("here", tarfile.SYMTYPE, "."), ("here/x", tarfile.REGTYPE, "x")],
    ],
    ids=lambda members: f"{members[-1][0]} -> {members[-1][2]}",
)
def test_a_hostile_archive_is_refused_and_nothing_lies_outside(
    tmp_path: Path, members: list[tuple[str, bytes, str]]
) -> None:
    (tmp_path / "outside").write_text("untouched")
    with pytest.raises(Unfit):
        archive.unpack(tar_of(tmp_path / "a.tar.gz", *members), tmp_path / "in" / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "a.tar.gz", "in"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["model"]


def test_an_archive_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    bomb = tar_of(tmp_path / "a.tar.gz", ("x", tarfile.REGTYPE, "0" * 5000), ("y", tarfile.LNKTYPE, "x"))
    with pytest.raises(Unfit, match="larger than what is allowed"):
        archive.unpack(bomb, tmp_path / "one", most_bytes=9_999)
    archive.unpack(bomb, tmp_path / "two", most_bytes=10_000)
    with pytest.raises(Unfit, match="more than 1 members"):
        archive.unpack(bomb, tmp_path / "three", most_members=1)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "a"
    file.write_bytes(b"\x1f\x8b\x08\x00" + data)
    with pytest.raises(Unfit):
        archive.unpack(file, file.parent / "out")


def test_a_cut_off_archive_is_refused(tmp_path: Path) -> None:
    file = tar_of(tmp_path / "a.tar.gz", ("x", tarfile.REGTYPE, "".join(map(chr, range(32, 127))) * 50))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(Unfit):
        archive.unpack(file, tmp_path / "out")


def test_clearing_keeps_the_folder_itself(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b").write_text("x")
    (tmp_path / "kept").write_text("x")
    (folder / "link").symlink_to(tmp_path)
    before = folder.stat().st_ino
    archive.clear(folder)
    assert folder.stat().st_ino == before
    assert list(folder.iterdir()) == []
    assert (tmp_path / "kept").exists()


@pytest.mark.parametrize("body", [b"", b"not a tar", b"x" * 2000])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "model.tar.gz").write_bytes(body)
    with pytest.raises(Unfit, match="no readable tar archive") as refused:
        archive.unpack(tmp_path / "model.tar.gz", tmp_path / "model")
    assert "\n" not in str(refused.value)
