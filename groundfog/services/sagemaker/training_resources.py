"""Where a training job runs: instances, and what they are to the program."""

from collections.abc import Collection
from typing import Any

from groundfog.engine.resources import Document
from groundfog.services.sagemaker import instances as types
from groundfog.services.sagemaker.kinds import Invalid, Unwritten

_UNWRITTEN = ("InstancePlacementConfig", "InstancePreferences", "TrainingPlanArn")
_HOMOGENEOUS = "homogeneousCluster"
"""The name of the one group that a job has whose instances are all of a type."""


def check(resources: Document | None, most_instances: int) -> None:
    if resources is None:
        raise Invalid("ResourceConfig must be given.")
    Unwritten.refuse(resources, _UNWRITTEN, "ResourceConfig")
    if resources.get("InstanceGroups"):
        _check_groups(resources)
    groups = _groups(resources)
    if any(group["InstanceCount"] < 1 for group in groups):
        raise Invalid("InstanceCount must be at least 1.")
    types.check_count(groups[0]["InstanceType"], instances(resources), most_instances, "training")


def instances(resources: Document) -> int:
    """Of all groups together."""
    return sum(group["InstanceCount"] for group in _groups(resources))


def check_channels(resources: Document, channels: list[Document], everywhere: Collection[str] = ()) -> None:
    """InstanceGroupNames say which groups get a channel; what all hosts run lies in those that must be `everywhere`."""
    known = {group["InstanceGroupName"] for group in _groups(resources)}
    for channel in channels:
        named = set(channel["DataSource"]["S3DataSource"].get("InstanceGroupNames", ())) or known
        if named - known:
            raise Invalid(
                f"Channel {channel['ChannelName']} is for the instance group {min(named - known)}, and ResourceConfig "
                f"has {', '.join(sorted(known))}."
            )
        if named < known and channel["ChannelName"] in everywhere:
            raise Invalid(
                f"Channel {channel['ChannelName']} brings what every instance runs, so it must be for all instance "
                f"groups: {', '.join(sorted(known))}."
            )


def hosts_of(resources: Document, channel: Document) -> tuple[int, ...]:
    """The numbers of the hosts that get it, in the order of `hosts`; none where all do."""
    named = channel["DataSource"]["S3DataSource"].get("InstanceGroupNames")
    config = resource_config(resources)
    told = {host for group in config["instance_groups"] for host in group["hosts"] if _is_for(group, named)}
    return () if len(told) == len(config["hosts"]) else tuple(map(config["hosts"].index, sorted(told)))


def needs(resources: Document) -> types.Needs:
    """Of each host: as much as the largest, since a host of a job is placed like any other of it."""
    each = [types.needs(group["InstanceType"]) for group in _groups(resources)]
    return types.Needs(max(one.cpus for one in each), max(one.gpus for one in each))


def resource_config(resources: Document) -> dict[str, Any]:
    """What `resourceconfig.json` says on the first host, but for the network, of which whoever starts it knows."""
    groups: list[Document] = []
    for group in _groups(resources):
        first = sum(len(before["hosts"]) for before in groups) + 1
        names = [f"algo-{number}" for number in range(first, first + group["InstanceCount"])]
        groups.append(
            {
                "instance_group_name": group["InstanceGroupName"],
                "instance_type": group["InstanceType"],
                "hosts": names,
            }
        )
    # AWS sorts them as texts: algo-10 comes before algo-2.
    hosts = sorted(host for group in groups for host in group["hosts"])
    return {
        "current_host": hosts[0],
        "current_instance_type": groups[0]["instance_type"],
        "current_group_name": groups[0]["instance_group_name"],
        "hosts": hosts,
        "instance_groups": groups,
    }


def _groups(resources: Document) -> list[Document]:
    alone = {
        "InstanceGroupName": _HOMOGENEOUS,
        "InstanceType": resources.get("InstanceType", ""),
        "InstanceCount": resources.get("InstanceCount", 1),
    }
    return resources.get("InstanceGroups") or [alone]


def _is_for(group: Document, named: list[str] | None) -> bool:
    return not named or group["instance_group_name"] in named


def _check_groups(resources: Document) -> None:
    if "InstanceType" in resources or "InstanceCount" in resources:
        raise Invalid("ResourceConfig must give either InstanceGroups, or InstanceType and InstanceCount, not both.")
    names = [group["InstanceGroupName"] for group in resources["InstanceGroups"]]
    if len(set(names)) < len(names):
        raise Invalid(f"The names of InstanceGroups must be unique, not {', '.join(names)}.")
