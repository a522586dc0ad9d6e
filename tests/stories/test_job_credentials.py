"""A job asks this server in the name of its role, for as long as it lives."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from served import Server, wait_until
from test_training_survives import command, ended, said, submit


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("home"), ("--warm", "0"), command=command("none")).start()
    running.client("s3").create_bucket(Bucket="bucket")
    running.client("s3").put_object(Bucket="bucket", Key="in/a.txt", Body=b"world")
    running.logs = running.client("logs")
    yield running
    running.stop()


def identity(server, pair) -> str:
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    given = dict(zip(names, pair, strict=True))
    sts = boto3.client("sts", endpoint_url=server.url, region_name="us-east-1", **given)
    return sts.get_caller_identity()["Arn"]


def test_a_jobs_key_pair_lives_as_long_as_the_job(server):
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    submit(sagemaker, "asks", "use_boto3")
    wait_until(lambda: s3.list_objects_v2(Bucket="bucket", Prefix="keys").get("Contents"), "no keys were stored")
    own, further = json.load(s3.get_object(Bucket="bucket", Key="keys")["Body"])
    assert identity(server, own) == "arn:aws:sts::000000000000:assumed-role/groundfog/SageMaker"
    assert identity(server, further) == "arn:aws:sts::000000000000:assumed-role/groundfog/further"

    # The next server takes the job over, and its key pair.
    server.kill()
    server.start()
    assert identity(server, own).endswith("/SageMaker")
    assert own[1] not in str(sagemaker.describe_training_job(TrainingJobName="asks"))
    order = next((server.home / "runs").glob("*/order.json"))
    assert own[1] in order.read_text()
    assert order.stat().st_mode & 0o077 == 0

    s3.put_object(Bucket="bucket", Key="go", Body=b"")
    assert ended(sagemaker, "asks")["TrainingJobStatus"] == "Completed", said(server, "asks")
    assert said(server, "asks") == ["arn:aws:sts::000000000000:assumed-role/groundfog/SageMaker"]
    for pair in (own, further):
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            identity(server, pair)


def test_an_isolated_job_has_no_key_pair(server):
    sagemaker = server.client("sagemaker")
    submit(sagemaker, "isolated", "show", EnableNetworkIsolation=True)
    ended(sagemaker, "isolated")
    environment = json.loads(said(server, "isolated")[0])["environment"]
    assert "AWS_ACCESS_KEY_ID" not in environment
    assert environment["AWS_ENDPOINT_URL"] == server.url
