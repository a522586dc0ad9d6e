"""Instances of a training job: what is refused, and what the hosts read."""

from typing import Any

import pytest

from groundfog.services.sagemaker import training_resources
from groundfog.wire.refusal import Refusal

GROUPS = {
    "InstanceGroups": [
        {"InstanceGroupName": "learn", "InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "read", "InstanceType": "ml.m5.large", "InstanceCount": 2},
    ]
}


def test_hosts_are_named_and_sorted_as_texts() -> None:
    config = training_resources.resource_config({"InstanceType": "ml.m5.large", "InstanceCount": 11})
    assert config["hosts"][:4] == ["algo-1", "algo-10", "algo-11", "algo-2"]
    assert config["instance_groups"][0]["instance_group_name"] == "homogeneousCluster"
    assert config["current_host"] == "algo-1"


def test_groups_count_on() -> None:
    config = training_resources.resource_config(GROUPS)
    assert config["hosts"] == ["algo-1", "algo-2", "algo-3"]
    assert [group["hosts"] for group in config["instance_groups"]] == [["algo-1"], ["algo-2", "algo-3"]]
    assert training_resources.instances(GROUPS) == 3


@pytest.mark.parametrize(
    ("resources", "code", "text"),
    [
        (None, "ValidationException", "ResourceConfig must be given"),
        ({"InstanceType": "ml.m5.large", "InstanceCount": 0}, "ValidationException", "at least 1"),
        ({"InstanceType": "ml.m5.large", "InstanceCount": 5}, "ResourceLimitExceeded", "is 4 Instances"),
        ({**GROUPS, "InstanceCount": 1}, "ValidationException", "not both"),
        ({"InstanceGroups": GROUPS["InstanceGroups"] * 2}, "ValidationException", "must be unique"),
        ({"InstanceType": "ml.m5.large", "TrainingPlanArn": "arn"}, "NotImplemented", "TrainingPlanArn"),
    ],
)
def test_what_cannot_be_is_refused(resources: dict[str, Any] | None, code: str, text: str) -> None:
    with pytest.raises(Refusal, match=text) as refused:
        training_resources.check(resources, 4)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("names", "text"),
    [(["write"], "instance group write, and ResourceConfig has learn, read"), (["read"], "some groups")],
)
def test_a_channel_is_for_groups_that_there_are_and_for_all_of_them(names: list[str], text: str) -> None:
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": {"InstanceGroupNames": names}}}
    with pytest.raises(Refusal, match=text):
        training_resources.check_channels(GROUPS, [channel])
    channel["DataSource"] = {"S3DataSource": {"InstanceGroupNames": ["read", "learn"]}}
    training_resources.check_channels(GROUPS, [channel])
