"""`groundfog tensorboard`, asked for its curves as its own page asks."""

import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
from served import wait_until


@contextmanager
def tensorboard(server, what, **environment):
    """The URL at which it answers."""
    command = [sys.executable, "-m", "groundfog", "tensorboard", "--home", str(server.home), "--port", "0", what]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            said = (re.search(r"at (http://\S+)", line) for line in running.stderr)
            found = next(filter(None, said), None)
            assert found, "TensorBoard did not start"
            yield found[1]
        finally:
            running.terminate()


def ask(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)


def curve(url, tag):
    """Its points, once TensorBoard has read them: step and value, by run."""

    def runs():
        return [run for run, tags in ask(f"{url}data/plugin/scalars/tags").items() if tag in tags]

    found = wait_until(runs, f"TensorBoard never showed {tag}", 60)
    points = {run: ask(f"{url}data/plugin/scalars/scalars", tag=tag, run=run) for run in found}
    return {run: [(step, value) for _, step, value in told] for run, told in points.items()}


def test_the_curves_of_a_job_that_has_ended_are_shown_from_its_output(server, archive):
    with tensorboard(server, "tiny-model") as url:
        ((step, value),) = curve(url, "perplexity/validation")["tensorboard"]
        assert step == 2
        assert value > 1


def test_what_a_summary_writer_puts_to_s3_is_shown_from_there(server, client, monkeypatch):
    from torch.utils.tensorboard import SummaryWriter

    client("s3").create_bucket(Bucket="board")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with SummaryWriter("s3://board/logs/first") as writer:
        for step in range(3):
            writer.add_scalar("loss", 1 / (step + 1), step)
    with tensorboard(server, "s3://board/logs") as url:
        assert curve(url, "loss") == {"first": [(0, 1), (1, 0.5), (2, pytest.approx(1 / 3))]}


def test_who_cannot_be_shown_is_told_why(server):
    command = [sys.executable, "-m", "groundfog", "tensorboard", "--home", str(server.home), "nobody"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "no training job nobody" in refused.stderr
