"""What a processing job runs: a command of the user's, in what stands for the image or in the image itself."""

import contextlib
import posixpath

from groundfog.engine import Engine
from groundfog.engine.errors import Missing
from groundfog.engine.jobs import Code
from groundfog.engine.launch import Program
from groundfog.engine.resources import Document
from groundfog.services.sagemaker import images
from groundfog.services.sagemaker.kinds import Invalid
from groundfog.services.sagemaker.training_channels import bucket_and_key
from groundfog.services.sagemaker.training_program import Running

_CODE, _ARCHIVE = "/opt/ml/processing/input/code", "sourcedir.tar.gz"


def running(engine: Engine, request: Document) -> Running:
    """Raises ValidationException for an image that nothing is known of, or that this machine cannot stand in for."""
    application = request["AppSpecification"]
    image = application["ImageUri"]
    entrypoint, arguments = application.get("ContainerEntrypoint", []), application.get("ContainerArguments", [])
    if images.is_built_in(image):
        raise Invalid(f"{image} is a built-in algorithm, which trains and serves, and processes nothing.")
    if engine.runs_images:
        command = (*entrypoint[1:], *arguments)
        program = Program(module="", image=image, entrypoint=entrypoint[0] if entrypoint else "", arguments=command)
        return Running(program=program)
    recipe = images.recipe(engine, image, "training")
    if not entrypoint:
        raise Invalid(
            f"AppSpecification must give a ContainerEntrypoint: what stands for {image} here has none of its own."
        )
    program = Program(module="groundfog.opt_ml.entrypoint", arguments=(*entrypoint, *arguments))
    return Running(program=program, recipe=recipe, code=_source(engine, request))


def _source(engine: Engine, request: Document) -> Code | None:
    """The SDKs' FrameworkProcessor brings a source directory, packed, whose requirements the job's own script installs.
    It does so without a network, if they are there before it."""
    for given in request.get("ProcessingInputs", []):
        source = given["S3Input"]
        if source.get("LocalPath", "").rstrip("/") == _CODE:
            bucket, key = bucket_and_key(source["S3Uri"])
            archive = key if key.endswith(_ARCHIVE) else posixpath.join(key, _ARCHIVE)
            with contextlib.suppress(Missing):
                engine.objects.find(bucket, archive)
                return Code(bucket=bucket, key=archive)
    return None
