"""Training's linear layers and recurrent loops by the compiled kernels (kernels/training.cpp), as nodes of the graph.

`can_learn_by_kernels` says whether they can be had; where not, the text in PyTorch beside each call does the same.
`half` rounds the factors of the products to bfloat16, of which the processor multiplies twice as many in the same
time; sums, and all that is kept, are float32 either way.

Letters: T steps   B sentences   S source positions   A width of the attention   H hidden   R rows of a table
         W = H, or H + A where the query is projected too
"""

import ctypes
import functools
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .. import kernels

log = logging.getLogger(__name__)

_SHAPES = {"linear": "MNK", "lstm": "TBH", "decoder": "TBSAHW", "attention": "TBSAHW"}
_TENSORS = {
    "linear": "inputs weight bias outputs d_outputs d_inputs d_weight d_bias",
    "lstm": "projected numbers of_step hidden cells gates d_hidden d_cells d_gates d_projected d_of_step",
    "decoder": "projected numbers lengths keys values of_step of_hidden direction kept before cells gates from_hidden "
    "weights said d_said d_before d_cell d_gates d_from_hidden d_projected d_keys d_values d_of_step d_of_hidden "
    "d_direction",
    "attention": "lengths keys values direction hidden from_hidden weights said d_said d_hidden d_from_hidden d_keys "
    "d_values d_direction",
}
"""The members of the structs of the same names in training.cpp, in their order."""


def can_learn_by_kernels(like: Tensor) -> bool:
    """Whether something is to be learnt from a tensor like this one, and the kernels are there for it."""
    suits = like.device.type == "cpu" and like.dtype is torch.float32
    return torch.is_grad_enabled() and suits and kernels.library("training") is not None


def note_precision(device: torch.device) -> None:
    """Say what becomes of precision bfloat16, which is a wish: not every processor multiplies it."""
    library = kernels.library("training")
    if device.type == "cuda":
        log.info("precision bfloat16: by PyTorch, on %s", device)
    elif library is not None and library.has_half():
        log.info("precision bfloat16: in the products of training and search; what is kept and added up is float32")
    else:
        reason = "there are no compiled kernels" if library is None else "this processor does not multiply bfloat16"
        log.warning("precision float32, though bfloat16 was asked for: %s", reason)


def _library() -> ctypes.CDLL:
    library = kernels.library("training")
    assert library is not None
    return library


@functools.cache
def _structure(kind: str) -> type[ctypes.Structure]:
    shapes = [(letter, ctypes.c_long) for letter in _SHAPES[kind]]
    tensors = [(name, ctypes.c_void_p) for name in _TENSORS[kind].split()]
    return type(kind, (ctypes.Structure,), {"_fields_": [*shapes, *tensors]})


def _call(kind: str, way: str, half: bool, shape: dict[str, int], **tensors: Tensor | None) -> None:
    """`way` is forward or backward; tensors that are None or not given are null."""
    pointers = {name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None}
    assert all(tensor is None or tensor.is_contiguous() for tensor in tensors.values())
    getattr(_library(), f"{kind}_{way}")(ctypes.byref(_structure(kind)(**shape, **pointers)), int(half))


class Linear(nn.Linear):
    """nn.Linear that learns by the kernels."""

    rounds = False

    def forward(self, inputs: Tensor) -> Tensor:
        # The kernels are one thread's work: in float32 three of PyTorch's are faster.
        if can_learn_by_kernels(inputs) and (self.rounds or torch.get_num_threads() <= 2):
            return LinearByKernels.apply(inputs, self.weight, self.bias, self.rounds)  # type: ignore[no-any-return, no-untyped-call]
        return super().forward(inputs)


class Dropout(nn.Dropout):
    """nn.Dropout that draws by the kernels: PyTorch's draws take longer than the layer they are for."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or not can_learn_by_kernels(inputs):
            return super().forward(inputs)
        kept = torch.empty(inputs.shape)
        seed = int(torch.randint(1 << 62, ()))
        pointer = ctypes.c_void_p(kept.data_ptr())
        _library().draw(pointer, ctypes.c_long(kept.numel()), ctypes.c_uint64(seed), ctypes.c_float(self.p))
        return inputs * kept


class LinearByKernels(torch.autograd.Function):
    """functional.linear: inputs [..., K], weight [N, K], bias [N] or None -> [..., N]."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, half: bool) -> Tensor:
        inputs, weight = inputs.contiguous(), weight.contiguous()
        outputs = inputs.new_empty(*inputs.shape[:-1], len(weight))
        ctx.shape = {"M": outputs[..., 0].numel(), "N": weight.shape[0], "K": weight.shape[1]}
        ctx.save_for_backward(inputs, weight)
        ctx.half = half
        _call("linear", "forward", half, ctx.shape, inputs=inputs, weight=weight, bias=bias, outputs=outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        d_outputs = d_outputs.contiguous()
        wanted = inputs, weight, weight.new_empty(len(weight))
        made = [torch.empty_like(each) if ctx.needs_input_grad[at] else None for at, each in enumerate(wanted)]
        results = dict(zip(("d_inputs", "d_weight", "d_bias"), made, strict=True))
        _call("linear", "backward", ctx.half, ctx.shape, inputs=inputs, weight=weight, d_outputs=d_outputs, **results)
        return *made, None


class LSTMByKernels(torch.autograd.Function):
    """Outputs and cells of an LSTM over a sequence, each [T, B, H].

    projected [R, 4H] are the inputs' parts of the gates, in the order of cells.py, and `numbers` [T, B] says where each
    goes; of_step [4H, H]; hidden and cell [B, H] before the first step.
    """

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, numbers: Tensor, of_step: Tensor, hidden: Tensor, cell: Tensor, half: bool
    ) -> tuple[Tensor, Tensor]:
        projected, numbers, of_step = projected.contiguous(), numbers.contiguous(), of_step.contiguous()
        steps = len(numbers)
        shape = {"T": steps, "B": hidden.shape[0], "H": hidden.shape[1]}
        outputs, cells = (_beginning_with(each, steps) for each in (hidden, cell))
        gates = hidden.new_empty(steps, len(hidden), 4 * hidden.shape[1])
        given = {"projected": projected, "numbers": numbers, "of_step": of_step}
        _call("lstm", "forward", half, shape, **given, hidden=outputs, cells=cells, gates=gates)
        ctx.save_for_backward(projected, numbers, of_step, outputs, cells, gates)
        ctx.shape, ctx.half = shape, half
        return outputs[1:], cells[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_cells: Tensor) -> tuple[Tensor | None, ...]:
        projected, numbers, of_step, outputs, cells, gates = ctx.saved_tensors
        d_hidden, d_cell = (torch.cat([torch.zeros_like(each[:1]), each]) for each in (d_outputs, d_cells))
        d_of_step, d_projected = torch.empty_like(of_step), torch.zeros_like(projected)
        _call(
            *("lstm", "backward", ctx.half, ctx.shape),
            numbers=numbers,
            of_step=of_step,
            hidden=outputs,
            cells=cells,
            gates=gates,
            d_hidden=d_hidden,
            d_cells=d_cell,
            d_gates=_in_the_place_of(gates),
            d_projected=d_projected,
            d_of_step=d_of_step,
        )
        return d_projected, None, d_of_step, d_hidden[0], d_cell[0], None


class UnrolledByKernels(torch.autograd.Function):
    """What `unrolled.Unrolled` returns of the same arguments, h~ of every step [T, B, H].

    But that projected is [R, 4H], of which `numbers` [T, B] says where each row goes.
    """

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        numbers: Tensor,
        hidden: Tensor,
        cell: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        of_step: Tensor,
        of_hidden: Tensor,
        direction: Tensor | None,
        kept: Tensor | None,
        half: bool,
    ) -> Tensor:
        steps, (sentences, width) = len(numbers), hidden.shape
        shape = dict(zip("BSA", keys.shape, strict=True)) | {"T": steps, "H": width, "W": len(of_hidden)}
        given = {
            "projected": projected,
            "numbers": numbers,
            "lengths": _lengths(mask, keys),
            "keys": keys,
            "values": values,
            "of_step": of_step,
            "of_hidden": of_hidden,
            "direction": direction,
            "kept": kept,
        }
        given = {name: None if tensor is None else tensor.contiguous() for name, tensor in given.items()}
        made = {
            "before": _beginning_with(torch.cat([torch.zeros_like(hidden), hidden], 1), steps),
            "cells": _beginning_with(cell, steps),
            "gates": hidden.new_empty(steps, sentences, 4 * width),
            "from_hidden": hidden.new_empty(steps, sentences, len(of_hidden)),
            "weights": hidden.new_empty(steps, sentences, keys.shape[1]),
        }
        said = hidden.new_empty(steps, sentences, width)
        _call("decoder", "forward", half, shape, **given, **made, said=said)
        ctx.names, ctx.shape, ctx.half = [*given, *made], shape, half
        ctx.save_for_backward(*given.values(), *made.values())
        return said

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_said: Tensor) -> tuple[Tensor | None, ...]:
        of = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        direction = of["direction"]
        d_before, d_cell = torch.zeros_like(of["before"][0]), torch.zeros_like(of["cells"][0])
        d_projected = torch.zeros_like(of["projected"])
        d_keys, d_values = torch.zeros_like(of["keys"]), torch.zeros_like(of["values"])
        d_of_step, d_of_hidden = torch.empty_like(of["of_step"]), torch.empty_like(of["of_hidden"])
        d_direction = None if direction is None else torch.zeros_like(direction)
        _call(
            *("decoder", "backward", ctx.half, ctx.shape),
            **of,
            d_said=d_said.contiguous(),
            d_before=d_before,
            d_cell=d_cell,
            d_gates=_in_the_place_of(of["gates"]),
            d_from_hidden=torch.zeros_like(of["from_hidden"]),
            d_projected=d_projected,
            d_keys=d_keys,
            d_values=d_values,
            d_of_step=d_of_step,
            d_of_hidden=d_of_hidden,
            d_direction=d_direction,
        )
        d_hidden = d_before[:, d_cell.shape[1] :]
        d_state = d_hidden, d_cell, d_keys, d_values
        return d_projected, None, *d_state, None, d_of_step, d_of_hidden, d_direction, None, None


class AttentionByKernels(torch.autograd.Function):
    """h~ of every step [T, B, H], where all outputs of the recurrent layers are known: hidden [T, B, H].

    from_hidden [T, B, W]: hidden through W's hidden part and, where the query is projected, the query beside it; keys,
    values, mask and direction as in `unrolled.Unrolled`.
    """

    @staticmethod
    def forward(
        ctx: Any,
        from_hidden: Tensor,
        hidden: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        direction: Tensor | None,
    ) -> Tensor:
        steps, sentences, width = hidden.shape
        ctx.shape = dict(zip("BSA", keys.shape, strict=True)) | {"T": steps, "H": width, "W": from_hidden.shape[2]}
        hidden = hidden.contiguous()
        of = {
            "from_hidden": from_hidden.clone(memory_format=torch.contiguous_format),
            "hidden": hidden,
            "keys": keys.contiguous(),
            "values": values.contiguous(),
            "lengths": _lengths(mask, keys),
            "direction": direction,
            "weights": hidden.new_empty(steps, sentences, keys.shape[1]),
        }
        said = torch.empty_like(hidden)
        _call("attention", "forward", False, ctx.shape, **of, said=said)
        ctx.names = [*of]
        ctx.save_for_backward(*of.values())
        return said

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_said: Tensor) -> tuple[Tensor | None, ...]:
        of = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        wanted = "from_hidden", "hidden", "keys", "values", "direction"
        made = {f"d_{name}": None if of[name] is None else torch.zeros_like(of[name]) for name in wanted}
        _call("attention", "backward", False, ctx.shape, **of, d_said=d_said.contiguous(), **made)
        *before_mask, d_direction = made.values()
        return *before_mask, None, d_direction


def _lengths(mask: Tensor | None, keys: Tensor) -> Tensor:
    """[B]: of the sources."""
    if mask is None:
        return torch.full((len(keys),), keys.shape[1])
    return (mask[:, 0] == 0).sum(1)


def _in_the_place_of(saved: Tensor) -> Tensor:
    """Where its derivative goes, that both need not be in memory. Autograd refuses a second backward over it then."""
    torch.autograd.graph.increment_version(saved)
    return saved


def _beginning_with(first: Tensor, steps: int) -> Tensor:
    """[steps + 1, ...]; what follows the first is not set yet."""
    room = first.new_empty(steps + 1, *first.shape)
    room[0] = first
    return room
