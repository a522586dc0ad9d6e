"""The built-in algorithm behind the treaty: a folder laid out as /opt/ml, a process, signals, what it leaves."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from groundfog.algorithms.seq2seq import Seq2Seq, Vocabulary
from groundfog.algorithms.seq2seq.__main__ import HostedPredictor
from groundfog.algorithms.seq2seq.data.recordio import write_pairs
from groundfog.opt_ml.layout import Layout

Pairs = list[tuple[list[str], list[str]]]


@pytest.fixture
def lay_out(tmp_path: Path, digits: Pairs, small: dict[str, Any]) -> Callable[..., Layout]:
    """A job's folder: lay_out("name", batch_size="32") is as the platform leaves it before a start."""
    vocabulary = Vocabulary.of(source for source, _ in digits)

    def of(name: str = "job", **given: str) -> Layout:
        layout = Layout(tmp_path / name)
        layout.lay_out()
        for channel in ("train", "validation", "vocab"):
            layout.channel(channel).mkdir()
        for channel, pairs in (("train", digits[:900]), ("validation", digits[900:950])):
            half = len(pairs) // 2
            for part, some in (("a/1.rec", pairs[:half]), ("b.rec", pairs[half:])):
                file = layout.channel(channel) / part
                file.parent.mkdir(exist_ok=True)
                ids = [(vocabulary.encode(source), vocabulary.encode(target)) for source, target in some]
                file.write_bytes(b"".join(write_pairs(ids)))
        for file in ("vocab.src.json", "vocab.trg.json"):
            (layout.channel("vocab") / file).write_text(vocabulary.text())
        hyperparameters = {
            **{key: str(value) for key, value in small.items()},
            "rnn_num_hidden": "16",
            "max_num_batches": "60",
            "checkpoint_frequency_num_batches": "25",
            **given,
        }
        channels = {channel: {"TrainingInputMode": "File"} for channel in ("train", "validation", "vocab")}
        layout.configure(hyperparameters, channels, {"current_host": "algo-1", "hosts": ["algo-1"]})
        return layout

    return of


def start(layout: Layout, *, start_new_session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "groundfog.algorithms.seq2seq", "train"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(layout.root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


def run(layout: Layout) -> tuple[int, str]:
    process = start(layout)
    said, _ = process.communicate(timeout=100)
    return process.returncode, said


def metrics_of(layout: Layout) -> list[str]:
    """Without what depends on the clock."""
    lines = (layout.model / "metrics").read_text().splitlines()
    return [re.sub(r"\t(time-elapsed|avg-sec-per-sent-val)=[0-9.]+", "", line) for line in lines]


def test_a_job_leaves_what_the_original_leaves_and_tells_it_as_the_original_does(
    lay_out: Callable[..., Layout],
) -> None:
    layout = lay_out(optimized_metric="bleu", bleu_sample_size="20", _tuning_objective_metric="validation:bleu")
    code, said = run(layout)
    assert (code, layout.failure.exists()) == (0, False)
    outputs = {f"decode.output.{number:05d}" for number in (1, 2, 3)}
    reports = {"report.html", "report.json"}
    kept = {"metrics", "log", "args.json", "decode.source", "decode.target", *outputs, *reports}
    saved = {"params.best", "symbol.json", "config", "version", "vocab.src.json", "vocab.trg.json"}
    assert {file.name for file in layout.model.iterdir()} == kept | saved
    assert {file.name for file in layout.output_data.iterdir()} == reports | {"tensorboard"}
    numbers = json.loads((layout.output_data / "report.json").read_text())
    assert [point["number"] for point in numbers["curves"]["checkpoints"]] == [1, 2, 3]
    assert numbers["curves"]["ended"] and numbers["evaluation"]["sources"]
    for name in ("decode.source", "decode.target", "decode.output.00003"):
        assert len((layout.model / name).read_text().splitlines()) == 20
    assert json.loads((layout.model / "args.json").read_text()) == {
        name: value for name, value in layout.hyperparameters().items() if not name.startswith("_")
    }
    sources, targets = ((layout.model / f"decode.{side}").read_text().splitlines() for side in ("source", "target"))
    assert [line.split()[::-1] for line in sources] == [line.split() for line in targets]
    names = [field.split("=")[0] for field in (layout.model / "metrics").read_text().splitlines()[2].split("\t")]
    assert names == [
        "3",
        "accuracy-train",
        "accuracy-val",
        "avg-sec-per-sent-val",
        "bleu-val",
        "chrf-val",
        "perplexity-train",
        "perplexity-val",
        "time-elapsed",
    ]
    for line in (
        r"Training started\.",
        r"Early stopping by optimizing 'bleu'",
        r"Epoch\[3\] Batch \[50\]\tSpeed: [0-9.]+ samples/sec\tperplexity=[0-9.]+\taccuracy=[0-9.]+",
        r"Checkpoint \[1\]\tUpdates=25 Epoch=1 Samples=[0-9]+ Time-cost=[0-9.]+",
        r"Checkpoint \[1\]\tTrain-perplexity=[0-9.]+",
        r"Checkpoint \[1\]\tValidation-bleu=[0-9.]+",
        r"Checkpoint \[3\]: Decoder finished \(\{'bleu-val': .*\}\)",
        r"Validation-bleu improved to [0-9.]+\.",
        r"Maximum # of updates \(60\) or epochs \(None\) reached\.",
        r"Training finished\. Best checkpoint: [0-9]+\. Best validation bleu: [0-9.]+",
    ):
        assert re.search(f"^{line}$", said, re.MULTILINE), line
    assert (layout.model / "log").read_text() == said
    assert Seq2Seq.load(layout.model).translate(["1 2 3"])[0].tokens


def test_joint_ngrams_are_learnt_told_of_and_in_the_model(lay_out: Callable[..., Layout]) -> None:
    layout = lay_out(joint_ngram_order="3")
    code, said = run(layout)
    assert code == 0
    assert [line.split(": ")[0] for line in said.splitlines() if "n-grams" in line] == ["Joint n-grams"] * 2
    assert (layout.model / "ngrams.safetensors").exists()
    predictor = HostedPredictor(layout.model)
    asked, _ = predictor.decode(b'{"instances": [{"data": "1 2 3"}]}', "application/json", "application/json")
    [answer] = predictor.predict(asked)
    assert answer.target == Seq2Seq.load(layout.model).translate(["1 2 3"])[0].target


def test_a_stopped_job_goes_on_in_a_new_place_to_the_same_model(lay_out: Callable[..., Layout]) -> None:
    some = {"max_num_batches": "250", "checkpoint_frequency_num_batches": "60"}
    whole, stopped = lay_out("whole", **some), lay_out("stopped", **some)
    assert run(whole)[0] == 0
    process = start(stopped)
    assert process.stdout is not None
    before = ""
    while "Batch [100]" not in before:
        line = process.stdout.readline()
        assert line
        before += line
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (stopped.model / "params.best").exists()
    assert "stopped after" in (stopped.output_data / "report.html").read_text()
    # The new machine has the checkpoints and nothing else.
    elsewhere = lay_out("elsewhere", **some)
    elsewhere.checkpoints.rmdir()
    stopped.checkpoints.rename(elsewhere.checkpoints)
    board = {"tensorboardoutputconfig": {"LocalPath": "/opt/ml/output/board", "S3OutputPath": "s3://bucket/board"}}
    elsewhere.configure(elsewhere.hyperparameters(), elsewhere.input_data_config(), elsewhere.resource_config(), board)
    code, after = run(elsewhere)
    assert code == 0
    assert re.search(r"^Training goes on from update [0-9]+\.$", after, re.MULTILINE)
    assert metrics_of(elsewhere) == metrics_of(whole)
    assert (elsewhere.model / "params.best").read_bytes() == (whole.model / "params.best").read_bytes()
    _compare_curves(elsewhere.root / "output" / "board", whole.output_data / "tensorboard", metrics_of(whole))
    assert not (elsewhere.output_data / "tensorboard").exists()


def _compare_curves(resumed: Path, uninterrupted: Path, metrics: list[str]) -> None:
    """As TensorBoard shows them, whichever run wrote what."""
    told = [float(re.search(r"perplexity-val=(\S+)", line)[1]) for line in metrics]  # type: ignore[index]
    validation = curve(uninterrupted, "perplexity/validation")
    assert list(validation) == [60, 120, 180, 240, 250]
    assert list(validation.values()) == pytest.approx(told, rel=1e-5)
    assert curve(resumed, "perplexity/validation") == validation
    assert curve(resumed, "perplexity/train") == curve(uninterrupted, "perplexity/train")


def curve(folder: Path, name: str) -> dict[int, float]:
    """By the number of updates, of all event files in the order of the runs that wrote them."""
    points: dict[int, float] = {}
    for file in sorted(folder.iterdir()):
        events = EventAccumulator(str(file))
        events.Reload()
        if name in events.Tags()["scalars"]:
            points |= {event.step: event.value for event in events.Scalars(name)}
    return dict(sorted(points.items()))


@pytest.mark.slow
def test_a_job_of_two_processes_is_stopped_by_a_signal_to_all_of_them_and_goes_on(
    lay_out: Callable[..., Layout],
) -> None:
    layout = lay_out(num_processes="2", max_num_batches="100")
    process = start(layout, start_new_session=True)
    assert process.stdout is not None
    while "Checkpoint [1]" not in process.stdout.readline():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=110)
    assert (process.returncode, layout.failure.exists()) == (0, False)
    code, said = run(layout)
    assert code == 0
    assert "Training goes on from update" in said
    assert [line.split("\t")[0] for line in metrics_of(layout)] == ["1", "2", "3", "4"]


def test_a_job_that_is_killed_goes_on_from_its_last_checkpoint(lay_out: Callable[..., Layout]) -> None:
    layout = lay_out(max_num_batches="125")
    process = start(layout)
    assert process.stdout is not None
    while "Checkpoint [2]" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert run(layout)[0] == 0
    assert [line.split("\t")[0] for line in metrics_of(layout)] == [str(number) for number in range(1, 6)]
    numbers = json.loads((layout.model / "report.json").read_text())
    assert [point["number"] for point in numbers["curves"]["checkpoints"]] == [1, 2, 3, 4, 5]


def _drop(*parts: str) -> Callable[[Layout], None]:
    def change(layout: Layout) -> None:
        for part in parts:
            for file in sorted((layout.data / part).rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            (layout.data / part).rmdir() if (layout.data / part).is_dir() else (layout.data / part).unlink()

    return change


def _write(name: str, data: bytes) -> Callable[[Layout], None]:
    return lambda layout: _written(layout.data / name, data)


def _written(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def _configure(
    given: dict[str, str], vocab: str = "File", hosts: tuple[str, ...] = ("algo-1",)
) -> Callable[[Layout], None]:
    return lambda layout: layout.configure(given, {"vocab": {"TrainingInputMode": vocab}}, {"hosts": list(hosts)})


def _empty(layout: Layout) -> None:
    _drop("train")(layout)
    layout.channel("train").mkdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _drop("validation"),
            "Missing input channel: 'validation' with RecordIO-protobuf files of the validation pairs",
        ),
        (_drop("train", "vocab"), "Missing input channels: 'train' with RecordIO"),
        (_empty, "Channel 'train' is empty; it needs RecordIO-protobuf files"),
        (_drop("vocab/vocab.trg.json"), "Channel 'vocab' holds no vocab.trg.json"),
        (_write("vocab/vocab.src.json", b"{"), "Channel 'vocab': vocab.src.json is no JSON"),
        (_write("train/c.rec", b"{}\n{}\n{}"), "train/c.rec, record 1 at byte 0: expected RecordIO's magic number"),
        (
            _write("train/c.rec", b"".join(write_pairs([([4], [4]), ([4, 77], [4])]))),
            "train/c.rec, record 2: the source id 77 is outside of vocab.src.json, whose ids go from 0 to 13",
        ),
        (
            _write("validation/c.rec", b"".join(write_pairs([([4], [])]))),
            "validation/c.rec, record 1: the target is empty",
        ),
        (_write("train/c.rec", b"".join(write_pairs([([4], [4, 3])]))), "the target holds <pad> or </s>"),
        (_configure({"foo": "1"}), "Additional properties are not allowed ('foo' was unexpected)"),
        (_configure({"batch_size": "0"}), "batch_size has to be an integer of at least 1, not '0'"),
        (_configure({}, vocab="Pipe"), "Channel 'vocab' has the input mode Pipe: seq2seq reads it in File mode"),
        (_configure({}, hosts=("algo-1", "algo-2")), "set InstanceCount to 1, not 2"),
        (_configure({"optimizer_type": "sgd", "learning_rate": "1e30", "clip_gradient": "-1"}), "lower learning_rate"),
    ],
)
def test_a_job_that_cannot_be_done_says_why_and_what_to_do(
    lay_out: Callable[..., Layout], change: Callable[[Layout], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groundfog.algorithms.seq2seq.__main__ import train
    from groundfog.opt_ml import run as treaty

    layout = lay_out()
    change(layout)
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(layout.root))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit):
            treaty.train(train)
    finally:
        signal.signal(signal.SIGTERM, before)
    failure = layout.failure.read_text()
    assert failure.startswith("ClientError: ")
    assert said in failure


def test_hyperparameters_are_refused_in_a_process_too_and_quickly(lay_out: Callable[..., Layout]) -> None:
    layout = lay_out(batch_size="many")
    code, _ = run(layout)
    assert code == 1
    assert layout.failure.read_text() == "ClientError: batch_size has to be an integer of at least 1, not 'many'"
