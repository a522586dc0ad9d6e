"""Joint n-grams as a model: what they say, how probable they find it, and what is kept of them in a file."""

import itertools
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from groundfog.algorithms.seq2seq import InputFault, kernels
from groundfog.algorithms.seq2seq.data.batching import Corpus
from groundfog.algorithms.seq2seq.kernels import ngrams as compiled
from groundfog.algorithms.seq2seq.ngrams.counts import BEGIN, END, FIRST
from groundfog.algorithms.seq2seq.ngrams.model import FILE, JointNgrams
from groundfog.algorithms.seq2seq.ngrams.plain import Plain

Pair = tuple[list[int], list[int]]

sources = st.lists(st.integers(4, 7), min_size=1, max_size=4)
lists_of_pairs = st.lists(st.tuples(sources, st.lists(st.integers(4, 6), max_size=2)), min_size=1, max_size=12)


def learnt(pairs: list[Pair], order: int = 3) -> JointNgrams:
    return JointNgrams.learn(Corpus.of(pairs, 100, 100), 9, 9, order)[0]


def words(count: int, seed: int = 1) -> list[Pair]:
    """Letters said by rules: 4 as it is, 5 as two, 6 is silent before 7, else 7."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        source = draw.choices([4, 5, 6, 7], k=draw.randint(1, 8))
        target: list[int] = []
        for at, letter in enumerate(source):
            silent = letter == 6 and source[at + 1 : at + 2] == [7]
            target += {4: [4], 5: [5, 6], 6: [] if silent else [7], 7: [8]}[letter]
        found.append((source, target))
    return found


def enumerated(ngrams: JointNgrams, source: list[int]) -> dict[tuple[int, ...], float]:
    """All targets, by all sequences of pieces that read the source."""
    pieces = [
        tuple(tuple(token for token in side if token >= 0) for side in sides)
        for sides in zip(ngrams.pieces.sources.tolist(), ngrams.pieces.targets.tolist(), strict=True)
    ]
    found: dict[tuple[int, ...], float] = {}

    def go_on(at: int, history: tuple[int, ...], target: tuple[int, ...], log: float) -> None:
        if at == len(source):
            total = log + log_of(ngrams, history, END)
            found[target] = found.get(target, 0.0) + math.exp(total)
        for number, (read, said) in enumerate(pieces):
            if at < len(source) and tuple(source[at : at + len(read)]) == read:
                token = number + FIRST
                go_on(at + len(read), (*history, token), target + said, log + log_of(ngrams, history, token))

    go_on(0, (BEGIN,), (), 0.0)
    return found


def log_of(ngrams: JointNgrams, history: tuple[int, ...], token: int) -> float:
    trie = ngrams.trie
    history = history[max(0, len(history) + 1 - ngrams.order) :] if ngrams.order > 1 else ()
    rest = 0.0
    while True:
        node: int | None = 0
        for step in (*history, token):
            below = range(trie.children[node], trie.children[node + 1]) if node is not None else range(0)
            node = next((child for child in below if trie.tokens[child] == step), None)
        if node is not None:
            return rest + float(trie.logs[node])
        parent: int | None = 0
        for step in history:
            below = range(trie.children[parent], trie.children[parent + 1]) if parent is not None else range(0)
            parent = next((child for child in below if trie.tokens[child] == step), None)
        rest += float(trie.rests[parent]) if parent is not None else 0.0
        history = history[1:]


@settings(max_examples=25, deadline=None)
@given(lists_of_pairs, st.lists(st.integers(4, 8), min_size=1, max_size=4), st.integers(1, 4))
def test_what_is_said_is_what_all_ways_to_say_it_add_up_to(pairs: list[Pair], source: list[int], order: int) -> None:
    pairs = [(source, target[: 2 * len(source)]) for source, target in pairs]
    ngrams = learnt(pairs, order)
    expected = enumerated(ngrams, source)
    whole = math.fsum(expected.values())
    # As wide as needed for nothing to be given up.
    for asked in (ngrams._compiled, ngrams._plain):
        if asked is None:
            continue
        [(said, total)] = asked.say([source], 10_000, math.inf, 10_000)
        assert {target: math.exp(log) for target, log in said} == pytest.approx(expected, rel=1e-5)
        assert total == pytest.approx(math.log(whole) if whole else -math.inf, abs=1e-5)
        assert [log for _, log in said] == sorted((log for _, log in said), reverse=True)
        for target, probability in expected.items():
            assert math.exp(asked.joint(source, target)) == pytest.approx(probability, rel=1e-5)
        assert asked.joint(source, [8, 8, 8, 8, 8, 8, 8, 8, 8]) == -math.inf


@settings(max_examples=12, deadline=None)
@given(st.lists(sources, min_size=1, max_size=3), st.integers(1, 6), st.floats(0, 10), st.integers(1, 4))
def test_compiled_and_plain_say_the_same(several: list[list[int]], width: int, threshold: float, most: int) -> None:
    ngrams = learnt(words(20))
    if ngrams._compiled is None:
        pytest.skip("no compiler")
    together = ngrams._compiled.say(several, width, threshold, most)
    for source, (said, whole), (plainly, wholly) in zip(
        several, together, ngrams._plain.say(several, width, threshold, most), strict=True
    ):
        assert whole == pytest.approx(wholly, abs=1e-9)
        assert [log for _, log in said] == pytest.approx([log for _, log in plainly], abs=1e-9)
        assert [target for target, _ in said] == [target for target, _ in plainly]
        # Neighbours change nothing.
        assert ngrams._compiled.say([source], width, threshold, most) == [(said, whole)]


def test_without_a_compiler_it_is_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    ngrams = learnt(words(100))
    fast = ngrams.opinions([[4, 6, 7, 5]], 3)[0].likeliest
    monkeypatch.setattr(kernels, "enabled", False)
    assert compiled.of(ngrams.pieces, ngrams.trie) is None
    assert isinstance(ngrams._asked, Plain)
    slow = ngrams.opinions([[4, 6, 7, 5]], 3)[0].likeliest
    assert list(slow) == list(fast)
    assert slow == pytest.approx(fast, abs=1e-6)


def test_rules_are_learnt_and_unseen_words_said() -> None:
    ngrams = learnt(words(500), order=4)
    unseen = words(300, seed=2)
    opinions = ngrams.opinions([source for source, _ in unseen], 2)
    right = sum(next(iter(each.likeliest)) == tuple(target) for each, (_, target) in zip(opinions, unseen, strict=True))
    assert right >= 295


def test_probabilities_are_of_a_target_if_the_source_is_known() -> None:
    ngrams = learnt(words(200))
    [opinion] = ngrams.opinions([[4, 6, 7]], 50)
    assert sum(map(math.exp, opinion.likeliest.values())) == pytest.approx(1, abs=0.01)
    assert opinion.of([4, 8]) == opinion.likeliest[4, 8]
    [short] = ngrams.opinions([[4, 6, 7]], 1)
    assert short.of([4, 7, 8]) == pytest.approx(opinion.of([4, 7, 8]), abs=1e-6)
    assert short.of([8, 8, 8, 8, 8, 8, 8, 8]) == -30
    # Of nothing they think nothing, and so of what they never met.
    for empty in ngrams.opinions([[], [4, 8, 5]], 2):
        assert not empty.likeliest
        assert empty.of([4]) is None


def test_a_file_has_all_of_it(tmp_path: Path) -> None:
    ngrams = learnt(words(100), order=5)
    ngrams.weight = 0.3
    ngrams.save(tmp_path)
    loaded = JointNgrams.load(tmp_path, 9, 9)
    assert (loaded.order, loaded.weight) == (5, 0.3)
    assert loaded.opinions([[4, 5]], 3)[0].likeliest == ngrams.opinions([[4, 5]], 3)[0].likeliest
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o644
    with pytest.raises(InputFault, match="does not fit together"):
        JointNgrams.load(tmp_path, 9, 8)


def _set(name: str, at: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name].reshape(-1)[at] = value

    return change


HOSTILE: dict[str, Callable[[dict[str, Any]], None]] = {
    "children far away": _set("trie.children", 5, 1 << 30),
    "children before their parent": _set("trie.children", 9, 1),
    "the last child beyond the end": _set("trie.children", -1, 1 << 30),
    "a history that falls back on itself": _set("trie.shorter", 7, 7),
    "a history that falls back far away": _set("trie.shorter", 7, -5),
    "a token that is no piece": _set("trie.tokens", -1, 1 << 20),
    "a negative token": _set("trie.tokens", -1, -1),
    "a piece that does not stand alone": _set("trie.tokens", 3, 1),
    "a source token that there is not": _set("pieces.sources", -2, 1 << 20),
    "a target token that there is not": _set("pieces.targets", 0, 1 << 20),
    "pieces out of order": _set("pieces.sources", 0, 8),
    "tokens out of order": _set("trie.tokens", 8, 6),
    "a history that falls back on one as long": _set("trie.shorter", 9, 8),
    "no number": lambda arrays: arrays["trie.logs"].fill(np.nan),
    "an endless number": _set("trie.rests", 3, np.inf),
    "fewer numbers": lambda arrays: arrays.update({"trie.rests": arrays["trie.rests"][:-1]}),
    "other numbers": lambda arrays: arrays.update({"trie.tokens": arrays["trie.tokens"].astype(np.int64)}),
    "another shape": lambda arrays: arrays.update({"pieces.targets": arrays["pieces.targets"][:, :1].copy()}),
    "no shape": lambda arrays: arrays.update({"trie.tokens": np.array(3, np.int32)}),
    "no pieces": lambda arrays: arrays.update(
        {name: arrays[name][:0] for name in ("pieces.sources", "pieces.targets")}
    ),
    "a missing part": lambda arrays: arrays.pop("trie.logs"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_from_elsewhere_is_not_trusted(what: str, tmp_path: Path) -> None:
    learnt(words(50)).save(tmp_path)
    arrays = load_file(tmp_path / FILE)
    HOSTILE[what](arrays)
    save_file(arrays, tmp_path / FILE, {"order": "3", "weight": "0.5"})
    with pytest.raises(InputFault, match="No joint n-grams"):
        JointNgrams.load(tmp_path, 9, 9)


@pytest.mark.parametrize("about", [{}, {"order": "three", "weight": "0.5"}, {"order": "3", "weight": "nan"}])
def test_a_file_has_to_say_what_it_is(about: dict[str, str], tmp_path: Path) -> None:
    learnt(words(50)).save(tmp_path)
    save_file(load_file(tmp_path / FILE), tmp_path / FILE, about)
    with pytest.raises(InputFault, match="No joint n-grams"):
        JointNgrams.load(tmp_path, 9, 9)


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1)])
def test_numbers_that_numpy_has_not_are_refused(kind: str, size: int, tmp_path: Path) -> None:
    header = json.dumps({"pieces.sources": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
    (tmp_path / FILE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(InputFault, match="missing or unreadable"):
        JointNgrams.load(tmp_path, 9, 9)


def test_what_is_no_file_of_ours_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputFault, match="missing or unreadable"):
        JointNgrams.load(tmp_path, 9, 9)
    (tmp_path / FILE).write_bytes(b"\x08\0\0\0\0\0\0\0{}      junk")
    with pytest.raises(InputFault, match="missing or unreadable"):
        JointNgrams.load(tmp_path, 9, 9)


def test_orders_beyond_the_longest_word_are_as_good_as_it() -> None:
    pairs = words(30)
    said = [learnt(pairs, order).opinions([[4, 5, 6]], 2)[0].likeliest for order in (12, 40)]
    assert said[0] == said[1]


def test_sources_of_any_kind_are_asked_together() -> None:
    ngrams = learnt(words(60))
    asked = [[4], [], [8, 8], [4, 8, 5], *itertools.repeat([5, 6], 3)]
    opinions = ngrams.opinions(asked, 2)
    assert [bool(each.likeliest) for each in opinions] == [True, False, False, False, True, True, True]
    assert opinions[4].likeliest == opinions[6].likeliest


def test_of_many_ways_to_say_a_long_target_the_likeliest_are_followed() -> None:
    ngrams = learnt([([4] * length, [5] * said) for length in range(1, 9) for said in range(2 * length + 1)], order=8)
    if ngrams._compiled is None:
        pytest.skip("no compiler")
    source, target = [4] * 30, [5] * 20
    found, plainly = (asked.joint(source, target) for asked in (ngrams._compiled, ngrams._plain))
    assert -100 < found == pytest.approx(plainly, abs=1e-6)
    # It would take minutes if all were.
    assert ngrams._compiled.joint([4] * 200, [5] * 150) > -math.inf
