"""A user's own inference script behind an endpoint, as the toolkits of AWS's framework images would serve it."""

import io
import json
import tarfile
import zipfile

import pytest
from botocore.exceptions import ClientError
from light_images import HUGGINGFACE, PYTORCH, make_known
from served import wait_until

BUCKET = "inference-stories"
ROLE = "arn:aws:iam::000000000000:role/groundfog"

SCRIPT = """
import json
import logging
import os
import time
from pathlib import Path

def model_fn(model_dir):
    return Path(model_dir, "prefix").read_text()

def input_fn(data, content_type):
    assert content_type == "application/json", content_type
    return json.loads(data)["text"]

def predict_fn(text, model):
    if text == "raise":
        raise ValueError("no word that I know")
    if text == "die":
        os.abort()
    if text == "sleep":
        time.sleep(60)
    print("asked for", text)
    logging.info("thought of %s", text)
    return f"{model}{text[::-1]}"

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


class Desk:
    """Clients, and from a script to an endpoint in one call; `further` is of the endpoints' configurations."""

    def __init__(self, of, home, **further):
        self.further = further
        make_known(home)
        self.s3, self.sagemaker, self.runtime, self.logs = map(of, ("s3", "sagemaker", "sagemaker-runtime", "logs"))
        if BUCKET not in [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]:
            self.s3.create_bucket(Bucket=BUCKET)

    def deploy(self, name, image, files, **environment):
        self.s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=packed(files))
        container = {"Image": image, "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz", "Environment": environment}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[{**variant, "InitialInstanceCount": 1}], **self.further
        )
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        waiter = self.sagemaker.get_waiter("endpoint_in_service")
        waiter.config.delay, waiter.config.max_attempts = 0.2, 200
        waiter.wait(EndpointName=name)

    def ask(self, name, text, **more):
        given = {"ContentType": "application/json", "Accept": "application/json", **more}
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=json.dumps({"text": text}), **given)
        return answer["ContentType"], answer["Body"].read()

    def log(self, name):
        group = f"/aws/sagemaker/Endpoints/{name}"
        events = self.logs.filter_log_events(logGroupName=group)["events"]
        return "\n".join(event["message"] for event in events)


def wheel(name):
    """A package of one function, as a file that pip installs without asking anybody."""
    info, made = f"{name}-1.0.dist-info", io.BytesIO()
    files = {
        f"{name}.py": "def said(text):\n    return 'said: ' + text\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: story\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return {f"{name}-1.0-py3-none-any.whl": made.getvalue()}


def packed(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            content = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


@pytest.fixture(scope="module")
def desk(client, server):
    """With two endpoints that differ in their image's toolkit alone."""
    desk = Desk(client, server.home)
    files = {"prefix": "say: ", "code/inference.py": SCRIPT}
    desk.deploy("Face", HUGGINGFACE, files)
    desk.deploy("Torch", PYTORCH, files, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
    yield desk
    for name in ("Face", "Torch"):
        desk.sagemaker.delete_endpoint(EndpointName=name)


def test_the_huggingface_toolkit_hands_a_pair_on_as_json(desk):
    content_type, body = desk.ask("Face", "abc")
    assert content_type == "application/json"
    assert json.loads(body) == ['"say: cba"', "application/json"]


def test_other_toolkits_take_a_pair_for_body_and_content_type(desk):
    assert desk.ask("Torch", "abc") == ("application/json", b'"say: cba"')
    assert desk.ask("Torch", "abc", Accept="text/x-said") == ("text/x-said", b'"say: cba"')


def test_a_users_error_is_a_model_error_with_its_text_and_a_traceback_in_the_log(desk):
    with pytest.raises(desk.runtime.exceptions.ModelError) as raised:
        desk.ask("Face", "raise")
    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 400
    said = {"code": 400, "type": "InternalServerException", "message": "no word that I know"}
    assert json.loads(answer["OriginalMessage"]) == said
    assert "Received client error (400) from primary" in answer["Error"]["Message"]
    wait_until(lambda: "Traceback (most recent call last)" in desk.log("Face"), "no traceback in the log")
    assert "ValueError: no word that I know" in desk.log("Face")


def test_what_the_script_prints_is_in_the_endpoints_log(desk):
    desk.ask("Torch", "printed")
    wait_until(lambda: "asked for printed" in desk.log("Torch"), "nothing was printed")
    wait_until(lambda: "INFO - root - thought of printed" in desk.log("Torch"), "nothing was logged")


def test_a_worker_that_crashes_is_replaced_and_only_its_own_request_fails(desk):
    with pytest.raises(desk.runtime.exceptions.ModelError, match="Worker died") as raised:
        desk.ask("Face", "die")
    assert raised.value.response["OriginalStatusCode"] == 500
    assert json.loads(desk.ask("Face", "again")[1])[0] == '"say: niaga"'


def test_a_worker_that_takes_too_long_is_ended(desk):
    with pytest.raises(desk.runtime.exceptions.ModelError, match="did not answer in 1 s"):
        desk.ask("Torch", "sleep")
    assert desk.ask("Torch", "again")[1] == b'"say: niaga"'


def test_a_transform_job_is_done_by_the_same_script(desk):
    desk.s3.put_object(Bucket=BUCKET, Key="words/a.jsonl", Body=b'{"text": "one"}\n{"text": "two"}\n')
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/words/"}}
    desk.sagemaker.create_transform_job(
        TransformJobName="shouted-words",
        ModelName="Torch",
        BatchStrategy="SingleRecord",
        TransformInput={"DataSource": source, "ContentType": "application/json", "SplitType": "Line"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/said", "AssembleWith": "Line"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    described = wait_until(lambda: ended(desk, "shouted-words"), "the job did not end", 60)
    assert described["TransformJobStatus"] == "Completed", described["FailureReason"]
    said = desk.s3.get_object(Bucket=BUCKET, Key="said/a.jsonl.out")["Body"].read()
    assert said == b'"say: eno"\n"say: owt"\n'


def ended(desk, job):
    described = desk.sagemaker.describe_transform_job(TransformJobName=job)
    return None if described["TransformJobStatus"] == "InProgress" else described


def test_a_script_may_be_an_archive_of_its_own_and_finds_what_its_requirements_name(desk):
    script = "import said\ndef model_fn(d): pass\ndef transform_fn(m, data, c, a): return said.said(data)\n"
    source = {"serve_it.py": script, "requirements.txt": "./said-1.0-py3-none-any.whl\n", **wheel("said")}
    desk.s3.put_object(Bucket=BUCKET, Key="sourcedir.tar.gz", Body=packed(source))
    environment = {
        "SAGEMAKER_PROGRAM": "serve_it.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{BUCKET}/sourcedir.tar.gz",
    }
    desk.deploy("Apart", PYTORCH, {"prefix": ""}, **environment)
    assert desk.ask("Apart", "abc")[1] == b'said: {"text": "abc"}'
    desk.sagemaker.delete_endpoint(EndpointName="Apart")


def test_a_script_that_cannot_be_loaded_says_why_the_endpoint_failed(desk):
    with pytest.raises(Exception, match="Failed"):
        desk.deploy("Unloadable", PYTORCH, {"code/inference.py": "import no_such_library\n"})
    reason = desk.sagemaker.describe_endpoint(EndpointName="Unloadable")["FailureReason"]
    assert "ModuleNotFoundError: No module named 'no_such_library'" in reason
    desk.sagemaker.delete_endpoint(EndpointName="Unloadable")


def test_a_body_that_is_too_large_is_refused(desk):
    with pytest.raises(ClientError, match="less than or equal to 6291456") as refused:
        desk.runtime.invoke_endpoint(EndpointName="Face", Body=b" " * 6_291_457)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
