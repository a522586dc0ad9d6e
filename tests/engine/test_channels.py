import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.channels import Channel, Interrupted, fill
from groundfog.engine.errors import Unfit
from groundfog.engine.objects import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    objects = Objects(tmp_path / "objects")
    objects.create_bucket("b", "us-east-1")
    return objects


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "train"


def channel(prefix: str, **further: bool) -> Channel:
    return Channel(name="train", bucket="b", prefix=prefix, if_empty="nothing there", **further)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("data/train/", {"a", "deep/b"}),
        ("data/train", {"a", "deep/b", "train.csv", "training/c"}),
        ("data/train.csv", {"train.csv"}),
        ("data/tr", {"train/a", "train/deep/b", "train.csv", "training/c"}),
        ("", {"data/train/a", "data/train/deep/b", "data/train.csv", "data/training/c", "other"}),
    ],
)
def test_what_follows_the_prefix_is_the_path(objects: Objects, folder: Path, prefix: str, expected: set[str]) -> None:
    for key in ("data/train/", "data/train/a", "data/train/deep/b", "data/train.csv", "data/training/c", "other"):
        objects.put("b", key, b"" if key.endswith("/") else key.encode())
    fill(objects, channel(prefix), folder, link=True)
    found = files(folder)
    assert set(found) == expected
    assert all(text.endswith(name) for name, text in found.items())


def test_a_second_try_starts_from_nothing(objects: Objects, folder: Path) -> None:
    objects.put("b", "x/a", b"a")
    (folder / "left").mkdir(parents=True)
    (folder / "left" / "over").write_text("half")
    fill(objects, channel("x/"), folder, link=True)
    fill(objects, channel("x/"), folder, link=True)
    assert files(folder) == {"a": "a"}


def test_a_link_is_the_objects_own_file_and_a_copy_is_not(objects: Objects, tmp_path: Path) -> None:
    blob = objects.put("b", "x/a", b"a").blob
    fill(objects, channel("x/"), tmp_path / "linked", link=True)
    fill(objects, channel("x/"), tmp_path / "copied", link=False)
    assert (tmp_path / "linked" / "a").samefile(blob)
    assert not (tmp_path / "copied" / "a").samefile(blob)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ((), "nothing there"),
        (("x/",), "nothing there"),
        (("x/../../etc/cron.d/evil",), "cannot be a path"),
        (("x//etc/passwd",), "cannot be a path"),
        (("x/a/./b",), "cannot be a path"),
        (("x/a", "x/a/b"), "another key needs a folder"),
        (("x/" + "n" * 256,), "more than 255 bytes"),
    ],
)
def test_keys_that_are_no_paths_are_refused(objects: Objects, folder: Path, keys: tuple[str, ...], text: str) -> None:
    for key in keys:
        objects.put("b", key, b"" if key.endswith("/") else b"x")
    with pytest.raises(Unfit, match=text):
        fill(objects, channel("x/"), folder, link=True)


@given(
    st.sets(
        st.lists(st.sampled_from(["a", "b", "..", ".", "", "~", "\\", "%2e%2e", "\u2024", "-rf *"]), min_size=1).map(
            "/".join
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_key_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, keys: set[str]) -> None:
    root = tmp_path_factory.mktemp("channel")
    objects = Objects(root / "objects")
    objects.create_bucket("b", "us-east-1")
    for key in keys:
        objects.put("b", f"x/{key}", key.encode() or b"empty")
    folder = root / "outer" / "inner" / "train"
    folder.parent.mkdir(parents=True)
    try:
        fill(objects, channel("x/"), folder, link=True)
    except Unfit:
        pass
    else:
        assert set(files(folder)) == keys
    assert [path.name for path in root.iterdir()] in (["objects", "outer"], ["outer", "objects"])
    assert [path.name for path in (root / "outer").iterdir()] == ["inner"]
    assert [path.name for path in (root / "outer" / "inner").iterdir()] == ["train"]
    objects.close()


def test_a_manifest_names_its_objects(objects: Objects, folder: Path) -> None:
    objects.put("b", "some/where/a", b"a")
    objects.put("b", "some/where/deep/b", b"b")
    objects.put("b", "some/where/not named", b"c")
    objects.put("b", "m", json.dumps([{"prefix": "s3://b/some/where/"}, "a", "deep/b"]).encode())
    fill(objects, channel("m", is_manifest=True), folder, link=True)
    assert files(folder) == {"a": "a", "deep/b": "b"}


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (b"{", "is no manifest"),
        (b"[]", "is no manifest"),
        (b'{"prefix": "s3://b/"}', "is no manifest"),
        (b'[{"prefix": "s3://b/"}, 7]', "is no manifest"),
        (b'["a"]', "is no manifest"),
        (b"\xff\xfe\xff", "is no manifest"),
        (b'[{"prefix": "s3://b/"}, "gone"]', "s3://b/gone, which the manifest s3://b/m names, is not there"),
        (b'[{"prefix": "s3://nowhere/"}, "a"]', "is not there"),
        (b'[{"prefix": "s3://b/"}]', "nothing there"),
        (b'[{"prefix": "s3://b/"}, "../m"]', "is not there"),
    ],
)
def test_a_manifest_that_is_none_is_refused(objects: Objects, folder: Path, manifest: bytes, text: str) -> None:
    objects.put("b", "m", manifest)
    with pytest.raises(Unfit, match=text):
        fill(objects, channel("m", is_manifest=True), folder, link=True)


def test_gzipped_objects_arrive_unpacked(objects: Objects, folder: Path) -> None:
    objects.put("b", "x/a.csv.gz", gzip.compress(b"1,2"))
    fill(objects, channel("x/", is_gzipped=True), folder, link=True)
    assert files(folder) == {"a.csv": "1,2"}
    for broken in (b"plain", gzip.compress(b"1,2" * 99)[:-9]):
        objects.put("b", "x/a.csv.gz", broken)
        with pytest.raises(Unfit, match="is not gzipped"):
            fill(objects, channel("x/", is_gzipped=True), folder, link=True)


def test_filling_stops_when_asked(objects: Objects, folder: Path) -> None:
    for number in range(5):
        objects.put("b", f"x/{number}", b"x")
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        fill(objects, channel("x/"), folder, link=True, interrupted=lambda: next(answers))
    assert len(files(folder)) == 2
