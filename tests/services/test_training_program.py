"""What a request runs, and where its source directory is."""

from types import SimpleNamespace
from typing import Any

import pytest

from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.errors import Unfit
from groundfog.engine.jobs import Code
from groundfog.services.sagemaker.training_program import running
from groundfog.wire.refusal import Refusal


def engine(*, unfit: str = "", runs_images: bool = False) -> Any:
    def check(recipe: Any) -> None:
        if unfit:
            raise Unfit(unfit)

    environments = SimpleNamespace(profiles=Profiles(), check=check)
    return SimpleNamespace(environments=environments, runs_images=runs_images)


def request(submitted: str | None = None, channels: tuple[str, ...] = (), **algorithm: Any) -> Any:
    given = {} if submitted is None else {"sagemaker_submit_directory": submitted}
    return {
        "AlgorithmSpecification": {"TrainingImage": "pytorch-training:2.0", **algorithm},
        "HyperParameters": given,
        "InputDataConfig": [{"ChannelName": channel} for channel in channels],
    }


@pytest.mark.parametrize(
    ("submitted", "code"),
    [
        (None, None),
        ('"/opt/ml/code"', None),
        ('"s3://bucket/a/sourcedir.tar.gz"', Code(bucket="bucket", key="a/sourcedir.tar.gz")),
        ("s3://bucket/a/sourcedir.tar.gz", Code(bucket="bucket", key="a/sourcedir.tar.gz")),
        ('"/opt/ml/input/data/code/sourcedir.tar.gz"', Code(path="input/data/code/sourcedir.tar.gz")),
        ("/opt/ml/input/data/x/../code", Code(path="input/data/code")),
    ],
)
def test_the_source_directory_is_where_either_spelling_says(submitted: str | None, code: Code | None) -> None:
    what = running(engine(), request(submitted))
    assert (what.program.module, what.program.trusted, what.code) == ("groundfog.opt_ml.script", False, code)
    assert what.recipe is not None
    assert "torch==2.13.0" in what.recipe.packages


@pytest.mark.parametrize("submitted", ["/etc", "/opt/ml/input/data/../../model", '"file:///home/me"', "relative", "7"])
def test_a_source_directory_elsewhere_is_refused(submitted: str) -> None:
    with pytest.raises(Refusal, match="must be an archive in S3") as refused:
        running(engine(), request(submitted))
    assert refused.value.code == "ValidationException"


def test_an_image_without_its_python_is_refused() -> None:
    with pytest.raises(Refusal, match=r"The image pytorch-training:2\.0 cannot be had here: no Python"):
        running(engine(unfit="no Python"), request())


def test_a_built_in_algorithm_takes_no_command() -> None:
    assert running(engine(), request(TrainingImage="seq2seq:1")).program.trusted
    with pytest.raises(Refusal, match="takes no ContainerEntrypoint"):
        running(engine(), request(TrainingImage="seq2seq:1", ContainerArguments=["train"]))


def test_a_command_runs_with_what_the_sdk_brings_as_channels() -> None:
    given = request(
        channels=("train", "code", "sm_drivers"), ContainerEntrypoint=["/bin/bash"], ContainerArguments=["x"]
    )
    what = running(engine(), given)
    assert (what.program.module, what.program.arguments) == ("groundfog.opt_ml.entrypoint", ("/bin/bash", "x"))
    assert what.program.scratch_channels == ("code", "sm_drivers")
    assert what.code == Code(path="input/data/code", in_place=True)


@pytest.mark.parametrize(
    ("algorithm", "entrypoint", "arguments"),
    [
        ({}, "", ("train",)),
        ({"ContainerArguments": ["a", "b"]}, "", ("a", "b")),
        ({"ContainerEntrypoint": ["sh", "-c"]}, "sh", ("-c",)),
        ({"ContainerEntrypoint": ["sh", "-c"], "ContainerArguments": ["go"]}, "sh", ("-c", "go")),
    ],
)
def test_in_a_container_the_image_itself_runs(algorithm: Any, entrypoint: str, arguments: tuple[str, ...]) -> None:
    what = running(engine(runs_images=True), request(TrainingImage="any/image:1", **algorithm))
    assert (what.program.image, what.program.entrypoint, what.program.arguments) == (
        "any/image:1",
        entrypoint,
        arguments,
    )
    assert what.recipe is None
