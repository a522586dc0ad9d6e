"""Horovod, built for today's PyTorch, over two hosts: some minutes of a compiler."""

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from served import Server, messages, wait_until

ROOT = Path(__file__).parents[2]
GROUP = "/aws/sagemaker/TrainingJobs"
SCRIPT = """
import os

import horovod.torch as hvd
import torch

hvd.init()
torch.manual_seed(hvd.rank())
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
hvd.broadcast_parameters(model.state_dict(), root_rank=0)
optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())
for _ in range(3):
    optimizer.zero_grad()
    model(torch.randn(4, 3)).square().mean().backward()
    optimizer.step()
weights = [parameter.flatten().tolist() for parameter in model.parameters()]
print(f"rank {hvd.rank()} of {hvd.size()}, {hvd.local_rank()} on {os.environ['SM_CURRENT_HOST']}: {weights}")
"""


@pytest.mark.slow
def test_a_script_of_horovods_learns_over_two_hosts(tmp_path):
    if not all(map(shutil.which, ("cmake", "g++", "mpicxx", "mpirun"))):
        pytest.skip("cmake, g++, libopenmpi-dev and openmpi-bin are needed")
    home = tmp_path / "home"
    script = ROOT / "walkthroughs" / "horovod_wheel.py"
    subprocess.run([sys.executable, script, "--into", home / "wheels"], check=True)
    server = Server(home, ("--warm", "0")).start()
    try:
        job, lines = run(server)
    finally:
        server.stop()
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    said = dict(line.partition("<stdout>:")[2].split(": ") for line in lines if "<stdout>:rank" in line)
    assert sorted(said) == [f"rank {rank} of 4, {rank % 2} on algo-{rank // 2 + 1}" for rank in range(4)]
    assert len(set(said.values())) == 1


def run(server):
    s3, sagemaker, logs, packed = *map(server.client, ("s3", "sagemaker", "logs")), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT.encode())
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="sourcedir.tar.gz", Body=packed.getvalue())
    sagemaker.create_training_job(
        TrainingJobName="horovod",
        AlgorithmSpecification={"TrainingImage": "horovod-training", "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
        ResourceConfig={"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 1800},
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": "s3://bucket/sourcedir.tar.gz",
            "sagemaker_mpi_enabled": "true",
            "sagemaker_mpi_num_of_processes_per_host": "2",
        },
    )

    def ended():
        job = sagemaker.describe_training_job(TrainingJobName="horovod")
        return job if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped") else None

    job = wait_until(ended, "the job did not end", 1800)
    return job, messages(logs, GROUP, "horovod/algo-1-")[0]
