"""Pages of keys against a list that Python sorted."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.engine.objects import Objects, Page

letters = st.sampled_from(["a", "b", "/", "//", "\0", "\ud7ff", "\ue000", "\U0010ffff", "é"])
keys = st.lists(letters, min_size=1, max_size=6).map("".join)
stores = itertools.count()


def naive(keys: set[str], prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
    """Everything that a listing has: its text, and whether it is rolled up."""
    items = set()
    for key in keys:
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            items.add((key, False) if end < 0 else (key[: end + len(delimiter)], True))
    return sorted(item for item in items if item[0].encode() > after.encode())


def items_of(page: Page) -> list[tuple[str, bool]]:
    return sorted([(found.key, False) for found in page.objects] + [(prefix, True) for prefix in page.prefixes])


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    return Objects(tmp_path_factory.mktemp("objects"))


@settings(max_examples=150, deadline=None)
@given(
    kept=st.sets(keys, max_size=25),
    prefix=st.one_of(st.just(""), keys),
    delimiter=st.sampled_from(["", "/", "//", "a", "\U0010ffff"]),
    after=st.one_of(st.just(""), keys),
    limit=st.integers(1, 7),
)
def test_pages_together_are_the_whole_list(
    objects: Objects, kept: set[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    bucket = f"bucket-{next(stores)}"
    objects.create_bucket(bucket, "us-east-1")
    for key in kept:
        objects.put(bucket, key, b"")
    seen = []
    last: str | None = after
    while last is not None:
        page = objects.listing.page(bucket, prefix=prefix, delimiter=delimiter, after=last, limit=limit)
        assert len(page.objects) + len(page.prefixes) <= limit
        assert page.last is None or len(page.objects) + len(page.prefixes) == limit
        seen += items_of(page)
        last = page.last
    assert seen == naive(kept, prefix, delimiter, after)


def test_a_prefix_with_many_keys_is_jumped_over(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    objects.create_bucket("b", "us-east-1")
    for folder in range(30):
        for number in range(150):
            objects.put("b", f"{folder:02}/{number}", b"")
    rows = 0
    whole = objects.listing._from

    def counted(*arguments: object) -> list[object]:
        nonlocal rows
        found = whole(*arguments)  # type: ignore[arg-type]
        rows += len(found)
        return list(found)

    objects.listing._from = counted  # type: ignore[method-assign, assignment]
    page = objects.listing.page("b", delimiter="/", limit=1000)
    assert page.prefixes == [f"{folder:02}/" for folder in range(30)]
    assert rows <= 30 * 101
    objects.close()


def test_neighbouring_buckets_do_not_mix(tmp_path: Path) -> None:
    objects = Objects(tmp_path)
    for bucket in ("a", "b", "c"):
        objects.create_bucket(bucket, "us-east-1")
        objects.put(bucket, "in-" + bucket, b"")
    assert [found.key for found in objects.page("b")] == ["in-b"]
    assert [bucket.name for bucket in objects.buckets()] == ["a", "b", "c"]
    assert [bucket.name for bucket in objects.buckets(prefix="b")] == ["b"]
    assert [bucket.name for bucket in objects.buckets(after="a", limit=1)] == ["b"]
    assert objects.buckets(region="eu-west-1") == []
    objects.close()
