"""What a request for a training job becomes: what AWS checks at the call, and the engine's Job."""

import dataclasses

from groundfog.engine import Engine
from groundfog.engine.jobs import Job, code_channels
from groundfog.services.sagemaker import (
    roles,
    training_channels,
    training_metrics,
    training_resources,
    training_storage,
)
from groundfog.services.sagemaker.kinds import TRAINING_JOB, Invalid, Unwritten
from groundfog.services.sagemaker.training_program import running
from groundfog.wire.caller import Caller, Parameters

LONGEST_SECONDS = 86400
"""MaxRuntimeInSeconds where the request names none."""
_GROUP = "/aws/sagemaker/TrainingJobs"
"""Of log streams, and the namespace of what is measured."""
_UNWRITTEN = (
    "MlflowConfig",
    "ModelPackageConfig",
    "ServerlessJobConfig",
)
_UNWRITTEN_OF_ALGORITHMS = ("AlgorithmName", "TrainingImageConfig")


def check(engine: Engine, request: Parameters) -> None:
    Unwritten.refuse(request, _UNWRITTEN, "a training job")
    algorithm = request["AlgorithmSpecification"]
    Unwritten.refuse(algorithm, _UNWRITTEN_OF_ALGORITHMS, "AlgorithmSpecification")
    if "TrainingImage" not in algorithm:
        raise Invalid("AlgorithmSpecification must name a TrainingImage.")
    what = running(engine, request)
    program = what.program
    training_metrics.check(algorithm, program)
    training_channels.check(training_channels.given(request))
    training_resources.check(request.get("ResourceConfig"), engine.jobs.most_hosts)
    everywhere = code_channels(program, what.code)
    training_resources.check_channels(request["ResourceConfig"], request.get("InputDataConfig", []), everywhere)
    if training_metrics.is_built_in(program) and training_resources.instances(request["ResourceConfig"]) > 1:
        raise Invalid(
            f"{algorithm['TrainingImage']} is a built-in algorithm, which trains on one instance, with as many "
            "processes as its hyperparameters say. Set InstanceCount to 1."
        )
    training_storage.check(request)
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


def order(engine: Engine, caller: Caller, request: Parameters, name: str) -> Job:
    what = running(engine, request)
    output = request["OutputDataConfig"]
    bucket, prefix = training_channels.bucket_and_key(output["S3OutputPath"])
    channels, resources = training_channels.given(request), request["ResourceConfig"]
    return Job(
        program=dataclasses.replace(
            roles.under(what.program, engine, caller, request),
            environment={
                **request.get("Environment", {}),
                "TRAINING_JOB_NAME": name,
                "TRAINING_JOB_ARN": TRAINING_JOB.arn(caller, name),
            },
            **training_resources.needs(resources)._asdict(),
            max_seconds=request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", LONGEST_SECONDS),
        ),
        channels=tuple(
            dataclasses.replace(
                training_channels.channel(given, request["RoleArn"], caller.region),
                hosts=training_resources.hosts_of(resources, given),
            )
            for given in channels
        ),
        hyperparameters=request.get("HyperParameters", {}),
        input_data_config={given["ChannelName"]: training_channels.input_data_config(given) for given in channels},
        resource_config=training_resources.resource_config(resources),
        bucket=bucket,
        prefix="/".join(part for part in (prefix.rstrip("/"), name, "output") if part),
        compress=output.get("CompressionType", "GZIP") == "GZIP",
        log_group=_GROUP,
        metrics=training_metrics.definitions(request["AlgorithmSpecification"], what.program, name),
        max_wait=request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds"),
        mirrors=training_storage.mirrors(request, name),
        further_config=training_storage.configuration(request),
        recipe=what.recipe,
        code=what.code,
    )
