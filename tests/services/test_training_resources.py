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
    [(["write"], "instance group write, and ResourceConfig has learn, read"), (["read"], "must be for all instance")],
)
def test_a_channel_is_for_groups_that_there_are_and_code_for_all_of_them(names: list[str], text: str) -> None:
    with pytest.raises(Refusal, match=text):
        training_resources.check_channels(GROUPS, [channel_for("code", *names)], ["code"])
    training_resources.check_channels(
        GROUPS, [channel_for("code", "read", "learn"), channel_for("train", "read")], ["code"]
    )


def test_hosts_get_the_channels_of_their_groups() -> None:
    assert training_resources.hosts_of(GROUPS, channel_for("train", "read")) == (1, 2)
    assert training_resources.hosts_of(GROUPS, channel_for("train", "learn")) == (0,)
    for everybody in (channel_for("train", "learn", "read"), channel_for("train")):
        assert training_resources.hosts_of(GROUPS, everybody) == ()
    many = {"InstanceGroups": [{**GROUPS["InstanceGroups"][0], "InstanceCount": 9}, GROUPS["InstanceGroups"][1]]}
    names = training_resources.resource_config(many)["hosts"]
    told = training_resources.hosts_of(many, channel_for("train", "read"))
    assert {names[number] for number in told} == {"algo-10", "algo-11"}


def channel_for(name: str, *groups: str) -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"InstanceGroupNames": list(groups)}}}
