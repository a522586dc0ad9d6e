"""What boto3 users see of training jobs around the training itself."""

import datetime
import itertools

import pytest
from botocore.exceptions import ClientError
from served import wait_until

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:latest"
ROLE = "arn:aws:iam::000000000000:role/service-role/groundfog"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def sagemaker(client):
    s3 = client("s3")
    s3.create_bucket(Bucket="training-stories")
    s3.put_object(Bucket="training-stories", Key="words/a", Body=b"no records")
    return client("sagemaker")


def channel(name="train", uri="s3://training-stories/nothing/", kind="S3Prefix", **further):
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}}, **further}


def order(name, **changes):
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel()],
        "OutputDataConfig": {"S3OutputPath": "s3://training-stories/out//"},
        "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 5},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"max_num_batches": "10"},
        **changes,
    }


def ended(sagemaker, name):
    def ask():
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end")


def refused(call, code, text, **request):
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code
    assert text in error.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"TrainingJobName": "a_b"}, "ValidationException", "at 'trainingJobName' failed to satisfy constraint"),
        ({"RoleArn": "arn:aws:iam::1:user/somebody"}, "ValidationException", "at 'roleArn' failed to satisfy"),
        (
            {"AlgorithmSpecification": {"TrainingImage": "amazonaws.com/x:1", "TrainingInputMode": "File"}},
            "ValidationException",
            "Cannot find the image",
        ),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "ValidationException", "must name a TrainingImage"),
        ({"InputDataConfig": [channel(), channel()]}, "ValidationException", "Duplicate channel name: train"),
        ({"InputDataConfig": [channel("..")]}, "ValidationException", "A channel cannot be called .."),
        ({"InputDataConfig": [channel("a b")]}, "ValidationException", "at 'inputDataConfig.1.member.channelName'"),
        ({"InputDataConfig": [channel(uri="bucket/key")]}, "ValidationException", "s3DataSource.s3Uri' failed"),
        ({"OutputDataConfig": {"S3OutputPath": "out"}}, "ValidationException", "at 'outputDataConfig.s3OutputPath'"),
        ({"HyperParameters": {"k": "v" * 2501}}, "ValidationException", "at 'hyperParameters.k.member' failed"),
        (
            {"ResourceConfig": {"InstanceCount": 2, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 5}},
            "ValidationException",
            "trains on one instance",
        ),
        (
            {"ResourceConfig": {"InstanceCount": 17, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 5}},
            "ResourceLimitExceeded",
            "'ml.p2.xlarge for training job usage' is 16 Instances",
        ),
        ({"EnableManagedSpotTraining": True}, "ValidationException", "Invalid MaxWaitTimeInSeconds. With Enable"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}},
            "ValidationException",
            "It must not be given unless EnableManagedSpotTraining is true",
        ),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59},
            },
            "ValidationException",
            "equal to or greater than MaxRuntimeInSeconds",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/input"}},
            "ValidationException",
            "Invalid LocalPath of CheckpointConfig: /opt/ml/input is no folder that can be mirrored",
        ),
        ({"InputDataConfig": [channel(kind="Converse")]}, "NotImplemented", "S3DataType Converse"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_the_call(sagemaker, changes, code, text):
    name = f"refused-{next(NUMBERS)}"
    refused(sagemaker.create_training_job, code, text, **{**order(name), **changes})
    refused(
        sagemaker.describe_training_job, "ValidationException", "Requested resource not found.", TrainingJobName=name
    )


def test_an_empty_prefix_fails_the_job_in_aws_words_and_all_is_told_back(sagemaker):
    arn = sagemaker.create_training_job(**order("empty-prefix", Tags=[{"Key": "team", "Value": "fog"}]))[
        "TrainingJobArn"
    ]
    assert arn.endswith(":training-job/empty-prefix")
    job = ended(sagemaker, "empty-prefix")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == (
        'ClientError: No S3 objects found under S3 URL "s3://training-stories/nothing/" given in input data source. '
        "Please ensure that the bucket exists in the selected region (us-east-1), that objects exist under that S3 "
        f'prefix, and that the role "{ROLE}" has "s3:ListBucket" permissions on bucket "training-stories".'
    )
    assert job["TrainingJobArn"] == arn
    assert job["HyperParameters"] == {"max_num_batches": "10"}
    assert job["AlgorithmSpecification"]["TrainingImage"] == IMAGE
    assert job["RoleArn"] == ROLE
    assert job["ResourceConfig"] == {"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 5}
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}
    assert job["OutputDataConfig"]["S3OutputPath"] == "s3://training-stories/out//"
    assert job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataDistributionType"] == "FullyReplicated"
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] <= job["LastModifiedTime"]
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 1
    moves = job["SecondaryStatusTransitions"]
    assert [move["Status"] for move in moves] == ["Starting", "Downloading", "Failed"]
    assert [move["StatusMessage"] for move in moves] == [
        "Starting the training job",
        "Downloading input data",
        "Training job failed",
    ]
    assert "EndTime" not in moves[-1] and moves[0]["EndTime"] == moves[1]["StartTime"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "fog"}]


def test_rules_that_only_watch_are_told_back_as_not_evaluated(sagemaker):
    rule = {"RuleConfigurationName": "ProfilerReport", "RuleEvaluatorImage": "1.dkr.ecr.us-east-1.amazonaws.com/rules"}
    rules = {"ProfilerRuleConfigurations": [rule], "DebugRuleConfigurations": [rule]}
    sagemaker.create_training_job(**order("watched", **rules))
    job = ended(sagemaker, "watched")
    for kind in ("DebugRule", "ProfilerRule"):
        assert job[f"{kind}Configurations"] == [rule]
        (status,) = job[f"{kind}EvaluationStatuses"]
        assert (status["RuleConfigurationName"], status["RuleEvaluationStatus"]) == ("ProfilerReport", "Stopped")
        assert status["StatusDetails"] == "This server evaluates no rules."


def test_every_member_that_has_no_bearing_here_is_taken(sagemaker):
    given = {
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "RetryStrategy": {"MaximumRetryAttempts": 2},
        "DebugHookConfig": {"S3OutputPath": "s3://training-stories/debug", "CollectionConfigurations": []},
        "ProfilerConfig": {"S3OutputPath": "s3://training-stories/profile", "DisableProfiler": False},
        "ExperimentConfig": {"ExperimentName": "e", "TrialName": "t"},
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
        "Environment": {"WORD": "é"},
        "EnableNetworkIsolation": True,
    }
    chained = {"SessionChainingConfig": {"EnableSessionTagChaining": True}}
    sagemaker.create_training_job(**order("much-said", **given, **chained))
    told = ended(sagemaker, "much-said")
    assert {member: told[member] for member in given} == given


def test_a_hyperparameter_that_is_wrong_fails_the_job_naming_it(sagemaker):
    words = channel(uri="s3://training-stories/words/")
    given = {"max_num_batches": "many"}
    sagemaker.create_training_job(**order("wrong-parameter", InputDataConfig=[words], HyperParameters=given))
    job = ended(sagemaker, "wrong-parameter")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ") and "max_num_batches" in job["FailureReason"]


def test_a_name_is_taken_once(sagemaker):
    sagemaker.create_training_job(**order("taken"))
    refused(
        sagemaker.create_training_job,
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this name "
        "already exists (arn:aws:sagemaker:us-east-1:",
        **order("taken"),
    )


def test_jobs_are_listed_filtered_sorted_and_paged(sagemaker):
    before = datetime.datetime.now(datetime.UTC)
    names = [f"listed-{letter}" for letter in "cabed"]
    for name in names:
        sagemaker.create_training_job(**order(name))
        ended(sagemaker, name)

    def listed(**wanted):
        pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains="listed", **wanted)
        return [summary["TrainingJobName"] for page in pages for summary in page["TrainingJobSummaries"]]

    assert listed() == names[::-1]
    assert listed(SortOrder="Ascending") == names
    assert listed(SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}) == sorted(names)
    assert listed(SortBy="Status", PaginationConfig={"PageSize": 3}) == sorted(names, reverse=True)
    assert listed(StatusEquals="Failed", CreationTimeAfter=before) == names[::-1]
    assert listed(StatusEquals="Completed") == listed(CreationTimeBefore=before) == []
    assert listed(LastModifiedTimeAfter=before) == names[::-1]
    assert listed(WarmPoolStatusEquals="InUse") == []
    page = sagemaker.list_training_jobs(NameContains="listed", MaxResults=4)
    (*_, last), token = page["TrainingJobSummaries"], page["NextToken"]
    assert last["TrainingJobStatus"] == last["SecondaryStatus"] == "Failed"
    assert last["CreationTime"] < last["TrainingEndTime"]
    rest = sagemaker.list_training_jobs(NameContains="listed", MaxResults=4, NextToken=token)
    assert len(rest["TrainingJobSummaries"]) == 1 and "NextToken" not in rest
    refused(sagemaker.list_training_jobs, "ValidationException", "NextToken", NextToken="nonsense")


def test_what_has_ended_is_not_stopped_but_may_be_deleted(sagemaker):
    sagemaker.create_training_job(**order("ended"))
    ended(sagemaker, "ended")
    refused(
        sagemaker.stop_training_job,
        "ValidationException",
        "The request was rejected because the training job is in status Failed.",
        TrainingJobName="ended",
    )
    sagemaker.delete_training_job(TrainingJobName="ended")
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job, sagemaker.delete_training_job):
        refused(call, "ValidationException", "Requested resource not found.", TrainingJobName="ended")


def test_tags_come_and_go(sagemaker):
    arn = sagemaker.create_training_job(**order("tagged"))["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(5)])
    answer = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k0", "Value": "new"}])
    assert {tag["Key"]: tag["Value"] for tag in answer["Tags"]}["k0"] == "new"
    assert [tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]] == ["k0", "k1", "k2", "k3", "k4"]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["k1", "k2", "not there"])
    assert [tag["Key"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]] == ["k0", "k3", "k4"]
    many = [{"Key": f"m{number}", "Value": "v"} for number in range(48)]
    refused(sagemaker.add_tags, "ValidationException", "at most 50 tags", ResourceArn=arn, Tags=many)
    refused(sagemaker.list_tags, "ValidationException", "Could not find", ResourceArn=arn + "x")
    other = arn.replace("training-job", "notebook-instance")
    refused(sagemaker.list_tags, "ValidationException", "Invalid resource ARN", ResourceArn=other)


def test_a_model_is_tagged_by_its_arn_in_lower_case(sagemaker):
    arn = sagemaker.create_model(ModelName="MixedCase", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})[
        "ModelArn"
    ]
    assert arn.endswith("model/mixedcase")
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
