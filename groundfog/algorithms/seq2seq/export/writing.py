"""From a model, or several, to the folder of the ONNX graphs.

Which axes of a tensor are as long as there are sources, source positions or tokens said is found by trying: what
changes from one example to another is such an axis.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .. import kernels
from ..data.tokenizer import FILE as TOKENIZER_FILE
from ..data.vocabulary import BEGIN
from ..errors import InputFault
from ..network.network import Network
from .graphs import EncoderGraph, StepGraph, leaves

if TYPE_CHECKING:
    from ..model import Seq2Seq
    from ..search.translation import Translator

ENCODER, STEP = "encoder.onnx", "decoder_step.onnx"
_BESIDE = {"translate.py": "translate.py", "folder.md": "README.md"}

Named = dict[str, Tensor]
Axes = dict[int, torch.export.Dim]


def export_onnx(translator: "Translator", members: Sequence["Seq2Seq"], folder: Path | str) -> None:
    """What `translator` says, which has the networks of `members`.

    :raises InputFault: what writes ONNX is not installed.
    """
    if not all(find_spec(package) for package in ("onnx", "onnxscript")):
        raise InputFault("ONNX is written by packages that are not installed: pip install 'groundfog[onnx]'")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source, target = translator.vocabularies
    with _as_export_needs_it():
        _write_graphs([_copy(model) for model in members], len(source), folder)
    texts = {
        "config": json.dumps(asdict(translator.hyperparameters), indent=2) + "\n",
        "vocab.src.json": source.text(),
        "vocab.trg.json": target.text(),
    }
    if translator.tokenizers.raw:
        texts[TOKENIZER_FILE] = translator.tokenizers.text()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, there in _BESIDE.items():
        shutil.copyfile(Path(__file__).with_name(name), folder / there)


def _copy(model: "Seq2Seq") -> Network:
    """On the CPU, with parameters of its own."""
    source, target = model.vocabularies
    network = Network(model.hyperparameters, len(source), len(target))
    network.load_state_dict(model.network.state_dict())
    return network.eval()


@contextmanager
def _as_export_needs_it() -> Iterator[None]:
    """PyTorch alone computes, learns nothing, and keeps to itself what it thinks of its own parts."""
    log = logging.getLogger("torch.onnx")
    before, kernels.enabled, level = kernels.enabled, False, log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        kernels.enabled = before
        log.setLevel(level)


def _write_graphs(networks: Sequence[Network], tokens: int, folder: Path) -> None:
    graph = EncoderGraph(networks)
    batch, positions, spoken = (torch.export.Dim(name) for name in ("batch", "source_length", "spoken"))
    example = _source(3, 5, tokens)
    begun = dict(leaves(graph.begin(*example)))
    others = {batch: _source(2, 5, tokens), positions: _source(3, 7, tokens)}
    axes = _axes(begun, {each: dict(leaves(graph.begin(*other))) for each, other in others.items()})

    step = StepGraph(networks, graph.begin(*example))
    token = torch.full((3,), BEGIN)
    # Two tokens are said already, so that no length of the example is 0 or 1, which would be taken for all there is.
    before = _after(step, token, begun)
    said = _after(step, token, before)
    changed = _axes(said, {spoken: before})
    graph.wanted = step.wanted = wanted = _of_effect(step, token, said)

    of_source = ({0: batch, 1: positions}, {0: batch})
    _write(graph, example, of_source, ["source", "lengths"], wanted, folder / ENCODER)
    _write(
        step,
        (token, *(said[name] for name in wanted)),
        ({0: batch}, tuple(axes[name] | changed[name] for name in wanted)),
        ["token", *wanted],
        ["log_probabilities", "attention", *(f"next.{name}" for name in step.states)],
        folder / STEP,
    )


def _of_effect(step: StepGraph, token: Tensor, told: Named) -> list[str]:
    """The leaves without which a step were another: not every decoder needs all that it remembers."""
    usual = step(token, *told.values())

    def has_effect(name: str) -> bool:
        spoilt = torch.full_like(told[name], torch.nan if told[name].is_floating_point() else 1000)
        return not all(map(torch.equal, usual, step(token, *(told | {name: spoilt}).values())))

    return [name for name in told if has_effect(name)]


def _source(sentences: int, positions: int, tokens: int) -> tuple[Tensor, Tensor]:
    ids = torch.arange(sentences * positions).view(sentences, positions) % tokens
    return ids, torch.arange(positions, positions - sentences, -1)


def _after(step: StepGraph, token: Tensor, told: Named) -> Named:
    _, _, *state = step(token, *told.values())
    return told | dict(zip(step.states, state, strict=True))


def _axes(example: Named, others: dict[torch.export.Dim, Named]) -> dict[str, Axes]:
    """Which axes of each tensor are of another length in each of the others."""
    return {
        name: {
            axis: dimension
            for dimension, other in others.items()
            for axis, length in enumerate(tensor.shape)
            if other[name].shape[axis] != length
        }
        for name, tensor in example.items()
    }


def _write(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    axes: tuple[Any, ...],
    inputs: list[str],
    outputs: list[str],
    file: Path,
) -> None:
    program = torch.onnx.export(
        graph, example, dynamic_shapes=axes, input_names=inputs, output_names=outputs, dynamo=True, verbose=False
    )
    assert program is not None
    program.save(file)
