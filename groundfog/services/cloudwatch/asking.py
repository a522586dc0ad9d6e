"""GetMetricStatistics, GetMetricData and ListMetrics."""

import hashlib
import json
import re
import time
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.errors import Unfit
from groundfog.engine.measurements import Metric, Sought, Summary
from groundfog.engine.measurements.statistics import SIMPLE, Statistic
from groundfog.services.cloudwatch import requests
from groundfog.services.cloudwatch.requests import InvalidCombination, InvalidValue, Missing, Span
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_POINTS = 1440
_MOST_OF_DATA = 100_800
_MOST_QUERIES = 500
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_RECENTLY, _LISTED = 3 * 3600, 14 * 86400


def get_metric_statistics(engine: Engine, caller: Caller, request: Parameters) -> Result:
    metric = requests.metric(request)
    span = Span.read(request["StartTime"], request["EndTime"], request["Period"])
    if span.length > _MOST_POINTS:
        raise InvalidCombination(
            f"You have requested up to {span.length} datapoints, which exceeds the limit of {_MOST_POINTS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    simple, extended = request.get("Statistics", []), request.get("ExtendedStatistics", [])
    if not simple and not extended:
        raise Missing("At least one of the parameters Statistics and ExtendedStatistics must be specified.")
    wanted = {name: requests.statistic(name, "ExtendedStatistics") for name in extended}
    points = engine.measurements.points(metric, span.start, span.end, unit=request.get("Unit", ""))
    return {
        "Label": metric.name,
        "Datapoints": [
            {"Timestamp": at, "Unit": unit, **_told(summary, simple, wanted)}
            for (at, unit), summary in requests.gathered(points, span, by_unit=True).items()
        ],
    }


def _told(summary: Summary, simple: list[str], extended: dict[str, Statistic]) -> dict[str, Any]:
    told: dict[str, Any] = {name: SIMPLE[name](summary) for name in simple}
    further = {name: value for name, of in extended.items() if (value := of(summary)) is not None}
    return told | ({"ExtendedStatistics": further} if further else {})


def get_metric_data(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """A page is some queries' whole results, or a part of the first one's."""
    queries = _checked(request["MetricDataQueries"])
    room = min(request.get("MaxDatapoints", _MOST_OF_DATA), _MOST_OF_DATA)
    if room < 1:
        raise InvalidValue("The parameter MaxDatapoints must be at least 1.")
    first, offset = _position(request)
    results: list[dict[str, Any]] = []
    for number, query in enumerate(queries[first:], start=first):
        if results and room == 0:
            return {"MetricDataResults": results, "NextToken": _token(request, number, 0)}
        pairs = _series(engine, request, query)[offset:]
        results.append(_result(query, pairs[:room], "PartialData" if len(pairs) > room else "Complete"))
        if len(pairs) > room:
            return {"MetricDataResults": results, "NextToken": _token(request, number, offset + room)}
        room, offset = room - len(pairs), 0
    return {"MetricDataResults": results}


def _checked(queries: list[Any]) -> list[Any]:
    """Those whose results are to be returned."""
    if not queries or len(queries) > _MOST_QUERIES:
        raise InvalidValue(f"The collection MetricDataQueries must have between 1 and {_MOST_QUERIES} queries.")
    for query in queries:
        if not _ID.fullmatch(query["Id"]):
            raise InvalidValue(
                f"The value {query['Id']} for parameter Id is invalid: it must begin with a lower-case letter, and "
                "go on with letters, digits and underscores."
            )
        if "Expression" in query:
            raise Refusal(
                "NotImplemented", f"Metric math (Expression of the query {query['Id']}) is not implemented.", 501
            )
        if "MetricStat" not in query:
            raise Missing(f"The query {query['Id']} must have a MetricStat.")
        metric = query["MetricStat"]["Metric"]
        if "Namespace" not in metric or "MetricName" not in metric:
            raise Missing(f"The Metric of the query {query['Id']} must have a Namespace and a MetricName.")
    if len({query["Id"] for query in queries}) < len(queries):
        raise InvalidValue("The Ids of MetricDataQueries must be unique.")
    return [query for query in queries if query.get("ReturnData", True)]


def _series(engine: Engine, request: Parameters, query: Any) -> list[tuple[int, float]]:
    wanted = query["MetricStat"]
    metric = requests.metric(wanted["Metric"])
    span = Span.read(request["StartTime"], request["EndTime"], wanted["Period"]).whole()
    of = requests.statistic(wanted["Stat"], "Stat")
    points = engine.measurements.points(metric, span.start, span.end, unit=wanted.get("Unit", ""))
    told = ((at, of(summary)) for (at, _), summary in requests.gathered(points, span, by_unit=False).items())
    pairs = [(at, value) for at, value in told if value is not None]
    return pairs if request.get("ScanBy") == "TimestampAscending" else pairs[::-1]


def _result(query: Any, pairs: list[tuple[int, float]], status: str) -> dict[str, Any]:
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or query["MetricStat"]["Metric"]["MetricName"],
        "Timestamps": [at for at, _ in pairs],
        "Values": [value for _, value in pairs],
        "StatusCode": status,
    }


def list_metrics(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if request.get("OwningAccount", caller.account) != caller.account:
        return {"Metrics": []}
    sought = Sought(
        namespace=request.get("Namespace", ""),
        name=request.get("MetricName", ""),
        dimensions=tuple((one["Name"], one.get("Value")) for one in request.get("Dimensions", [])),
        since=time.time() - (_RECENTLY if "RecentlyActive" in request else _LISTED),
        after=request.get("NextToken", ""),
    )
    try:
        found, token = engine.measurements.page(sought)
    except Unfit as unfit:
        raise InvalidValue(str(unfit)) from None
    accounts = [caller.account] * len(found) if request.get("IncludeLinkedAccounts") else []
    return {
        "Metrics": [_named(metric) for metric in found],
        **({"OwningAccounts": accounts} if accounts else {}),
        **({"NextToken": token} if token else {}),
    }


def _named(metric: Metric) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _token(request: Parameters, query: int, offset: int) -> str:
    return f"{query}/{offset}/{_digest(request)}"


def _position(request: Parameters) -> tuple[int, int]:
    """The query and the value of it with which the page begins."""
    if "NextToken" not in request:
        return 0, 0
    query, _, rest = request["NextToken"].partition("/")
    offset, _, digest = rest.partition("/")
    if digest != _digest(request) or not (query.isdecimal() and offset.isdecimal()):
        raise Refusal("InvalidNextToken", "The NextToken is not one that this request was answered with.", 400)
    return int(query), int(offset)


def _digest(request: Parameters) -> str:
    """A token belongs to the request that it was given for."""
    asked = {name: value for name, value in request.items() if name not in ("NextToken", "MaxDatapoints")}
    return hashlib.sha256(json.dumps(asked, default=str, sort_keys=True).encode()).hexdigest()[:16]
