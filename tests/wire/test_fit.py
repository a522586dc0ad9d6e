"""Results are held against the model before they leave."""

import datetime
from typing import Any

import pytest

from groundfog.wire import model
from groundfog.wire.fit import Fitter, Unfit

WHEN = datetime.datetime(2024, 5, 17, 9, 30, 0, 250000, tzinfo=datetime.UTC)


def _fit(service: str, name: str, result: dict[str, Any]) -> dict[str, Any]:
    operation = model.operation(service, name)
    assert operation is not None and operation.output is not None
    return Fitter().fit(operation.output, result)


def test_members_that_are_none_are_not_there() -> None:
    assert _fit("sagemaker", "ListModels", {"Models": [], "NextToken": None}) == {"Models": []}


@pytest.mark.parametrize(
    "when",
    [
        WHEN,
        WHEN.timestamp(),
        WHEN.replace(tzinfo=None),
        WHEN.astimezone(datetime.timezone(datetime.timedelta(hours=2))),
    ],
)
def test_a_time_may_be_a_datetime_or_seconds(when: object) -> None:
    model_summary = {"ModelName": "m", "ModelArn": "arn:aws:sagemaker:r:0:model/m", "CreationTime": when}
    fitted = _fit("sagemaker", "ListModels", {"Models": [model_summary]})
    assert fitted["Models"][0]["CreationTime"] == WHEN


@pytest.mark.parametrize(
    ("service", "operation", "result", "why"),
    [
        ("sagemaker", "ListModels", {}, "lacks Models"),
        ("sagemaker", "ListModels", {"Models": [], "Token": "x"}, "no member 'Token'"),
        ("sagemaker", "ListModels", {"Models": {}}, "is a list"),
        ("sagemaker", "ListModels", {"Models": ["m"]}, "is a structure"),
        (
            "sagemaker",
            "ListModels",
            {"Models": [{"CreationTime": "now"}]},
            "no time",
        ),
        ("sagemaker", "ListModels", {"Models": [], "NextToken": 1}, "is a string"),
        ("sagemaker", "DescribeTrainingJob", {"HyperParameters": []}, "is a map"),
        ("sagemaker", "DescribeTrainingJob", {"EnableNetworkIsolation": 1}, "is a boolean"),
        ("s3", "HeadObject", {"ContentLength": True}, "is a long"),
        ("s3", "GetObject", {"Body": "text"}, "is a blob"),
    ],
)
def test_what_does_not_fit_is_named(service: str, operation: str, result: dict[str, Any], why: str) -> None:
    with pytest.raises(Unfit, match=why):
        _fit(service, operation, result)
