"""Mirrors: what a program writes while it runs is there, whole, and nothing that is not its own."""

import os
from pathlib import Path

import pytest

from groundfog.engine.channels import Interrupted
from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.mirrors import Mirror, Mirroring, check
from groundfog.engine.mirrors.folder import DEEPEST
from groundfog.engine.objects import Objects

MIRROR = Mirror(path="/opt/ml/checkpoints", bucket="kept", prefix="job/", fetched=True)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    made = Objects(tmp_path / "objects")
    made.create_bucket("kept", "us-east-1")
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    host = tmp_path / "host"
    (host / "opt_ml" / "checkpoints").mkdir(parents=True)
    return host


@pytest.fixture
def folder(directory: Path) -> Path:
    return directory / "opt_ml" / "checkpoints"


def kept(objects: Objects) -> dict[str, bytes]:
    return {found.key: objects.read("kept", found.key) for found in objects.page("kept")}


def never() -> bool:
    return False


def test_what_was_kept_is_there_before_the_start_and_is_not_sent_again(
    objects: Objects, directory: Path, folder: Path
) -> None:
    objects.put("kept", "job/epoch-1/weights", b"one")
    objects.put("kept", "jobs", b"another's")
    Mirroring(objects, MIRROR, directory).fetch(never)
    assert (folder / "epoch-1" / "weights").read_bytes() == b"one"
    assert sorted(path.name for path in folder.rglob("*")) == ["epoch-1", "weights"]
    objects.delete("kept", "job/epoch-1/weights")
    Mirroring(objects, MIRROR, directory).send(last=True)
    assert kept(objects) == {"jobs": b"another's"}


def test_a_file_is_sent_once_it_rests_and_again_when_it_changed(
    objects: Objects, directory: Path, folder: Path
) -> None:
    mirroring = Mirroring(objects, MIRROR, directory)
    (folder / "a").write_bytes(b"half")
    mirroring.send()
    assert kept(objects) == {}
    (folder / "a").write_bytes(b"half and half")
    mirroring.send()
    assert kept(objects) == {}
    mirroring.send()
    assert kept(objects) == {"job/a": b"half and half"}
    (folder / "a").write_bytes(b"new")
    mirroring.send()
    mirroring.send()
    assert kept(objects) == {"job/a": b"new"}
    (folder / "a").unlink()
    mirroring.send()
    assert kept(objects) == {"job/a": b"new"}


def test_a_file_that_is_put_in_place_as_a_whole_need_not_rest(objects: Objects, directory: Path, folder: Path) -> None:
    mirroring = Mirroring(objects, MIRROR, directory)
    for said in (b"1", b"2", b"3"):
        (folder / "new").write_bytes(said)
        os.link(folder / "new", directory / f"keeps-its-number-{said.decode()}")
        (folder / "new").replace(folder / "a")
        mirroring.send()
        assert kept(objects) == ({"job/a": said} if said != b"1" else {})


def test_a_file_that_never_rests_is_sent_in_the_end(objects: Objects, directory: Path, folder: Path) -> None:
    mirroring = Mirroring(objects, MIRROR, directory)
    for number in range(30):
        (folder / "log").write_bytes(b"x" * number)
        mirroring.send()
    assert 5 < len(kept(objects)["job/log"]) < 30


def test_what_grows_is_sent_as_it_is(objects: Objects, directory: Path, folder: Path) -> None:
    mirroring = Mirroring(objects, Mirror(path=MIRROR.path, bucket="kept", prefix="", grows=True), directory)
    for said in (b"one", b"onetwo"):
        (folder / "events").write_bytes(said)
        mirroring.send()
        assert kept(objects) == {"events": said}


def test_the_next_server_sends_what_is_new_and_only_that(objects: Objects, directory: Path, folder: Path) -> None:
    (folder / "old").write_bytes(b"old")
    Mirroring(objects, MIRROR, directory).send(last=True)
    objects.delete("kept", "job/old")
    (folder / "new").write_bytes(b"new")
    Mirroring(objects, MIRROR, directory).send(last=True)
    assert kept(objects) == {"job/new": b"new"}


def test_no_link_is_followed_and_no_pipe_is_waited_for(objects: Objects, directory: Path, folder: Path) -> None:
    secret = directory / "order.json"
    secret.write_text("secret")
    (folder / "real").write_text("real")
    (folder / "link").symlink_to(secret)
    (folder / "folder").symlink_to(directory)
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff")).write_text("no text")
    deep = folder
    for _ in range(DEEPEST + 3):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "too-deep").write_text("x")
    Mirroring(objects, MIRROR, directory).send(last=True)
    assert kept(objects) == {"job/real": b"real"}


def test_a_link_in_the_folders_place_leads_nowhere(objects: Objects, directory: Path, folder: Path) -> None:
    (directory / "order.json").write_text("secret")
    folder.rmdir()
    folder.symlink_to(directory)
    Mirroring(objects, MIRROR, directory).send(last=True)
    assert kept(objects) == {}


@pytest.mark.parametrize("key", ["job/../../etc", "job//x", "job/./x", "job/a\0b"])
def test_a_key_that_is_no_path_is_refused(objects: Objects, directory: Path, key: str) -> None:
    objects.put("kept", key, b"")
    with pytest.raises(Unfit, match="cannot be a path below /opt/ml/checkpoints"):
        Mirroring(objects, MIRROR, directory).fetch(never)


def test_keys_that_cannot_live_together_are_refused(objects: Objects, directory: Path) -> None:
    objects.put("kept", "job/a", b"")
    objects.put("kept", "job/a/b", b"")
    with pytest.raises(Unfit, match="a file where another key needs a folder"):
        Mirroring(objects, MIRROR, directory).fetch(never)


def test_a_bucket_that_is_not_there_is_said_before_the_start_and_at_the_end(
    objects: Objects, directory: Path, folder: Path
) -> None:
    lost = Mirroring(objects, Mirror(path=MIRROR.path, bucket="gone", prefix=""), directory)
    with pytest.raises(Unfit, match="The bucket gone"):
        lost.fetch(never)
    (folder / "a").write_text("a")
    with pytest.raises(Missing):
        lost.send(last=True)


def test_who_is_interrupted_stops(objects: Objects, directory: Path, folder: Path) -> None:
    objects.put("kept", "job/a", b"")
    mirroring = Mirroring(objects, MIRROR, directory)
    with pytest.raises(Interrupted):
        mirroring.fetch(lambda: True)
    (folder / "b").write_text("b")
    mirroring.send(last=True, interrupted=lambda: True)
    assert kept(objects) == {"job/a": b""}


@pytest.mark.parametrize("path", ["/opt/ml/checkpoints", "/opt/ml/checkpoints/a/b", "/opt/ml/output/x", "/tmp/x"])
def test_where_a_program_may_write_can_be_mirrored(path: str) -> None:
    check(path)


@pytest.mark.parametrize("path", ["/", "/opt/ml", "/opt/ml/input/data", "/tmp", "/etc", "x", "/opt/ml/output/../input"])
def test_what_is_not_the_programs_own_cannot(path: str) -> None:
    with pytest.raises(Unfit, match="no folder that can be mirrored"):
        check(path)
