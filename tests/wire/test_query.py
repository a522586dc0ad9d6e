"""Forms in, XML out: botocore writes what we read and reads what we write, whatever the values."""

from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import DenormalizedStructureBuilder, Shape
from botocore.parsers import create_parser
from botocore.serialize import QuerySerializer
from hypothesis import given
from hypothesis import strategies as st

from groundfog.wire import model, query
from groundfog.wire.refusal import Refusal
from groundfog.wire.render import render
from groundfog.wire.request import Request, pairs
from groundfog.wire.route import Routed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WRITABLE = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\r\n\t", exclude_characters="\ufffe\uffff"),
    max_size=20,
)
"""What XML can hold."""

SHAPE = (
    DenormalizedStructureBuilder()
    .with_members(
        {
            "Name": {"type": "string"},
            "Count": {"type": "integer"},
            "Yes": {"type": "boolean"},
            "Bytes": {"type": "blob"},
            "List": {"type": "list", "member": {"type": "string"}},
            "Map": {"type": "map", "key": {"type": "string"}, "value": {"type": "string"}},
            "Inner": {
                "type": "structure",
                "members": {"List": {"type": "list", "member": {"type": "integer"}}, "Name": {"type": "string"}},
            },
        }
    )
    .build_model()
)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "Name": TEXT,
        "Count": st.integers(-(2**31), 2**31 - 1),
        "Yes": st.booleans(),
        "Bytes": st.binary(max_size=20),
        "List": st.lists(TEXT, max_size=12),
        "Map": st.dictionaries(TEXT, TEXT, min_size=1, max_size=4),
        "Inner": st.fixed_dictionaries({"Name": TEXT}, optional={"List": st.lists(st.integers(0, 9), max_size=12)}),
    },
)


@given(values=VALUES)
def test_forms_are_read_as_botocore_writes_them(values: dict[str, Any]) -> None:
    assert query.read(SHAPE, query.tree(_sent(SHAPE, values))) == values


def _sent(shape: Shape, values: dict[str, Any]) -> dict[str, str]:
    form: dict[str, Any] = {}
    QuerySerializer()._serialize(form, values, shape)
    return {name: found[0] for name, found in pairs(urlencode(form)).items()}


@given(
    tags=st.lists(st.fixed_dictionaries({"Key": WRITABLE, "Value": WRITABLE}), max_size=5),
    path=WRITABLE,
)
def test_answers_are_read_by_botocore_whatever_is_in_them(tags: list[dict[str, str]], path: str) -> None:
    operation = model.operation("iam", "ListRoleTags")
    assert operation is not None
    request = Request({"method": "POST", "raw_path": b"/", "query_string": b"", "headers": []}, _nothing)
    response = render({"Tags": tags, "Marker": path}, Routed(operation, "query", {}), request)
    assert isinstance(response.body, bytes)
    answer = {"status_code": 200, "headers": {}, "body": response.body}
    found = create_parser("query").parse(answer, operation.output)
    assert (found["Tags"], found["Marker"]) == (tags, path)
    assert found["ResponseMetadata"]["RequestId"] == request.id


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


@given(form=st.dictionaries(st.text("ListMapInner.1member0", max_size=20), TEXT, max_size=8))
def test_odd_forms_are_read_or_refused(form: dict[str, str]) -> None:
    try:
        query.read(SHAPE, query.tree(form))
    except (Refusal, ValueError) as refusal:
        assert isinstance(refusal, ValueError) or refusal.code == "MalformedQueryString"


def test_members_are_taken_in_the_order_of_their_numbers() -> None:
    form = {f"List.member.{number}": str(number) for number in (10, 9, 2, 1)}
    assert query.read(SHAPE, query.tree(form)) == {"List": ["1", "2", "9", "10"]}


@pytest.mark.parametrize("name", ["List.member.x", "List.member.-1", "List.member.99999999999", "a" + ".b" * 100])
def test_names_that_lead_nowhere_are_refused(name: str) -> None:
    with pytest.raises(Refusal, match="MalformedQueryString"):
        query.read(SHAPE, query.tree({name: "x"}))
