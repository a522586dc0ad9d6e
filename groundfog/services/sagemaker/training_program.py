"""What a training job runs: a built-in algorithm, a user's script as AWS's toolkit runs it, or a command of the user's.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AlgorithmSpecification.html
"""

import json
import posixpath
from dataclasses import dataclass

from groundfog.engine import Engine
from groundfog.engine.environments import Recipe
from groundfog.engine.jobs import Code
from groundfog.engine.launch import Program
from groundfog.services.sagemaker import images
from groundfog.services.sagemaker.kinds import Invalid
from groundfog.services.sagemaker.training_channels import bucket_and_key
from groundfog.wire.caller import Parameters

_SUBMITTED = "sagemaker_submit_directory"
_SCRATCH = ("code", "sm_drivers")
"""Channels with programs, not with data."""
_CODE, _DATA = "/opt/ml/code", "/opt/ml/input/data/"


@dataclass(frozen=True, kw_only=True)
class Running:
    """A program, the environment that it needs beside the server's own, and the source directory in it."""

    program: Program
    recipe: Recipe | None = None
    code: Code | None = None


def running(engine: Engine, request: Parameters) -> Running:
    """Raises ValidationException for an image that nothing is known of, or that this machine cannot stand in for."""
    algorithm = request["AlgorithmSpecification"]
    image = algorithm["TrainingImage"]
    command = (*algorithm.get("ContainerEntrypoint", ()), *algorithm.get("ContainerArguments", ()))
    if images.is_built_in(image):
        if command:
            raise Invalid(f"{image} is a built-in algorithm, which takes no ContainerEntrypoint or ContainerArguments.")
        return Running(program=images.program(image, "train"))
    if engine.runs_images:
        return _contained(request, algorithm)
    recipe = images.recipe(engine, image, "training")
    if command:
        return _commanded(request, command, recipe)
    program = Program(module="groundfog.opt_ml.script", arguments=())
    return Running(program=program, recipe=recipe, code=_source(request))


def _contained(request: Parameters, algorithm: Parameters) -> Running:
    """The image itself. AWS's toolkit in it fetches the source directory only where `/opt/ml/code` is empty."""
    entrypoint, *first = algorithm.get("ContainerEntrypoint", [""])
    program = Program(
        module="",
        image=algorithm["TrainingImage"],
        entrypoint=entrypoint,
        arguments=(*first, *algorithm.get("ContainerArguments", () if entrypoint else ("train",))),
        scratch_channels=_scratch(request),
    )
    return Running(program=program, code=_source(request))


def _source(request: Parameters) -> Code | None:
    """None where the script is to be in the image; it never is, and the program says so."""
    given = request.get("HyperParameters", {}).get(_SUBMITTED) or request.get("Environment", {}).get(_SUBMITTED.upper())
    place = _loaded(given or _CODE)
    if place == _CODE:
        return None
    if place.startswith("s3://"):
        bucket, key = bucket_and_key(place)
        return Code(bucket=bucket, key=key)
    normal = posixpath.normpath(place)
    if normal.startswith(_DATA):
        return Code(path=normal.removeprefix("/opt/ml/"))
    raise Invalid(
        f"The hyperparameter {_SUBMITTED} is {place}: it must be an archive in S3, s3://bucket/key, or lie in a "
        f"channel, {_DATA}channel/sourcedir.tar.gz."
    )


def _commanded(request: Parameters, command: tuple[str, ...], recipe: Recipe) -> Running:
    """The SageMaker SDK from version 3 on brings the source directory as a channel and what runs it as another, makes
    the latter executable, and writes beside them."""
    scratch = _scratch(request)
    code = Code(path="input/data/code", in_place=True) if "code" in scratch else None
    program = Program(module="groundfog.opt_ml.entrypoint", arguments=command, scratch_channels=scratch)
    return Running(program=program, recipe=recipe, code=code)


def _scratch(request: Parameters) -> tuple[str, ...]:
    names = {channel["ChannelName"] for channel in request.get("InputDataConfig", [])}
    return tuple(name for name in _SCRATCH if name in names)


def _loaded(text: str) -> str:
    """SDKs' framework estimators send JSON, others bare text."""
    try:
        loaded = json.loads(text)
    except ValueError:
        return text
    return loaded if isinstance(loaded, str) else text
