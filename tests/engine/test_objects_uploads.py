"""Objects in parts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundfog.engine.errors import Missing, Taken
from groundfog.engine.objects import Object, Objects, Part, Upload


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    store = Objects(tmp_path)
    store.create_bucket("b", "us-east-1")
    yield store
    store.close()


def give(objects: Objects, upload: Upload, number: int, body: bytes) -> Part:
    with objects.draft() as draft:
        draft.write(body)
        return objects.uploads.keep_part(draft, upload, number, {"crc32": "x"})


def blobs_of(root: Path) -> list[Path]:
    return [path for path in (root / "blobs").rglob("*") if path.is_file()]


def test_parts_are_joined_in_their_order(objects: Objects, tmp_path: Path) -> None:
    upload = objects.uploads.begin("b", "k", content_type="text/plain", metadata={"a": "b"})
    second = give(objects, upload, 2, b"world")
    first = give(objects, upload, 1, b"hello ")
    assert objects.uploads.parts(upload) == [first, second]
    kept = objects.uploads.complete(
        upload,
        [first, second],
        attributes=lambda path: {"tags": {"length": str(path.stat().st_size)}, **upload.attributes},
    )
    md5s = hashlib.md5(b"hello ").digest() + hashlib.md5(b"world").digest()
    assert kept == objects.find("b", "k")
    assert kept.etag == hashlib.md5(md5s).hexdigest() + "-2"
    assert (kept.content_type, kept.metadata, kept.tags) == ("text/plain", {"a": "b"}, {"length": "11"})
    assert (kept.parts, kept.upload) == ((6, 5), upload.id)
    assert objects.read("b", "k") == b"hello world"
    assert blobs_of(tmp_path) == [kept.blob]


def test_a_part_given_again_replaces_the_first(objects: Objects, tmp_path: Path) -> None:
    upload = objects.uploads.begin("b", "k")
    give(objects, upload, 1, b"old")
    give(objects, upload, 1, b"new")
    assert [path.read_bytes() for path in blobs_of(tmp_path)] == [b"new"]


def test_an_ended_upload_takes_nothing_more(objects: Objects, tmp_path: Path) -> None:
    upload = objects.uploads.begin("b", "k")
    part = give(objects, upload, 1, b"one")
    objects.uploads.abort(upload)
    assert blobs_of(tmp_path) == []
    with pytest.raises(Missing):
        give(objects, upload, 1, b"one")
    with pytest.raises(Missing):
        objects.uploads.complete(upload, [part])
    with pytest.raises(Missing):
        objects.uploads.abort(upload)
    with pytest.raises(Missing):
        objects.uploads.find("b", "k", upload.id)
    assert blobs_of(tmp_path) == []


def test_a_guard_that_refuses_leaves_the_upload_open(objects: Objects) -> None:
    def refuse(there: Object | None) -> None:
        raise Taken("k")

    upload = objects.uploads.begin("b", "k")
    part = give(objects, upload, 1, b"one")
    with pytest.raises(Taken):
        objects.uploads.complete(upload, [part], guard=refuse)
    assert objects.uploads.complete(upload, [part]).size == 3


def test_uploads_are_listed_by_key_and_id(objects: Objects) -> None:
    begun = [objects.uploads.begin("b", key) for key in ("x/2", "x/1", "y", "x/1")]
    expected = sorted(begun, key=lambda upload: (upload.key, upload.id))
    assert objects.uploads.page("b") == expected
    assert objects.uploads.page("b", prefix="x/", limit=2) == expected[:2]
    assert objects.uploads.page("b", after=(expected[0].key, expected[0].id)) == expected[1:]


def test_an_upload_needs_a_bucket_and_ends_with_it(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(Missing):
        objects.uploads.begin("nowhere", "k")
    give(objects, objects.uploads.begin("b", "k"), 1, b"one")
    objects.delete_bucket("b")
    assert blobs_of(tmp_path) == []


def test_a_copy_of_a_joined_object_has_a_plain_etag(objects: Objects) -> None:
    upload = objects.uploads.begin("b", "k")
    parts = [give(objects, upload, 1, b"hello "), give(objects, upload, 2, b"world")]
    objects.uploads.complete(upload, parts)
    copy = objects.copy(("b", "k"), ("b", "copy"))
    assert copy.etag == hashlib.md5(b"hello world").hexdigest()
