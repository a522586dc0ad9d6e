"""What a request for a processing job becomes: what AWS checks at the call, and the engine's Job.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
"""

import dataclasses
import posixpath
from collections import Counter

from groundfog.engine import Engine
from groundfog.engine.channels import Channel
from groundfog.engine.jobs import Job
from groundfog.engine.mirrors import Mirror
from groundfog.engine.resources import Document
from groundfog.services.sagemaker import instances, processing_program, roles
from groundfog.services.sagemaker.kinds import PROCESSING_JOB, Invalid, Unwritten
from groundfog.services.sagemaker.training_channels import bucket_and_folder, bucket_and_key, none_found
from groundfog.wire.caller import Caller, Parameters

LONGEST_SECONDS = 86400
"""MaxRuntimeInSeconds where the request names none."""
_GROUP = "/aws/sagemaker/ProcessingJobs"
"""Of log streams, and the namespace of what is measured."""
_PLACE = "/opt/ml/processing"
_UNTOLD = ("ProcessingJobName", "Tags")
"""What DescribeProcessingJob has another place for, or no member."""
_OF_INPUTS = {"S3InputMode": "File", "S3DataDistributionType": "FullyReplicated", "S3CompressionType": "None"}


def check(engine: Engine, request: Parameters) -> None:
    _check_inputs(request)
    _check_outputs(request)
    cluster = request["ProcessingResources"]["ClusterConfig"]
    Unwritten.refuse(cluster, ("InstancePreferences",), "ClusterConfig")
    for member in ("InstanceType", "InstanceCount"):
        if member not in cluster:
            raise Invalid(f"ClusterConfig must give {member}.")
    most = engine.processing.most_hosts
    instances.check_count(cluster["InstanceType"], cluster["InstanceCount"], most, "processing")


def told(request: Parameters) -> Document:
    """The request as DescribeProcessingJob gives it back, with the defaults that AWS fills in."""
    told = {name: value for name, value in request.items() if name not in _UNTOLD}
    if "ProcessingInputs" in request:
        told["ProcessingInputs"] = [
            {"AppManaged": False, **given, "S3Input": {**_OF_INPUTS, **given["S3Input"]}}
            for given in request["ProcessingInputs"]
        ]
    if "ProcessingOutputConfig" in request:
        outputs = [{"AppManaged": False, **given} for given in request["ProcessingOutputConfig"]["Outputs"]]
        told["ProcessingOutputConfig"] = {**request["ProcessingOutputConfig"], "Outputs": outputs}
    return {**told, "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": LONGEST_SECONDS})}


def order(engine: Engine, caller: Caller, notes: Document, name: str) -> Job:
    """Of a request that was checked, as it is told. Raises ValidationException for what cannot be run here."""
    what = processing_program.running(engine, notes)
    cluster = notes["ProcessingResources"]["ClusterConfig"]
    role = {"RoleArn": notes["RoleArn"], **notes.get("NetworkConfig", {})}
    inputs = [given for given in notes.get("ProcessingInputs", []) if not given["AppManaged"]]
    hosts = [f"algo-{number}" for number in range(1, cluster["InstanceCount"] + 1)]
    return Job(
        program=dataclasses.replace(
            roles.under(what.program, engine, caller, role),
            environment=notes.get("Environment", {}),
            **instances.needs(cluster["InstanceType"])._asdict(),
            max_seconds=notes["StoppingCondition"]["MaxRuntimeInSeconds"],
        ),
        # One within another is filled after it.
        channels=tuple(sorted((_channel(given, notes, caller) for given in inputs), key=lambda one: one.path)),
        # As texts, like training's: algo-10 comes before algo-2.
        resource_config={"hosts": sorted(hosts)},
        processing={
            "ProcessingJobArn": PROCESSING_JOB.arn(caller, name),
            "ProcessingJobName": name,
            **notes,
        },
        log_group=_GROUP,
        mirrors=tuple(_mirror(given) for given in _outputs(notes) if not given.get("AppManaged")),
        recipe=what.recipe,
        code=what.code,
    )


def _check_inputs(request: Parameters) -> None:
    inputs = request.get("ProcessingInputs", [])
    _check_names([given["InputName"] for given in inputs], "ProcessingInputs")
    for given in inputs:
        name = given["InputName"]
        if "DatasetDefinition" in given:
            raise Unwritten(
                f"DatasetDefinition (input {name}; put the files into a bucket and name them by an S3Input)"
            )
        if "S3Input" not in given:
            raise Invalid(f"The input {name} must have an S3Input.")
        if given["S3Input"].get("S3InputMode") == "Pipe":
            raise Unwritten(f"S3InputMode Pipe of a processing job (input {name}; use File)")
        if not given.get("AppManaged"):
            _check_path(given["S3Input"], f"input {name}")
    places = [_path(given["S3Input"]) for given in inputs if not given.get("AppManaged")]
    for place, times in Counter(places).items():
        if times > 1:
            raise Invalid(f"The LocalPath {place} is that of {times} inputs. Each must have one of its own.")


def _check_outputs(request: Parameters) -> None:
    outputs = _outputs(request)
    _check_names([given["OutputName"] for given in outputs], "ProcessingOutputConfig")
    for given in outputs:
        name = given["OutputName"]
        if "FeatureStoreOutput" in given:
            raise Unwritten(f"FeatureStoreOutput (output {name}; keep it in a bucket by an S3Output)")
        if "S3Output" not in given:
            raise Invalid(f"The output {name} must have an S3Output.")
        bucket_and_key(given["S3Output"]["S3Uri"])
        if not given.get("AppManaged"):
            _check_path(given["S3Output"], f"output {name}")


def _check_names(names: list[str], where: str) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise Invalid(f"The names of {where} must be unique, and {name} is there {times} times.")


def _outputs(request: Document) -> list[Document]:
    outputs: list[Document] = request.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs


def _check_path(given: Document, whose: str) -> None:
    path: str = given.get("LocalPath", "")
    parts = path.split("/")
    is_fit = "\0" not in path and ".." not in parts and all(len(part.encode()) < 256 for part in parts)
    if not is_fit or not f"{_path(given)}/".startswith(f"{_PLACE}/"):
        raise Invalid(f"The LocalPath of the {whose} is {path!r}: it must be {_PLACE} or a folder below it.")


def _path(given: Document) -> str:
    """Without a slash at its end."""
    given_path: str = given.get("LocalPath", "")
    return posixpath.normpath(given_path)


def _channel(given: Document, notes: Document, caller: Caller) -> Channel:
    source = given["S3Input"]
    bucket, prefix = bucket_and_key(source["S3Uri"])
    return Channel(
        name=given["InputName"],
        path=_path(source).removeprefix("/opt/ml/"),
        bucket=bucket,
        prefix=prefix,
        is_manifest=source["S3DataType"] == "ManifestFile",
        is_gzipped=source["S3CompressionType"] == "Gzip",
        is_sharded=source["S3DataDistributionType"] == "ShardedByS3Key",
        if_empty=none_found(source["S3Uri"], notes["RoleArn"], caller.region),
    )


def _mirror(given: Document) -> Mirror:
    target = given["S3Output"]
    bucket, folder = bucket_and_folder(target["S3Uri"])
    return Mirror(
        path=_path(target),
        bucket=bucket,
        prefix=folder,
        at_end=target["S3UploadMode"] == "EndOfJob",
    )
