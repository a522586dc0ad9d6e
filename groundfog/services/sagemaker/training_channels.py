"""The channels of a training job: what AWS checks at the call, and what they are to the engine."""

import re
from itertools import pairwise
from typing import Any

from groundfog.engine.channels import Channel
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid, Unwritten
from groundfog.wire.caller import Parameters

_TYPES = ("S3Prefix", "ManifestFile", "AugmentedManifestFile")


def given(request: Parameters) -> list[Document]:
    """As the request has them, each with its InputMode, which the job's TrainingInputMode is the default of."""
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    return [{"InputMode": mode, **channel} for channel in request.get("InputDataConfig", [])]


def check(channels: list[Document]) -> None:
    """Of `given`."""
    for channel in channels:
        _check_source(channel)
        _check_augmented(channel)
        _check_mode(channel)
    _check_names(channels)


def _check_source(channel: Document) -> None:
    name, source = channel["ChannelName"], channel["DataSource"]
    if "S3DataSource" not in source:
        other = next(iter(source), None)
        if other is None:
            raise Invalid(f"Channel {name} must have an S3DataSource.")
        raise Unwritten(f"{other} (channel {name}; put the files into a bucket and name them by an S3DataSource)")
    if source["S3DataSource"]["S3DataType"] not in _TYPES:
        raise Unwritten(f"S3DataType {source['S3DataSource']['S3DataType']}")


def _check_augmented(channel: Document) -> None:
    source = channel["DataSource"]["S3DataSource"]
    if source["S3DataType"] != "AugmentedManifestFile":
        if source.get("AttributeNames"):
            raise _invalid(channel, f"S3DataType {source['S3DataType']}", "AttributeNames", "leave AttributeNames out")
        return
    if not source.get("AttributeNames"):
        raise Invalid(
            f"Channel {channel['ChannelName']} is an AugmentedManifestFile and must have AttributeNames: what of each "
            "line is sent, and in which order."
        )
    if channel["InputMode"] != "Pipe":
        raise _invalid(channel, f"InputMode {channel['InputMode']}", "AugmentedManifestFile", "use Pipe")


def _check_mode(channel: Document) -> None:
    mode, wrapper = f"InputMode {channel['InputMode']}", channel.get("RecordWrapperType", "None")
    if channel["InputMode"] != "Pipe" and wrapper != "None":
        raise _invalid(channel, mode, f"RecordWrapperType {wrapper}", "use Pipe, or leave RecordWrapperType out")
    if channel["InputMode"] != "FastFile":
        return
    kind = channel["DataSource"]["S3DataSource"]["S3DataType"]
    if kind != "S3Prefix":
        raise _invalid(channel, mode, f"S3DataType {kind}", "use S3Prefix, or InputMode File")
    if channel.get("CompressionType", "None") != "None":
        raise _invalid(
            channel, mode, f"CompressionType {channel['CompressionType']}", "use Pipe, or unpack the objects"
        )


def _check_names(channels: list[Document]) -> None:
    names = sorted(channel["ChannelName"] for channel in channels)
    for name, following in pairwise(names):
        if name == following:
            raise Invalid(f"Duplicate channel name: {name}. The names of InputDataConfig must be unique.")
    piped = {channel["ChannelName"] for channel in channels if channel["InputMode"] == "Pipe"}
    for name in names:
        if name in (".", ".."):
            raise Invalid(f"A channel cannot be called {name}: it is a folder in /opt/ml/input/data.")
        epoch = re.fullmatch(r"(.+)_\d+", name)
        if epoch and epoch[1] in piped and name not in piped:
            raise Invalid(
                f"A channel cannot be called {name}: channel {epoch[1]} is a pipe, and its epochs are the FIFOs "
                f"{epoch[1]}_0, {epoch[1]}_1 and so on."
            )


def _invalid(channel: Document, one: str, other: str, instead: str) -> Invalid:
    return Invalid(f"Channel {channel['ChannelName']}: {one} and {other} do not go together; {instead}.")


def channel(given: Document, role: str, region: str) -> Channel:
    source = given["DataSource"]["S3DataSource"]
    bucket, prefix = bucket_and_key(source["S3Uri"])
    return Channel(
        name=given["ChannelName"],
        bucket=bucket,
        prefix=prefix,
        is_manifest=source["S3DataType"] == "ManifestFile",
        attributes=tuple(source.get("AttributeNames", ())),
        is_gzipped=given.get("CompressionType") == "Gzip",
        is_wrapped=given.get("RecordWrapperType") == "RecordIO",
        mode=given["InputMode"],
        seed=given["ShuffleConfig"]["Seed"] if given.get("ShuffleConfig") else None,
        is_sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        if_empty=none_found(source["S3Uri"], role, region),
    )


def none_found(uri: str, role: str, region: str) -> str:
    """Why a job fails whose input is not there."""
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f"the selected region ({region}), that objects exist under that S3 prefix, and that the role "
        f'"{role}" has "s3:ListBucket" permissions on bucket "{bucket_and_key(uri)[0]}".'
    )


def input_data_config(given: Document) -> dict[str, Any]:
    """What `inputdataconfig.json` says of a channel."""
    content = {"ContentType": given["ContentType"]} if given.get("ContentType") else {}
    source = given["DataSource"]["S3DataSource"]
    return {
        **content,
        "TrainingInputMode": given["InputMode"],
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": given.get("RecordWrapperType", "None"),
    }


def bucket_and_folder(uri: str) -> tuple[str, str]:
    """The bucket, and what the keys of all that lies there begin with: nothing, or a `/` at its end."""
    bucket, key = bucket_and_key(uri)
    folder = key.rstrip("/")
    return bucket, f"{folder}/" if folder else ""


def bucket_and_key(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    if scheme != "s3":
        raise Invalid(f"{uri}: give it as s3://bucket/key.")
    bucket, _, key = rest.partition("/")
    return bucket, key
