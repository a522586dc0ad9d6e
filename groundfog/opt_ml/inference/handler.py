"""The user's functions, called as AWS's toolkits call them, and what becomes of what they return.

There are two conventions. The HuggingFace toolkit hands on whatever came back, so that a returned pair becomes a JSON
list; all others take a pair to be a body and its content type. What is then neither text nor bytes is written as JSON.
An iterator of text or bytes is streamed, part by part.
"""

from __future__ import annotations

import inspect
import json
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from groundfog.opt_ml.inference.context import Context

JSON = "application/json"
_TEXTS = (JSON, "text/csv")
"""Bodies of these types reach the user's functions as text."""


class Unsupported(Exception):
    """A content type that the default functions do not know."""

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"Content type {content_type or 'of nothing'} is not supported by the toolkit's own functions. "
            "Write an input_fn that reads it, or an output_fn that writes it."
        )


@dataclass
class Answer:
    """`body` may be parts that are still to be made."""

    body: bytes | Iterator[bytes]
    content_type: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Handler:
    """The user's module over a toolkit's defaults; the model is loaded when it is made.

    Raises TypeError for functions that cannot be used together, and what the user's `model_fn` raises.
    """

    def __init__(self, user: ModuleType | None, defaults: ModuleType, model_dir: str) -> None:
        self._user, self._defaults, self._context = user, defaults, Context(model_dir)
        self._whole = getattr(user, "transform_fn", None)
        beside = [name for name in ("input_fn", "predict_fn", "output_fn") if hasattr(user, name)]
        if self._whole is not None and beside:
            raise TypeError(f"transform_fn does the whole: it cannot be used beside {', '.join(beside)}.")
        self._model = self._call(self._function("model_fn"), model_dir)

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """Never raises: errors of the user's are answers too. `headers` by name in lower case."""
        self._context.begin(headers)
        try:
            accept = self._accept(headers.get("accept", ""))
            returned = self._transform(body, headers.get("content-type", ""), accept)
            return self._answered(returned, accept)
        except Exception as problem:
            traceback.print_exc()
            return self._failed(problem)

    def _accept(self, asked: str) -> str:
        usual = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        return usual if asked in ("", "*/*") else asked

    def _transform(self, body: bytes, content_type: str, accept: str) -> Any:
        data = body.decode() if content_type.partition(";")[0].strip().lower() in _TEXTS else body
        if self._whole is not None:
            return self._call(self._whole, self._model, data, content_type, accept)
        made = self._call(self._function("input_fn"), data, content_type)
        prediction = self._call(self._function("predict_fn"), made, self._model)
        return self._call(self._function("output_fn"), prediction, accept)

    def _function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self._user, name, None) or getattr(self._defaults, name)
        return function

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments, self._context) if _wants_context(function, len(arguments)) else function(*arguments)

    def _answered(self, returned: Any, accept: str) -> Answer:
        """A pair is a body and its content type; so is the response object of the older toolkits."""
        content_type = accept
        if isinstance(returned, tuple) and len(returned) == 2:
            returned, content_type = returned
        elif hasattr(returned, "get_data") and hasattr(returned, "mimetype"):
            returned, content_type = returned.get_data(), returned.mimetype
        return self._written(returned, content_type)

    def _written(self, returned: Any, content_type: str) -> Answer:
        context = self._context
        return Answer(
            written(returned), context.content_type or content_type, context.status, dict(context.answer_headers)
        )

    def _failed(self, problem: Exception) -> Answer:
        status = 415 if isinstance(problem, Unsupported) else 500
        return Answer(f"{problem}\n{traceback.format_exc()}".encode(), "text/plain", status)


class HuggingFaceHandler(Handler):
    def _accept(self, asked: str) -> str:
        return JSON if asked in ("", "*/*") else asked

    def _answered(self, returned: Any, accept: str) -> Answer:
        return self._written(returned, accept)

    def _failed(self, problem: Exception) -> Answer:
        return fault(400, str(problem))


def fault(code: int, message: str) -> Answer:
    """As the multi-model server says it."""
    said = {"code": code, "type": "InternalServerException", "message": message}
    return Answer((json.dumps(said, indent=2) + "\n").encode(), JSON, code)


def written(returned: Any) -> bytes | Iterator[bytes]:
    """Raises TypeError for what is no JSON."""
    if isinstance(returned, str):
        return returned.encode()
    if isinstance(returned, (bytes, bytearray, memoryview)):
        return bytes(returned)
    if isinstance(returned, Iterator):
        return (_part(part) for part in returned)
    return json.dumps(returned, indent=2).encode()


def _part(part: Any) -> bytes:
    whole = written(part)
    return whole if isinstance(whole, bytes) else b"".join(whole)


def _wants_context(function: Callable[..., Any], given: int) -> bool:
    """Whether there is room for one more: a parameter that must be given, or one of this name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    if len(parameters) <= given:
        return False
    further = parameters[given]
    positional = further.kind in (further.POSITIONAL_ONLY, further.POSITIONAL_OR_KEYWORD)
    return positional and (further.default is further.empty or further.name == "context")
