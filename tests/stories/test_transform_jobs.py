"""Batch transform, as a boto3 user has it: files in, files out, in order; errors, lists, a server that is killed."""

import json

import pytest
from botocore.exceptions import ClientError
from served import wait_until
from test_endpoints import BUCKET, Desk

LINES = [{"source": "A B"}, {"source": "B"}, {"source": "B A B"}]


class Batch(Desk):
    def put(self, prefix, **objects):
        for key, lines in objects.items():
            body = "".join(json.dumps(line) + "\n" for line in lines)
            self.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}.jsonl", Body=body)

    def create(self, name, prefix=None, model="for-batches", **further):
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix or name}/"}
        given = {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": {
                "DataSource": {"S3DataSource": source},
                "ContentType": "application/jsonlines",
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": f"s3://{BUCKET}/{name}-out/", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        }
        return self.sagemaker.create_transform_job(**given | further)

    def describe(self, name):
        return self.sagemaker.describe_transform_job(TransformJobName=name)

    def wait(self, name):
        waiter = self.sagemaker.get_waiter("transform_job_completed_or_stopped")
        waiter.config.delay, waiter.config.max_attempts = 0.1, 600
        waiter.wait(TransformJobName=name)
        return self.describe(name)

    def out(self, name, key):
        body = self.s3.get_object(Bucket=BUCKET, Key=f"{name}-out/{key}.jsonl.out")["Body"].read()
        return [json.loads(line) for line in body.splitlines()]


@pytest.fixture(scope="module")
def batch(client, archive):
    batch = Batch(client, archive)
    batch.model("for-batches")
    return batch


def test_as_many_lines_come_out_as_went_in_and_are_joined_to_what_they_answer(batch):
    asked = [{"id": number, "asked": line} for number, line in enumerate(LINES * 40)]
    batch.put("words", a=asked[:3], b=asked)
    arn = batch.create(
        "words",
        Tags=[{"Key": "kind", "Value": "story"}],
        DataProcessing={"InputFilter": "$.asked", "OutputFilter": "$['id','SageMakerOutput']", "JoinSource": "Input"},
    )["TransformJobArn"]
    described = batch.wait("words")
    assert described["TransformJobStatus"] == "Completed"
    assert described["TransformJobArn"] == arn and arn.endswith(":transform-job/words")
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    assert described["TransformInput"]["CompressionType"] == "None" and described["ModelName"] == "for-batches"
    assert [line["id"] for line in batch.out("words", "b")] == list(range(120))
    assert all(list(line["SageMakerOutput"]) == ["target"] for line in batch.out("words", "b"))
    assert batch.out("words", "b")[:3] == batch.out("words", "a")
    assert batch.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "kind", "Value": "story"}]
    streams = batch.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TransformJobs", logStreamNamePrefix="words/i-"
    )["logStreams"]
    assert len(streams) == 2


def test_a_bad_line_fails_the_job_and_is_named(batch):
    batch.put("bad", a=[*LINES * 5, {"sauce": "A"}, *LINES])
    batch.create("bad")
    wait_until(lambda: batch.describe("bad")["TransformJobStatus"] == "Failed", "it did not fail")
    reason = batch.describe("bad")["FailureReason"]
    assert reason.startswith(f"ClientError: See job logs for more information. s3://{BUCKET}/bad/a.jsonl: line 16: ")
    assert '"source" is a string' in reason


def test_what_cannot_be_done_is_refused_at_the_call(batch):
    def refused(code, name="never", **further):
        with pytest.raises(ClientError) as error:
            batch.create(name, **further)
        assert error.value.response["Error"]["Code"] == code
        return error.value.response["Error"]["Message"]

    batch.create("twice", "no-objects-there")
    assert "must be unique" in refused("ResourceInUse", "twice")
    assert "Could not find model" in refused("ValidationException", model="nobody")
    assert "must not exceed 100 MB" in refused("ValidationException", MaxConcurrentTransforms=20)
    assert "no JSON path" in refused("ValidationException", DataProcessing={"InputFilter": "$.a[*]"})
    unsplit = {"S3OutputPath": f"s3://{BUCKET}/out/"}
    assert "Line is not None" in refused(
        "ValidationException", DataProcessing={"JoinSource": "Input"}, TransformOutput=unsplit
    )
    with pytest.raises(ClientError, match="ResourceNotFound"):
        batch.describe("never")
    wait_until(lambda: batch.describe("twice")["TransformJobStatus"] == "Failed", "it did not fail")
    with pytest.raises(ClientError, match="is in status Failed"):
        batch.sagemaker.stop_transform_job(TransformJobName="twice")


def test_jobs_are_listed_by_name_and_status_page_after_page(batch):
    for name in ("listed-1", "listed-2", "listed-3"):
        batch.create(name, "no-objects-there")
    wait_until(lambda: batch.describe("listed-3")["TransformJobStatus"] == "Failed", "it did not fail")
    pages = batch.sagemaker.get_paginator("list_transform_jobs").paginate(
        NameContains="listed-",
        SortBy="Name",
        SortOrder="Ascending",
        StatusEquals="Failed",
        PaginationConfig={"PageSize": 2},
    )
    found = [job for page in pages for job in page["TransformJobSummaries"]]
    assert [job["TransformJobName"] for job in found] == ["listed-1", "listed-2", "listed-3"]
    assert all("No S3 objects found" in job["FailureReason"] for job in found)


def test_a_job_outlives_the_server_that_is_killed(own_server, archive):
    server = own_server()
    batch = Batch(server.client, archive)
    batch.model("for-batches")
    batch.put("many", **{f"part-{number:02}": LINES[:1] for number in range(10)})
    batch.create("many")

    def written():
        return batch.s3.list_objects_v2(Bucket=BUCKET, Prefix="many-out/").get("Contents", [])

    wait_until(lambda: written(), "nothing was written")
    server.kill()
    server.start()
    assert len(written()) < 10, "the job was over before the server was killed"
    assert batch.wait("many")["TransformJobStatus"] == "Completed"
    assert len(written()) == 10
    assert len(batch.out("many", "part-09")) == 1
