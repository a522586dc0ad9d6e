"""A store on another machine, as a node of a cluster has it: the real server's S3."""

import gzip
import os

import pytest

from groundfog.engine.channels import Channel, Share, fill
from groundfog.engine.channels.pouring import pour
from groundfog.engine.channels.remote import RemoteStore
from groundfog.engine.channels.source import source_of
from groundfog.engine.errors import Missing, Unfit

BUCKET = "far-away"
LARGE = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def s3(client):
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, body in {
        "in/a b.txt": b"A",
        "in/d/ü+%.txt": b"B",
        "in/empty": b"",
        "zip/x.gz": gzip.compress(b"X"),
    }.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return s3


@pytest.fixture(scope="module")
def store(server, s3):
    names = {"access_key": "AWS_ACCESS_KEY_ID", "secret": "AWS_SECRET_ACCESS_KEY", "region": "AWS_REGION"}
    found = server.environment
    return source_of({"s3": {"url": server.url, "token": "", **{name: found[key] for name, key in names.items()}}})


def channel(prefix, **further):
    return Channel(name="train", bucket=BUCKET, prefix=prefix, if_empty="there is nothing", **further)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_channel_is_filled_as_from_a_store_of_ones_own(store, tmp_path):
    fill(store, channel("in/"), tmp_path / "all", link=False)
    assert files(tmp_path / "all") == {"a b.txt": b"A", "d/ü+%.txt": b"B", "empty": b""}
    fill(store, channel("zip/", is_gzipped=True), tmp_path / "zip", link=False)
    assert files(tmp_path / "zip") == {"x": b"X"}
    shares = []
    for host in range(2):
        fill(store, channel("in/", is_sharded=True), tmp_path / str(host), link=False, share=Share(host, 2))
        shares.append(files(tmp_path / str(host)))
    assert {**shares[0], **shares[1]} == files(tmp_path / "all") and not set(shares[0]) & set(shares[1])


def test_nothing_is_said_in_the_channels_words(store, tmp_path):
    for wrong in (channel("none/"), Channel(name="x", bucket="no-such-bucket", prefix="", if_empty="there is nothing")):
        with pytest.raises(Unfit, match="there is nothing"):
            fill(store, wrong, tmp_path / "none", link=False)


def test_a_read_goes_on_where_the_connection_broke(store, s3):
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    _, file = store.open(BUCKET, "large")
    with file:
        begin = file.read(1 << 20)
        file.raw._hang_up()
        assert begin + file.read() == LARGE


def test_what_is_replaced_meanwhile_is_not_mixed(store, s3):
    s3.put_object(Bucket=BUCKET, Key="changing", Body=LARGE)
    _, file = store.open(BUCKET, "changing")
    with file:
        file.read(10)
        s3.put_object(Bucket=BUCKET, Key="changing", Body=LARGE[::-1])
        file.raw._hang_up()
        with pytest.raises(Missing):
            file.read()


def test_it_is_a_source_for_pipes(store):
    assert isinstance(store, RemoteStore)
    come, go = os.pipe()
    with os.fdopen(come, "rb") as reader:
        pour(store, channel("in/", mode="Pipe"), Share(), 0, go)
        os.close(go)
        assert reader.read() == b"AB"
    assert [item.key for item in store.page(BUCKET, "in/", "in/a b.txt")] == ["in/d/ü+%.txt", "in/empty"]
    assert store.find(BUCKET, "in/a b.txt").size == 1
    with pytest.raises(Missing):
        store.find(BUCKET, "in/none")
