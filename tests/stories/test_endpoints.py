"""Endpoints, as a boto3 user has them: waiters, variants, updates, errors, logs, and a server that is killed."""

import json
import threading

import pytest
from botocore.exceptions import ClientError, WaiterError
from served import wait_until
from test_word_pronunciation import IMAGE

ROLE = "arn:aws:iam::000000000000:role/groundfog"
BUCKET = "endpoint-stories"


class Desk:
    """Clients of one server, and what every story here starts with."""

    def __init__(self, of, archive):
        self.s3, self.sagemaker, self.runtime, self.logs = map(of, ("s3", "sagemaker", "sagemaker-runtime", "logs"))
        self.archive = archive

    def model(self, name, archive=None):
        if BUCKET not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=archive or self.archive)
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz"}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def config(self, name, model="one", **weights):
        """A variant for each weight."""
        variants = [
            {
                "VariantName": variant,
                "ModelName": model,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
            }
            for variant, weight in weights.items()
        ]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants)

    def endpoint(self, name, config):
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.wait("endpoint_in_service", name)

    def wait(self, state, name):
        waiter = self.sagemaker.get_waiter(state)
        waiter.config.delay, waiter.config.max_attempts = 0.2, 150
        waiter.wait(EndpointName=name)

    def status(self, name):
        return self.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]

    def ask(self, name, text="A B", **more):
        body = json.dumps({"instances": [{"data": text}]})
        return self.runtime.invoke_endpoint(EndpointName=name, Body=body, **{"ContentType": "application/json", **more})


@pytest.fixture(scope="module")
def desk(client, archive):
    """With the endpoint `Shared`: whoever names no variant is answered by Always."""
    desk = Desk(client, archive)
    desk.model("one")
    desk.config("two", Always=1, Never=0)
    desk.endpoint("Shared", "two")
    yield desk
    desk.sagemaker.delete_endpoint(EndpointName="Shared")


def test_an_answer_says_what_it_is_and_which_variant_gave_it(desk):
    answer = desk.ask("Shared")
    assert answer["ContentType"] == "application/json"
    assert len(json.loads(answer["Body"].read())["predictions"]) == 1
    assert {desk.ask("Shared")["InvokedProductionVariant"] for _ in range(20)} == {"Always"}


def test_a_variant_is_asked_by_its_name(desk):
    assert desk.ask("Shared", TargetVariant="Never")["InvokedProductionVariant"] == "Never"
    with pytest.raises(desk.runtime.exceptions.ValidationError, match="Variant Nobody not found"):
        desk.ask("Shared", TargetVariant="Nobody")


def test_a_refusal_of_the_model_reaches_the_client_whole(desk):
    with pytest.raises(desk.runtime.exceptions.ModelError) as refused:
        desk.ask("Shared", ContentType="image/png")
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 415
    assert "image/png" in answer["OriginalMessage"]
    assert 'Received client error (415) from primary with message "' in answer["Error"]["Message"]
    assert ":log-group:/aws/sagemaker/Endpoints/Shared" in answer["LogStreamArn"]


def test_a_request_may_have_six_megabytes(desk):
    line = b'{"source": "A B"}\n'
    filled = line + b" " * (6_291_456 - len(line))
    answer = desk.runtime.invoke_endpoint(EndpointName="Shared", ContentType="application/jsonlines", Body=filled)
    assert answer["Body"].read().count(b"\n") == 1
    with pytest.raises(ClientError, match="less than or equal to 6291456"):
        desk.runtime.invoke_endpoint(EndpointName="Shared", ContentType="application/jsonlines", Body=filled + b" ")


def test_what_a_model_server_says_is_in_cloudwatch(desk):
    group = "/aws/sagemaker/Endpoints/Shared"
    first, second = desk.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert first["logStreamName"].startswith("Always/i-")
    assert second["logStreamName"].startswith("Never/i-")
    page = desk.logs.get_log_events(logGroupName=group, logStreamName=first["logStreamName"], startFromHead=True)
    assert any("ready to predict" in event["message"] for event in page["events"])


def test_an_archive_that_is_none_is_a_failed_endpoint_and_the_waiter_says_so(desk):
    desk.model("broken", b"no archive at all")
    desk.config("broken", "broken", OnlyOne=1)
    with pytest.raises(WaiterError, match="Failed"):
        desk.endpoint("Broken", "broken")
    described = desk.sagemaker.describe_endpoint(EndpointName="Broken")
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith(
        "Failed to extract model data archive for the primary container for production variant OnlyOne from URL "
        f'"s3://{BUCKET}/broken.tar.gz".'
    )
    desk.sagemaker.delete_endpoint(EndpointName="Broken")
    desk.wait("endpoint_deleted", "Broken")
    with pytest.raises(ClientError, match=r"Could not find endpoint \".*:endpoint/broken\""):
        desk.status("Broken")


def test_weights_change_while_it_serves_and_an_update_loses_no_request(desk):
    """This one changes the shared endpoint, so it comes last."""
    asked, done = [], threading.Event()

    def keep_asking():
        while not done.is_set():
            try:
                asked.append(desk.ask("Shared")["InvokedProductionVariant"])
            except ClientError as error:
                asked.append(str(error))

    asking = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in asking:
        thread.start()
    wait_until(lambda: len(asked) > 5, "nothing was answered")
    weights = [{"VariantName": "Always", "DesiredWeight": 0}, {"VariantName": "Never", "DesiredWeight": 1}]
    desk.sagemaker.update_endpoint_weights_and_capacities(EndpointName="Shared", DesiredWeightsAndCapacities=weights)
    wait_until(lambda: asked[-1] == "Never", "the weights did not change")
    desk.config("after", Green=1)
    desk.sagemaker.update_endpoint(EndpointName="Shared", EndpointConfigName="after")
    desk.wait("endpoint_in_service", "Shared")
    wait_until(lambda: asked[-1] == "Green", "the update did not take")
    done.set()
    for thread in asking:
        thread.join()
    assert set(asked) == {"Always", "Never", "Green"}
    assert desk.sagemaker.describe_endpoint(EndpointName="Shared")["EndpointConfigName"] == "after"


def test_an_endpoint_outlives_kill_9_of_the_server(own_server, archive):
    server = own_server("--warm", "0")
    desk = Desk(server.client, archive)
    desk.model("one")
    desk.config("single", AllTraffic=1)
    desk.endpoint("Lasting", "single")
    group = "/aws/sagemaker/Endpoints/Lasting"
    before = desk.logs.describe_log_streams(logGroupName=group)["logStreams"]
    server.kill()
    server.start()
    assert desk.ask("Lasting")["InvokedProductionVariant"] == "AllTraffic"
    assert desk.logs.describe_log_streams(logGroupName=group)["logStreams"] == before, "it is another model server"
    desk.sagemaker.delete_endpoint(EndpointName="Lasting")
    desk.wait("endpoint_deleted", "Lasting")
