import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.houses import MODELS, archive
from engine.test_transform_records import frame
from served import wait_until

from groundfog.engine.channels import Channel
from groundfog.engine.endpoints import Pace
from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.logs import Logs, Span
from groundfog.engine.measurements import Measurements, Sought
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resource, Resources
from groundfog.engine.sandbox import Sandbox
from groundfog.engine.state import Database
from groundfog.engine.transforms import Progress, Transform, Transforms, progress_of

SHOUT = Program(module="shout_model", arguments=("serve",), trusted=True, grace_seconds=5)


class House:
    """Transforms over a folder, as a server has them; `again` is the next server over the same folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        state = Database(home / "state.db", "state")
        self.resources, self.logs, self.objects = (
            Resources(state),
            Logs(home / "logs", state),
            Objects(home / "objects"),
        )
        self.launcher = Local(home / "runs", sandbox=Sandbox("none", modules=[MODELS]))
        self.measurements = Measurements(state)
        self.transforms = Transforms(
            self.resources,
            self.objects,
            self.launcher,
            self.logs,
            pace=Pace(start=20),
            measurements=self.measurements,
        )
        if not self.objects.has_bucket("b"):
            self.objects.create_bucket("b", "us-east-1")

    def start(self) -> "House":
        self.transforms.start()
        return self

    def close(self) -> None:
        self.transforms.close()
        self.launcher.close()

    def submit(self, name: str = "j", **further: Any) -> None:
        source = {"prefix": "in/", "if_empty": "nothing there", **further.pop("source", {})}
        given = {"content_type": "text/plain", "split": "Line", "lines": True, "model": None, **further}
        order = Transform(
            program=SHOUT,
            source=Channel(name="input", bucket="b", **source),
            bucket=given.pop("bucket", "b"),
            prefix=given.pop("prefix", "out"),
            log_group="/transforms",
            **given,
        )
        self.transforms.submit(name, order, notes={}, tags={})

    def find(self, name: str = "j") -> Resource:
        return self.resources.find("transform-job", name)

    def ended(self, name: str = "j") -> Progress:
        wait_until(lambda: self.find(name).status not in ("InProgress", "Stopping"), "it did not end")
        return progress_of(self.find(name))

    def completed(self, name: str = "j") -> None:
        assert self.ended(name).reason is None
        assert self.find(name).status == "Completed"

    def put(self, **texts: str) -> None:
        for key, text in texts.items():
            self.objects.put("b", f"in/{key}", text.encode())

    def out(self, key: str) -> str:
        return self.objects.read("b", f"out/{key}.out").decode()

    def outputs(self) -> list[str]:
        return [found.key for found in self.objects.page("b", "out/")]

    def says(self, name: str = "j") -> str:
        streams = [stream.name for stream in self.logs.streams("/transforms", prefix=f"{name}/")]
        pages = [self.logs.read("/transforms", stream, limit=1000, span=Span()) for stream in streams]
        return "\n".join(event.message for page in pages for event in page.events)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path).start()
    yield house
    house.close()


def test_every_object_is_transformed_and_lies_beside_the_others(house: House) -> None:
    house.put(a="one\ntwo\n")
    house.objects.put("b", "in/deep/b.txt", b"three")
    house.objects.put("b", "in/empty", b"")
    before = time.time()
    house.submit()
    house.completed()
    assert house.outputs() == ["out/a.out", "out/deep/b.txt.out", "out/empty.out"]
    assert (house.out("a"), house.out("deep/b.txt"), house.out("empty")) == ("ONE\nTWO\n", "THREE\n", "")
    progress = house.ended()
    assert progress.started and progress.ended and before <= progress.started <= progress.ended
    assert "s3://b/in/a: 2 records" in house.says() and "MaxConcurrentTransforms=1" in house.says()
    assert "ready to predict" in house.says()
    assert list((house.home / "runs").iterdir()) == []


def test_outputs_below_the_input_are_no_inputs_of_the_same_job(house: House) -> None:
    house.put(a="one")
    house.submit(prefix="in")
    house.completed()
    assert [found.key for found in house.objects.page("b", "in/")] == ["in/a", "in/a.out"]


def test_the_order_is_kept_however_much_runs_at_once(house: House) -> None:
    lines = [f"sleep:{0.05 if number % 7 == 0 else 0}" for number in range(40)]
    house.put(a="\n".join(lines), b="\n".join(reversed(lines)))
    house.submit(concurrent=4, instances=2, one_by_one=True)
    house.completed()
    assert house.out("a").split() == [line.upper() for line in lines]
    assert house.out("b").split() == [line.upper() for line in reversed(lines)]
    hosts = {stream.name.split("/")[1] for stream in house.logs.streams("/transforms")}
    assert len(hosts) == 2


def test_a_manifest_says_which_objects_and_they_may_be_gzipped(house: House) -> None:
    for key in ("x", "y", "z"):
        house.objects.put("b", f"in/{key}.gz", gzip.compress(f"this is {key}".encode()))
    house.objects.put("b", "manifest", json.dumps([{"prefix": "s3://b/in/"}, "z.gz", "x.gz"]).encode())
    house.submit(source={"prefix": "manifest", "is_manifest": True, "is_gzipped": True})
    house.completed()
    assert house.outputs() == ["out/x.gz.out", "out/z.gz.out"]
    assert house.out("x.gz") == "THIS IS X\n"


def test_an_object_that_is_not_split_goes_as_it_is(house: House) -> None:
    house.put(a="12345\n\n", b="x" * 2_000_000)
    house.submit(split="None", lines=False, content_type=None)
    house.completed()
    assert (house.out("a"), house.out("b")) == ("7 BYTES\n", "2000000 BYTES\n")


def test_recordio_is_split_where_its_records_are(house: House) -> None:
    house.objects.put("b", "in/a", frame(b"abc") + frame(b"defgh"))
    house.submit(split="RecordIO", lines=False, one_by_one=True, content_type="application/octet-stream")
    house.completed()
    assert house.out("a") == "12 BYTES\n16 BYTES\n"


def test_filters_and_joins(house: House) -> None:
    house.put(a='{"id":1,"word":"fog"}\n{"id":2,"word":"ground"}\n')
    house.submit(
        content_type="application/jsonlines",
        input_filter="$.word",
        output_filter="$['id','SageMakerOutput']",
        join=True,
    )
    house.completed()
    assert [json.loads(line) for line in house.out("a").splitlines()] == [
        {"id": 1, "SageMakerOutput": {"said": '"FOG"', "together": 2}},
        {"id": 2, "SageMakerOutput": {"said": '"GROUND"', "together": 2}},
    ]


def test_a_bad_record_fails_the_job_is_named_and_other_outputs_stay(house: House) -> None:
    house.put(a="fine\n", b="fine\n\n" + "good\n" * 50 + "a bad one\n" + "good\n" * 9)
    house.submit()
    progress = house.ended()
    assert house.find().status == "Failed"
    assert progress.reason == (
        "ClientError: See job logs for more information. s3://b/in/b: line 53: the model answered 400: Line 1 is bad"
    )
    assert house.outputs() == ["out/a.out"]
    assert "s3://b/in/b: line 53: the model answered 400" in house.says()


@pytest.mark.parametrize(
    ("text", "further", "reason"),
    [
        ("die\n", {}, "line 1: the model server ended under the request"),
        ("x" * 100, {"most_bytes": 99}, "line 1 has more than the 99 bytes that MaxPayloadInMB allows"),
        ("x", {"source": {"is_gzipped": True}}, "it is not gzipped as CompressionType says"),
        ("x", {"split": "RecordIO"}, "record 1 does not begin as RecordIO does"),
        ("x", {"input_filter": "$.a", "content_type": "application/jsonlines"}, "line 1: it is no JSON"),
        ("x", {"bucket": "nowhere"}, "The bucket nowhere of S3OutputPath does not exist."),
        ("x", {"model": ("b", "no-model")}, "The model data s3://b/no-model is not there."),
        ("x", {"source": {"prefix": "nothing/"}}, "nothing there"),
    ],
)
def test_a_failure_says_why(house: House, text: str, further: dict[str, Any], reason: str) -> None:
    house.put(a=text)
    house.submit(**further)
    assert reason in (house.ended().reason or "")
    assert house.find().status == "Failed"
    assert house.outputs() == [] and list((house.home / "runs").iterdir()) == []


def test_a_model_that_does_not_load_fails_the_job(house: House) -> None:
    house.put(a="x")
    house.objects.put("b", "model.tar.gz", archive({"broken": ""}))
    house.submit(model=("b", "model.tar.gz"))
    assert "RuntimeError: these weights are for another model" in (house.ended().reason or "")


def test_stopped_it_keeps_what_was_written(house: House) -> None:
    house.put(a="quick", b="sleep:60")
    house.submit()
    house.submit("waits")
    wait_until(lambda: house.outputs() == ["out/a.out"], "the first object was not transformed")
    house.transforms.stop("waits")
    house.transforms.stop("j")
    house.ended()
    assert (house.find().status, house.find("waits").status) == ("Stopped", "Stopped")
    assert house.outputs() == ["out/a.out"] and list((house.home / "runs").iterdir()) == []
    with pytest.raises(Busy):
        house.transforms.stop("j")
    with pytest.raises(Missing):
        house.transforms.stop("nobody")


def test_hosts_are_measured_while_they_work(house: House) -> None:
    house.put(a="sleep:60")
    house.submit()
    metrics = wait_until(lambda: house.measurements.page(Sought(namespace="/transforms"))[0], "nothing was measured")
    [(name, host)] = {dimension for metric in metrics for dimension in metric.dimensions}
    assert (name, host.partition("/")[0]) == ("Host", "j")
    assert "CPUUtilization" in {metric.name for metric in metrics}
    house.transforms.stop("j")
    house.ended()


def test_names_are_unique(house: House) -> None:
    house.submit()
    with pytest.raises(Taken):
        house.submit()
    house.ended()


def test_the_next_server_goes_on_and_does_not_repeat_what_is_finished(house: House) -> None:
    house.put(a="one", b="sleep:1", c="three")
    house.submit()
    wait_until(lambda: progress_of(house.find()).done == "in/a", "the first object was not transformed")
    house.close()
    assert house.find().status == "InProgress"
    house.objects.delete("b", "out/a.out")
    again = House(house.home).start()
    again.completed()
    assert again.outputs() == ["out/b.out", "out/c.out"]
    again.close()


def test_memory_does_not_grow_with_the_object(house: House) -> None:
    """Payloads are read only when they can be sent."""
    import tracemalloc

    line = b"x" * 999 + b"\n"
    house.objects.put("b", "in/a", line * 40_000)
    tracemalloc.start()
    house.submit(most_bytes=100_000, concurrent=2)
    house.completed()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000
    assert io.StringIO(house.out("a")).readline() == "X" * 999 + "\n" and len(house.out("a")) == 40_000_000
