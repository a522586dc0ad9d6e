"""Data is split by a script, and looked at by a source directory with requirements; a script that fails says why."""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.pytorch.processing import PyTorchProcessor
from sagemaker.s3 import S3Downloader
from sagemaker.sklearn.processing import SKLearnProcessor

scripts, numbers = map(Path, sys.argv[1:])
role = sagemaker.get_execution_role()
place = "/opt/ml/processing"

splitter = SKLearnProcessor("1.2-1", role, instance_type="ml.m5.xlarge", instance_count=1, base_job_name="split")
splitter.run(
    code=str(scripts / "split.py"),
    inputs=[ProcessingInput(source=str(numbers), destination=f"{place}/input")],
    outputs=[
        ProcessingOutput(output_name=name, source=f"{place}/{name}", s3_upload_mode=mode)
        for name, mode in (("train", "EndOfJob"), ("test", "Continuous"))
    ],
    arguments=["--train-test-split-ratio", "0.25"],
)
described = splitter.jobs[-1].describe()
outputs = {one["OutputName"]: one["S3Output"]["S3Uri"] for one in described["ProcessingOutputConfig"]["Outputs"]}
parts = {name: S3Downloader.read_file(f"{uri}/{name}.txt").split() for name, uri in outputs.items()}

looker = PyTorchProcessor("2.3", role, py_version="py311", instance_type="ml.m5.xlarge", instance_count=1)
looker.run(
    code="look.py",
    source_dir=str(scripts / "look"),
    inputs=[ProcessingInput(source=outputs["train"], destination=f"{place}/train")],
    outputs=[ProcessingOutput(output_name="seen", source=f"{place}/seen")],
)
seen = looker.latest_job.outputs[0].destination

image = sagemaker.image_uris.retrieve("sklearn", "us-east-1", version="1.2-1")
failing = ScriptProcessor(
    role, image, ["python3"], instance_type="ml.m5.xlarge", instance_count=1, max_runtime_in_seconds=300
)
try:
    failing.run(code=str(scripts / "split.py"), arguments=["--train-test-split-ratio", "nonsense"])
    failed = None
except UnexpectedStatusException as unexpected:
    failed = str(unexpected)
print(
    json.dumps(
        {
            "parts": parts,
            "status": described["ProcessingJobStatus"],
            "seen": json.loads(S3Downloader.read_file(f"{seen}/seen.json")),
            "failed": failed,
        }
    )
)
