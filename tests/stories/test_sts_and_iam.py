"""Who am I, and what may a role do: as the SageMaker SDK and a user's first five minutes ask."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError

TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]})


def test_the_caller_is_an_assumed_role_that_iam_knows(client):
    identity = client("sts").get_caller_identity()
    assert identity["Arn"].startswith(f"arn:aws:sts::{identity['Account']}:assumed-role/")
    role = client("iam").get_role(RoleName=identity["Arn"].split("/")[1])["Role"]
    assert role["Arn"] == f"arn:aws:iam::{identity['Account']}:role/{role['RoleName']}"
    assert role["AssumeRolePolicyDocument"]["Statement"]


def test_an_assumed_role_speaks_for_itself(server, client):
    client("iam").create_role(RoleName="Trainer", AssumeRolePolicyDocument=TRUST)
    account = client("sts").get_caller_identity()["Account"]
    lent = client("sts").assume_role(RoleArn=f"arn:aws:iam::{account}:role/Trainer", RoleSessionName="today")
    keys = lent["Credentials"]
    as_role = boto3.client(
        "sts",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
    assert as_role.get_caller_identity()["Arn"] == f"arn:aws:sts::{account}:assumed-role/Trainer/today"


def test_a_role_that_is_not_there_cannot_be_assumed(client):
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole") as refused:
        client("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/Nobody", RoleSessionName="today")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_roles_and_policies_are_kept_and_returned(client):
    iam = client("iam")
    iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=TRUST, Path="/team/", Tags=[{"Key": "a", "Value": "b"}])
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName="Reader", AssumeRolePolicyDocument=TRUST)
    policy = iam.create_policy(PolicyName="ReadAll", PolicyDocument=TRUST)["Policy"]
    iam.attach_role_policy(RoleName="Reader", PolicyArn=policy["Arn"])
    iam.attach_role_policy(RoleName="Reader", PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")
    iam.put_role_policy(RoleName="Reader", PolicyName="inline", PolicyDocument=TRUST)

    attached = iam.list_attached_role_policies(RoleName="Reader")["AttachedPolicies"]
    assert {one["PolicyName"] for one in attached} == {"ReadAll", "AmazonSageMakerFullAccess"}
    assert iam.list_role_policies(RoleName="Reader")["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName="Reader", PolicyName="inline")["PolicyDocument"] == json.loads(TRUST)
    assert iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]["Document"] == json.loads(
        TRUST
    )
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/team/")["Roles"]] == ["Reader"]
    assert iam.get_role(RoleName="Reader")["Role"]["Tags"] == [{"Key": "a", "Value": "b"}]

    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName="Reader")
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=policy["Arn"])
    iam.delete_role_policy(RoleName="Reader", PolicyName="inline")
    for one in attached:
        iam.detach_role_policy(RoleName="Reader", PolicyArn=one["PolicyArn"])
    iam.delete_role(RoleName="Reader")
    iam.delete_policy(PolicyArn=policy["Arn"])
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="Reader")


def test_a_policy_that_is_no_policy_is_refused(client):
    iam = client("iam")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_role(RoleName="Broken", AssumeRolePolicyDocument="{}")


def test_what_clients_ask_before_they_delete_has_an_answer(client):
    iam = client("iam")
    iam.create_role(RoleName="Leaving", AssumeRolePolicyDocument=TRUST)
    assert iam.list_instance_profiles_for_role(RoleName="Leaving")["InstanceProfiles"] == []
    iam.delete_role(RoleName="Leaving")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.list_instance_profiles_for_role(RoleName="Leaving")
    policy = iam.create_policy(PolicyName="Leaving", PolicyDocument=TRUST)["Policy"]
    [version] = iam.list_policy_versions(PolicyArn=policy["Arn"])["Versions"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v1", True)
    assert "Document" not in version
    iam.delete_policy(PolicyArn=policy["Arn"])
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.list_policy_versions(PolicyArn=policy["Arn"])


def test_the_policy_of_another_account_is_another_policy(client):
    iam = client("iam")
    policy = iam.create_policy(PolicyName="Ours", PolicyDocument=TRUST, Path="/team/")["Policy"]
    iam.create_role(RoleName="Careful", AssumeRolePolicyDocument=TRUST)
    theirs = policy["Arn"].replace(policy["Arn"].split(":")[4], "999999999999")
    for call in (iam.get_policy, iam.delete_policy, iam.list_policy_versions):
        with pytest.raises(iam.exceptions.NoSuchEntityException):
            call(PolicyArn=theirs)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.attach_role_policy(RoleName="Careful", PolicyArn=theirs)
    iam.attach_role_policy(RoleName="Careful", PolicyArn=policy["Arn"])
    iam.detach_role_policy(RoleName="Careful", PolicyArn=policy["Arn"])
    assert iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["Arn"] == policy["Arn"]
    iam.delete_policy(PolicyArn=policy["Arn"])


def test_whoever_asks_beforehand_what_is_allowed_hears_that_all_is(client):
    """As the SageMaker SDK does with a role before it trains."""
    iam = client("iam")
    role = iam.get_role(RoleName=client("sts").get_caller_identity()["Arn"].split("/")[1])["Role"]["Arn"]
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=role,
        ActionNames=["s3:GetObject", "logs:*"],
        ResourceArns=["arn:aws:s3:::one", "arn:aws:s3:::two"],
        PaginationConfig={"PageSize": 3},
    )
    results = [result for page in pages for result in page["EvaluationResults"]]
    assert [(result["EvalActionName"], result["EvalResourceName"]) for result in results] == [
        ("s3:GetObject", "arn:aws:s3:::one"),
        ("s3:GetObject", "arn:aws:s3:::two"),
        ("logs:*", "arn:aws:s3:::one"),
        ("logs:*", "arn:aws:s3:::two"),
    ]
    assert {result["EvalDecision"] for result in results} == {"allowed"}
    for wrong, why in (
        ({"PolicySourceArn": role + "s"}, "NoSuchEntity"),
        ({"ActionNames": ["no colon"]}, "InvalidInput"),
        ({"Marker": "here"}, "InvalidInput"),
    ):
        with pytest.raises(ClientError) as refused:
            iam.simulate_principal_policy(**({"PolicySourceArn": role, "ActionNames": ["s3:GetObject"]} | wrong))
        assert refused.value.response["Error"]["Code"] == why
