"""Checks against the model: quick whatever the client sends, and in AWS's words."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from groundfog.wire import model, validate
from groundfog.wire.parse import violations
from groundfog.wire.readers import WrongType

STEMS = [
    *("a", "0", "A", "a-", "-a", "a.", "a/", "a:", "a b", " :", "a ", "_a", "*", "-"),
    *(
        "arn:aws:sagemaker:eu-west-1:000000000000:x/a",
        "s3://a/",
        "https://a/",
        "https://aa",
        "s3://aa",
        "aws.partner/a/",
    ),
]
PATTERNS = {
    shape.metadata["pattern"]: min(shape.metadata.get("max", 1024), 1024)
    for service in model.KNOWN
    for shape in map(model.load(service).shape_for, model.load(service).shape_names)
    if shape.type_name == "string" and "pattern" in shape.metadata
}


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_pattern_keeps_us_busy() -> None:
    assert [pattern for pattern, limit in PATTERNS.items() if _is_endless(pattern, limit)] == []


def test_the_patterns_that_we_leave_out_would_keep_us_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = validate._ENDLESS
    monkeypatch.setattr(validate, "_ENDLESS", set())
    for pattern in left_out:
        assert _is_endless(pattern, PATTERNS[pattern]), pattern


def _is_endless(pattern: str, limit: int) -> bool:
    compiled = validate._compiled(pattern)
    try:
        with _within(0.3):
            for text in (_stretched(stem, limit) + end for stem in STEMS for end in "!\0:" if compiled):
                compiled.fullmatch(text)
    except TimeoutError:
        return True
    return False


def _stretched(stem: str, limit: int) -> str:
    return (stem[:-2] + stem[-2:] * limit)[: limit - 1]


def _told(operation: str, parameters: dict[str, Any]) -> list[str]:
    found = model.operation("sagemaker", operation)
    assert found is not None
    return [str(violation) for violation in violations(found, parameters)]


@pytest.mark.parametrize(
    ("operation", "parameters", "told"),
    [
        ("DescribeEndpoint", {}, "Value null at 'endpointName' failed to satisfy constraint: Member must not be null"),
        (
            "ListModels",
            {"MaxResults": 0},
            "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "ListModels",
            {"MaxResults": 101},
            "Value '101' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 100",
        ),
        (
            "ListModels",
            {"SortOrder": "Up"},
            "Value 'Up' at 'sortOrder' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Ascending, Descending]",
        ),
        (
            "AddTags",
            {"ResourceArn": "arn:aws:sagemaker:r:000000000000:model/m", "Tags": [{"Key": "k"}]},
            "Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_violations_are_told_as_aws_tells_them(operation: str, parameters: dict[str, Any], told: str) -> None:
    assert _told(operation, parameters) == [told]


def test_a_value_at_its_limits_is_fine() -> None:
    assert _told("ListModels", {"MaxResults": 1, "NameContains": "a" * 63}) == []
    assert _told("ListModels", {"MaxResults": 100}) == []


def test_a_digit_is_an_ascii_digit() -> None:
    assert len(_told("DescribeTrainingJob", {"TrainingJobName": "job-\u0663"})) == 1


def test_a_value_of_another_type_is_no_value() -> None:
    with pytest.raises(WrongType, match="NUMBER_VALUE can not be converted to string at 'trainingJobName'"):
        _told("DescribeTrainingJob", {"TrainingJobName": 7})
    with pytest.raises(WrongType):
        _told("ListModels", {"MaxResults": True})


def test_long_values_are_told_shortly() -> None:
    (told,) = _told("DescribeTrainingJob", {"TrainingJobName": "a" * 10**6})[:1]
    assert len(told) < 500
    assert told.endswith("length less than or equal to 63")
