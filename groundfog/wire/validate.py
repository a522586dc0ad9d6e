"""Parameters against the model, before any service sees them; in AWS's words, since users match on them."""

import datetime
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from botocore.model import Shape

from groundfog.wire.chunked import Body
from groundfog.wire.model import Operation
from groundfog.wire.readers import WrongType, name_of
from groundfog.wire.refusal import Refusal

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "timestamp": (datetime.datetime,),
    "blob": (bytes,),
    "list": (list,),
    "map": (dict,),
    "structure": (dict,),
}
_BITS = {"integer": 31, "long": 63}
_PATTERN_LIMIT = 1024
"""Longest text that is held against a pattern that has no limit of its own: some patterns take their time."""


class Violation(NamedTuple):
    """What is wrong with the value at a path: `inputDataConfig.1.member.channelName`."""

    value: Any
    path: str
    constraint: str

    def __str__(self) -> str:
        shown = "null" if self.value is None else f"'{_shown(self.value)}'"
        return f"Value {shown} at '{self.path}' failed to satisfy constraint: {self.constraint}"


Check = Callable[[Any, str, list[Violation]], None]
"""Looks at a value at a path and adds what is wrong with it."""


class Validator:
    """The checks of one service, each put together when first needed."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def violations(self, shape: Shape, parameters: dict[str, Any]) -> list[Violation]:
        """Raises WrongType at the first value that is not of its shape's type."""
        found: list[Violation] = []
        self._check(shape)(parameters, "", found)
        return found

    def _check(self, shape: Shape) -> Check:
        check = self._checks.get(shape.name)
        if check is None:
            self._checks[shape.name] = lambda value, path, found: self._checks[shape.name](value, path, found)
            check = self._checks[shape.name] = self._make(shape)
        return check

    def _make(self, shape: Shape) -> Check:
        if shape.type_name == "structure" and shape.is_document_type:
            return lambda value, path, found: None
        if shape.type_name == "structure":
            inner = self._structure(shape)
        elif shape.type_name == "list":
            inner = self._list(shape)
        elif shape.type_name == "map":
            inner = self._map(shape)
        else:
            inner = None
        return _guarded(shape, _constraints(shape), inner)

    def _structure(self, shape: Shape) -> Check:
        required = frozenset(shape.required_members)
        members = {name: (self._check(member), _lower(name)) for name, member in shape.members.items()}

        def check(value: dict[str, Any], path: str, found: list[Violation]) -> None:
            if not required <= value.keys():
                missing = (name for name in shape.required_members if name not in value)
                found.extend(Violation(None, path + _lower(name), "Member must not be null") for name in missing)
            for name, member in value.items():
                known, lower = members[name]
                known(member, path + lower, found)

        if shape.is_tagged_union:
            return _one_of(check, shape.name)
        return check

    def _list(self, shape: Shape) -> Check:
        known = self._check(shape.member)

        def check(value: list[Any], path: str, found: list[Violation]) -> None:
            for number, member in enumerate(value, 1):
                known(member, f"{path}.{number}.member", found)

        return check

    def _map(self, shape: Shape) -> Check:
        known_key, known_value = self._check(shape.key), self._check(shape.value)

        def check(value: dict[str, Any], path: str, found: list[Violation]) -> None:
            for key, member in value.items():
                known_key(key, f"{path}.{key}.key", found)
                known_value(member, f"{path}.{key}.member", found)

        return check


def _guarded(shape: Shape, constraints: list[Callable[[Any], str | None]], inner: Check | None) -> Check:
    expected, kind = _SCALARS[shape.type_name], shape.type_name
    is_structure, bits = kind == "structure", _BITS.get(kind)

    def check(value: Any, path: str, found: list[Violation]) -> None:
        if isinstance(value, Body):
            return
        if value is None:
            found.append(Violation(None, path, "Member must not be null"))
            return
        if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
            raise WrongType(f"{name_of(value)} can not be converted to {kind} at '{path}'")
        if bits and isinstance(value, int) and not -(1 << bits) <= value < 1 << bits:
            raise WrongType(f"{value} can not be converted to {kind} at '{path}'")
        for constraint in constraints:
            if complaint := constraint(value):
                found += [Violation(value, path, complaint)]
        if inner:
            inner(value, path + "." if is_structure and path else path, found)

    return check


def _one_of(check: Check, name: str) -> Check:
    def only_one(value: dict[str, Any], path: str, found: list[Violation]) -> None:
        if len(value) != 1:
            found.append(
                Violation(None, path.rstrip(".") or _lower(name), "Member must have one and only one member set")
            )
        check(value, path, found)

    return only_one


Constraint = Callable[[Any], str | None]
"""What is wrong with a value, or None."""


def _constraints(shape: Shape) -> list[Constraint]:
    traits, kind = shape.metadata, shape.type_name
    found: list[Constraint] = []
    if traits.get("enum"):
        found.append(_enum(traits["enum"]))
    sized = kind in ("string", "list", "map", "blob")
    if "min" in traits:
        found.append(_at_least(traits["min"], sized))
    if "max" in traits:
        found.append(_at_most(traits["max"], sized))
    if kind == "string" and "pattern" in traits and (pattern := _compiled(traits["pattern"])):
        found.append(_matching(pattern, traits["pattern"], min(traits.get("max", _PATTERN_LIMIT), _PATTERN_LIMIT)))
    return found


def _enum(allowed: list[str]) -> Constraint:
    known, listed = frozenset(allowed), ", ".join(allowed)
    return lambda value: None if value in known else f"Member must satisfy enum value set: [{listed}]"


def _at_least(least: float, sized: bool) -> Constraint:
    if sized:
        text = f"Member must have length greater than or equal to {least}"
        return lambda value: text if len(value) < least else None
    text = f"Member must have value greater than or equal to {least}"
    return lambda value: text if value < least else None


def _at_most(most: float, sized: bool) -> Constraint:
    if sized:
        text = f"Member must have length less than or equal to {most}"
        return lambda value: text if len(value) > most else None
    text = f"Member must have value less than or equal to {most}"
    return lambda value: text if value > most else None


def _matching(pattern: re.Pattern[str], said: str, limit: int) -> Constraint:
    text = f"Member must satisfy regular expression pattern: {said}"
    return lambda value: text if len(value) <= limit and not pattern.fullmatch(value) else None


_ENDLESS = {
    r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?",
    r"https://([.\-_a-zA-Z0-9]+/?){3,1016}",
    r"^[\x20-\x7E]*[\x21-\x7E]+[\x20-\x7E]*$",
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$",
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$",
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$",
}
"""Patterns that a backtracking matcher may take hours over, if a client wants it to."""


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The models' patterns are Java's; what Python's re cannot say is not checked."""
    if pattern in _ENDLESS:
        return None
    try:
        return re.compile(pattern, re.ASCII)
    except re.error:
        return None


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 256 else text[:256] + "..."


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


_CODES = {
    "personalize": "InvalidInputException",
    "personalize-runtime": "InvalidInputException",
    "personalize-events": "InvalidInputException",
    "transcribe": "BadRequestException",
    "logs": "InvalidParameterException",
    "ecr": "InvalidParameterException",
    "sagemaker-runtime": "ValidationError",
    "cloudwatch": "ValidationError",
    "iam": "ValidationError",
    "sts": "ValidationError",
    "cloudformation": "ValidationError",
}


_S3_ENUMS = {
    "storageClass": ("InvalidStorageClass", "The storage class you specified is not valid"),
    "createBucketConfiguration.locationConstraint": (
        "InvalidLocationConstraint",
        "The specified location-constraint is not valid",
    ),
}


def refusal(operation: Operation, violations: list[Violation]) -> Refusal:
    """All that is wrong, in one text."""
    if operation.service == "s3":
        return _s3_refusal(operation, violations[0])
    count = len(violations)
    text = f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(map(str, violations[:20]))}"
    return Refusal(_CODES.get(operation.service, "ValidationException"), text, 400)


def _s3_refusal(operation: Operation, first: Violation) -> Refusal:
    """S3 has its own words: for a document one, for a header or parameter another, and no path."""
    if first.path in _S3_ENUMS:
        return Refusal(*_S3_ENUMS[first.path], 400)
    if operation.payload and first.path == _lower(operation.payload.name) and first.value is None:
        return Refusal("MissingRequestBodyError", "Request Body is empty", 400)
    for member in operation.located:
        if first.path.partition(".")[0] == _lower(member.name):
            fields = {"ArgumentName": member.key, "ArgumentValue": "" if first.value is None else _shown(first.value)}
            return Refusal("InvalidArgument", f"{member.key}: {first.constraint}", 400, **fields)
    text = "The XML you provided was not well-formed or did not validate against our published schema"
    return Refusal("MalformedXML", text, 400)
