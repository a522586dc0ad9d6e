"""Asked now, answered later, in S3: InvokeEndpointAsync, and a server that is killed in between."""

import json

import pytest
from botocore.exceptions import ClientError
from light_images import PYTORCH
from served import wait_until
from test_user_inference import BUCKET, Desk

SCRIPT = """
import json
import os
import time

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept, context):
    asked = json.loads(data)
    if asked == "raise":
        raise ValueError("nothing to say")
    if asked == "sleep":
        time.sleep(60)
    if asked == "nap":
        time.sleep(1)
    told = {"said": asked, "as": context.get_request_header(0, "X-Amzn-SageMaker-Inference-Id"), "type": content_type}
    return json.dumps(told), "application/json"
"""
OUTPUT = {"S3OutputPath": f"s3://{BUCKET}/out", "S3FailurePath": f"s3://{BUCKET}/bad"}


class Later(Desk):
    """Every endpoint of it is an asynchronous one."""

    def __init__(self, of, home):
        super().__init__(of, home, AsyncInferenceConfig={"OutputConfig": OUTPUT})

    def put(self, key, body):
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def ask(self, name, location, **more):
        given = {"ContentType": "application/json", **more}
        return self.runtime.invoke_endpoint_async(EndpointName=name, InputLocation=location, **given)

    def read(self, url):
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def wait(self, url):
        return wait_until(lambda: self.read(url), f"nothing came to {url}")


@pytest.fixture(scope="module")
def later(client, server):
    later = Later(client, server.home)
    later.deploy("Later", PYTORCH, {"code/inference.py": SCRIPT}, SAGEMAKER_MODEL_SERVER_WORKERS="2")
    yield later
    later.sagemaker.delete_endpoint(EndpointName="Later")


def test_the_answer_is_an_object_at_the_place_that_was_told(later):
    told = later.ask("Later", later.put("in/1", b'"hello"'), InferenceId="greeting")
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert told["InferenceId"] == "greeting"
    assert told["OutputLocation"].startswith(f"s3://{BUCKET}/out/")
    assert told["FailureLocation"].startswith(f"s3://{BUCKET}/bad/")
    said = json.loads(later.wait(told["OutputLocation"]))
    assert said == {"said": "hello", "as": "greeting", "type": "application/json"}
    assert later.read(told["FailureLocation"]) is None


def test_the_endpoint_says_what_it_is(later):
    described = later.sagemaker.describe_endpoint(EndpointName="Later")
    configured = later.sagemaker.describe_endpoint_config(EndpointConfigName="Later")
    assert described["AsyncInferenceConfig"]["OutputConfig"] == OUTPUT
    assert configured["AsyncInferenceConfig"] == described["AsyncInferenceConfig"]


def test_a_short_request_needs_no_object(later):
    told = later.runtime.invoke_endpoint_async(EndpointName="Later", Body=b'"short"', ContentType="application/json")
    assert json.loads(later.wait(told["OutputLocation"]))["said"] == "short"


@pytest.mark.parametrize("given", [{}, {"ContentType": "text/plain"}])
def test_a_request_without_a_content_type_has_that_of_its_object_as_the_sdk_expects(later, given):
    later.s3.put_object(Bucket=BUCKET, Key="in/typed", Body=b"1", ContentType="text/csv")
    told = later.runtime.invoke_endpoint_async(EndpointName="Later", InputLocation=f"s3://{BUCKET}/in/typed", **given)
    assert json.loads(later.wait(told["OutputLocation"]))["type"] == given.get("ContentType", "text/csv")


def test_the_answers_place_can_be_named(later):
    told = later.ask("Later", later.put("in/2", b"2"), S3OutputPathExtension="today", Filename="two.json")
    assert told["OutputLocation"] == f"s3://{BUCKET}/out/today/two.json"
    assert json.loads(later.wait(told["OutputLocation"]))["said"] == 2


def test_a_models_error_is_an_object_at_the_other_place(later):
    told = later.ask("Later", later.put("in/3", b'"raise"'))
    said = later.wait(told["FailureLocation"]).decode()
    assert said.startswith('Received server error (500) from primary with message "nothing to say')
    assert "/aws/sagemaker/Endpoints/Later in account 000000000000" in said
    assert later.read(told["OutputLocation"]) is None
    assert f"No answer at {told['OutputLocation']}: {said}" in later.log("Later")


def test_an_input_that_is_not_there_is_told_when_its_turn_has_come(later):
    told = later.ask("Later", f"s3://{BUCKET}/in/nothing")
    assert b"There is no object in/nothing" in later.wait(told["FailureLocation"])


def test_an_answer_that_takes_too_long_is_a_failure(later):
    told = later.ask("Later", later.put("in/4", b'"sleep"'), InvocationTimeoutSeconds=1)
    assert b"did not answer in 1 s" in later.wait(told["FailureLocation"])


def test_a_request_may_be_larger_than_an_endpoint_takes_at_once(later):
    text = "x" * (8 << 20)
    told = later.ask("Later", later.put("in/5", json.dumps(text)))
    assert json.loads(later.wait(told["OutputLocation"]))["said"] == text


def test_an_asynchronous_endpoint_is_not_asked_at_once(later):
    with pytest.raises(ClientError, match="is an asynchronous endpoint") as refused:
        later.runtime.invoke_endpoint(EndpointName="Later", Body=b"1")
    assert refused.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "Exactly one of InputLocation and Body"),
        ({"Body": b"1", "InputLocation": "s3://a/b"}, "Exactly one of InputLocation and Body"),
        ({"InputLocation": "https://a/b"}, "must look like s3://bucket/key"),
        ({"Body": b" " * 128_001}, "less than or equal to 128000"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_once(later, given, why):
    with pytest.raises(ClientError, match=why):
        later.runtime.invoke_endpoint_async(EndpointName="Later", **given)


def test_notifications_are_not_passed_over_in_silence(later):
    topics = {"SuccessTopic": "arn:aws:sns:us-east-1:000000000000:done"}
    variant = {"VariantName": "One", "ModelName": "Later", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="SuccessTopic of an asynchronous endpoint's NotificationConfig is not impl"):
        later.sagemaker.create_endpoint_config(
            EndpointConfigName="Notified",
            ProductionVariants=[variant],
            AsyncInferenceConfig={"OutputConfig": {**OUTPUT, "NotificationConfig": topics}},
        )


def test_what_was_acknowledged_is_done_after_the_server_was_killed(own_server):
    server = own_server()
    later = Later(server.client, server.home)
    later.deploy("Later", PYTORCH, {"code/inference.py": SCRIPT})
    location = later.put("in/1", b'"nap"')
    told = [later.ask("Later", location, InferenceId=f"n{number}") for number in range(3)]
    server.kill()
    server.start()
    answers = [json.loads(later.wait(one["OutputLocation"])) for one in told]
    assert [answer["as"] for answer in answers] == [f"n{number}" for number in range(3)]
    later.sagemaker.delete_endpoint(EndpointName="Later")
