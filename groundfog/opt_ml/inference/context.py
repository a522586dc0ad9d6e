"""What a function that asks for it is told about its request, and may say about the answer.

The names are those of the multi-model server's context, which users' code knows.
"""

from __future__ import annotations

from typing import Any


class Context:
    """`index` is the request in its batch: here always the first."""

    def __init__(self, model_dir: str) -> None:
        self.system_properties: dict[str, Any] = {"model_dir": model_dir, "gpu_id": "0", "batch_size": 1}
        self.headers: dict[str, str] = {}
        self.answer_headers: dict[str, str] = {}
        self.content_type: str | None = None
        self.status = 200

    def begin(self, headers: dict[str, str]) -> None:
        """Another request: `headers` by name in lower case."""
        self.headers, self.answer_headers = headers, {}
        self.content_type, self.status = None, 200

    @property
    def request_processor(self) -> list[Context]:
        return [self]

    def get_request_properties(self) -> dict[str, str]:
        return self.headers

    def get_request_id(self, index: int = 0) -> str:
        return self.headers.get("x-amzn-sagemaker-inference-id", "")

    def get_request_header(self, index: int, key: str) -> str | None:
        return self.headers.get(key.lower())

    def get_all_request_header(self, index: int = 0) -> dict[str, str]:
        return self.headers

    def set_response_content_type(self, index: int, value: str) -> None:
        self.content_type = value

    def get_response_content_type(self, index: int = 0) -> str | None:
        return self.content_type

    def set_response_header(self, index: int, key: str, value: str) -> None:
        self.answer_headers[key] = value

    def set_response_status(self, code: int = 200, phrase: str = "", index: int = 0) -> None:
        self.status = code
