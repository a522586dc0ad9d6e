"""A user's functions, called as AWS's inference toolkits call them."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy
import pytest

from groundfog.opt_ml.inference.defaults import huggingface, mxnet, pytorch, sklearn
from groundfog.opt_ml.inference.handler import Answer, Handler, HuggingFaceHandler

JSON = {"content-type": "application/json"}
Functions = Callable[..., Any]


def module(**functions: Functions) -> ModuleType:
    """A user's; without a model_fn it gets one that tells its folder."""
    made = ModuleType("inference")
    vars(made).update({"model_fn": lambda model_dir: f"the model of {model_dir}", **functions})
    return made


def plain(headers: dict[str, str], body: bytes, defaults: ModuleType = sklearn, **functions: Functions) -> Answer:
    return Handler(module(**functions), defaults, "/opt/ml/model").answer(headers, body)


def face(headers: dict[str, str], body: bytes, **functions: Functions) -> Answer:
    return HuggingFaceHandler(module(**functions), huggingface, "/opt/ml/model").answer(headers, body)


def told(answer: Answer) -> tuple[int, str, Any]:
    assert isinstance(answer.body, bytes)
    return answer.status, answer.content_type, json.loads(answer.body)


def test_the_four_functions_are_called_in_their_order() -> None:
    answer = plain(
        {**JSON, "accept": "text/x"},
        b"[1, 2]",
        input_fn=lambda data, content_type: (json.loads(data), content_type),
        predict_fn=lambda data, model: {"data": data, "model": model},
        output_fn=lambda prediction, accept: json.dumps([prediction, accept]),
    )
    said = [{"data": [[1, 2], "application/json"], "model": "the model of /opt/ml/model"}, "text/x"]
    assert told(answer) == (200, "text/x", said)


def test_one_function_does_the_whole() -> None:
    def transform_fn(model: str, data: str, content_type: str, accept: str) -> str:
        return json.dumps([model, data, content_type, accept])

    said = ["the model of /opt/ml/model", "x", "text/csv", "application/json"]
    assert told(plain({"content-type": "text/csv"}, b"x", transform_fn=transform_fn))[2] == said


def test_one_that_does_the_whole_is_not_taken_beside_others() -> None:
    with pytest.raises(TypeError, match="cannot be used beside input_fn, output_fn"):
        plain({}, b"", transform_fn=print, input_fn=print, output_fn=print)


def test_a_function_that_has_room_for_it_is_given_the_context() -> None:
    def model_fn(model_dir: str, context: Any) -> str:
        return str(context.system_properties["model_dir"])

    def input_fn(data: bytes, content_type: str, context: Any) -> Any:
        context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", "seen")
        return context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")

    def predict_fn(data: str, model: str, device: str = "cpu") -> list[str]:
        return [data, model, device]

    headers = {**JSON, "x-amzn-sagemaker-custom-attributes": "trace=1"}
    answer = plain(headers, b"1", model_fn=model_fn, input_fn=input_fn, predict_fn=predict_fn)
    assert told(answer)[2] == ["trace=1", "/opt/ml/model", "cpu"]
    assert answer.headers == {"X-Amzn-SageMaker-Custom-Attributes": "seen"}


def test_the_context_forgets_what_an_earlier_answer_said() -> None:
    def input_fn(data: str, content_type: str, context: Any) -> str:
        if data == '"odd"':
            context.set_response_status(418, "teapot")
            context.set_response_content_type(0, "text/odd")
        return data

    handler = Handler(module(input_fn=input_fn, predict_fn=lambda data, model: data), sklearn, "")
    odd, usual = handler.answer(JSON, b'"odd"'), handler.answer(JSON, b'"usual"')
    assert (odd.status, odd.content_type) == (418, "text/odd")
    assert (usual.status, usual.content_type) == (200, "application/json")


@pytest.mark.parametrize("asked", ["", "*/*"])
def test_who_accepts_anything_gets_json_or_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    functions = {"transform_fn": lambda model, data, content_type, accept: b"{}"}
    assert plain({"accept": asked}, b"", **functions).content_type == "application/json"
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
    assert plain({"accept": asked}, b"", **functions).content_type == "text/csv"
    assert face({"accept": asked}, b"", **functions).content_type == "application/json"


def test_a_pair_is_unpacked_by_all_toolkits_but_huggingfaces() -> None:
    functions: dict[str, Functions] = {"transform_fn": lambda model, data, content_type, accept: ('"said"', "text/x")}
    assert plain(JSON, b"", **functions).content_type == "text/x"
    assert plain(JSON, b"", **functions).body == b'"said"'
    answer = face(JSON, b"", **functions)
    assert answer.content_type == "application/json"
    assert answer.body == b'[\n  "\\"said\\"",\n  "text/x"\n]'


def test_a_response_object_of_the_older_toolkits_is_understood() -> None:
    class Response:
        mimetype = "text/x"

        def get_data(self) -> bytes:
            return b"said"

    answer = plain(JSON, b"", transform_fn=lambda *_: Response())
    assert (answer.content_type, answer.body) == ("text/x", b"said")


@pytest.mark.parametrize(
    ("returned", "body"),
    [("text", b"text"), (b"bytes", b"bytes"), (bytearray(b"x"), b"x"), ({"a": [1]}, b'{\n  "a": [\n    1\n  ]\n}')],
)
def test_what_is_neither_text_nor_bytes_is_written_as_json(returned: Any, body: bytes) -> None:
    assert face(JSON, b"", transform_fn=lambda *_: returned).body == body


def test_what_is_no_json_is_the_users_error() -> None:
    answer = face(JSON, b"", transform_fn=lambda *_: object())
    assert answer.status == 400
    assert "object is not JSON serializable" in told(answer)[2]["message"]


def test_an_iterators_parts_are_made_as_they_are_asked_for() -> None:
    made: list[int] = []

    def parts() -> Any:
        for number in range(3):
            made.append(number)
            yield f"{number};"

    answer = plain(JSON, b"", transform_fn=lambda *_: parts())
    assert not isinstance(answer.body, bytes)
    assert next(answer.body) == b"0;"
    assert made == [0]
    assert list(answer.body) == [b"1;", b"2;"]


def test_an_error_is_told_as_the_toolkit_tells_it(capfd: pytest.CaptureFixture[str]) -> None:
    def predict_fn(data: Any, model: Any) -> Any:
        raise ValueError("no such word")

    answer = face(JSON, b"{}", predict_fn=predict_fn)
    assert told(answer) == (
        400,
        "application/json",
        {"code": 400, "type": "InternalServerException", "message": "no such word"},
    )
    answer = plain(JSON, b"[]", predict_fn=predict_fn)
    assert isinstance(answer.body, bytes)
    assert answer.status == 500
    assert answer.body.startswith(b"no such word\nTraceback")
    assert capfd.readouterr().err.count("ValueError: no such word") == 2


@pytest.mark.parametrize(("answered", "status"), [(plain, 415), (face, 400)])
def test_an_unknown_content_type_is_refused(answered: Callable[..., Answer], status: int) -> None:
    answer = answered({"content-type": "video/mp4"}, b"")
    assert answer.status == status
    assert b"Content type video/mp4 is not supported" in answer.body  # type: ignore[operator]


@pytest.mark.parametrize("defaults", [mxnet, sklearn])
def test_a_model_that_only_its_user_knows_needs_a_model_fn(defaults: ModuleType) -> None:
    with pytest.raises(NotImplementedError, match="Write a model_fn"):
        Handler(None, defaults, "/opt/ml/model")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"[[1, 2], [3, 4]]"),
        ("application/json; charset=utf-8", b"[[1, 2], [3, 4]]"),
        ("text/csv", b"1,2\n3,4\n"),
        ("application/x-npy", None),
    ],
)
def test_arrays_come_in_as_json_csv_and_npy(content_type: str, body: bytes | None) -> None:
    class Model:
        def predict(self, data: Any) -> Any:
            return data * 2

    sent = sklearn.output_fn(numpy.array([[1, 2], [3, 4]]), "application/x-npy")[0] if body is None else body
    assert isinstance(sent, bytes)
    answer = plain({"content-type": content_type}, sent, model_fn=lambda model_dir: Model())
    assert told(answer)[2] == [[2, 4], [6, 8]]


def test_an_array_of_objects_which_could_run_code_is_not_read() -> None:
    sent = io.BytesIO()
    numpy.save(sent, numpy.array([{}], dtype=object), allow_pickle=True)
    answer = plain({"content-type": "application/x-npy"}, sent.getvalue())
    assert answer.status == 500
    assert b"allow_pickle=False" in answer.body  # type: ignore[operator]


def test_arrays_go_out_as_what_is_accepted() -> None:
    array = numpy.array([[1.5, 2.0]])
    assert sklearn.output_fn(array, "application/json") == ("[[1.5, 2.0]]", "application/json")
    assert sklearn.output_fn(array, "image/png, text/csv, application/json") == ("1.5,2.0\n", "text/csv")


def test_the_answer_says_which_of_the_accepted_types_it_has() -> None:
    functions: dict[str, Functions] = {"predict_fn": lambda data, model: numpy.array([1.0])}
    answer = plain({**JSON, "accept": "text/csv, application/json"}, b"[1]", **functions)
    assert (answer.body, answer.content_type) == (b"1.0\n", "text/csv")


def test_a_torchscript_model_is_found_by_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch itself takes long to load; what it can load here is told by a stand-in."""

    def load(file: str, map_location: str) -> Any:
        if Path(file).read_text() != "script":
            raise RuntimeError("not a script")
        return SimpleNamespace(eval=lambda: (Path(file).name, map_location))

    torch = SimpleNamespace(jit=SimpleNamespace(load=load), cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(ValueError, match=r"Exactly one .pth or .pt file .* has none"):
        pytorch.model_fn(str(tmp_path))
    (tmp_path / "weights.pth").write_text("pickle")
    with pytest.raises(ValueError, match=r"weights.pth is no TorchScript model"):
        pytorch.model_fn(str(tmp_path))
    (tmp_path / "weights.pth").write_text("script")
    assert pytorch.model_fn(str(tmp_path)) == ("weights.pth", "cpu")
    (tmp_path / "model.pt").write_text("script")
    assert pytorch.model_fn(str(tmp_path)) == ("model.pt", "cpu")


def test_huggingface_inputs_and_parameters_reach_the_pipeline() -> None:
    def pipeline(inputs: Any, **parameters: Any) -> list[Any]:
        return [{"inputs": inputs, **parameters}]

    functions: dict[str, Functions] = {"model_fn": lambda model_dir: pipeline}
    sent = {"inputs": "ä", "parameters": {"top_k": 1}}
    assert face(JSON, json.dumps(sent).encode(), **functions).body == '[{"inputs":"ä","top_k":1}]'.encode()
    assert told(face(JSON, b'{"text": "x"}', **functions))[2] == [{"inputs": {"text": "x"}}]
    headed = face({"content-type": "text/csv"}, b"inputs\none\ntwo\n", **functions)
    assert told(headed)[2] == [{"inputs": ["one", "two"]}]
    assert told(face({"content-type": "text/csv"}, b"one\n", **functions))[0] == 400


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("DistilBertForSequenceClassification", "text-classification"),
        ("TapasForQuestionAnswering", "table-question-answering"),
        ("T5ForConditionalGeneration", "text2text-generation"),
    ],
)
def test_a_task_is_told_by_the_models_architecture(tmp_path: Path, architecture: str, task: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert huggingface.task_of(tmp_path) == task


def test_a_task_that_nothing_tells_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="HF_TASK"):
        huggingface.task_of(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="HF_TASK"):
        huggingface.task_of(tmp_path)
