"""Where a training job runs: instances, and what they are to the program."""

from typing import Any

from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid, Unwritten

_UNWRITTEN = ("InstanceGroups", "InstancePlacementConfig", "InstancePreferences", "TrainingPlanArn")


def check(resources: Document | None) -> None:
    if resources is None:
        raise Invalid("ResourceConfig must be given.")
    Unwritten.refuse(resources, _UNWRITTEN, "ResourceConfig")
    count = resources.get("InstanceCount", 1)
    if count < 1:
        raise Invalid("InstanceCount must be at least 1.")
    if count > 1:
        raise Unwritten("InstanceCount of more than 1")


def resource_config(instance_type: str) -> dict[str, Any]:
    """What `resourceconfig.json` says. The one network that a sandbox has is its own."""
    hosts, group = ["algo-1"], "homogeneousCluster"
    return {
        "current_host": "algo-1",
        "current_instance_type": instance_type,
        "current_group_name": group,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": group, "instance_type": instance_type, "hosts": hosts}],
        "network_interface_name": "lo",
    }
