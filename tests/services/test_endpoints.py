"""Models, endpoint configurations, endpoints and InvokeEndpoint: what AWS says, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from engine.houses import MIRROR, House, archive, housed, until

from groundfog.engine.endpoints import Pace
from groundfog.engine.environments.profiles import Profiles
from groundfog.services.sagemaker import endpoint_configs, endpoints, images, models
from groundfog.services.sagemaker_runtime.invocations import invoke_endpoint
from groundfog.wire.caller import Caller
from groundfog.wire.chunked import Body
from groundfog.wire.fit import Fitter
from groundfog.wire.refusal import Refusal

pytestmark = pytest.mark.anyio

ARN = "arn:aws:sagemaker:eu-west-1:123456789012"
OUTPUTS = {
    xform_name(name): model.operation_model(name).output_shape
    for model in map(botocore.session.get_session().get_service_model, ("sagemaker", "sagemaker-runtime"))
    for name in model.operation_names
}
CALLER = Caller(account="123456789012", region="eu-west-1", identity="x", access_key="x", request_id="x")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Desk:
    """A house whose operations are called as the wire would."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.engine: Any = SimpleNamespace(
            endpoints=house.endpoints,
            resources=house.resources,
            objects=house.objects,
            logs=house.logs,
            environments=SimpleNamespace(profiles=Profiles()),
            network="server",
        )

    async def call(self, operation: Callable[..., Any], **request: Any) -> Any:
        """What a client gets: the answer has to fit botocore's model."""
        answer = operation(self.engine, CALLER, request)
        result = await answer if asyncio.iscoroutine(answer) else answer
        shape = OUTPUTS[operation.__name__]
        return None if shape is None else Fitter().fit(shape, result)

    async def refusal(self, operation: Callable[..., Any], **request: Any) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.call(operation, **request)
        return refused.value

    async def model(self, name: str, files: Mapping[str, str] | None = None, **environment: str) -> None:
        self.house.objects.put("models", f"{name}/model.tar.gz", archive({"prefix": f"{name}-", **(files or {})}))
        container = {"Image": "mirror", "ModelDataUrl": f"s3://models/{name}/model.tar.gz", "Environment": environment}
        await self.call(models.create_model, ModelName=name, PrimaryContainer=container)

    async def config(self, name: str, *variants: dict[str, Any]) -> None:
        filled = [{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1} | variant for variant in variants]
        await self.call(endpoint_configs.create_endpoint_config, EndpointConfigName=name, ProductionVariants=filled)

    async def endpoint(self, name: str, config: str) -> dict[str, Any]:
        await self.call(endpoints.create_endpoint, EndpointName=name, EndpointConfigName=config)
        return await self.describe(name)

    async def describe(self, name: str) -> dict[str, Any]:
        described: dict[str, Any] = await self.call(endpoints.describe_endpoint, EndpointName=name)
        return described

    async def invoke(self, name: str, body: bytes, **members: str) -> Any:
        given = {"EndpointName": name, "ContentType": "text/plain", "Body": _body(body), **members}
        return await self.call(invoke_endpoint, **given)

    async def invocation_refusal(self, name: str, body: bytes, **members: str) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.invoke(name, body, **members)
        return refused.value


def _body(content: bytes) -> Body:
    async def source() -> AsyncIterator[bytes]:
        yield content

    return Body(source(), len(content))


@pytest.fixture(autouse=True)
def _mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "is_built_in", lambda image: image == "mirror")
    monkeypatch.setattr(images, "program", lambda image, command: MIRROR)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with housed(tmp_path) as house:
        yield Desk(house)


@pytest.fixture
async def served(desk: Desk) -> Desk:
    """With the endpoint `E` of the model `m` in service."""
    await desk.model("m")
    await desk.config("c", {"VariantName": "v", "ModelName": "m"})
    assert (await desk.endpoint("E", "c"))["EndpointStatus"] == "InService"
    return desk


async def test_a_model_is_described_as_it_was_given(desk: Desk) -> None:
    await desk.model("My-Model", LEVEL="20")
    described = await desk.call(models.describe_model, ModelName="My-Model")
    assert described["ModelArn"] == f"{ARN}:model/my-model"
    assert described["PrimaryContainer"] == {
        "Image": "mirror",
        "ModelDataUrl": "s3://models/My-Model/model.tar.gz",
        "Environment": {"LEVEL": "20"},
    }
    assert described["EnableNetworkIsolation"] is False


async def test_a_models_name_is_taken_once(desk: Desk) -> None:
    await desk.model("Mine")
    container = {"Image": "mirror"}
    refusal = await desk.refusal(models.create_model, ModelName="Mine", PrimaryContainer=container)
    assert refusal.code == "ValidationException"
    assert refusal.message == f'Cannot create already existing model "{ARN}:model/mine".'


@pytest.mark.parametrize(
    ("container", "text"),
    [
        ({"Image": "mirror", "ModelDataUrl": "s3://models/no"}, "Could not find model data at s3://models/no."),
        ({"Image": "mirror", "ModelDataUrl": "s3://nowhere/x"}, "Could not find model data at s3://nowhere/x."),
        ({"Image": "mirror", "ModelDataUrl": "https://x.org/y"}, "it must look like s3://bucket/key"),
        ({"ModelDataUrl": "s3://models/no"}, "must name an Image"),
        ({"Image": "no-such-image"}, "no-such-image"),
        ({"Image": "mirror", "Mode": "MultiModel"}, "not implemented"),
    ],
)
async def test_a_model_that_could_not_be_served_is_refused(desk: Desk, container: dict[str, str], text: str) -> None:
    refusal = await desk.refusal(models.create_model, ModelName="m", PrimaryContainer=container)
    assert text in refusal.message
    assert not desk.house.resources.has("model", "m")


async def test_what_is_missing_is_named_by_its_arn(desk: Desk) -> None:
    cases = [
        (models.describe_model, {"ModelName": "X"}, f'Could not find model "{ARN}:model/x".'),
        (models.delete_model, {"ModelName": "X"}, f'Could not find model "{ARN}:model/x".'),
        (
            endpoint_configs.describe_endpoint_config,
            {"EndpointConfigName": "X"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (
            endpoint_configs.create_endpoint_config,
            {
                "EndpointConfigName": "c",
                "ProductionVariants": [
                    {"VariantName": "v", "ModelName": "X", "InstanceType": "i", "InitialInstanceCount": 1}
                ],
            },
            f'Could not find model "{ARN}:model/x".',
        ),
        (
            endpoints.create_endpoint,
            {"EndpointName": "e", "EndpointConfigName": "X"},
            f'Could not find endpoint configuration "{ARN}:endpoint-config/x".',
        ),
        (endpoints.describe_endpoint, {"EndpointName": "X"}, f'Could not find endpoint "{ARN}:endpoint/x".'),
        (endpoints.delete_endpoint, {"EndpointName": "X"}, f'Could not find endpoint "{ARN}:endpoint/x".'),
    ]
    for operation, request, text in cases:
        refusal = await desk.refusal(operation, **request)
        assert (refusal.code, refusal.message) == ("ValidationException", text)


async def test_a_name_that_aws_would_not_take_is_refused(desk: Desk) -> None:
    refusal = await desk.refusal(models.create_model, ModelName="my_model", PrimaryContainer={"Image": "mirror"})
    assert "Value 'my_model' at 'modelName' failed to satisfy constraint" in refusal.message


async def test_a_configuration_fills_in_the_weight_and_refuses_twins(desk: Desk) -> None:
    await desk.model("m")
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    await desk.config("c", variant)
    described = await desk.call(endpoint_configs.describe_endpoint_config, EndpointConfigName="c")
    assert described["ProductionVariants"] == [variant | {"InitialVariantWeight": 1.0}]
    refusal = await desk.refusal(
        endpoint_configs.create_endpoint_config, EndpointConfigName="d", ProductionVariants=[variant, variant]
    )
    assert "must be unique" in refusal.message


async def test_numbers_that_would_hurt_are_refused(desk: Desk) -> None:
    await desk.model("m")
    with pytest.raises(Refusal, match="finite"):
        await desk.config("c", {"VariantName": "v", "ModelName": "m", "InitialVariantWeight": float("inf")})
    await desk.config("c", {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 100_000})
    refusal = await desk.refusal(endpoints.create_endpoint, EndpointName="E", EndpointConfigName="c")
    assert refusal.code == "ResourceLimitExceeded"


async def test_lists_are_filtered_sorted_and_paged(desk: Desk) -> None:
    for name in ("blue-1", "red-1", "blue-2", "blue-3"):
        await desk.model(name)
    request = {"NameContains": "blue", "SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 2}
    first = await desk.call(models.list_models, **request)
    assert [model["ModelName"] for model in first["Models"]] == ["blue-1", "blue-2"]
    last = await desk.call(models.list_models, **request, NextToken=first["NextToken"])
    assert [model["ModelName"] for model in last["Models"]] == ["blue-3"]
    assert "NextToken" not in last
    newest = await desk.call(models.list_models)
    assert [model["ModelName"] for model in newest["Models"]] == ["blue-3", "blue-2", "red-1", "blue-1"]
    refusal = await desk.refusal(models.list_models, NextToken="nonsense")
    assert refusal.code == "ValidationException"


async def test_an_endpoint_is_described_with_its_variants(served: Desk) -> None:
    described = await served.describe("E")
    assert described["EndpointArn"] == f"{ARN}:endpoint/e"
    assert described["EndpointConfigName"] == "c"
    [variant] = described["ProductionVariants"]
    assert variant == {
        "VariantName": "v",
        "DeployedImages": [{"SpecifiedImage": "mirror", "ResolvedImage": "mirror"}],
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    listed = await served.call(endpoints.list_endpoints, StatusEquals="InService")
    assert [endpoint["EndpointName"] for endpoint in listed["Endpoints"]] == ["E"]
    assert (await served.call(endpoints.list_endpoints, StatusEquals="Failed"))["Endpoints"] == []


async def test_an_invocation_says_who_answered(served: Desk) -> None:
    answer = await served.invoke("E", b"abc", Accept="text/plain", TargetVariant="v")
    assert answer == {"Body": b"m-cba", "ContentType": "text/plain", "InvokedProductionVariant": "v"}


async def test_the_models_refusal_comes_with_the_original_status(served: Desk) -> None:
    refusal = await served.invocation_refusal("E", b"abc", ContentType="image/png")
    assert (refusal.code, refusal.status) == ("ModelError", 424)
    assert refusal.message == (
        'Received client error (415) from primary with message "image/png is not text". See '
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1"
        "#logEventViewer:group=/aws/sagemaker/Endpoints/E in account 123456789012 for more information."
    )
    assert refusal.fields["OriginalStatusCode"] == 415
    assert refusal.fields["OriginalMessage"] == "image/png is not text"
    group = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/sagemaker/Endpoints/E"
    assert str(refusal.fields["LogStreamArn"]).startswith(f"{group}:log-stream:v/i-")


async def test_a_bug_of_the_model_is_a_server_error_and_the_endpoint_goes_on(served: Desk) -> None:
    refusal = await served.invocation_refusal("E", b"raise")
    assert refusal.message.startswith('Received server error (500) from primary with message "ValueError: a word')
    assert (await served.invoke("E", b"x"))["Body"] == b"m-x"


async def test_a_body_has_six_megabytes_at_most(served: Desk) -> None:
    assert (await served.invoke("E", b" " * 6_291_456))["Body"] == b""
    refusal = await served.invocation_refusal("E", b" " * 6_291_457)
    assert refusal.code == "ValidationError"
    assert "less than or equal to 6291456" in refusal.message


async def test_who_cannot_be_asked_is_a_validation_error(served: Desk) -> None:
    missing = await served.invocation_refusal("F", b"x")
    assert (missing.code, missing.message) == ("ValidationError", "Endpoint F of account 123456789012 not found.")
    variant = await served.invocation_refusal("E", b"x", TargetVariant="w")
    assert (variant.code, variant.message) == ("ValidationError", "Variant w not found for Request")
    several = await served.invocation_refusal("E", b"x", TargetModel="a.tar.gz")
    assert several.code == "ValidationError"


async def test_no_answer_in_time_is_a_model_error(tmp_path: Path) -> None:
    async with housed(tmp_path, Pace(check=0.05, answer=0.2)) as house:
        desk = Desk(house)
        await desk.model("m")
        await desk.config("c", {"VariantName": "v", "ModelName": "m"})
        await desk.endpoint("E", "c")
        refusal = await desk.invocation_refusal("E", b"sleep:1")
        assert refusal.code == "ModelError"
        assert refusal.message.startswith(
            'Received server error (0) from primary with message "Your invocation timed out'
        )


async def test_a_name_is_taken_and_a_busy_endpoint_is_not_touched(served: Desk) -> None:
    refusal = await served.refusal(endpoints.create_endpoint, EndpointName="E", EndpointConfigName="c")
    assert refusal.message == f'Cannot create already existing endpoint "{ARN}:endpoint/e".'
    await served.model("slow", LOADING_TAKES="1")
    await served.config("slow", {"VariantName": "v", "ModelName": "slow"})
    updating = asyncio.create_task(served.call(endpoints.update_endpoint, EndpointName="E", EndpointConfigName="slow"))
    await until(lambda: served.house.status("E") == "Updating")
    for operation, more in (
        (endpoints.update_endpoint, {"EndpointConfigName": "c"}),
        (endpoints.update_endpoint_weights_and_capacities, {"DesiredWeightsAndCapacities": [{"VariantName": "v"}]}),
        (endpoints.delete_endpoint, {}),
    ):
        refusal = await served.refusal(operation, EndpointName="E", **more)
        assert refusal.message == f'Cannot update in-progress endpoint "{ARN}:endpoint/e".'
    pending = (await served.describe("E"))["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "slow"
    await updating
    assert (await served.describe("E"))["EndpointConfigName"] == "slow"
    assert (await served.invoke("E", b"x"))["Body"] == b"slow-x"


async def test_a_model_that_does_not_load_is_a_failed_endpoint_that_says_why(desk: Desk) -> None:
    await desk.model("m", {"broken": ""})
    await desk.config("c", {"VariantName": "v", "ModelName": "m"})
    described = await desk.endpoint("E", "c")
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == (
        "The primary container for production variant v did not pass the ping health check. Please check CloudWatch "
        "logs for this endpoint. It said last: RuntimeError: these weights are for another model"
    )
    refusal = await desk.invocation_refusal("E", b"x")
    assert refusal.message == "Endpoint E of account 123456789012 is not in service: it is Failed."
    await desk.call(endpoints.delete_endpoint, EndpointName="E")
    assert (await desk.refusal(endpoints.describe_endpoint, EndpointName="E")).code == "ValidationException"


async def test_model_data_that_is_gone_by_then_is_named(desk: Desk) -> None:
    await desk.model("m")
    await desk.config("c", {"VariantName": "v", "ModelName": "m"})
    desk.house.objects.delete("models", "m/model.tar.gz")
    described = await desk.endpoint("E", "c")
    assert described["EndpointStatus"] == "Failed"
    assert 'from URL: "s3://models/m/model.tar.gz"' in described["FailureReason"]


async def test_weights_and_capacities_change_by_themselves(served: Desk) -> None:
    change = [{"VariantName": "v", "DesiredWeight": 0.5, "DesiredInstanceCount": 2}]
    await served.call(
        endpoints.update_endpoint_weights_and_capacities, EndpointName="E", DesiredWeightsAndCapacities=change
    )
    [variant] = (await served.describe("E"))["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (0.5, 2, 2)
    refusal = await served.refusal(
        endpoints.update_endpoint_weights_and_capacities,
        EndpointName="E",
        DesiredWeightsAndCapacities=[{"VariantName": "w", "DesiredWeight": 1}],
    )
    assert refusal.message == 'The variant name(s) "w" is/are not present within endpoint configuration "c".'
    await served.call(
        endpoints.update_endpoint, EndpointName="E", EndpointConfigName="c", RetainAllVariantProperties=True
    )
    [variant] = (await served.describe("E"))["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["CurrentInstanceCount"]) == (0.5, 2)


async def test_a_program_of_ours_cannot_be_made_to_load_what_the_archive_brings(desk: Desk) -> None:
    """It may run outside of a sandbox."""
    await desk.model("m", {"sitecustomize.py": "raise SystemExit('taken over')"}, PYTHONPATH="model", LD_PRELOAD="x")
    await desk.config("c", {"VariantName": "v", "ModelName": "m"})
    assert (await desk.endpoint("E", "c"))["EndpointStatus"] == "InService"
