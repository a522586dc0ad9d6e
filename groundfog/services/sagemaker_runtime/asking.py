"""What the two ways to ask and be answered at once have in common."""

import time
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from groundfog.engine import Engine
from groundfog.engine.endpoints import Question, TooSlow, Unanswered, Unhealthy, UnknownVariant
from groundfog.engine.errors import Busy, Missing
from groundfog.services.sagemaker_runtime.model_errors import TOO_SLOW, ModelError
from groundfog.wire.caller import Caller, Parameters
from groundfog.wire.refusal import Refusal

MAX_BODY = 6_291_456
HEADERS = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_UNSUPPORTED = ("TargetModel", "TargetContainerHostname", "InferenceComponentName", "EnableExplanations", "SessionId")
T = TypeVar("T")


class Asked:
    """A request on its way to a model."""

    def __init__(self, engine: Engine, caller: Caller, request: Parameters) -> None:
        """Raises a Refusal for an endpoint that answers by objects, and for what no endpoint here does."""
        self.name, self.variant, self._since = request["EndpointName"], request.get("TargetVariant"), time.monotonic()
        self._caller, self._request = caller, request
        self._endpoint = f"Endpoint {self.name} of account {caller.account}"
        for member in _UNSUPPORTED:
            if request.get(member):
                raise Refusal("ValidationError", f"{member} is not supported by endpoint {self.name}.")
        if engine.endpoints.queueing(self.name) is not None:
            raise Refusal(
                "ValidationError",
                f"{self._endpoint} is an asynchronous endpoint, which is asked with InvokeEndpointAsync.",
            )

    async def question(self) -> Question:
        headers = {header: self._request[member] for member, header in HEADERS.items() if self._request.get(member)}
        return Question(await self._body(), headers, self.variant, self._since)

    async def _body(self) -> bytes:
        try:
            read: bytes = await self._request["Body"].read(MAX_BODY)
        except Refusal as refusal:
            if refusal.code != "EntityTooLarge":
                raise
            raise TooLarge(MAX_BODY) from None
        return read

    async def answered(self, answering: Awaitable[T]) -> T:
        """What the endpoint says, or a Refusal as AWS has it."""
        try:
            return await answering
        except UnknownVariant:
            raise Refusal("ValidationError", f"Variant {self.variant} not found for Request") from None
        except Missing:
            raise Refusal("ValidationError", f"{self._endpoint} not found.") from None
        except Busy as busy:
            raise Refusal("ValidationError", f"{self._endpoint} is not in service: it is {busy}.") from None
        except Unhealthy:
            raise Refusal("ServiceUnavailable", f"{self._endpoint} has no healthy instance at the moment.") from None
        except TooSlow:
            raise self.model_error(0, TOO_SLOW) from None
        except Unanswered as unanswered:
            raise self.model_error(0, str(unanswered)) from None

    def model_error(self, status: int, said: str, stream: str = "") -> ModelError:
        return ModelError(self._caller, self.name, status, said, stream)


class TooLarge(Refusal):
    def __init__(self, most: int) -> None:
        super().__init__(
            "ValidationError",
            "1 validation error detected: Value at 'body' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}",
            413,
        )


def told(headers: Mapping[str, str]) -> dict[str, str]:
    """The members of an answer that are the model's headers."""
    found = {
        "ContentType": headers.get("content-type"),
        "CustomAttributes": headers.get("x-amzn-sagemaker-custom-attributes"),
    }
    return {member: value for member, value in found.items() if value is not None}
