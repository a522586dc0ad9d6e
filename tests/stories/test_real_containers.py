"""Containers of the Docker or Podman that is here, and runs: an image is made of this machine's own Python."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import ask, why_none
from served import Server, messages, wait_until

IMAGE = "localhost/groundfog-test-python:1"
PYTHON = Path("/usr/bin/python3")
GROUP = "/aws/sagemaker/TrainingJobs"
LOOKS = """
import json, os, signal, socket, threading, time, urllib.error, urllib.request
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
given = json.load(open("/opt/ml/input/config/hyperparameters.json"))
listening = socket.create_server(("0.0.0.0", 7777))
def tell():
    while True:
        with listening.accept()[0] as asking:
            asking.sendall(config["current_host"].encode())
threading.Thread(target=tell, daemon=True).start()
def status():
    try:
        return urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], timeout=20).status
    except urllib.error.HTTPError as refusal:
        return refusal.code
def hears(host):
    for _ in range(200):
        try:
            with socket.create_connection((host, 7777), 5) as asked:
                return asked.recv(99).decode()
        except OSError:
            time.sleep(0.1)
def reaches(address):
    try:
        socket.create_connection((address, int(given["port"])), 3).close()
        return True
    except OSError:
        return False
def opens(path):
    try:
        os.listdir(path) if os.path.isdir(path) else os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        return True
    except OSError:
        return False
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT):
    os.kill(1, number)
said = {
    "name": socket.gethostname(),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "named": config["network_interface_name"],
    "keys": "AWS_SECRET_ACCESS_KEY" in os.environ,
    "server": status(),
    "heard": [hears(host) for host in config["hosts"]],
    "reached": [address for address in given["addresses"].split() if reaches(address)],
    "of the keeper": [name for name in ("root", "environ", "fd/0", "mem") if opens("/proc/1/" + name)],
}
print(json.dumps(said), flush=True)
time.sleep(3)
"""
WAITS_ONCE = """
import os, time
again = os.path.exists("/opt/ml/checkpoints/was")
open("/opt/ml/checkpoints/was", "w").close()
print("again" if again else "first", flush=True)
while not again:
    time.sleep(0.1)
"""


WHY_NONE = why_none() if PYTHON.exists() else f"an image is made of {PYTHON}"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NONE), reason=WHY_NONE)]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("image")
    linked = subprocess.run(["ldd", str(PYTHON)], capture_output=True, text=True, check=True).stdout
    version = PYTHON.resolve().name
    for file in (PYTHON.resolve(), *map(Path, re.findall(r"/\S+", linked))):
        (root / file.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file.relative_to("/"))
    left_out = shutil.ignore_patterns("test", "__pycache__", "idlelib", "ensurepip", "config-*", "dist-packages")
    shutil.copytree(
        f"/usr/lib/{version}", root / "usr" / "lib" / version, ignore=left_out, ignore_dangling_symlinks=True
    )
    (root / "usr" / "bin" / "python3").symlink_to(version)
    (root / "tmp").mkdir(mode=0o777)
    packed = subprocess.run(["tar", "-C", str(root), "-cf", "-", "."], capture_output=True, check=True).stdout
    ask("import", "--change", "ENV PATH=/usr/bin", "-", IMAGE, given=packed)
    yield IMAGE
    ask("rmi", IMAGE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home", ("--warm", "0", "--launcher", "container")).start()
    server.client("s3").create_bucket(Bucket="real")
    yield server
    server.stop()
    assert there_are(server) == []


def there_are(server: Server) -> list[str]:
    return ask("ps", "--all", "--quiet", "--filter", f"label=groundfog={server.home / 'runs'}").split()


def submit(server: Server, image: str, script: str, hosts: int, *, isolated: bool = False, **given: str) -> None:
    server.client("s3").put_object(Bucket="real", Key="code/program.py", Body=script.encode())
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://real/code/"}}
    server.client("sagemaker").create_training_job(
        TrainingJobName="real",
        AlgorithmSpecification={
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "-u", "/opt/ml/input/data/code/program.py"],
        },
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        InputDataConfig=[{"ChannelName": "code", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": "s3://real/out"},
        ResourceConfig={"InstanceCount": hosts, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        EnableNetworkIsolation=isolated,
        HyperParameters=given or {"none": "given"},
    )


def ended(server: Server) -> tuple[str, str | None]:
    def asked() -> tuple[str, str | None] | None:
        job = server.client("sagemaker").describe_training_job(TrainingJobName="real")
        status = job["TrainingJobStatus"]
        return (status, job.get("FailureReason")) if status in ("Completed", "Failed", "Stopped") else None

    found: tuple[str, str | None] = wait_until(asked, "the job did not end", 240)
    return found


def logs(server: Server) -> list[list[str]]:
    return messages(server.client("logs"), GROUP, "real")


@pytest.mark.parametrize("isolated", [False, True])
def test_a_job_reaches_its_hosts_and_the_server_and_nothing_else(server: Server, image: str, isolated: bool) -> None:
    with socket.create_server(("0.0.0.0", 0)) as forbidden:
        addresses = subprocess.run(["hostname", "--all-ip-addresses"], capture_output=True, text=True).stdout
        port = str(forbidden.getsockname()[1])
        submit(server, image, LOOKS, 2, isolated=isolated, port=port, addresses=f"127.0.0.1 {addresses}".strip())
        assert ended(server) == ("Completed", None)
    for number, lines in enumerate(logs(server), start=1):
        assert json.loads(lines[0]) == {
            "name": f"algo-{number}",
            "interfaces": ["eth0", "lo"],
            "named": "eth0",
            "keys": not isolated,
            "server": 403,
            "heard": ["algo-1", "algo-2"],
            "reached": [],
            "of the keeper": [],
        }


def test_nothing_outlives_what_was_killed_and_the_next_server_goes_on(server: Server, image: str) -> None:
    submit(server, image, WAITS_ONCE, 2)
    logs_of = lambda: [path.read_text() for path in (server.home / "runs").glob("*/log")]  # noqa: E731
    wait_until(lambda: [text.count("first") for text in logs_of()] == [1, 1], "the job did not start", 120)
    assert len(there_are(server)) == 4
    server.kill()
    assert len(there_are(server)) == 4, "a job outlives its server"
    for lock in (server.home / "runs").glob("*/lock"):
        os.kill(int(lock.read_text()), signal.SIGKILL)
    wait_until(lambda: there_are(server) == [], "containers outlived their agents", 60)
    server.start()
    assert ended(server) == ("Completed", None)
    assert [lines[-1] for lines in logs(server)] == ["again", "again"]
    wait_until(lambda: list((server.home / "runs").iterdir()) == [], "directories were left")
