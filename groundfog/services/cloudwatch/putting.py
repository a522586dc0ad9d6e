"""PutMetricData: single values, values with counts, or what a client summed up itself."""

import math
import time
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.measurements import Measured, Summary
from groundfog.services.cloudwatch.requests import InvalidCombination, InvalidValue, Missing, metric, seconds
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_DATA, _MOST_VALUES = 1000, 150
_OLDEST, _FURTHEST = 14 * 86400, 2 * 3600
_WAYS = ("Value", "StatisticValues", "Values")


def put_metric_data(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if request.get("EntityMetricData"):
        raise Refusal("NotImplemented", "EntityMetricData of PutMetricData is not implemented.", 501)
    namespace, data = request["Namespace"], request.get("MetricData", [])
    if namespace.startswith("AWS/"):
        raise InvalidValue("The value AWS/ for parameter Namespace is invalid: names that begin so are AWS's own.")
    if not data:
        raise Missing("The parameter MetricData is required.")
    if len(data) > _MOST_DATA:
        raise InvalidValue(f"The collection MetricData must not have a size greater than {_MOST_DATA}.")
    engine.measurements.put([_measured(namespace, number, datum) for number, datum in enumerate(data, start=1)])
    return None


def _measured(namespace: str, number: int, datum: Any) -> Measured:
    where = f"MetricData.member.{number}"
    resolution = datum.get("StorageResolution", 60)
    if resolution not in (1, 60):
        raise InvalidValue(f"The parameter {where}.StorageResolution must be 1 or 60, not {resolution}.")
    return Measured(
        metric=metric({"Namespace": namespace, **datum}),
        at=_moment(where, datum),
        summary=_summary(where, datum),
        unit=datum.get("Unit", "None"),
        fine=resolution == 1,
    )


def _moment(where: str, datum: Any) -> float:
    now = time.time()
    at = seconds(datum["Timestamp"]) if "Timestamp" in datum else now
    if at < now - _OLDEST:
        raise InvalidValue(f"The parameter {where}.Timestamp must specify a time within the past two weeks.")
    if at > now + _FURTHEST:
        raise InvalidValue(f"The parameter {where}.Timestamp must specify a time no more than two hours in the future.")
    return at


def _summary(where: str, datum: Any) -> Summary:
    given = [way for way in _WAYS if way in datum]
    if not given:
        raise Missing(f"One of the parameters {where}.Value, {where}.StatisticValues and {where}.Values is required.")
    if len(given) > 1:
        raise InvalidCombination(
            f"The parameters {where}.{given[0]} and {where}.{given[1]} are mutually exclusive and you have specified "
            "both."
        )
    match given:
        case ["Value"]:
            return Summary.of(_number(f"{where}.Value", datum["Value"]))
        case ["StatisticValues"]:
            return _said(f"{where}.StatisticValues", datum["StatisticValues"])
        case _:
            return _counted(where, datum["Values"], datum.get("Counts"))


def _said(where: str, given: Any) -> Summary:
    names = ("SampleCount", "Sum", "Minimum", "Maximum")
    count, total, low, high = (_number(f"{where}.{name}", given[name]) for name in names)
    if count <= 0:
        raise InvalidValue(f"The parameter {where}.SampleCount must be greater than 0.")
    if low > high:
        raise InvalidValue(f"The parameter {where}.Maximum must be greater than or equal to {where}.Minimum.")
    return Summary.said(count, total, low, high)


def _counted(where: str, values: list[float], counts: list[float] | None) -> Summary:
    if not values or len(values) > _MOST_VALUES:
        raise InvalidValue(f"The collection {where}.Values must have between 1 and {_MOST_VALUES} values.")
    counts = [1.0] * len(values) if counts is None else counts
    if len(values) != len(counts):
        raise InvalidValue(f"The collections {where}.Values and {where}.Counts must have the same size.")
    if not all(count > 0 for count in counts):
        raise InvalidValue(f"The values of {where}.Counts must be greater than 0.")
    numbers = [_number(f"{where}.Values", value) for value in values]
    return Summary.counted(zip(numbers, (_number(f"{where}.Counts", count) for count in counts), strict=True))


def _number(where: str, value: float) -> float:
    """As AWS bounds them: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html"""
    if not math.isfinite(value) or abs(value) > 2.0**360:
        raise InvalidValue(f"The value {value} for parameter {where} is invalid: it must be a number up to 2^360.")
    return value
