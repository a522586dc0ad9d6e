"""What boto3 users see who bring a script of their own. The image is a Python with nothing in it: quick to have."""

import io
import itertools
import json
import tarfile
import time

import pytest
from botocore.exceptions import ClientError
from package_index import Index, an_index, wheel
from served import Server, messages, wait_until

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/python:3"
BUCKET = "script-stories"
NUMBERS = itertools.count()
IMAGES = """
[[image]]
repository = "my-own"
tag = "1.*"
packages = ["tiny"]
variables = { GREETING = "from images.toml" }

[[image]]
repository = "of-the-future"
python = ["3.99"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("script-mode") / "home"
    home.mkdir()
    (home / "images.toml").write_text(IMAGES)
    with an_index():
        running = Server(home, ("--warm", "0")).start()
        running.client("s3").create_bucket(Bucket=BUCKET)
        yield running
        running.stop()


@pytest.fixture(scope="module")
def client(server):
    made = {}
    return lambda service: made.setdefault(service, server.client(service))


@pytest.fixture
def index():
    Index.asked.clear()
    Index.may_answer.set()
    return Index


def packed(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return made.getvalue()


def channel(name, prefix):
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{prefix}"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def order(client, files, program="train.py", image=IMAGE, algorithm=None, channels=(), **hyperparameters):
    """The job's name; it has been started."""
    name = f"script-{next(NUMBERS)}"
    uri = f"s3://{BUCKET}/{name}/sourcedir.tar.gz"
    client("s3").put_object(Bucket=BUCKET, Key=f"{name}/sourcedir.tar.gz", Body=packed(files))
    framework = {"sagemaker_program": json.dumps(program), "sagemaker_submit_directory": json.dumps(uri)}
    client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": image, "TrainingInputMode": "File", **(algorithm or {})},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        **({"InputDataConfig": list(channels)} if channels else {}),
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={**framework, **hyperparameters},
    )
    return name


def ended(client, name):
    def ask():
        time.sleep(0.2)
        job = client("sagemaker").describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end", seconds=120)


def completed(client, name):
    job = ended(client, name)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    return job


def model(client, name):
    body = client("s3").get_object(Bucket=BUCKET, Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {member.name: tar.extractfile(member).read().decode() for member in tar if member.isfile()}


def log(client, name):
    """Of all its runs: one that is begun again after the server has died has a stream of its own."""
    streams = messages(client("logs"), "/aws/sagemaker/TrainingJobs", f"{name}/")
    return [line for stream in streams for line in stream]


SCRIPT = b"""
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
given = parser.parse_args()
words = pathlib.Path(given.train, "words.txt").read_text().split()
print("learning", len(words), "words in", given.epochs, "epochs")
pathlib.Path(given.model_dir, "model.json").write_text(json.dumps(sorted(words) * given.epochs))
"""


def test_a_script_learns_and_its_model_is_put_away(client):
    client("s3").put_object(Bucket=BUCKET, Key="data/words.txt", Body=b"fog ground")
    name = order(client, {"train.py": SCRIPT}, channels=[channel("train", "data/")], epochs="2")
    job = completed(client, name)
    assert model(client, name) == {"model.json": '["fog", "ground", "fog", "ground"]'}
    assert "learning 2 words in 2 epochs" in log(client, name)
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "DownloadingTrainingImage", "Training", "Uploading", "Completed"]


def test_requirements_are_installed_once_and_told_in_the_log(client, index):
    files = {"train.py": b"import tiny; print('found', tiny.WORD)", "requirements.txt": b"tiny==1.0\n"}
    first = order(client, files)
    completed(client, first)
    assert {"found tiny", "Successfully installed tiny-1.0"} <= set(log(client, first))
    index.asked.clear()
    again = order(client, files)
    completed(client, again)
    assert "found tiny" in log(client, again)
    assert not index.asked.is_set()


def test_a_wheel_in_the_source_directory_is_one_of_its_requirements(client):
    files = {"train.py": b"import brought", "requirements.txt": b"./wheels/brought-1.0-py3-none-any.whl"}
    completed(client, order(client, {**files, "wheels/brought-1.0-py3-none-any.whl": wheel("brought")}))


BACKEND = b"""
import os, pathlib, zipfile

def attempt(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__

def build_wheel(folder, settings=None, metadata=None):
    home = pathlib.Path(HOME)
    found = {
        "credentials": attempt((home / "credentials").read_text),
        "state": attempt((home / "state.db").read_bytes),
        "other jobs": attempt(lambda: os.listdir(home / "runs")),
        "writable": attempt(lambda: [path for path in home.rglob("*") if os.access(path, os.W_OK)]),
        "keys": str([name for name in os.environ if "KEY" in name or "SECRET" in name]),
        "is root": str(os.geteuid() == 0),
    }
    with zipfile.ZipFile(f"{folder}/curious-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("curious.py", f"FOUND = {found!r}")
        about = "curious-1.0.dist-info/"
        wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: curious\\nVersion: 1.0\\n")
        wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(about + "RECORD", "")
    return "curious-1.0-py3-none-any.whl"
"""
PROJECT = b"""
[build-system]
requires = []
build-backend = "curious_backend"
backend-path = ["."]

[project]
name = "curious"
version = "1.0"
"""


def test_what_requirements_run_while_they_are_installed_sees_nothing_of_the_server(client, server):
    backend = f"HOME = {str(server.home)!r}\n".encode() + BACKEND
    files = {"train.py": b"import curious, json; print(json.dumps(curious.FOUND))", "requirements.txt": b"./curious"}
    name = order(client, {**files, "curious/curious_backend.py": backend, "curious/pyproject.toml": PROJECT})
    completed(client, name)
    (found,) = [json.loads(line) for line in log(client, name) if line.startswith("{")]
    assert found == {
        "credentials": "FileNotFoundError",
        "state": "FileNotFoundError",
        "other jobs": "FileNotFoundError",
        "writable": "[]",
        "keys": "[]",
        "is root": "False",
    }


def test_requirements_that_cannot_be_met_fail_the_job_with_what_pip_says(client):
    name = order(client, {"train.py": b"", "requirements.txt": b"tiny==9.9"})
    reason = ended(client, name)["FailureReason"]
    assert "InstallRequirementsError" in reason
    assert "No matching distribution found for tiny==9.9" in reason


def test_a_script_that_fails_says_why(client):
    job = ended(client, order(client, {"train.py": b"raise ValueError('no luck')"}, epochs="3"))
    assert job["TrainingJobStatus"] == "Failed"
    reason = job["FailureReason"]
    assert reason.startswith('AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: no luck"')
    assert reason.endswith('train.py --epochs 3", exit code: 1')


def test_a_shell_script_is_a_script_too(client):
    name = order(client, {"go.sh": b'#!/bin/sh\necho "$1 $2" > $SM_MODEL_DIR/said\n'}, program="go.sh", epochs="3")
    completed(client, name)
    assert model(client, name) == {"said": "--epochs 3\n"}


def test_a_stop_gives_the_script_time_to_save(client):
    text = b"""
import os, pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(os.environ["SM_MODEL_DIR"], "saved").write_text("so far")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready")
while True: time.sleep(0.05)
"""
    name = order(client, {"train.py": text})

    def is_ready():
        try:
            return "ready" in log(client, name)
        except (IndexError, ClientError):
            return False

    wait_until(is_ready, "the script did not start", seconds=60)
    client("sagemaker").stop_training_job(TrainingJobName=name)
    assert ended(client, name)["TrainingJobStatus"] == "Stopped"
    assert model(client, name) == {"saved": "so far"}


def test_source_that_a_channel_brings_is_found_there(client):
    client("s3").put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=packed({"train.py": b"print('isolated')"}))
    place = '"/opt/ml/input/data/code/sourcedir.tar.gz"'
    name = order(client, {}, channels=[channel("code", "code/")], sagemaker_submit_directory=place)
    completed(client, name)
    assert "isolated" in log(client, name)


def test_source_that_leads_out_of_its_folder_is_refused(client):
    reason = ended(client, order(client, {"../../../escaped": b"", "train.py": b""}))["FailureReason"]
    assert reason.startswith("ClientError: The source directory s3://")
    assert "leads out of the archive" in reason


def test_source_that_is_not_there_is_named(client):
    name = order(client, {}, sagemaker_submit_directory='"s3://script-stories/nowhere.tar.gz"')
    assert "s3://script-stories/nowhere.tar.gz is not there" in ended(client, name)["FailureReason"]


def test_a_users_own_image_stands_in_images_toml(client, index):
    name = order(client, {"train.py": b"import os, tiny; print(os.environ['GREETING'])"}, image="my-own:1.5")
    completed(client, name)
    assert "from images.toml" in log(client, name)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("tensorflow-training:2.0", "Cannot find the image"),
        ("my-own:2", "Cannot find the image"),
        ("of-the-future:1", "Python 3.99 is not on the machine "),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_at_once(client, server, image, text):
    with pytest.raises(ClientError) as error:
        order(client, {}, image=image)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    message = error.value.response["Error"]["Message"]
    assert text in message
    assert "images.toml" in message


DRIVER = b"""#!/bin/bash
set -e
python3 -m pip --version
echo "export GREETING='written beside the inputs'" > /opt/ml/input/sm_training.env
source /opt/ml/input/sm_training.env
cd /opt/ml/input/data/code
python3 train.py $1
"""


def test_a_containers_command_runs_as_the_sdk_from_version_3_on_has_it(client, index):
    s3 = client("s3")
    s3.put_object(Bucket=BUCKET, Key="drivers/sm_train.sh", Body=DRIVER)
    s3.put_object(
        Bucket=BUCKET, Key="source/train.py", Body=b"import os, sys, tiny; print(os.environ['GREETING'], sys.argv)"
    )
    s3.put_object(Bucket=BUCKET, Key="source/requirements.txt", Body=b"tiny")
    script = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    command = {"ContainerEntrypoint": ["/bin/bash", "-c", f"chmod +x {script} && {script} $0", "argument"]}
    name = order(
        client, {}, algorithm=command, channels=[channel("sm_drivers", "drivers/"), channel("code", "source/")]
    )
    completed(client, name)
    assert "written beside the inputs ['train.py', 'argument']" in log(client, name)
    assert s3.get_object(Bucket=BUCKET, Key="drivers/sm_train.sh")["Body"].read() == DRIVER


def test_a_server_that_dies_while_it_installs_goes_on_when_it_is_back(client, server, index):
    index.may_answer.clear()
    text = b"import tiny, sys; print('found', tiny.WORD)"
    name = order(client, {"train.py": text, "requirements.txt": b"tiny>=0.9\n"})
    wait_until(index.asked.is_set, "pip did not ask the index", seconds=60)
    server.kill()
    server.start()
    index.may_answer.set()
    completed(client, name)
    assert "found tiny" in log(client, name)
    assert not list((server.home / "environments").glob("*/builder"))
