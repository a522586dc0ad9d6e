"""What a request for a training job becomes: what AWS checks at the call, and the engine's Job."""

import dataclasses

from groundfog.engine.jobs import Job
from groundfog.services.sagemaker import images, training_channels, training_resources
from groundfog.services.sagemaker.kinds import TRAINING_JOB, Invalid, Unwritten
from groundfog.wire.caller import Caller, Parameters

LONGEST_SECONDS = 86400
"""MaxRuntimeInSeconds where the request names none."""
_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_UNWRITTEN = (
    "CheckpointConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
_UNWRITTEN_OF_ALGORITHMS = ("AlgorithmName", "ContainerEntrypoint", "ContainerArguments", "TrainingImageConfig")
_BUILT_IN = "groundfog.algorithms."
_METRICS = {
    f"{channel}:{metric}": rf"^Checkpoint \[\d+\]\t{title}-{metric}=(\S+)"
    for channel, title in (("train", "Train"), ("validation", "Validation"))
    for metric in ("perplexity", "accuracy", "bleu")
}
"""What built-in algorithms say at a checkpoint, under the names that AWS gives it."""


def check(request: Parameters, *, most_instances: int) -> None:
    Unwritten.refuse(request, _UNWRITTEN, "a training job")
    algorithm = request["AlgorithmSpecification"]
    Unwritten.refuse(algorithm, _UNWRITTEN_OF_ALGORITHMS, "AlgorithmSpecification")
    if "TrainingImage" not in algorithm:
        raise Invalid("AlgorithmSpecification must name a TrainingImage.")
    program = images.program(algorithm["TrainingImage"], "train")
    if algorithm.get("MetricDefinitions"):
        raise Invalid(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without specifying metric definitions."
        )
    training_channels.check_mode(algorithm["TrainingInputMode"])
    training_channels.check(request.get("InputDataConfig", []))
    training_resources.check(request.get("ResourceConfig"), most_instances)
    if program.module.startswith(_BUILT_IN) and training_resources.instances(request["ResourceConfig"]) > 1:
        raise Invalid(
            f"{algorithm['TrainingImage']} is a built-in algorithm, which trains on one instance, with as many "
            "processes as its hyperparameters say. Set InstanceCount to 1."
        )
    _check_spot(request)


def _check_spot(request: Parameters) -> None:
    limits = request.get("StoppingCondition", {})
    wait = limits.get("MaxWaitTimeInSeconds")
    if not request.get("EnableManagedSpotTraining"):
        if wait is not None:
            raise Invalid(
                "Invalid MaxWaitTimeInSeconds. It must not be given unless EnableManagedSpotTraining is true."
            )
    elif wait is None or wait < limits.get("MaxRuntimeInSeconds", LONGEST_SECONDS):
        raise Invalid(
            "Invalid MaxWaitTimeInSeconds. With EnableManagedSpotTraining it must be given, and be equal to or greater "
            "than MaxRuntimeInSeconds."
        )


def order(caller: Caller, request: Parameters, name: str) -> Job:
    program = images.program(request["AlgorithmSpecification"]["TrainingImage"], "train")
    output = request["OutputDataConfig"]
    bucket, prefix = training_channels.bucket_and_key(output["S3OutputPath"])
    channels = [
        training_channels.channel(given, request["RoleArn"], caller.region)
        for given in request.get("InputDataConfig", [])
    ]
    return Job(
        program=dataclasses.replace(
            program,
            environment={
                **request.get("Environment", {}),
                "TRAINING_JOB_NAME": name,
                "TRAINING_JOB_ARN": TRAINING_JOB.arn(caller, name),
            },
            max_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", LONGEST_SECONDS),
        ),
        channels=tuple(channels),
        hyperparameters=request.get("HyperParameters", {}),
        input_data_config={
            given["ChannelName"]: training_channels.input_data_config(given)
            for given in request.get("InputDataConfig", [])
        },
        resource_config=training_resources.resource_config(request["ResourceConfig"]),
        bucket=bucket,
        prefix="/".join(part for part in (prefix.rstrip("/"), name, "output") if part),
        compress=output.get("CompressionType", "GZIP") == "GZIP",
        log_group=_LOG_GROUP,
        metrics=_METRICS,
    )
