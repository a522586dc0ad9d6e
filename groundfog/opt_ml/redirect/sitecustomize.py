"""Run by Python as it starts: explicit addresses of AWS give way to AWS_ENDPOINT_URL.

The SageMaker SDK makes its STS client with `endpoint_url="https://sts.REGION.amazonaws.com"`, and an argument beats the
variable. So when botocore is imported (by whomever, and only then), `Session.create_client` learns to drop such an
address. Nothing else is touched: an address that is not AWS's stays, and without the variable all stay.

There is one `sitecustomize` to a Python. If the environment has one of its own, it is run as if we had not been there.
Every Python that starts waits for this file, so it imports next to nothing.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


class UponImport:
    """A finder that finds nothing itself: `then` looks at the module `name` when whoever does find it has loaded it."""

    def __init__(self, name: str, then: Callable[[Any], None]) -> None:
        self.name, self.then = name, then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_then(module: ModuleType) -> None:
                load(module)
                self.then(module)

            spec.loader.exec_module = load_and_then  # type: ignore[method-assign]
        return spec


def turn(session: Any) -> None:
    """Have the clients of `botocore.session` go where AWS_ENDPOINT_URL says, not to an address of AWS's."""
    import functools

    create = session.Session.create_client

    @functools.wraps(create)
    def create_client(*args: Any, **kwargs: Any) -> Any:
        if os.environ.get("AWS_ENDPOINT_URL") and is_amazons(kwargs.get("endpoint_url")):
            kwargs["endpoint_url"] = None
        return create(*args, **kwargs)

    session.Session.create_client = create_client


def is_amazons(url: str | None) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname if url else None
    return host is not None and host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def hand_over() -> None:
    """Run the `sitecustomize` that Python would have found without us, in our place; no trace of our folder stays."""
    sys.path[:] = [folder for folder in sys.path if not folder or os.path.abspath(folder) != HERE]  # noqa: PTH100
    ours = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError as missing:
        if missing.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = ours


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, UponImport("botocore.session", turn))
    hand_over()
