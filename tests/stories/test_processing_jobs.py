"""What boto3 users see of processing jobs. The image is a Python with nothing in it: quick to have."""

import io
import itertools
import json
import tarfile
import time

import pytest
from botocore.exceptions import ClientError
from served import messages, wait_until

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/python:3"
ROLE = "arn:aws:iam::000000000000:role/groundfog"
BUCKET = "processing"
GROUP = "/aws/sagemaker/ProcessingJobs"
CODE = "/opt/ml/processing/input/code"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def s3(client):
    client("s3").create_bucket(Bucket=BUCKET)
    return client("s3")


@pytest.fixture
def sagemaker(client, s3):
    return client("sagemaker")


def uri(key):
    return f"s3://{BUCKET}/{key}"


def given(name, key, path, **further):
    source = {"S3Uri": uri(key), "LocalPath": path, "S3DataType": "S3Prefix", "S3InputMode": "File", **further}
    return {"InputName": name, "S3Input": source}


def kept(name, key, path, mode="EndOfJob"):
    return {"OutputName": name, "S3Output": {"S3Uri": uri(key), "LocalPath": path, "S3UploadMode": mode}}


def request(s3, script="", *, inputs=(), outputs=(), arguments=(), hosts=1, **further):
    name = f"processing-{next(NUMBERS)}"
    s3.put_object(Bucket=BUCKET, Key=f"{name}/code/process.py", Body=script.encode())
    application = {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{CODE}/process.py"]}
    if arguments:
        application["ContainerArguments"] = list(arguments)
    cluster = {"InstanceCount": hosts, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
    return {
        "ProcessingJobName": name,
        "ProcessingInputs": [*inputs, given("code", f"{name}/code/process.py", CODE)],
        "ProcessingOutputConfig": {"Outputs": list(outputs)},
        "AppSpecification": application,
        "ProcessingResources": {"ClusterConfig": cluster},
        "RoleArn": ROLE,
        **further,
    }


def started(sagemaker, s3, script, **further):
    wish = request(s3, script, **further)
    arn = sagemaker.create_processing_job(**wish)["ProcessingJobArn"]
    assert arn == f"arn:aws:sagemaker:us-east-1:000000000000:processing-job/{wish['ProcessingJobName']}"
    return wish["ProcessingJobName"]


def ended(sagemaker, name):
    def ask():
        time.sleep(0.1)
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        return job if job["ProcessingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end", seconds=120)


def completed(sagemaker, name):
    job = ended(sagemaker, name)
    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    return job


def read(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def keys(s3, prefix):
    return [
        found["Key"].removeprefix(prefix)
        for found in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    ]


def said(client, name):
    return [line for stream in messages(client("logs"), GROUP, f"{name}/") for line in stream]


SPLIT = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--share", type=float)
share, place = parser.parse_args().share, pathlib.Path("/opt/ml/processing")
lines = (place / "input/census.csv").read_text().splitlines()
print("reading", len(lines), "lines")
parts = {"train": lines[: int(len(lines) * share)], "test": lines[int(len(lines) * share) :]}
for name, part in parts.items():
    (place / name / "deep").mkdir()
    (place / name / "deep" / "lines.csv").write_text("\\n".join(part))
# Inputs are the program's own, as on AWS.
(place / "input/census.csv").unlink()
"""


def test_inputs_lie_where_they_are_wanted_and_outputs_are_kept(client, sagemaker, s3):
    s3.put_object(Bucket=BUCKET, Key="data/census.csv", Body=b"1\n2\n3\n4\n5")
    outputs = [kept(name, f"split/{name}", f"/opt/ml/processing/{name}") for name in ("train", "test")]
    inputs = [given("census", "data/census.csv", "/opt/ml/processing/input")]
    name = started(sagemaker, s3, SPLIT, inputs=inputs, outputs=outputs, arguments=("--share", "0.6"))
    job = completed(sagemaker, name)
    assert read(s3, "split/train/deep/lines.csv") == "1\n2\n3"
    assert read(s3, "split/test/deep/lines.csv") == "4\n5"
    assert read(s3, "data/census.csv").startswith("1\n")
    assert said(client, name)[-1] == "reading 5 lines"
    assert job["ProcessingInputs"][0]["S3Input"]["S3DataDistributionType"] == "FullyReplicated"
    assert job["ProcessingInputs"][1]["AppManaged"] is False
    assert [one["OutputName"] for one in job["ProcessingOutputConfig"]["Outputs"]] == ["train", "test"]
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert job["AppSpecification"]["ContainerArguments"] == ["--share", "0.6"]
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert "ExitMessage" not in job and "FailureReason" not in job


TELL = """
import json, os, pathlib
found = {name: json.loads(pathlib.Path("/opt/ml/config", name + ".json").read_text())
         for name in ("processingjobconfig", "resourceconfig")}
found["GREETING"] = os.environ["GREETING"]
pathlib.Path("/opt/ml/processing/out/told.json").write_text(json.dumps(found))
"""


def test_a_program_is_told_of_its_job(sagemaker, s3):
    outputs = [kept("out", "told", "/opt/ml/processing/out/")]
    name = started(sagemaker, s3, TELL, outputs=outputs, Environment={"GREETING": "hello"})
    completed(sagemaker, name)
    told = json.loads(read(s3, "told/told.json"))
    assert told["GREETING"] == "hello"
    assert told["resourceconfig"] == {"current_host": "algo-1", "hosts": ["algo-1"]}
    config = told["processingjobconfig"]
    assert config["ProcessingJobName"] == name and config["ProcessingJobArn"].endswith(f":processing-job/{name}")
    assert config["AppSpecification"]["ImageUri"] == IMAGE
    assert config["ProcessingInputs"][0]["S3Input"]["LocalPath"] == CODE
    assert config["Environment"] == {"GREETING": "hello"}


SHARES = """
import json, os, pathlib
place = pathlib.Path("/opt/ml/processing")
host = json.loads(pathlib.Path("/opt/ml/config/resourceconfig.json").read_text())["current_host"]
mine = sorted(path.name for path in (place / "in").iterdir())
(place / "out" / f"{host}.json").write_text(json.dumps(mine))
pathlib.Path("/opt/ml/output/message").write_text(f"{host} is done. ")
"""


def test_several_hosts_share_the_input_and_each_has_a_last_word(sagemaker, s3):
    for name in "abcd":
        s3.put_object(Bucket=BUCKET, Key=f"letters/{name}", Body=b"x")
    inputs = [given("letters", "letters/", "/opt/ml/processing/in", S3DataDistributionType="ShardedByS3Key")]
    outputs = [kept("out", "shares", "/opt/ml/processing/out")]
    job = completed(sagemaker, started(sagemaker, s3, SHARES, inputs=inputs, outputs=outputs, hosts=2))
    assert {key: json.loads(read(s3, f"shares/{key}")) for key in keys(s3, "shares/")} == {
        "algo-1.json": ["a", "c"],
        "algo-2.json": ["b", "d"],
    }
    assert job["ExitMessage"] == "algo-1 is done. algo-2 is done. "


FAIL = """
import pathlib, sys
pathlib.Path("/opt/ml/processing/out/half.txt").write_text("half")
pathlib.Path("/opt/ml/output/message").write_text("the census is " + 2000 * "x")
sys.exit("no line has a number")
"""


def test_one_that_fails_says_why_and_keeps_no_half_results(sagemaker, s3):
    outputs = [kept("out", "halves", "/opt/ml/processing/out")]
    job = ended(sagemaker, started(sagemaker, s3, FAIL, outputs=outputs))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: no line has a number, exit code: 1"
    assert job["ExitMessage"] == ("the census is " + 2000 * "x")[:1024]
    assert keys(s3, "halves/") == []


def test_a_last_word_that_is_no_text_is_no_success(sagemaker, s3):
    script = "open('/opt/ml/output/message', 'wb').write(bytes([255, 254]))"
    job = ended(sagemaker, started(sagemaker, s3, script))
    assert job["FailureReason"] == "ClientError: /opt/ml/output/message is no text in UTF-8"


WAIT = """
import pathlib, signal, sys, time
place = pathlib.Path("/opt/ml/processing")
def end(*_):
    (place / "end" / "last.txt").write_text("the end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(place / "now" / "first.txt").write_text("at once")
print("waiting", flush=True)
time.sleep(300)
"""


def test_continuous_outputs_come_while_it_runs_and_the_others_when_it_is_stopped(sagemaker, s3):
    outputs = [
        kept("now", "now", "/opt/ml/processing/now", "Continuous"),
        kept("end", "end", "/opt/ml/processing/end"),
    ]
    name = started(sagemaker, s3, WAIT, outputs=outputs)
    wait_until(lambda: keys(s3, "now/") == ["first.txt"], "nothing came", seconds=60)
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "InProgress"
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert ended(sagemaker, name)["ProcessingJobStatus"] == "Stopped"
    assert read(s3, "end/last.txt") == "the end"
    with pytest.raises(ClientError, match="rejected because the processing job is in status Stopped"):
        sagemaker.stop_processing_job(ProcessingJobName=name)


def test_one_that_takes_too_long_is_stopped(sagemaker, s3):
    name = started(sagemaker, s3, "import time; time.sleep(300)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert ended(sagemaker, name)["ProcessingJobStatus"] == "Stopped"


def test_without_its_input_it_fails_and_says_what_is_missing(sagemaker, s3):
    inputs = [given("none", "nothing/here", "/opt/ml/processing/none")]
    job = ended(sagemaker, started(sagemaker, s3, "", inputs=inputs))
    assert 'ClientError: No S3 objects found under S3 URL "s3://processing/nothing/here"' in job["FailureReason"]


def test_an_input_that_puts_a_file_where_another_is_to_lie(sagemaker, s3):
    s3.put_object(Bucket=BUCKET, Key="clash/code", Body=b"a file")
    job = ended(sagemaker, started(sagemaker, s3, "", inputs=[given("clash", "clash/", "/opt/ml/processing/input")]))
    assert "is to be put where another channel has put a file" in job["FailureReason"]


def test_what_the_application_sees_to_itself_is_left_alone(sagemaker, s3):
    managed = {**given("own", "nothing/here", "/opt/ml/processing/own"), "AppManaged": True}
    left = {**kept("left", "left", "/opt/ml/processing/left"), "AppManaged": True}
    script = "import os; assert not os.path.exists('/opt/ml/processing/own')"
    completed(sagemaker, started(sagemaker, s3, script, inputs=[managed], outputs=[left]))
    assert keys(s3, "left/") == []


FRAMEWORK = """#!/bin/bash
cd /opt/ml/processing/input/code/
tar -xzf sourcedir.tar.gz
set -e
python main.py "$@"
"""


def test_a_source_directory_comes_as_the_sdk_brings_it(client, sagemaker, s3):
    """Its FrameworkProcessor: an archive, and a shell script that unpacks it beside itself."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in {
            "main.py": b"import beside, sys; beside.say(sys.argv[1])",
            "beside.py": b"say = print",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    s3.put_object(Bucket=BUCKET, Key="framework/sourcedir.tar.gz", Body=packed.getvalue())
    s3.put_object(Bucket=BUCKET, Key="framework/runproc.sh", Body=FRAMEWORK.encode())
    wish = request(s3)
    wish["ProcessingInputs"] = [
        given("code", "framework/sourcedir.tar.gz", f"{CODE}/"),
        given("entrypoint", "framework/runproc.sh", "/opt/ml/processing/input/entrypoint"),
    ]
    command = ["/bin/bash", "/opt/ml/processing/input/entrypoint/runproc.sh"]
    wish["AppSpecification"] |= {"ContainerEntrypoint": command, "ContainerArguments": ["well said"]}
    sagemaker.create_processing_job(**wish)
    completed(sagemaker, wish["ProcessingJobName"])
    assert "well said" in said(client, wish["ProcessingJobName"])


REACH = """
import os, urllib.request
print("a key" if "AWS_ACCESS_KEY_ID" in os.environ else "no key")
"""


def test_isolated_it_has_no_key_to_ask_with(client, sagemaker, s3):
    open_to_ask = started(sagemaker, s3, REACH)
    isolated = started(sagemaker, s3, REACH, NetworkConfig={"EnableNetworkIsolation": True})
    for name, found in ((open_to_ask, "a key"), (isolated, "no key")):
        completed(sagemaker, name)
        assert said(client, name) == [found]


def test_jobs_are_listed_tagged_and_deleted(sagemaker, s3):
    name = started(sagemaker, s3, "", Tags=[{"Key": "kind", "Value": "quick"}])
    arn = completed(sagemaker, name)["ProcessingJobArn"]
    (summary,) = sagemaker.list_processing_jobs(NameContains=name, StatusEquals="Completed")["ProcessingJobSummaries"]
    assert summary["ProcessingJobArn"] == arn and "ProcessingEndTime" in summary
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "kind", "Value": "quick"}]
    with pytest.raises(ClientError, match="already exists") as taken:
        sagemaker.create_processing_job(**{**request(s3), "ProcessingJobName": name})
    assert taken.value.response["Error"]["Code"] == "ResourceInUse"
    sagemaker.delete_processing_job(ProcessingJobName=name)
    with pytest.raises(ClientError, match="Requested resource not found"):
        sagemaker.describe_processing_job(ProcessingJobName=name)


def changed(wish, *path, **further):
    """The request, with further members at that path."""
    if not path:
        return {**wish, **further}
    first, *rest = path
    if isinstance(wish, list):
        return [changed(one, *rest, **further) if place == first else one for place, one in enumerate(wish)]
    return {**wish, first: changed(wish[first], *rest, **further)}


INPUT = ("ProcessingInputs", 0, "S3Input")


@pytest.mark.parametrize(
    ("path", "further", "complaint"),
    [
        (INPUT, {"LocalPath": "/opt/ml/model"}, "input code is '/opt/ml/model': it must be /opt/ml/processing or"),
        (INPUT, {"LocalPath": "/opt/ml/processing/../model"}, "it must be /opt/ml/processing or a folder below it"),
        (INPUT, {"LocalPath": ""}, "it must be /opt/ml/processing or a folder below it"),
        (INPUT, {"LocalPath": "/opt/ml/processing/\0"}, "it must be /opt/ml/processing or a folder below it"),
        (INPUT, {"S3InputMode": "Pipe"}, "S3InputMode Pipe of a processing job"),
        ((), {"ProcessingInputs": 2 * [given("a", "a", "/opt/ml/processing/a")]}, "a is there 2 times"),
        (
            (),
            {"ProcessingInputs": [given(name, "a", "/opt/ml/processing/a") for name in "ab"]},
            "The LocalPath /opt/ml/processing/a is that of 2 inputs",
        ),
        ((), {"ProcessingInputs": [{"InputName": "a"}]}, "The input a must have an S3Input"),
        (
            ("ProcessingOutputConfig",),
            {"Outputs": [kept("o", "o", "/tmp/o")]},
            "The LocalPath of the output o is '/tmp/o'",
        ),
        (("ProcessingOutputConfig",), {"Outputs": [{"OutputName": "o"}]}, "The output o must have an S3Output"),
        (
            ("ProcessingOutputConfig",),
            {"Outputs": [{"OutputName": "o", "FeatureStoreOutput": {"FeatureGroupName": "f"}}]},
            "FeatureStoreOutput (output o",
        ),
        (("AppSpecification",), {"ImageUri": "unknown-image:1"}, "Cannot find the image unknown-image:1"),
        (("AppSpecification",), {"ImageUri": "seq2seq:1"}, "is a built-in algorithm, which trains and serves"),
        (("ProcessingResources", "ClusterConfig"), {"InstanceCount": 99}, "for processing job usage"),
        ((), {"ProcessingJobName": "under_score"}, "failed to satisfy constraint"),
    ],
)
def test_what_cannot_be_done_is_refused_at_the_call(sagemaker, s3, path, further, complaint):
    with pytest.raises(ClientError) as refused:
        sagemaker.create_processing_job(**changed(request(s3), *path, **further))
    assert complaint in refused.value.response["Error"]["Message"]


def test_what_stands_for_an_image_must_be_told_what_to_run(sagemaker, s3):
    wish = request(s3)
    del wish["AppSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match="must give a ContainerEntrypoint"):
        sagemaker.create_processing_job(**wish)
