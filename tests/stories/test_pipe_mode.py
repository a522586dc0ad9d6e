"""Pipe and FastFile mode, by boto3: what a job's program reads, and what happens when something dies."""

import gzip
import io
import itertools
import json
import os
import re
import signal
import sys
import tarfile

import pytest
from botocore.exceptions import ClientError
from feeding import feeders
from served import wait_until
from test_training_survives import HELD, ended, said

from groundfog.opt_ml.records import recordio

NAMES = (f"piped-{number}" for number in itertools.count())
LONG = 5 << 20
"""Bytes, more than any pipe holds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Every image is a wish of `probe_program`."""
    from served import Server

    server = Server(tmp_path_factory.mktemp("piped"), ("--warm", "0", "--jobs-at-once", "2"))
    server.command = (sys.executable, HELD, "none", "serve")
    server.start()
    use(server)
    server.s3.create_bucket(Bucket="bucket")
    yield server
    server.stop()


def use(server):
    for service in ("s3", "sagemaker", "logs"):
        setattr(server, service, server.client(service))


def put(server, prefix, **bodies):
    for key, body in bodies.items():
        server.s3.put_object(Bucket="bucket", Key=f"{prefix}/{key}", Body=body)


def channel(name, uri, kind="S3Prefix", sharded=False, attributes=None, **further):
    source = {"S3DataType": kind, "S3Uri": f"s3://bucket/{uri}"}
    source |= {"S3DataDistributionType": "ShardedByS3Key"} if sharded else {}
    source |= {"AttributeNames": attributes} if attributes else {}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **further}


def order(image, *channels, mode="Pipe", hosts=1, **further):
    return {
        "TrainingJobName": next(NAMES),
        "AlgorithmSpecification": {"TrainingImage": f"{image}:1", "TrainingInputMode": mode},
        "RoleArn": "arn:aws:iam::000000000000:role/groundfog",
        "InputDataConfig": list(channels),
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceCount": hosts, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **further,
    }


def submit(server, *args, **further):
    wanted = order(*args, **further)
    server.sagemaker.create_training_job(**wanted)
    return wanted["TrainingJobName"]


def model(server, name):
    job = ended(server.sagemaker, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    body = server.s3.get_object(Bucket="bucket", Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar}


def test_every_kind_of_channel_in_one_job(server):
    put(server, "x", b=b"2", a=b"1", c=b"3")
    put(server, "z", a=gzip.compress(b"one"), b=gzip.compress(b"two"))
    put(server, "l", **{letter: letter.encode() for letter in "abcdefgh"})
    put(server, "m", list=json.dumps([{"prefix": "s3://bucket/x/"}, "c", "a"]).encode())
    put(server, "m", lines=b'{"word-ref": "s3://bucket/x/b", "class": 7}\n{"class": 8, "word-ref": "s3://bucket/x/a"}')
    channels = (
        channel("plain", "x/"),
        channel("packed", "z/", CompressionType="Gzip"),
        channel("wrapped", "z/", CompressionType="Gzip", RecordWrapperType="RecordIO"),
        channel("shuffled", "l/", ShuffleConfig={"Seed": 234}),
        channel("named", "m/list", "ManifestFile"),
        channel(
            "augmented",
            "m/lines",
            "AugmentedManifestFile",
            attributes=["class", "word-ref"],
            RecordWrapperType="RecordIO",
        ),
        channel("files", "x/", InputMode="File", ContentType="text/plain"),
        channel("fast", "x/", InputMode="FastFile"),
    )
    told = json.loads(model(server, submit(server, "read_channels", *channels))["algo-1"])
    read = told["read"]
    assert read["plain"] == ["123", "123"]
    assert read["packed"] == ["onetwo", "onetwo"]
    assert read["named"] == ["31", "31"]
    assert read["files"] == read["fast"] == {"a": "1", "b": "2", "c": "3"}
    first, second = read["shuffled"]
    assert sorted(first) == sorted(second) == list("abcdefgh") and len({first, second, "abcdefgh"}) == 3
    for name, records in (("wrapped", [b"one", b"two"]), ("augmented", [b"7", b"2", b"8", b"1"])):
        assert [list(recordio(io.BytesIO(epoch.encode("latin-1")))) for epoch in read[name]] == [records] * 2
    assert told["config"]["wrapped"] == {
        "TrainingInputMode": "Pipe",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "RecordIO",
    }
    assert told["config"]["files"]["TrainingInputMode"] == "File"
    assert told["config"]["fast"]["TrainingInputMode"] == "FastFile"


def test_hosts_share_what_is_sharded_by_key_anew_in_each_epoch_if_shuffled(server):
    put(server, "s", **{letter: letter.encode() for letter in "abcdefg"})
    channels = (
        channel("fixed", "s/", sharded=True),
        channel("dealt", "s/", sharded=True, ShuffleConfig={"Seed": 1}),
        channel("whole", "s/"),
        channel("files", "s/", sharded=True, InputMode="File"),
    )
    wrote = model(server, submit(server, "read_channels", *channels, hosts=2))
    one, two = (json.loads(wrote[host])["read"] for host in ("algo-1", "algo-2"))
    assert (one["fixed"], two["fixed"]) == (["aceg"] * 2, ["bdf"] * 2)
    assert one["whole"] == two["whole"] == ["abcdefg"] * 2
    assert (set(one["files"]), set(two["files"])) == (set("aceg"), set("bdf"))
    for epoch in range(2):
        assert sorted(one["dealt"][epoch] + two["dealt"][epoch]) == list("abcdefg")
    assert set(one["dealt"][0]) != set(one["dealt"][1])


def host_of(server, name):
    """The directory of its one host."""
    wait_until(lambda: "reading" in said(server, name), f"{name} does not read")
    (order,) = [path for path in (server.home / "runs").glob("*/order.json") if name in path.read_text()]
    return order.parent


def test_a_feeder_outlives_the_server(own_server, tmp_path):
    server = own_server("--warm", "0", home=tmp_path / "home", command=(sys.executable, HELD, "none", "serve"))
    use(server)
    server.s3.create_bucket(Bucket="bucket")
    put(server, "long", a=bytes(LONG))
    name = submit(server, "read_when_told", channel("train", "long/"))
    directory = host_of(server, name)
    (feeder,) = feeders(directory)
    server.kill()
    (directory / "opt_ml" / "checkpoints" / "go").touch()
    wait_until((directory / "exit.json").exists, "the program did not end by itself")
    server.start()
    assert model(server, name) == {"length": str(LONG)}
    assert feeder not in feeders(directory)


def test_a_feeder_that_dies_is_never_the_end_of_the_data(server):
    put(server, "long", a=bytes(LONG))
    name = submit(server, "read_when_told", channel("train", "long/"))
    directory = host_of(server, name)
    (feeder,) = feeders(directory)
    os.kill(feeder, signal.SIGKILL)
    # Started again over its checkpoints, it finds the first epoch from its beginning.
    wait_until(lambda: said(server, name).count("reading") == 2, f"{name} was not started again")
    assert "What feeds the Pipe channels of this host died; so the program was killed." in said(server, name)
    (directory / "opt_ml" / "checkpoints" / "go").touch()
    assert model(server, name) == {"length": str(LONG)}


def test_what_cannot_be_fed_fails_the_job_naming_channel_and_object(server):
    put(server, "broken", a=gzip.compress(b"fine"), b=b"not packed")
    name = submit(server, "read_channels", channel("train", "broken/", CompressionType="Gzip"))
    assert ended(server.sagemaker, name)["FailureReason"] == (
        "ClientError: Channel 'train': 's3://bucket/broken/b' is not gzipped as CompressionType says (Not a gzipped "
        "file (b'no'))"
    )
    name = submit(server, "read_channels", channel("train", "nothing/"))
    reason = ended(server.sagemaker, name)["FailureReason"]
    assert reason.startswith('ClientError: No S3 objects found under S3 URL "s3://bucket/nothing/" given in input data')


def test_a_job_that_waits_for_its_data_is_stopped_at_once(server):
    put(server, "x", a=b"1")
    name = submit(server, "wait_for_an_epoch_that_never_comes", channel("train", "x/"), channel("other", "x/"))
    wait_until(lambda: "waiting" in said(server, name), "it does not wait")
    server.sagemaker.stop_training_job(TrainingJobName=name)
    assert ended(server.sagemaker, name)["TrainingJobStatus"] == "Stopped"


@pytest.mark.parametrize(
    ("channels", "code", "text"),
    [
        ([channel(f"c{number}", "x/") for number in range(21)], "ValidationException", "less than or equal to 20"),
        (
            [channel("c", "x", "AugmentedManifestFile")],
            "ValidationException",
            "Channel c is an AugmentedManifestFile and must have AttributeNames",
        ),
        (
            [channel("c", "x", "AugmentedManifestFile", attributes=["a"], InputMode="File")],
            "ValidationException",
            "Channel c: InputMode File and AugmentedManifestFile do not go together; use Pipe.",
        ),
        (
            [channel("c", "x", attributes=["a"])],
            "ValidationException",
            "Channel c: S3DataType S3Prefix and AttributeNames do not go together; leave AttributeNames out.",
        ),
        (
            [channel("c", "x", RecordWrapperType="RecordIO", InputMode="File")],
            "ValidationException",
            "Channel c: InputMode File and RecordWrapperType RecordIO do not go together",
        ),
        (
            [channel("c", "x", "ManifestFile", InputMode="FastFile")],
            "ValidationException",
            "Channel c: InputMode FastFile and S3DataType ManifestFile do not go together; use S3Prefix",
        ),
        (
            [channel("c", "x", CompressionType="Gzip", InputMode="FastFile")],
            "ValidationException",
            "Channel c: InputMode FastFile and CompressionType Gzip do not go together",
        ),
        (
            [channel("train", "x"), channel("train_7", "x", InputMode="File")],
            "ValidationException",
            "A channel cannot be called train_7: channel train is a pipe, and its epochs are the FIFOs train_0",
        ),
        (
            [
                {
                    "ChannelName": "c",
                    "DataSource": {
                        "FileSystemDataSource": {
                            "FileSystemId": "fs-12345678901",
                            "FileSystemType": "EFS",
                            "FileSystemAccessMode": "ro",
                            "DirectoryPath": "/x",
                        }
                    },
                }
            ],
            "NotImplemented",
            "FileSystemDataSource (channel c; put the files into a bucket",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_the_call(server, channels, code, text):
    with pytest.raises(ClientError, match=re.escape(text)) as refused:
        server.sagemaker.create_training_job(**order("read_channels", *channels))
    assert refused.value.response["Error"]["Code"] == code


def test_channels_of_workers_may_be_numbered(server):
    put(server, "x", a=b"1")
    channels = [channel(f"train_{rank}", "x/") for rank in range(3)]
    assert "algo-1" in model(server, submit(server, "read_channels", *channels))
