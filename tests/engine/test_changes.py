"""What a program at work has written, from its node to the mirror."""

import contextlib
import os
import shutil

from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.engine.launch.ray import changes


def test_a_change_is_seen(tmp_path):
    (tmp_path / "kept").mkdir()
    empty = changes.digest(tmp_path, ["kept"])
    (tmp_path / "kept" / "a").write_text("1")
    written = changes.digest(tmp_path, ["kept"])
    os.utime(tmp_path / "kept" / "a", (1, 1))
    assert len({empty, written, changes.digest(tmp_path, ["kept"])}) == 3


def test_folders_within_others_come_with_these():
    assert changes.outermost(["b/c", "a", "b", "ab", "a/x/y"]) == ["a", "ab", "b"]


TREES = st.dictionaries(st.sampled_from(["kept/a", "kept/b", "kept/b/c", "kept/d/e/f", "tmp/own/g"]), st.binary())


def lay(directory, tree):
    for folder in ("kept", "tmp/own"):
        shutil.rmtree(directory / folder, ignore_errors=True)
        (directory / folder).mkdir(parents=True)
    laid = {}
    for name, body in tree.items():
        with contextlib.suppress(OSError):  # A file where another needs a folder.
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(body)
            laid[name] = body
    return laid


def read(directory):
    files = (path for folder in ("kept", "tmp/own") for path in (directory / folder).rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@settings(max_examples=25)
@given(st.lists(TREES, min_size=1, max_size=4))
def test_changes_make_a_mirror_what_its_node_has(tmp_path_factory, trees):
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    lay(there, {})
    known = {}
    for tree in trees:
        laid = lay(here, tree)
        known = changes.wrap(here, ["kept", "tmp/own"], known, here / "parcel")
        changes.merge(here / "parcel", there, ["kept", "tmp/own"], known)
        assert read(there) == laid


def test_what_did_not_change_does_not_travel_and_stays_the_same_file(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    lay(there, {})
    lay(here, {"kept/a": b"of old", "kept/b": b"old"})
    known = changes.wrap(here, ["kept"], {}, tmp_path / "parcel")
    changes.merge(tmp_path / "parcel", there, ["kept"], known)
    before = {path.name: path.stat().st_ino for path in (there / "kept").iterdir()}
    (here / "kept" / "b").write_bytes(b"quite new")
    known = changes.wrap(here, ["kept"], known, tmp_path / "parcel")
    assert b"of old" not in (tmp_path / "parcel").read_bytes()
    changes.merge(tmp_path / "parcel", there, ["kept"], known)
    after = {path.name: path.stat().st_ino for path in (there / "kept").iterdir()}
    assert (before["a"] == after["a"], before["b"] == after["b"]) == (True, False)
    assert read(there) == {"kept/a": b"of old", "kept/b": b"quite new"}


def test_changes_hold_nothing_that_a_link_leads_to(tmp_path):
    here = tmp_path / "here"
    lay(here, {"kept/a": b"one"})
    (tmp_path / "secret").write_text("not to be had")
    (here / "kept" / "link").symlink_to(tmp_path / "secret")
    (here / "kept" / "folder").symlink_to(tmp_path)
    os.mkfifo(here / "kept" / "pipe")
    assert list(changes.wrap(here, ["kept"], {}, tmp_path / "parcel")) == ["kept/a"]
    assert b"not to be had" not in (tmp_path / "parcel").read_bytes()


def test_a_file_with_a_hole_that_no_disk_holds_does_not_travel(tmp_path):
    here = tmp_path / "here"
    lay(here, {"kept/a": b"one"})
    os.truncate(here / "kept" / "a", shutil.disk_usage(here).total + 1)
    assert changes.wrap(here, ["kept"], {}, tmp_path / "parcel") == {}
    assert (tmp_path / "parcel").stat().st_size < 1 << 20
