"""What each AWS service MEANS, in terms of the engine.

A module (or folder) here is named as botocore names the service, with `_` for `-` and a trailing `_` where Python
wants one; a public function of `(engine, caller, request)` in it is named as boto3 names the operation:
`client.create_training_job(...)` in a notebook lands in `create_training_job` here. There is no other registry.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

from groundfog.engine import Engine
from groundfog.wire.caller import Handler, Handlers


def bind(engine: Engine) -> Handlers:
    """Handlers of every service, each given the engine."""
    return {
        found.name.rstrip("_").replace("_", "-"): _handlers(engine, f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    }


def _handlers(engine: Engine, name: str) -> dict[str, Handler]:
    return {
        operation: functools.partial(function, engine)
        for module in _modules(name)
        for operation, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not operation.startswith("_") and _is_handler(function)
    }


def _is_handler(function: Callable[..., object]) -> bool:
    return [*inspect.signature(function).parameters] == ["engine", "caller", "request"]


def _modules(name: str) -> Iterator[ModuleType]:
    module = importlib.import_module(name)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield importlib.import_module(f"{name}.{found.name}")
