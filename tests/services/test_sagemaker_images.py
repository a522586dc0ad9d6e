from types import SimpleNamespace
from typing import Any

import pytest

from groundfog.engine.environments.profiles import Profiles
from groundfog.services.sagemaker import images
from groundfog.wire.refusal import Refusal

ENGINE: Any = SimpleNamespace(environments=SimpleNamespace(profiles=Profiles()))


@pytest.mark.parametrize(
    "image",
    [
        "seq2seq",
        "seq2seq:1",
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:latest",
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq",
        "localhost:5000/seq2seq:1.0-cpu",
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq@sha256:" + "0" * 64,
    ],
)
def test_an_image_is_found_by_its_repository(image: str) -> None:
    program = images.program(image, "train")
    assert (program.module, program.arguments, program.trusted) == ("groundfog.algorithms.seq2seq", ("train",), True)


@pytest.mark.parametrize("image", ["", "seq2seq2", "a/seq2seq", "../algorithms/seq2seq:1", "_training", "x.y/", "a b"])
def test_an_unknown_image_is_refused_with_those_that_are_known(image: str) -> None:
    with pytest.raises(Refusal, match=r"Cannot find the image .* seq2seq") as refused:
        images.Container({"Image": image}).check(ENGINE)
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("image", "toolkit"),
    [
        ("1.dkr.ecr.x/huggingface-pytorch-inference:2.1.0-transformers4.37.0-cpu-py310", "huggingface"),
        ("1.dkr.ecr.x/huggingface-pytorch-training:2.0.0-transformers4.28.1-gpu-py310", "huggingface"),
        ("1.dkr.ecr.x/pytorch-inference:2.1.0-cpu-py310", "pytorch"),
        ("1.dkr.ecr.x/sagemaker-scikit-learn:1.2-1-cpu-py3", "sklearn"),
        ("1.dkr.ecr.x/sagemaker-xgboost:1.7-1", "xgboost"),
        ("1.dkr.ecr.x/mxnet-inference:1.9.0-cpu-py38", "mxnet"),
    ],
)
def test_a_frameworks_model_is_served_as_its_toolkit_does(image: str, toolkit: str) -> None:
    """The SDK deploys training images too."""
    container = images.Container({"Image": image})
    server = container.server(ENGINE)
    assert (server.module, server.arguments, server.trusted) == ("groundfog.opt_ml.inference", (toolkit,), False)
    assert container.recipe(ENGINE) is not None


def test_code_may_be_an_archive_of_its_own() -> None:
    def code(folder: str) -> str | None:
        found = images.Container({"Image": "x", "Environment": {"SAGEMAKER_SUBMIT_DIRECTORY": folder}}).code
        return found and found.named

    assert code("s3://bucket/a/sourcedir.tar.gz") == "s3://bucket/a/sourcedir.tar.gz"
    assert code("/opt/ml/model/code") is None
    assert images.Container({"Image": "x"}).code is None
