"""Ranges and conditions against what HTTP's documents say, without a server."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.objects import Object
from groundfog.services.s3.conditions import ReadConditions
from groundfog.services.s3.ranges import Extent
from groundfog.services.s3.refusals import InvalidRange, NotModified, PreconditionFailed

sizes = st.integers(0, 50)
numbers = st.integers(0, 60)


def an_object(size: int = 1, modified: float = 1000.5, parts: tuple[int, ...] = ()) -> Object:
    return Object(bucket="b", key="k", size=size, etag="e", modified=modified, blobs=Path(), name="", parts=parts)


@given(sizes, numbers, numbers)
def test_a_range_is_a_slice(size: int, first: int, last: int) -> None:
    body = bytes(range(size))
    request = {"Range": f"bytes={first}-{last}"}
    if first > last:
        extent = Extent.of(an_object(size), request)
        assert (extent.length, extent.partial) == (size, False)
    elif first >= size:
        with pytest.raises(InvalidRange):
            Extent.of(an_object(size), request)
    else:
        extent = Extent.of(an_object(size), request)
        assert body[extent.offset : extent.offset + extent.length] == body[first : last + 1]
        assert extent.content_range == f"bytes {first}-{min(last, size - 1)}/{size}"


@given(sizes, numbers)
def test_a_suffix_is_the_end(size: int, count: int) -> None:
    body, request = bytes(range(size)), {"Range": f"bytes=-{count}"}
    if size == 0 or count == 0:
        with pytest.raises(InvalidRange):
            Extent.of(an_object(size), request)
    else:
        extent = Extent.of(an_object(size), request)
        assert body[extent.offset : extent.offset + extent.length] == body[-count:]


@given(st.text())
def test_no_text_breaks_the_reading_of_ranges(text: str) -> None:
    for wanted in (text, f"bytes={text}"):
        try:
            extent = Extent.of(an_object(10), {"Range": wanted})
        except InvalidRange:
            continue
        assert 0 <= extent.offset <= extent.offset + extent.length <= 10


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_parts_lie_one_behind_the_other(parts: list[int]) -> None:
    found = an_object(sum(parts), parts=tuple(parts))
    extents = [Extent.of(found, {"PartNumber": number}) for number in range(1, len(parts) + 1)]
    assert [extent.length for extent in extents] == parts
    assert [extent.offset for extent in extents] == [sum(parts[:number]) for number in range(len(parts))]


def moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Consideration about request headers";
# the object's etag is "e" and its time 1000.5.
@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({}, None),
        ({"IfMatch": '"e"'}, None),
        ({"IfMatch": "e"}, None),
        ({"IfMatch": "*"}, None),
        ({"IfMatch": '"x", "e"'}, None),
        ({"IfMatch": '"x"'}, PreconditionFailed),
        ({"IfMatch": '"e"', "IfUnmodifiedSince": moment(0)}, None),
        ({"IfMatch": '"x"', "IfUnmodifiedSince": moment(2000)}, PreconditionFailed),
        ({"IfUnmodifiedSince": moment(1000)}, None),
        ({"IfUnmodifiedSince": moment(999)}, PreconditionFailed),
        ({"IfNoneMatch": '"e"'}, NotModified),
        ({"IfNoneMatch": 'W/"e"'}, NotModified),
        ({"IfNoneMatch": '"x"'}, None),
        ({"IfNoneMatch": '"e"', "IfModifiedSince": moment(0)}, NotModified),
        ({"IfNoneMatch": '"x"', "IfModifiedSince": moment(2000)}, None),
        ({"IfModifiedSince": moment(1000)}, NotModified),
        ({"IfModifiedSince": moment(999)}, None),
        ({"IfMatch": '"x"', "IfNoneMatch": '"e"'}, PreconditionFailed),
    ],
)
def test_conditions_outweigh_each_other_as_documented(
    request_: dict[str, Any], outcome: type[Exception] | None
) -> None:
    check = ReadConditions.of(request_).check
    if outcome is None:
        check(an_object())
    else:
        with pytest.raises(outcome):
            check(an_object())
    copying = ReadConditions.of({f"CopySource{name}": value for name, value in request_.items()}, "CopySource")
    if outcome is None:
        copying.check_copy(an_object())
    else:
        with pytest.raises(PreconditionFailed):
            copying.check_copy(an_object())
