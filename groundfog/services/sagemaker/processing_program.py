"""What a processing job runs: a command of the user's, in what stands for the image or in the image itself."""

from groundfog.engine import Engine
from groundfog.engine.jobs import Code
from groundfog.engine.launch import Program
from groundfog.engine.resources import Document
from groundfog.services.sagemaker import images
from groundfog.services.sagemaker.kinds import Invalid
from groundfog.services.sagemaker.training_channels import bucket_and_key
from groundfog.services.sagemaker.training_program import Running

_ARCHIVE = "sourcedir.tar.gz"


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
    return Running(program=program, recipe=recipe, code=_source(request))


def _source(request: Document) -> Code | None:
    """The SDK's FrameworkProcessor brings a source directory, whose requirements the job's own script installs. It does
    so without a network, if they are there before it."""
    for given in request.get("ProcessingInputs", []):
        bucket, key = bucket_and_key(given["S3Input"]["S3Uri"])
        if key.rpartition("/")[2] == _ARCHIVE:
            return Code(bucket=bucket, key=key)
    return None
