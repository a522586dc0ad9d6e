import pytest

from groundfog.services.sagemaker import images
from groundfog.wire.refusal import Refusal


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
        images.program(image, "train")
    assert refused.value.code == "ValidationException"
