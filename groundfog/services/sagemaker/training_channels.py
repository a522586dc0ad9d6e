"""The channels of a training job: what AWS checks at the call, and what they are to the engine."""

from itertools import pairwise
from typing import Any

from groundfog.engine.channels import Channel
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid, Unwritten


def check(channels: list[Document]) -> None:
    for channel in channels:
        if channel["ChannelName"] in (".", ".."):
            raise Invalid(f"A channel cannot be called {channel['ChannelName']}: it is a folder in /opt/ml/input/data.")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise Unwritten("A channel from anywhere but S3DataSource")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise Unwritten(f"S3DataType {source['S3DataType']}")
        if channel.get("ShuffleConfig"):
            raise Unwritten("ShuffleConfig of a channel")
        check_mode(channel.get("InputMode", "File"))
    names = sorted(channel["ChannelName"] for channel in channels)
    for name, following in pairwise(names):
        if name == following:
            raise Invalid(f"Duplicate channel name: {name}. The names of InputDataConfig must be unique.")


def check_mode(mode: str) -> None:
    if mode != "File":
        raise Invalid(f"TrainingInputMode {mode} is not yet supported by this server. Use File.")


def channel(given: Document, role: str, region: str) -> Channel:
    source = given["DataSource"]["S3DataSource"]
    bucket, prefix = bucket_and_key(source["S3Uri"])
    return Channel(
        name=given["ChannelName"],
        bucket=bucket,
        prefix=prefix,
        is_manifest=source["S3DataType"] == "ManifestFile",
        is_gzipped=given.get("CompressionType") == "Gzip",
        if_empty=f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 prefix, and that the "
        f'role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".',
    )


def input_data_config(channel: Document) -> dict[str, Any]:
    """What `inputdataconfig.json` says of a channel."""
    content = {"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}
    source = channel["DataSource"]["S3DataSource"]
    return {
        **content,
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


def bucket_and_key(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    if scheme == "https":
        raise Invalid(f"{uri}: give it as s3://bucket/key.")
    bucket, _, key = rest.partition("/")
    return bucket, key
