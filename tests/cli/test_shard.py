"""`groundfog shard`: equal shards, of objects or of records, and nothing lost or doubled."""

import io
import itertools
import os
from collections import Counter

import anycrc
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from groundfog.cli import main
from groundfog.cli.shards import Place, Unshardable, balanced, listed
from groundfog.opt_ml.records import framed, recordio, tfrecord, tfrecords

CRC = anycrc.Model("CRC32C").calc
PREFIXES = (f"data-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def s3(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="shards")
    return s3


@pytest.fixture
def prefix():
    return next(PREFIXES)


def shard(server, source, target, *options):
    """What it says; of a failure, the last line. In this process, since most of its time is botocore's loading."""
    arguments = ["shard", f"s3://shards/{source}", f"s3://shards/{target}", *options, "--home", str(server.home)]
    without = {name: None for name in os.environ if name.startswith("AWS_")}
    ran = CliRunner().invoke(main, arguments, env=without)
    return ran.output if ran.exit_code == 0 else ran.output.splitlines()[-1]


def put(s3, prefix, **bodies):
    for key, body in bodies.items():
        s3.put_object(Bucket="shards", Key=f"{prefix}/{key}", Body=body)


def below(s3, prefix):
    entries = s3.list_objects_v2(Bucket="shards", Prefix=prefix).get("Contents", [])
    return {e["Key"][len(prefix) :]: s3.get_object(Bucket="shards", Key=e["Key"])["Body"].read() for e in entries}


def test_whole_objects_are_dealt_out_by_size(server, s3, prefix):
    put(s3, f"{prefix}/in", a=b"x" * 60, b=b"y" * 30, c=b"z" * 20, d=b"w" * 10)
    said = shard(server, f"{prefix}/in/", f"{prefix}/out", "--shards", "2")
    assert below(s3, f"{prefix}/out/train_0/") == {"a": b"x" * 60}
    assert below(s3, f"{prefix}/out/train_1/") == {"b": b"y" * 30, "c": b"z" * 20, "d": b"w" * 10}
    assert f"train_1           3 objects              60 bytes  s3://shards/{prefix}/out/train_1/" in said
    assert f'TrainingInput(f"s3://shards/{prefix}/out/train_{{n}}/", input_mode="Pipe")' in said
    assert "for n in range(2)" in said


def test_records_are_dealt_out_to_shards_and_hosts(server, s3, prefix):
    lines = [b"line %d" % number for number in range(13)]
    put(s3, f"{prefix}/in", a=b"\n".join(lines[:5]), b=b"\n".join(lines[5:]) + b"\n")
    options = ("--shards", "2", "--records", "lines", "--hosts", "3", "--name", "part")
    said = shard(server, f"{prefix}/in/", f"{prefix}/out/", *options)
    assert "ShardedByS3Key" in said
    read = [below(s3, f"{prefix}/out/part_{number}/") for number in range(2)]
    assert [sorted(one) for one in read] == [[f"part-{host:05}.txt" for host in range(3)]] * 2
    dealt = [line for one in read for body in one.values() for line in body.splitlines()]
    assert Counter(dealt) == Counter(lines)
    assert {len(body.splitlines()) for one in read for body in one.values()} == {2, 3}


@pytest.mark.parametrize(
    ("records", "write", "read"),
    [
        ("tfrecord", lambda payload: [tfrecord(payload, CRC)], lambda file: tfrecords(file, CRC)),
        ("recordio", framed, recordio),
    ],
)
def test_binary_records_stay_what_they_are_even_if_large(server, s3, prefix, records, write, read):
    payloads = [os.urandom(9 << 20), b"", b"fog", b"mist", os.urandom(1 << 20)]
    put(s3, f"{prefix}/in", a=b"".join(bytes(piece) for payload in payloads for piece in write(payload)))
    shard(server, f"{prefix}/in/", f"{prefix}/out", "--shards", "2", "--records", records)
    for number in range(2):
        (body,) = below(s3, f"{prefix}/out/train_{number}/").values()
        assert list(read(io.BytesIO(body))) == payloads[number::2]


@pytest.mark.parametrize(
    ("bodies", "options", "text"),
    [
        ({"a": b"1"}, ("--shards", "2"), "holds 1 objects, and 2 shards want at least one each: say what records they"),
        ({"a": b"1"}, ("--shards", "2", "--records", "lines"), "holds fewer records than 2 shards want"),
        (
            {"a": b"1"},
            ("--shards", "1", "--records", "tfrecord"),
            "in/a: record 1 at byte 0: it has 12 bytes and the data ends after 1",
        ),
        ({"a": b"1"}, ("--shards", "21"), "Invalid value for '--shards': 21 is not in the range 1<=x<=20."),
        ({"a": b"1"}, ("--shards", "1", "--hosts", "2"), "--hosts needs --records"),
        ({}, ("--shards", "1"), "holds nothing: no key begins so"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(server, s3, prefix, bodies, options, text):
    put(s3, f"{prefix}/in", **bodies)
    assert text in shard(server, f"{prefix}/in/", f"{prefix}/out", *options)
    assert below(s3, f"{prefix}/out") == {}
    assert s3.list_multipart_uploads(Bucket="shards").get("Uploads", []) == []


def test_what_lies_there_already_is_not_mixed_in(server, s3, prefix):
    put(s3, f"{prefix}/in", a=b"1")
    put(s3, f"{prefix}/out/train_0", old=b"1")
    assert "holds objects already" in shard(server, f"{prefix}/in/", f"{prefix}/out", "--shards", "1")
    assert "lies below" in shard(server, f"{prefix}/", f"{prefix}/new", "--shards", "1")
    with pytest.raises(Unshardable, match="there is no bucket nowhere"):
        listed(s3, Place.read("s3://nowhere/in"))
    with pytest.raises(Unshardable, match="file:///in is no s3://bucket/prefix"):
        Place.read("file:///in")


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40), st.integers(1, 9))
def test_no_shard_is_ahead_by_more_than_its_last_thing(sizes: list[int], shards: int) -> None:
    given = balanced(sizes, shards)
    loads = [sum(size for size, to in zip(sizes, given, strict=True) if to == shard) for shard in range(shards)]
    smallest = [
        min((size for size, to in zip(sizes, given, strict=True) if to == shard), default=0) for shard in range(shards)
    ]
    for load, least in zip(loads, smallest, strict=True):
        assert load - least <= min(loads)
    if len(sizes) >= shards:
        assert set(given) == set(range(shards)), "every worker has something to read"
