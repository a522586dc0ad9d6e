"""What one epoch of a Pipe channel is, byte by byte."""

import gzip
import io
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.channels import Channel, Share
from groundfog.engine.channels.dealing import dealt, shuffled
from groundfog.engine.channels.pouring import pour
from groundfog.engine.errors import Unfit
from groundfog.engine.objects import Objects, Shelf
from groundfog.opt_ml.records import MAGIC, recordio


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    objects = Objects(tmp_path / "objects")
    objects.create_bucket("b", "us-east-1")
    return objects


def channel(prefix: str, **further: Any) -> Channel:
    return Channel(name="train", bucket="b", prefix=prefix, mode="Pipe", if_empty="nothing there", **further)


def poured(objects: Objects, channel: Channel, epoch: int = 0, share: Share = Share()) -> bytes:  # noqa: B008
    """All that a reader gets."""
    end, pipe = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(end, "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        pour(Shelf(objects.root), channel, share, epoch, pipe)
    finally:
        os.close(pipe)
        reader.join()
    return got[0]


def put(objects: Objects, **bodies: bytes) -> None:
    for key, body in bodies.items():
        objects.put("b", f"x/{key}", body)


def test_all_objects_in_the_order_of_their_keys(objects: Objects) -> None:
    large = os.urandom(3 << 20)
    put(objects, b=b"2", a=b"1", c=large, d=b"", e=b"3")
    objects.put("b", "x/folder/", b"")
    objects.put("b", "y", b"another")
    assert poured(objects, channel("x/")) == b"12" + large + b"3"


def test_more_keys_than_fit_in_a_page(objects: Objects) -> None:
    put(objects, **{f"{number:04}": b"%04d" % number for number in range(1003)})
    assert poured(objects, channel("x/")) == b"".join(b"%04d" % number for number in range(1003))


def test_each_epoch_has_its_order_and_each_seed_its_orders(objects: Objects) -> None:
    put(objects, **{letter: letter.encode() for letter in "abcdefghij"})
    orders = [poured(objects, channel("x/", seed=seed), epoch) for seed in (1, 2) for epoch in range(3)]
    assert len(set(orders)) == 6
    assert {bytes(sorted(order)) for order in orders} == {b"abcdefghij"}
    assert poured(objects, channel("x/", seed=1), 2) == orders[2]


def test_hosts_get_shares_that_change_with_the_epoch_if_shuffled(objects: Objects) -> None:
    put(objects, **{letter: letter.encode() for letter in "abcdefg"})
    fixed = [poured(objects, channel("x/", is_sharded=True), epoch, Share(1, 3)) for epoch in range(2)]
    assert fixed == [b"be", b"be"]
    shuffled_shares = [
        poured(objects, channel("x/", is_sharded=True, seed=7), epoch, Share(1, 3)) for epoch in range(4)
    ]
    assert len({bytes(sorted(share)) for share in shuffled_shares}) > 1
    assert poured(objects, channel("x/"), 0, Share(1, 3)) == b"abcdefg", "FullyReplicated"
    assert poured(objects, channel("x/a", is_sharded=True), 0, Share(1, 3)) == b"", "more hosts than objects"


def test_a_manifest_says_which_and_in_which_order(objects: Objects) -> None:
    put(objects, a=b"1", b=b"2", c=b"3")
    objects.put("b", "m", json.dumps([{"prefix": "s3://b/x/"}, "c", "a", "a"]).encode())
    assert poured(objects, channel("m", is_manifest=True)) == b"311"
    assert Counter(poured(objects, channel("m", is_manifest=True, seed=3), 1)) == Counter(b"311")
    objects.put("b", "m", json.dumps([{"prefix": "s3://b/x/"}, "c", "gone"]).encode())
    with pytest.raises(Unfit, match="s3://b/x/gone, which belongs to channel 'train', is not there"):
        poured(objects, channel("m", is_manifest=True))


def test_an_augmented_manifest_sends_attributes_in_the_order_of_their_names(objects: Objects) -> None:
    put(objects, cat=b"meow", dog=b"woof")
    lines = [
        {"image-ref": "s3://b/x/cat", "class": 1, "name": "Cat", "box": {"top": 2}},
        {"class": 0, "image-ref": "s3://b/x/dog", "name": "Hünd", "box": None},
    ]
    objects.put("b", "m", b"\n".join(json.dumps(line).encode() for line in lines) + b"\n\n")
    wanted = ("class", "image-ref", "name", "box")
    records = [b"1", b"meow", b"Cat", b'{"top": 2}', b"0", b"woof", "Hünd".encode(), b"null"]
    plain = channel("m", attributes=wanted)
    assert poured(objects, plain) == b"".join(records)
    wrapped = channel("m", attributes=wanted, is_wrapped=True)
    assert list(recordio(io.BytesIO(poured(objects, wrapped)))) == records
    orders = {poured(objects, channel("m", attributes=("class",), seed=5), epoch) for epoch in range(8)}
    assert orders == {b"10", b"01"}, "lines are shuffled, not what is in them"
    assert poured(objects, channel("m", attributes=("class",), is_sharded=True), 0, Share(1, 2)) == b"0"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"{", "line 2 of the augmented manifest s3://b/m is no JSON"),
        (b"[]", "has no attribute 'image-ref', which AttributeNames wants"),
        (b'{"image": 1}', "has no attribute 'image-ref'"),
        (b'{"image-ref": 7}', "is not s3://bucket/key, but 7"),
        (b'{"image-ref": "s3://b"}', "is not s3://bucket/key"),
        (b'{"image-ref": "file:///etc/passwd"}', "is not s3://bucket/key"),
        (
            b'{"image-ref": "s3://b/../index.sqlite"}',
            "s3://b/../index.sqlite, which belongs to channel 'train', is not",
        ),
        (b'{"image-ref": "s3://nowhere/x"}', "is not there"),
    ],
)
def test_an_augmented_manifest_that_is_wrong_is_refused(objects: Objects, line: bytes, text: str) -> None:
    put(objects, a=b"1")
    objects.put("b", "m", b'{"image-ref": "s3://b/x/a"}\n' + line)
    with pytest.raises(Unfit, match=text):
        poured(objects, channel("m", attributes=("image-ref",)))


def test_gzipped_objects_are_unpacked_on_the_way(objects: Objects) -> None:
    large = bytes(3 << 20)
    put(objects, a=gzip.compress(b"1") + gzip.compress(b"2"), b=gzip.compress(large))
    assert poured(objects, channel("x/", is_gzipped=True)) == b"12" + large
    wrapped = poured(objects, channel("x/", is_gzipped=True, is_wrapped=True))
    assert list(recordio(io.BytesIO(wrapped))) == [b"12", large]
    for broken in (b"plain", gzip.compress(b"1,2" * 99)[:-9]):
        put(objects, b=broken)
        with pytest.raises(Unfit, match="'s3://b/x/b' is not gzipped"):
            poured(objects, channel("x/", is_gzipped=True))


@pytest.mark.parametrize("size", [0, 1, 4, 5, 1 << 10, 1 << 18])
def test_each_object_is_one_record_whatever_is_in_it(objects: Objects, size: int) -> None:
    tricky = MAGIC * 2 + b"abcd" + MAGIC + b"e" + MAGIC + bytes(size) + MAGIC
    put(objects, a=b"plain"[:size], b=tricky)
    records = list(recordio(io.BytesIO(poured(objects, channel("x/", is_wrapped=True)))))
    assert records == [b"plain"[:size], tricky]


def test_an_object_that_is_replaced_is_sent_whole_either_way(objects: Objects) -> None:
    put(objects, a=b"old" * 100_000)
    end, pipe = os.pipe()
    pouring = threading.Thread(target=pour, args=(Shelf(objects.root), channel("x/"), Share(), 0, pipe))
    pouring.start()
    with os.fdopen(end, "rb") as file:
        got = file.read(3)
        put(objects, a=b"new" * 100_000)
        got += file.read(299_997)
    pouring.join()
    os.close(pipe)
    assert got == b"old" * 100_000


def test_nothing_of_the_store_changes_by_being_read(objects: Objects) -> None:
    put(objects, a=b"1")
    before = sorted(path for path in objects.root.rglob("*") if "sqlite" not in path.name)
    poured(objects, channel("x/"))
    assert sorted(path for path in objects.root.rglob("*") if "sqlite" not in path.name) == before


@given(st.lists(st.integers()), st.integers(), st.integers(0, 99), st.integers(1, 9))
def test_every_thing_goes_to_one_host_in_every_epoch(things: list[int], seed: int, epoch: int, hosts: int) -> None:
    order = shuffled(things, seed, epoch)
    assert Counter(order) == Counter(things)
    assert order == shuffled(things, seed, epoch)
    shares = [list(dealt(order, Share(host, hosts))) for host in range(hosts)]
    assert Counter(thing for share in shares for thing in share) == Counter(things)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_every_place_is_as_likely_as_any_other() -> None:
    firsts = Counter(shuffled("abcd", seed, 0)[0] for seed in range(2000))
    assert all(400 < firsts[letter] < 600 for letter in "abcd")
    seconds = Counter(shuffled("abcd", 1, epoch)[1] for epoch in range(2000))
    assert all(400 < seconds[letter] < 600 for letter in "abcd")
