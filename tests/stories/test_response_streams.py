"""An answer that is heard while it is made: InvokeEndpointWithResponseStream."""

import json
from contextlib import closing

import pytest
from botocore.exceptions import ClientError, EventStreamError
from light_images import PYTORCH
from test_user_inference import Desk

SCRIPT = """
import json
import time

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    words = json.loads(data)["text"].split()
    if words == ["raise"]:
        raise ValueError("nothing to say")
    return _said(words), "text/plain"

def _said(words):
    for word in words:
        if word == "break":
            raise ValueError("lost for words")
        if word == "sleep":
            time.sleep(30)
        yield word + " "
"""


@pytest.fixture(scope="module")
def desk(client, server):
    desk = Desk(client, server.home)
    desk.deploy("Speaker", PYTORCH, {"code/inference.py": SCRIPT}, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
    yield desk
    desk.sagemaker.delete_endpoint(EndpointName="Speaker")


def test_parts_arrive_one_by_one_and_add_up(desk):
    answer = _stream(desk, "one two three")
    assert answer["ContentType"] == "text/plain"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert b"".join(_parts(answer)) == b"one two three "


def test_the_first_part_is_there_before_the_next_is_made_which_may_take_too_long(desk):
    parts = _parts(_stream(desk, "first sleep"))
    assert next(parts) == b"first "
    with pytest.raises(EventStreamError, match="ModelStreamError"):
        next(parts)


def test_an_answer_that_breaks_off_ends_with_a_stream_error(desk):
    with pytest.raises(EventStreamError) as raised:
        list(_parts(_stream(desk, "one break")))
    assert raised.value.response["Error"]["Code"] == "ModelStreamError"


def test_an_error_before_the_first_part_is_a_model_error(desk):
    with pytest.raises(desk.runtime.exceptions.ModelError) as raised:
        _stream(desk, "raise")
    assert raised.value.response["OriginalStatusCode"] == 500
    assert "nothing to say" in raised.value.response["OriginalMessage"]


def test_a_client_that_hangs_up_does_not_hold_the_worker(desk):
    for _ in range(3):
        answer = _stream(desk, " ".join(map(str, range(2000))))
        parts = _parts(answer)
        assert next(parts).startswith(b"0 ")
        parts.close()
    assert b"".join(_parts(_stream(desk, "still here"))) == b"still here "


def test_invoke_endpoint_gives_the_parts_together(desk):
    assert desk.ask("Speaker", "one two")[1] == b"one two "


def test_an_endpoint_that_is_not_there_is_refused(desk):
    with pytest.raises(ClientError, match="Endpoint Nobody of account 000000000000 not found"):
        desk.runtime.invoke_endpoint_with_response_stream(EndpointName="Nobody", Body=b"")


def _stream(desk, text):
    body = json.dumps({"text": text})
    return desk.runtime.invoke_endpoint_with_response_stream(
        EndpointName="Speaker", Body=body, ContentType="application/json"
    )


def _parts(answer):
    with closing(answer["Body"]) as events:
        for event in events:
            yield event["PayloadPart"]["Bytes"]
