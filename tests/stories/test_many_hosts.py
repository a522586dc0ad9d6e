"""Jobs of several hosts: they find each other, one fails or is killed, MPI and torchrun spread a script over them."""

import io
import json
import os
import shutil
import signal
import tarfile
import textwrap
import time
from pathlib import Path

import pytest
from served import Server, messages, wait_until

from groundfog.engine.sandbox import Sandbox

GROUP = "/aws/sagemaker/TrainingJobs"
IMAGES = """
[[image]]
repository = "torch-only"
packages = ["torch==2.13.0"]
shared = ["torch"]
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    if missing := Sandbox().missing:
        pytest.skip(f"users' scripts are not run here: {missing}")
    home = tmp_path_factory.mktemp("home")
    (home / "images.toml").write_text(IMAGES)
    server = Server(home, ("--warm", "0", "--jobs-at-once", "2", "--most-instances", "3")).start()
    server.client("s3").create_bucket(Bucket="bucket")
    yield server
    server.stop()


def submit(
    server, name, script, *, hosts=2, image="python:3.11", metrics=(), groups=(), channels=(), **hyperparameters
):
    count = {"InstanceGroups": groups} if groups else {"InstanceCount": hosts, "InstanceType": "ml.m5.large"}
    s3, sagemaker, packed = server.client("s3"), server.client("sagemaker"), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member, text = tarfile.TarInfo("train.py"), textwrap.dedent(script).encode()
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    s3.put_object(Bucket="bucket", Key=f"{name}/sourcedir.tar.gz", Body=packed.getvalue())
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": image,
            "TrainingInputMode": "File",
            **({"MetricDefinitions": list(metrics)} if metrics else {}),
        },
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
        ResourceConfig={**count, "VolumeSizeInGB": 1},
        **({"InputDataConfig": list(channels)} if channels else {}),
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://bucket/{name}/sourcedir.tar.gz",
            **hyperparameters,
        },
    )


def ended(server, name, seconds=120):
    def ask():
        job = server.client("sagemaker").describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    return wait_until(ask, f"{name} did not end", seconds)


def said(server, name, host):
    return [line for stream in messages(server.client("logs"), GROUP, f"{name}/algo-{host}-") for line in stream]


def model(server, name):
    body = server.client("s3").get_object(Bucket="bucket", Key=f"out/{name}/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return sorted(member.name for member in tar)


def test_two_hosts_find_each_other_by_name(own):
    script = """
        import json, os, pathlib, socket, time

        hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
        if me == hosts[0]:
            with socket.create_server((me, 9000)) as server:
                other, _ = server.accept()
                print("heard", other.recv(100).decode())
        else:
            for _ in range(600):
                try:
                    first = socket.create_connection((hosts[0], 9000))
                    break
                except OSError:
                    time.sleep(0.1)
            first.sendall(f"{socket.gethostname()} of {hosts}".encode())
        pathlib.Path(os.environ["SM_MODEL_DIR"], me).touch()
    """
    submit(own, "names", script)
    job = ended(own, "names")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert job["ResourceConfig"]["InstanceCount"] == 2
    assert "heard algo-2 of ['algo-1', 'algo-2']" in said(own, "names", 1)
    assert model(own, "names") == ["algo-1", "algo-2"]


def test_groups_of_instances_get_the_channels_that_are_theirs(own):
    script = """
        import json, os, pathlib

        there = sorted(path.name for path in pathlib.Path("/opt/ml/input/data").iterdir())
        found = {}
        for name in json.loads(os.environ["SM_CHANNELS"]):
            folder = pathlib.Path(os.environ[f"SM_CHANNEL_{name.upper()}"])
            pipe = folder.with_name(f"{name}_0")
            found[name] = pipe.read_text() if pipe.exists() else sorted(path.name for path in folder.iterdir())
        mine = [os.environ[f"SM_CURRENT_INSTANCE_{what}"] for what in ("GROUP", "TYPE")]
        print(json.dumps([*mine, found, there]))
    """
    for key in ("a", "b", "c", "d"):
        own.client("s3").put_object(Bucket="bucket", Key=f"letters/{key}", Body=key.encode())

    def channel(name, mode, distribution, *groups):
        source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/letters/", "S3DataDistributionType": distribution}
        named = {"InstanceGroupNames": list(groups)} if groups else {}
        return {"ChannelName": name, "InputMode": mode, "DataSource": {"S3DataSource": {**source, **named}}}

    submit(
        own,
        "grouped",
        script,
        groups=[
            {"InstanceGroupName": "learn", "InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
            {"InstanceGroupName": "read", "InstanceType": "ml.m5.large", "InstanceCount": 2},
        ],
        channels=[
            channel("all", "File", "ShardedByS3Key"),
            channel("raw", "File", "ShardedByS3Key", "read"),
            channel("piped", "Pipe", "ShardedByS3Key", "read"),
            channel("small", "File", "FullyReplicated", "learn"),
        ],
    )
    job = ended(own, "grouped")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    told = [json.loads(next(line for line in said(own, "grouped", host) if line[:1] == "[")) for host in (1, 2, 3)]
    whole = ["a", "b", "c", "d"]
    assert told == [
        ["learn", "ml.m5.xlarge", {"all": ["a", "d"], "small": whole}, ["all", "small"]],
        ["read", "ml.m5.large", {"all": ["b"], "raw": ["a", "c"], "piped": "ac"}, ["all", "piped_0", "raw"]],
        ["read", "ml.m5.large", {"all": ["c"], "raw": ["b", "d"], "piped": "bd"}, ["all", "piped_0", "raw"]],
    ]


WAITING = """
    import os, signal, sys

    def end(*_):
        print("asked to end")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("waiting")
    while True:
        signal.pause()
"""


def script_of(name, host):
    """The process id of the script on that host."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        wanted = {f"SM_CURRENT_HOST={host}".encode(), f"TRAINING_JOB_NAME={name}".encode()}
        if b"train.py" in command and wanted <= set(variables):
            return int(process.name)
    return None


def test_one_is_killed_and_the_job_fails_with_its_reason_in_time(own):
    submit(own, "killed", WAITING, hosts=3)
    for host in (1, 2, 3):
        wait_until(lambda: "waiting" in said(own, "killed", host), "it did not start")  # noqa: B023
    os.kill(script_of("killed", "algo-2"), signal.SIGKILL)
    killed = time.monotonic()
    job = ended(own, "killed")
    assert time.monotonic() - killed < 30
    assert job["TrainingJobStatus"] == "Failed"
    assert "ExitCode 137" in job["FailureReason"] and job["FailureReason"].endswith("on algo-2")
    for host in (1, 3):
        assert said(own, "killed", host)[-1] == "asked to end"


def test_a_server_that_was_killed_finds_all_hosts_again(own):
    submit(own, "outlives", WAITING)
    for host in (1, 2):
        wait_until(lambda: "waiting" in said(own, "outlives", host), "it did not start")  # noqa: B023
    before = [script_of("outlives", host) for host in ("algo-1", "algo-2")]
    own.kill()
    own.start()
    sagemaker = own.client("sagemaker")
    assert sagemaker.describe_training_job(TrainingJobName="outlives")["SecondaryStatus"] == "Training"
    assert [script_of("outlives", host) for host in ("algo-1", "algo-2")] == before
    sagemaker.stop_training_job(TrainingJobName="outlives")
    assert ended(own, "outlives")["TrainingJobStatus"] == "Stopped"
    for host in (1, 2):
        assert said(own, "outlives", host)[-1] == "asked to end"


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="Open MPI is not installed")
def test_mpi_spreads_a_script_over_two_hosts(own):
    script = """
        import os

        rank, size = (int(os.environ[f"OMPI_COMM_WORLD_{name}"]) for name in ("RANK", "SIZE"))
        print(f"rank {rank} of {size} on {os.environ['SM_CURRENT_HOST']}")
        if rank == 3:
            print("loss: 0.125")
    """
    metrics = [{"Name": "loss", "Regex": r"loss: ([0-9.]+)"}]
    mpi = {"sagemaker_mpi_enabled": "true", "sagemaker_mpi_num_of_processes_per_host": "2"}
    submit(own, "mpi", script, metrics=metrics, sagemaker_mpi_custom_mpi_options='""', **mpi)
    job = ended(own, "mpi")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    lines = said(own, "mpi", 1)
    for rank, host in enumerate(("algo-1", "algo-1", "algo-2", "algo-2")):
        assert f"[1,mpirank:{rank},{host}]<stdout>:rank {rank} of 4 on {host}" in lines
    assert [(metric["MetricName"], metric["Value"]) for metric in job["FinalMetricDataList"]] == [("loss", 0.125)]


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="Open MPI is not installed")
def test_one_process_of_mpi_fails_and_its_exception_is_the_reason(own):
    script = """
        import os, time

        if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
            raise ValueError("no luck")
        time.sleep(600)
    """
    submit(own, "mpi-fails", script, sagemaker_mpi_enabled="true")
    job = ended(own, "mpi-fails")
    assert job["TrainingJobStatus"] == "Failed"
    assert 'ErrorMessage "ValueError: no luck"' in job["FailureReason"]


LEARNING = """
    import os, torch, torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).square().mean().backward()
        optimizer.step()
    weights = [parameter.flatten().tolist() for parameter in model.parameters()]
    print(f"rank {rank} of {dist.get_world_size()} has {weights}")
    if rank == 0:
        torch.save(model.module.state_dict(), os.environ["SM_MODEL_DIR"] + "/model.pt")
    dist.destroy_process_group()
"""


def test_torchrun_trains_data_parallel_over_two_hosts(own):
    submit(own, "torchrun", LEARNING, image="torch-only", sagemaker_torch_distributed_enabled="true")
    job = ended(own, "torchrun", seconds=300)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    learned = []
    for rank in (0, 1):
        (line,) = [line for line in said(own, "torchrun", rank + 1) if line.startswith(f"rank {rank} of 2 has ")]
        learned.append(line.partition(" has ")[2])
    assert learned[0] == learned[1]
    assert model(own, "torchrun") == ["model.pt"]


def test_more_instances_than_the_setting_allows_are_refused(own):
    refused = own.client("sagemaker").exceptions.ResourceLimitExceeded
    with pytest.raises(refused, match="is 3 Instances, with a request delta of 4"):
        submit(own, "too-many", WAITING, hosts=4)
