"""groundfog seq2seq translate: lines in, lines out.

What is there is translated together, up to a window; nothing waits for more to come. So a pipe that is slower than the
model gets each answer at once, and a file is read at the model's full speed.
"""

import json
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from ..data.text import LONGEST_LINE, decoded
from ..errors import InputFault
from . import asking

if TYPE_CHECKING:
    from ..search.constraints import Lexicon
    from ..search.translation import Translation, Translator

WINDOW = 512
"""Lines that are translated together at most."""


@click.command(cls=asking.Command)
@click.argument("model", type=asking.EXISTING)
@click.argument("files", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), nargs=-1)
@click.option(
    "--ensemble", type=asking.EXISTING, multiple=True, help="Another model that has a say too; may be given again."
)
@click.option(
    "--beam", type=click.IntRange(min=1), help="Hypotheses kept at each step.  [default: the model's beam_size]"
)
@click.option(
    "--nbest", type=click.IntRange(min=1), help="So many answers to each line: line number, score and answer."
)
@click.option("--length-penalty", type=click.FloatRange(min=0), help="[default: the model's length_penalty_alpha]")
@click.option("--beam-threshold", type=click.FloatRange(min=0), help="[default: the model's beam_threshold]")
@click.option("--minimum-bayes-risk", is_flag=True, help="Answer what differs least from all likely answers.")
@click.option("--constrain", type=asking.FILE, help="A file of the answers that may be given, one on a line.")
@click.option("--json", "as_json", is_flag=True, help="An object for each line: source, target, score, nbest.")
@click.option("--attention", is_flag=True, help="With the tokens and the attention matrix, in JSON.")
@click.option("--threads", type=click.IntRange(min=1), help="[default: 1]")
def translate(
    model: Path, files: tuple[Path, ...], ensemble: tuple[Path, ...], threads: int | None, **wanted: Any
) -> None:
    """Say what MODEL makes of each line.

    The lines are those of FILES, or of standard input; MODEL is a folder, or the model.tar.gz of a training job.

    \b
    echo tapeworm | groundfog seq2seq translate pairs-model
    groundfog seq2seq translate pairs-model words.txt > answers.txt
    """
    from .models import open_models, warn_of_unknown

    asking.threads(threads, 1)
    translator = open_models([model, *ensemble])
    options = _options(translator, **wanted)
    number = 0
    for lines in windows(_lines(files)):
        if not number:
            warn_of_unknown(translator, lines)
        for source, said in zip(lines, translator.translate(lines, **options), strict=True):
            number += 1
            for line in _answers(number, source, said, wanted):
                click.echo(line)
        sys.stdout.flush()


def _options(
    translator: "Translator",
    *,
    beam: int | None,
    nbest: int | None,
    length_penalty: float | None,
    beam_threshold: float | None,
    minimum_bayes_risk: bool,
    constrain: Path | None,
    as_json: bool,
    attention: bool,
) -> dict[str, Any]:
    """Those of `Translator.translate`."""
    from ..search.risk import edit_distance

    return {
        "beam_size": beam,
        "nbest": nbest,
        "length_penalty_alpha": length_penalty,
        "beam_threshold": beam_threshold,
        "minimum_bayes_risk": edit_distance if minimum_bayes_risk else None,
        "constraint": None if constrain is None else _lexicon(constrain, translator),
        "attention": attention,
    }


def _lexicon(file: Path, translator: "Translator") -> "Lexicon":
    from ..search.constraints import Lexicon

    with file.open("rb") as stream:
        lines = list(_lines_of(stream, file.name))
    return Lexicon([translator.tokenizers.target.split(line) for line in lines if line.strip()])


def _answers(number: int, source: str, said: "Translation", wanted: dict[str, Any]) -> Iterator[str]:
    if wanted["as_json"] or wanted["attention"]:
        yield json.dumps(_object(source, said), ensure_ascii=False)
    elif wanted["nbest"]:
        yield from (f"{number}\t{each.score:.4f}\t{each.text}" for each in said.alternatives)
    else:
        yield said.text


def _object(source: str, said: "Translation") -> dict[str, Any]:
    found: dict[str, Any] = {"source": source, "target": said.text, "score": round(said.score, 6)}
    if said.alternatives:
        found["nbest"] = [{"target": each.text, "score": round(each.score, 6)} for each in said.alternatives]
    if said.attention is not None:
        found |= {"source_tokens": said.source, "target_tokens": said.tokens}
        found["matrix"] = said.attention.astype(float).round(6).tolist()
    return found


def _lines(files: tuple[Path, ...]) -> Iterator[str]:
    if not files:
        yield from _lines_of(sys.stdin.buffer, "standard input")
    for file in files:
        if str(file) == "-":
            yield from _lines_of(sys.stdin.buffer, "standard input")
            continue
        with file.open("rb") as stream:
            yield from _lines_of(stream, file.name)


def _lines_of(stream: BinaryIO, name: str) -> Iterator[str]:
    number = 0
    while raw := stream.readline(LONGEST_LINE + 1):
        number += 1
        yield decoded(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw, f"{name}, line {number}")


def windows(lines: Iterable[str]) -> Iterator[list[str]]:
    """All that is there by now, WINDOW lines at most, again and again; a fault comes after what came before it."""
    waiting: queue.Queue[str | InputFault | None] = queue.Queue(2 * WINDOW)

    def read() -> None:
        try:
            for line in lines:
                waiting.put(line)
        except InputFault as fault:
            waiting.put(fault)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        window: list[str] = []
        following = waiting.get()
        while isinstance(following, str):
            window.append(following)
            if len(window) == WINDOW or waiting.empty():
                break
            following = waiting.get()
        if window:
            yield window
        if isinstance(following, InputFault):
            raise following
        if following is None:
            return
