"""Training jobs: what AWS checks at the call, what becomes of it in the engine, and how it is told."""

import dataclasses
from itertools import pairwise
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.channels import Channel
from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.jobs import Job, Progress, progress_of
from groundfog.engine.resources import Document, Resource
from groundfog.services.sagemaker import images
from groundfog.services.sagemaker.kinds import Kind, Unwritten
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_KIND = Kind(kind="training-job", noun="training job", member="TrainingJobName")
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_DAY = 86400
_UNWRITTEN = (
    "CheckpointConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
_UNWRITTEN_OF_ALGORITHMS = ("AlgorithmName", "ContainerEntrypoint", "ContainerArguments", "TrainingImageConfig")
_UNWRITTEN_OF_RESOURCES = ("InstanceGroups", "InstancePlacementConfig", "InstancePreferences", "TrainingPlanArn")
_ENDED = ("Completed", "Failed", "Stopped")
_UNTOLD = ("TrainingJobName", "Tags", "SessionChainingConfig")
"""What DescribeTrainingJob has no member for, or another place."""
_METRICS = {
    f"{channel}:{metric}": rf"^Checkpoint \[\d+\]\t{title}-{metric}=(\S+)"
    for channel, title in (("train", "Train"), ("validation", "Validation"))
    for metric in ("perplexity", "accuracy", "bleu")
}
"""What built-in algorithms say at a checkpoint, under the names that AWS gives it."""
_RULES = {"DebugRule": "DebugRuleConfigurations", "ProfilerRule": "ProfilerRuleConfigurations"}
"""Rules watch a job and change nothing in it. None is evaluated here, and their statuses say so."""


def create_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    name = _KIND.name(request)
    _check(request)
    arn = _arn(caller, name)
    try:
        engine.jobs.submit(name, _job(caller, request, name), notes=_told(request), tags=Kind.tags(request))
    except Taken:
        raise Refusal(
            "ResourceInUse",
            "Training job names must be unique within an AWS account and region, and a training job with this name "
            f"already exists ({arn})",
        ) from None
    return {"TrainingJobArn": arn}


def describe_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    job = _find(engine, request)
    progress = progress_of(job)
    return {
        **job.document["notes"],
        "TrainingJobName": job.name,
        "TrainingJobArn": _arn(caller, job.name),
        "TrainingJobStatus": job.status,
        "SecondaryStatus": progress.secondary,
        "SecondaryStatusTransitions": _transitions(progress),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **_times(progress),
        **_result(job, progress),
        **_rules(job),
    }


def list_training_jobs(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
        # No job here has a warm pool or a training plan.
        return {"TrainingJobSummaries": []}
    found, token = _KIND.page(engine, request)
    return {"TrainingJobSummaries": [_summary(caller, job) for job in found], **token}


def stop_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    job = _find(engine, request)
    try:
        engine.jobs.stop(job.name)
    except Busy as busy:
        raise Refusal(
            "ValidationException", f"The request was rejected because the training job is in status {busy}."
        ) from None
    return None


def delete_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """What it wrote to S3 and to the logs stays."""
    job = _find(engine, request)
    if job.status not in _ENDED:
        raise Refusal("ResourceInUse", f"The training job {_arn(caller, job.name)} is in status {job.status}.")
    engine.resources.delete(_KIND.kind, job.name)
    return None


def _find(engine: Engine, request: Parameters) -> Resource:
    try:
        return engine.resources.find(_KIND.kind, request["TrainingJobName"])
    except Missing:
        raise Refusal("ValidationException", "Requested resource not found.") from None


def _arn(caller: Caller, name: str) -> str:
    """As the name was given, where models and endpoints have it in lower case."""
    return caller.arn("sagemaker", f"{_KIND.kind}/{name}")


def _check(request: Parameters) -> None:
    Unwritten.refuse(request, _UNWRITTEN, "a training job")
    algorithm = request["AlgorithmSpecification"]
    Unwritten.refuse(algorithm, _UNWRITTEN_OF_ALGORITHMS, "AlgorithmSpecification")
    if "TrainingImage" not in algorithm:
        raise _invalid("AlgorithmSpecification must name a TrainingImage.")
    images.program(algorithm["TrainingImage"], "train")
    if algorithm.get("MetricDefinitions"):
        raise _invalid(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without specifying metric definitions."
        )
    _check_mode(algorithm["TrainingInputMode"])
    _check_channels(request.get("InputDataConfig", []))
    _check_resources(request.get("ResourceConfig"))
    _check_spot(request)


def _check_channels(channels: list[Document]) -> None:
    for channel in channels:
        if channel["ChannelName"] in (".", ".."):
            raise _invalid(
                f"A channel cannot be called {channel['ChannelName']}: it is a folder in /opt/ml/input/data."
            )
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise Unwritten("A channel from anywhere but S3DataSource")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise Unwritten(f"S3DataType {source['S3DataType']}")
        if channel.get("ShuffleConfig"):
            raise Unwritten("ShuffleConfig of a channel")
        _check_mode(channel.get("InputMode", "File"))
    names = sorted(channel["ChannelName"] for channel in channels)
    for name, following in pairwise(names):
        if name == following:
            raise _invalid(f"Duplicate channel name: {name}. The names of InputDataConfig must be unique.")


def _check_mode(mode: str) -> None:
    if mode != "File":
        raise _invalid(f"TrainingInputMode {mode} is not yet supported by this server. Use File.")


def _check_resources(resources: Document | None) -> None:
    if resources is None:
        raise _invalid("ResourceConfig must be given.")
    Unwritten.refuse(resources, _UNWRITTEN_OF_RESOURCES, "ResourceConfig")
    count = resources.get("InstanceCount", 1)
    if count < 1:
        raise _invalid("InstanceCount must be at least 1.")
    if count > 1:
        raise Unwritten("InstanceCount of more than 1")


def _check_spot(request: Parameters) -> None:
    limits = request.get("StoppingCondition", {})
    wait = limits.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise _invalid(
                "Invalid MaxWaitTimeInSeconds. It must not be given unless EnableManagedSpotTraining is true."
            )
    elif wait is None or wait < limits.get("MaxRuntimeInSeconds", _DAY):
        raise _invalid(
            "Invalid MaxWaitTimeInSeconds. With EnableManagedSpotTraining it must be given, and be equal to or greater "
            "than MaxRuntimeInSeconds."
        )


def _invalid(text: str) -> Refusal:
    return Refusal("ValidationException", text)


def _job(caller: Caller, request: Parameters, name: str) -> Job:
    program = images.program(request["AlgorithmSpecification"]["TrainingImage"], "train")
    output = request["OutputDataConfig"]
    bucket, prefix = _bucket_and_key(output["S3OutputPath"])
    channels = [_channel(channel, request["RoleArn"], caller.region) for channel in request.get("InputDataConfig", [])]
    return Job(
        program=dataclasses.replace(
            program,
            environment={
                **request.get("Environment", {}),
                "TRAINING_JOB_NAME": name,
                "TRAINING_JOB_ARN": _arn(caller, name),
            },
            max_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DAY),
        ),
        channels=tuple(channels),
        hyperparameters=request.get("HyperParameters", {}),
        input_data_config={channel["ChannelName"]: _input(channel) for channel in request.get("InputDataConfig", [])},
        resource_config=_hosts(request["ResourceConfig"].get("InstanceType", "")),
        bucket=bucket,
        prefix="/".join(part for part in (prefix.rstrip("/"), name, "output") if part),
        compress=output.get("CompressionType", "GZIP") == "GZIP",
        log_group=_LOG_GROUP,
        metrics=_METRICS,
    )


def _channel(channel: Document, role: str, region: str) -> Channel:
    source = channel["DataSource"]["S3DataSource"]
    bucket, prefix = _bucket_and_key(source["S3Uri"])
    return Channel(
        name=channel["ChannelName"],
        bucket=bucket,
        prefix=prefix,
        is_manifest=source["S3DataType"] == "ManifestFile",
        is_gzipped=channel.get("CompressionType") == "Gzip",
        if_empty=f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 prefix, and that the "
        f'role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".',
    )


def _bucket_and_key(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    if scheme == "https":
        raise _invalid(f"{uri}: give it as s3://bucket/key.")
    bucket, _, key = rest.partition("/")
    return bucket, key


def _input(channel: Document) -> dict[str, Any]:
    """What `inputdataconfig.json` says of a channel."""
    content = {"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}
    source = channel["DataSource"]["S3DataSource"]
    return {
        **content,
        "TrainingInputMode": "File",
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }


def _hosts(instance_type: str) -> dict[str, Any]:
    """What `resourceconfig.json` says. The one network that a sandbox has is its own."""
    hosts, group = ["algo-1"], "homogeneousCluster"
    return {
        "current_host": "algo-1",
        "current_instance_type": instance_type,
        "current_group_name": group,
        "hosts": hosts,
        "instance_groups": [{"instance_group_name": group, "instance_type": instance_type, "hosts": hosts}],
        "network_interface_name": "lo",
    }


def _told(request: Parameters) -> Document:
    """The request as DescribeTrainingJob gives it back, with the defaults that AWS fills in."""
    told = {name: value for name, value in request.items() if name not in _UNTOLD}
    if "InputDataConfig" in request:
        told["InputDataConfig"] = [
            {
                "CompressionType": "None",
                "RecordWrapperType": "None",
                **channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataDistributionType": "FullyReplicated",
                        **channel["DataSource"]["S3DataSource"],
                    }
                },
            }
            for channel in request["InputDataConfig"]
        ]
    return {
        **told,
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
        "StoppingCondition": {"MaxRuntimeInSeconds": _DAY, **request.get("StoppingCondition", {})},
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }


def _transitions(progress: Progress) -> list[Document]:
    return [
        {
            "Status": one.status,
            "StartTime": one.start,
            **({} if one.end is None else {"EndTime": one.end}),
            "StatusMessage": one.message,
        }
        for one in progress.transitions
    ]


def _times(progress: Progress) -> Document:
    times: Document = {}
    if progress.started is not None:
        times["TrainingStartTime"] = progress.started
    if progress.ended is not None:
        times["TrainingEndTime"] = progress.ended
    if progress.started is not None and progress.ended is not None:
        times["TrainingTimeInSeconds"] = times["BillableTimeInSeconds"] = max(
            1, round(progress.ended - progress.started)
        )
    return times


def _result(job: Resource, progress: Progress) -> Document:
    """The model requires ModelArtifacts from the first moment on: until the job is completed, where they will be."""
    order = Job.read(job.document["job"])
    artifacts = progress.artifacts or f"{order.prefix}/model{'.tar.gz' if order.compress else '/'}"
    result: Document = {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{order.bucket}/{artifacts}"}}
    if job.status == "Failed" and progress.outcome is not None:
        result["FailureReason"] = progress.outcome.reason
    if progress.metrics:
        result["FinalMetricDataList"] = [
            {"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.at} for metric in progress.metrics
        ]
    return result


def _rules(job: Resource) -> Document:
    notes = job.document["notes"]
    return {
        f"{kind}EvaluationStatuses": [
            {
                "RuleConfigurationName": rule["RuleConfigurationName"],
                "RuleEvaluationStatus": "Stopped",
                "StatusDetails": "This server evaluates no rules.",
                "LastModifiedTime": job.created,
            }
            for rule in notes[member]
        ]
        for kind, member in _RULES.items()
        if notes.get(member)
    }


def _summary(caller: Caller, job: Resource) -> Document:
    progress = progress_of(job)
    ended = {} if progress.ended is None else {"TrainingEndTime": progress.ended}
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": _arn(caller, job.name),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": progress.secondary,
        **ended,
    }
