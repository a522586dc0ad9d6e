"""The store: what is put is there, whole, whatever happens beside it."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.objects import Object, Objects


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    store = Objects(tmp_path)
    store.create_bucket("b", "us-east-1")
    yield store
    store.close()


def blobs_of(root: Path) -> list[Path]:
    return sorted(path for path in (root / "blobs").rglob("*") if path.is_file())


def test_bytes_come_back_with_size_etag_and_attributes(objects: Objects) -> None:
    objects.put(
        "b", "k", b"hello", content_type="text/plain", metadata={"a": "ä"}, tags={"t": "1"}, properties={"x": 1}
    )
    found = objects.find("b", "k")
    assert (found.size, found.etag) == (5, hashlib.md5(b"hello").hexdigest())
    assert (found.content_type, found.metadata, found.tags) == ("text/plain", {"a": "ä"}, {"t": "1"})
    assert found.properties == {"x": 1}
    assert objects.read("b", "k") == b"hello"


def test_an_empty_object_is_an_object(objects: Objects) -> None:
    assert objects.put("b", "k", b"").etag == hashlib.md5(b"").hexdigest()
    assert objects.read("b", "k") == b""


@pytest.mark.parametrize("durable", [False, True])
def test_objects_are_there_after_a_new_start(tmp_path: Path, durable: bool) -> None:
    first = Objects(tmp_path, durable=durable)
    first.create_bucket("b", "us-east-1")
    first.put("b", "k", b"hello")
    first.close()
    second = Objects(tmp_path, durable=durable)
    assert second.read("b", "k") == b"hello"
    second.put("b", "k", b"again")
    second.close()
    assert [path.read_bytes() for path in blobs_of(tmp_path)] == [b"again"]


def test_keys_are_not_paths(objects: Objects) -> None:
    keys = ["a", "a/", "a/b", "a/b/c", "x//y", "../x", "/", "..", "\n", "\0", "ü" * 100, "k" * 1024]
    for key in keys:
        objects.put("b", key, key.encode())
    assert [found.key for found in objects.page("b")] == sorted(keys)
    assert all(objects.read("b", key) == key.encode() for key in keys)


def test_what_is_missing_is_named(objects: Objects) -> None:
    with pytest.raises(Missing, match=r"^k$"):
        objects.find("b", "k")
    with pytest.raises(Missing, match=r"^nowhere$"):
        objects.find("nowhere", "k")
    with pytest.raises(Missing, match=r"^nowhere$"):
        objects.put("nowhere", "k", b"")
    with pytest.raises(Missing, match=r"^nowhere$"):
        objects.delete("nowhere", "k")
    with pytest.raises(Missing, match=r"^nowhere$"):
        objects.delete_bucket("nowhere")


def test_a_refused_put_leaves_no_file(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        objects.put("nowhere", "k", b"x" * 10)
    assert blobs_of(tmp_path) == []


def test_a_bucket_is_made_once_and_deleted_when_empty(objects: Objects) -> None:
    with pytest.raises(Taken):
        objects.create_bucket("b", "eu-west-1")
    objects.put("b", "k", b"")
    with pytest.raises(Busy):
        objects.delete_bucket("b")
    objects.delete("b", "k")
    objects.delete_bucket("b")
    assert not objects.has_bucket("b")


def test_replacing_and_deleting_removes_the_bytes(objects: Objects, tmp_path: Path) -> None:
    objects.put("b", "k", b"one")
    objects.put("b", "k", b"two")
    assert [path.read_bytes() for path in blobs_of(tmp_path)] == [b"two"]
    assert objects.delete("b", "k")
    assert not objects.delete("b", "k")
    assert blobs_of(tmp_path) == []


def test_an_open_reader_and_a_hard_link_keep_their_bytes(objects: Objects, tmp_path: Path) -> None:
    first = objects.put("b", "k", b"one")
    _, file = objects.open("b", "k")
    objects.fetch(first, tmp_path / "linked")
    objects.fetch(first, tmp_path / "copied", link=False)
    assert (tmp_path / "linked").stat().st_ino == first.blob.stat().st_ino
    assert (tmp_path / "copied").stat().st_ino != first.blob.stat().st_ino
    objects.put("b", "k", b"two")
    with file:
        assert file.read() == b"one"
    assert (tmp_path / "linked").read_bytes() == (tmp_path / "copied").read_bytes() == b"one"
    objects.fetch(first, tmp_path / "later")
    assert (tmp_path / "later").read_bytes() == b"two"


def test_blobs_cannot_be_written_to(objects: Objects) -> None:
    assert objects.put("b", "k", b"one").blob.stat().st_mode & 0o777 == 0o444


def test_a_lost_blob_is_an_error_and_not_a_missing_object(objects: Objects, tmp_path: Path) -> None:
    found = objects.put("b", "k", b"one")
    found.blob.unlink()
    with pytest.raises(FileNotFoundError, match="are gone"):
        objects.read("b", "k")
    with pytest.raises(FileNotFoundError, match="are gone"):
        objects.fetch(found, tmp_path / "target")


def test_a_copy_shares_the_bytes_and_outlives_its_source(objects: Objects) -> None:
    source = objects.put("b", "k", b"one")
    copy = objects.copy(("b", "k"), ("b", "copy"))
    assert copy.blob.samefile(source.blob)
    assert (copy.etag, copy.size) == (source.etag, source.size)
    objects.delete("b", "k")
    assert objects.read("b", "copy") == b"one"
    with pytest.raises(Missing):
        objects.copy(("b", "k"), ("b", "too late"))


def test_a_file_is_put_by_blocks(objects: Objects, tmp_path: Path) -> None:
    body = os.urandom(3_000_001)
    (tmp_path / "source").write_bytes(body)
    assert objects.put_file("b", "k", tmp_path / "source").etag == hashlib.md5(body).hexdigest()
    assert objects.read("b", "k") == body


def test_a_guard_sees_what_stands_there_and_can_refuse(objects: Objects, tmp_path: Path) -> None:
    def only_new(there: Object | None) -> None:
        if there is not None:
            raise Taken(there.key)

    for body in (b"one", b"two"):
        with objects.draft() as draft:
            draft.write(body)
            if body == b"one":
                objects.keep(draft, "b", "k", guard=only_new)
            else:
                with pytest.raises(Taken):
                    objects.keep(draft, "b", "k", guard=only_new)
    with pytest.raises(Taken):
        objects.delete("b", "k", guard=only_new)
    assert [path.read_bytes() for path in blobs_of(tmp_path)] == [b"one"]


def test_tags_are_replaced_and_nothing_else(objects: Objects) -> None:
    before = objects.put("b", "k", b"one", metadata={"a": "b"}, tags={"t": "1"})
    objects.tag("b", "k", {"u": "2"})
    after = objects.find("b", "k")
    assert after.tags == {"u": "2"}
    assert (after.etag, after.modified, after.metadata) == (before.etag, before.modified, before.metadata)
    with pytest.raises(Missing, match=r"^other$"):
        objects.tag("b", "other", {})


def test_readers_see_whole_versions_while_writers_replace(objects: Objects) -> None:
    bodies = [bytes([letter]) * 50_000 for letter in b"abcd"]
    objects.put("b", "k", bodies[0])
    over = threading.Event()

    def write(body: bytes) -> None:
        for _ in range(40):
            objects.put("b", "k", body)

    def read() -> int:
        count = 0
        while not over.is_set():
            found, file = objects.open("b", "k")
            with file:
                body = file.read()
            assert hashlib.md5(body).hexdigest() == found.etag
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read) for _ in range(2)]
        for writing in [pool.submit(write, body) for body in bodies]:
            writing.result()
        over.set()
        assert all(each.result() > 0 for each in reading)


def test_a_new_start_sweeps_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    running = Objects(tmp_path)
    running.create_bucket("b", "us-east-1")
    crashed = Objects(tmp_path)
    kept = crashed.put("b", "kept", b"kept")
    lost = crashed.draft()
    lost.write(b"never kept")
    lost.flush()
    crashed.close()
    unfinished = running.draft()
    unfinished.write(b"still ")
    restarted = Objects(tmp_path)
    restarted.close()
    assert not lost.path.exists()
    lost.discard()
    assert kept.blob.read_bytes() == b"kept"
    with unfinished:
        unfinished.write(b"written")
        running.keep(unfinished, "b", "unfinished")
    assert running.read("b", "unfinished") == b"still written"
    running.close()


def test_empty_folders_of_earlier_starts_go(tmp_path: Path) -> None:
    for _ in range(3):
        store = Objects(tmp_path)
        if not store.has_bucket("b"):
            store.create_bucket("b", "us-east-1")
        store.put("b", "k", b"x")
        store.close()
    Objects(tmp_path).close()
    assert len(list((tmp_path / "blobs").iterdir())) == 2


def test_where_no_link_can_be_had_a_copy_is_made(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    found = objects.put("b", "k", b"one")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    objects.fetch(found, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"one"
    assert not (tmp_path / "target").samefile(found.blob)


def test_where_the_kernel_copies_no_ranges_parts_are_joined_all_the_same(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    upload = objects.uploads.begin("b", "k")
    parts = []
    for number, body in enumerate([b"x" * 3_000_000, b"y"], 1):
        with objects.draft() as draft:
            draft.write(body)
            parts.append(objects.uploads.keep_part(draft, upload, number))
    objects.uploads.complete(upload, parts)
    assert objects.read("b", "k") == b"x" * 3_000_000 + b"y"


def test_a_target_that_cannot_be_is_an_error(objects: Objects, tmp_path: Path) -> None:
    found = objects.put("b", "k", b"one")
    with pytest.raises(FileNotFoundError):
        objects.fetch(found, tmp_path / "no folder" / "target")
    found.blob.unlink()
    with pytest.raises(FileNotFoundError, match="are gone"):
        objects.copy(("b", "k"), ("b", "copy"))
