"""report.html: whole, harmless, readable by all; report.json: the same numbers."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import Hyperparameters
from groundfog.algorithms.seq2seq.learning.progress import Checkpoint, Finished, Progress, Started
from groundfog.algorithms.seq2seq.report import Evaluation, heat_map
from groundfog.algorithms.seq2seq.report.analysis import Example, analyse
from groundfog.algorithms.seq2seq.report.curves import Curves
from groundfog.algorithms.seq2seq.report.document import About, Report
from groundfog.algorithms.seq2seq.report.evaluation import Look
from groundfog.algorithms.seq2seq.report.marks import visible
from groundfog.algorithms.seq2seq.report.page import page
from groundfog.algorithms.seq2seq.report.scales import Scale, plain

HOSTILE = [
    "<script>alert(1)</script>",
    '"onload="alert(2)',
    "</title><script>",
    "</style><img src=x onerror=alert(3)>",
    "&lt;b&gt;",
    "\u202etxet",
    "\ud800",
    "a\nb\x00",
    "https://example.com/x.js",
    "x" * 300,
    "שלום",
    "",
]
VOID = {"meta", "br", "img"}


class Reader(HTMLParser):
    """Refuses tags that are not closed, and remembers what there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.inside.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.found}


def about(**hyperparameters: Any) -> About:
    options = Hyperparameters.of(hyperparameters)
    return About(dict(vars(options)), 1, 1234, 30, 70)


def curves(checkpoints: int, **metrics: float) -> Curves:
    made = Curves()
    made.add(Started(1000, 1234, "perplexity", 0))
    for number in range(1, checkpoints + 1):
        values = {"perplexity-train": 9 / number, "accuracy-train": 0.5, "perplexity-val": 8 / number, **metrics}
        made.add(Progress(0, 100 * number - 50, 10.0, 9.5, 0.4, 0.001 / number, tokens=100))
        made.add(Checkpoint(number, 0, 100 * number, 1, 1.0, values, "perplexity", True, 1.0, 0, 3, 0.001, tokens=200))
    return made


def evaluation(tokens: list[str]) -> Evaluation:
    """Of outputs in which each of these tokens is everything: source, right, wrong, put in and left out."""
    examples = []
    for number, token in enumerate(tokens):
        other = tokens[number - 1]
        examples += [
            Example([token, other], [[token, other]], [other, token], -0.5),
            Example([token], [[token]], [], -1.0),
            Example([token, token], [[]], [token], -0.1),
            Example([other], [[token]], [token], -0.1),
        ]
    looks = [Look([token, "b"], [token], ["b"], -0.2, [[0.25, 0.75]]) for token in tokens]
    analysis = analyse(examples)
    return Evaluation(about(), len(examples), 99, 5, 1.0, 0.5, 0.25, 0.7, 0.8, analysis, looks)


def test_a_hostile_vocabulary_is_shown_and_does_nothing() -> None:
    text = page(Report(about(), curves(3, **{"bleu-val": 0.5, "<script>": 1.0}), evaluation(HOSTILE)))
    reader = Reader(text)
    assert not reader.tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    for _, attributes in reader.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "action")]
    assert "&lt;script&gt;alert(1)" in text
    assert r"\u202etxet" in text
    text.encode("utf-8")
    policies = [
        each for tag, each in reader.found if tag == "meta" and each.get("http-equiv", "").startswith("Content")
    ]  # type: ignore[union-attr]
    assert [each["content"] for each in policies] == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_the_page_loads_nothing() -> None:
    text = page(Report(about(), curves(3), evaluation(["a", "b"])))
    outside = set(re.findall(r"https?://[^\s\"<]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not outside
    assert "@import" not in text
    assert "url(" not in text


def test_each_picture_has_a_title_and_a_description_and_ids_are_used_once() -> None:
    text = page(Report(about(), curves(3, **{"bleu-val": 0.5}), evaluation(["a", "b"])))
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) >= 5
    for picture in pictures:
        assert 'role="img"' in picture
        assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", picture)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_the_curves_that_are_asked_for_are_there() -> None:
    text = page(Report(about(), curves(4, **{"bleu-val": 0.5, "accuracy-val": 0.7}), None))
    for title in ("Loss", "Perplexity", "Accuracy", "BLEU", "Learning rate"):
        assert re.search(f"<h3>{title}", text), title
    assert "BLEU of" not in page(Report(about(), curves(4), None))


@pytest.mark.parametrize(
    ("report", "state"),
    [
        (Report(about(), Curves(), None), "training, 0 updates so far"),
        (Report(about(), curves(1), None), "training, 100 updates so far"),
        (Report(about(encoder_type="rnn"), None, evaluation(["a"])), "evaluated"),
        (Report(replace(about(), models=3), None, evaluation(["a", "b"])), "evaluated"),
    ],
)
def test_there_is_a_page_whatever_there_is_to_tell(report: Report, state: str) -> None:
    text = page(report)
    Reader(text)
    assert state in text
    assert ('http-equiv="refresh"' in text) == state.startswith("training")


def test_a_page_says_how_the_training_ended() -> None:
    for stopped, said in ((True, "stopped after 200 updates"), (False, "trained for 200 updates")):
        ended = curves(2)
        ended.add(Finished("Because", "perplexity", 200, 2, 4.0, stopped=stopped))
        assert said in page(Report(about(), ended, None))


def test_a_model_without_errors_says_so() -> None:
    right = replace(evaluation(["a"]), analysis=analyse([Example(["a"], [["b"]], ["b"], -0.1)]), attention=[])
    assert "every output was right" in page(Report(about(), None, right))


def test_the_numbers_are_strict_json_and_those_of_the_page(tmp_path: Path) -> None:
    Report(about(learning_rate=0.125), curves(2, **{"bleu-val": float("inf")}), evaluation(HOSTILE)).write(tmp_path)
    numbers = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert numbers["format"] == "groundfog-seq2seq-report 1"
    assert numbers["about"]["hyperparameters"]["learning_rate"] == 0.125
    assert [point["metrics"]["perplexity-val"] for point in numbers["curves"]["checkpoints"]] == [8.0, 4.0]
    assert numbers["curves"]["checkpoints"][0]["metrics"]["bleu-val"] is None
    assert numbers["evaluation"]["analysis"]["confusions"]
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "report.json"}


def test_a_heat_map_has_a_cell_for_each_pair_as_opaque_as_its_weight() -> None:
    drawn = heat_map("K AA1 R", ["C", "A", "R"], np.array([[0.9, 0.1, 0], [0, 1, 0], [0, 0.25, 0.75]]))
    Reader(drawn)
    opaque = [float(value) for value in re.findall(r'fill-opacity="([^"]+)"', drawn)]
    assert opaque == [0.9, 0.1, 0.05, 0.05, 1, 0.05, 0.05, 0.25, 0.75]
    assert "AA1 looks most at A, source token 2 (1.00)" in drawn
    assert "K looks at C: 0.900" in drawn


@pytest.mark.parametrize(("target", "source", "matrix"), [("", "a b", []), ("a", "", [[]]), ("", "", np.zeros((0, 0)))])
def test_a_heat_map_of_nothing_is_a_picture(target: str, source: str, matrix: Any) -> None:
    Reader(heat_map(target, source, matrix))


def test_a_heat_map_that_does_not_fit_its_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[1, 2\] for 2 target, 1 source"):
        heat_map("a b", "x", [[0.5, 0.5]])


@given(st.text(max_size=12))
def test_what_is_shown_of_a_token_can_be_seen_and_written(token: str) -> None:
    shown = visible(token)
    assert shown
    assert "\n" not in shown
    shown.encode("utf-8")


@given(
    st.lists(st.floats(0, 1e9, allow_subnormal=False), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_scale_has_room_for_its_values_and_a_handful_of_ticks_within(values: list[float], logarithmic: bool) -> None:
    scale = Scale.around(values, 100, 0, logarithmic=logarithmic)
    assert all(-1e-6 <= scale(value) <= 100 + 1e-6 for value in values)
    assert len(scale.ticks) <= 8
    assert all(scale.low * (1 - 1e-9) - 1e-12 <= tick <= scale.high * (1 + 1e-9) for tick in scale.ticks)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.00028, "2.8e-4"), (0.0003, "3e-4"), (0.00123, "0.00123"), (0.0, "0"), (-2e-5, "-2e-5"), (12300.0, "12,300")],
)
def test_a_number_beside_an_axis_is_short(value: float, written: str) -> None:
    assert plain(value) == written
