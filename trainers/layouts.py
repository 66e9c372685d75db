"""How answers become the rows of a batch, and where in those rows their tokens are predicted.

``concat`` is one row for each answer, ``[prompt | answer]``: plain right padding, always right.
``shared_prefix`` has each prompt once, with its answers behind it, so that prompt and pictures are encoded
once; short ones lie behind one another where a longer one would leave room::

    [prompt | chosen | rejected                                  ]
    [prompt | chosen | rejected ] [prompt | chosen | rejected ]

The attention mask lets an answer see its prompt and itself, and its positions go on where that prompt ends,
so each answer is computed as if it stood there alone. Not every model allows that (a convolution or a
recurrent state runs through from one answer to the next), so it is used only after the model has been seen to
give the plain layout's log-probabilities and gradients on real pairs; see ``choose_layout``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.engines.decoding import merged
from harness.engines.prompts import Prompt, Tensors
from trainers.scoring import answer_log_probs, answer_logits, inner_model

Layout = Literal["concat", "shared_prefix"]

log = logging.getLogger(__name__)

# Token types of an answer where they aren't those of the prompt's last token.
_ANSWER_TYPES = {"paligemma": 1}
_MASKED_ATTENTION = ("sdpa", "eager")
# Differences of log-probabilities a token (root mean square) and of gradients that rounding explains.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_GRADIENT_TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-5}
_HALF_TOLERANCE, _HALF_GRADIENT_TOLERANCE = 0.01, 0.25
_ROUNDING = 4
_N_PROBES, _PROBE_SIZE = 8, 2**24


@dataclass(frozen=True)
class Answer:
    """Tokens that are scored behind a prompt: ``ids`` (n,), the end of the turn included."""

    prompt: Prompt
    ids: Tensor


class _Block(NamedTuple):
    """A prompt with answers behind it; ``places`` are the answers' places in the batch's order."""

    prompt: Prompt
    answers: list[Tensor]
    places: list[int]

    @property
    def length(self) -> int:
        return len(self.prompt) + sum(map(len, self.answers))


_Row = list[_Block]


class Facts(NamedTuple):
    """What must be known of a model to lay out its batches.

    Attributes:
        pad: the token that fills rows up; it is masked.
        answer_type: token type of answers; None for that of the prompt's last token.
        dtype: of picture tensors.
        boolean_mask: whether attention takes a boolean 4-D mask; an additive one otherwise.
    """

    pad: int
    answer_type: int | None
    dtype: torch.dtype
    boolean_mask: bool


def facts_of(model: Any, pad: int | None) -> Facts:
    """Read a model's Facts; ``pad`` is the tokenizer's padding token, if it has one."""
    inner = inner_model(model)
    return Facts(
        pad or 0,
        _ANSWER_TYPES.get(inner.config.model_type),
        inner.dtype,
        inner.config._attn_implementation == "sdpa",
    )


def lay_out(answers: Sequence[Answer], layout: Layout, facts: Facts) -> dict[str, Any]:
    """A batch that scores the answers, in their order.

    Returns:
        ``inputs``: what the model is fed; ``rows`` and ``columns`` (N,): where the N answer tokens are predicted;
        ``targets`` (N,): those tokens; ``lengths``: how many of them are each answer's.
    """
    rows = _rows(answers, layout)
    columns: list[Tensor] = [torch.empty(0)] * len(answers)
    owners = [0] * len(answers)
    for index, row in enumerate(rows):
        start = 0
        for block in row:
            # The first token of an answer is predicted by the prompt's last, wherever the answer stands.
            first = start + len(block.prompt) - 1
            behind = first + 1
            for place, ids in zip(block.places, block.answers, strict=True):
                others = torch.arange(behind, behind + len(ids) - 1)
                columns[place] = torch.cat([torch.tensor([first]), others])
                owners[place] = index
                behind += len(ids)
            start += block.length
    lengths = [len(answer.ids) for answer in answers]
    return {
        "inputs": _inputs(rows, layout, facts),
        "rows": torch.tensor(owners).repeat_interleave(torch.tensor(lengths)),
        "columns": torch.cat(columns),
        "targets": torch.cat([answer.ids for answer in answers]),
        "lengths": lengths,
    }


def _rows(answers: Sequence[Answer], layout: Layout) -> list[_Row]:
    blocks: dict[int, _Block] = {}
    for place, answer in enumerate(answers):
        key = id(answer.prompt) if layout == "shared_prefix" else place
        block = blocks.setdefault(key, _Block(answer.prompt, [], []))
        block.answers.append(answer.ids)
        block.places.append(place)
    found = list(blocks.values())
    return [[block] for block in found] if layout == "concat" else _packed(found)


def _packed(blocks: Sequence[_Block]) -> list[_Row]:
    """Blocks in rows no longer than the longest block: the longest first, each where there is room."""
    rows: list[_Row] = []
    room: list[int] = []
    for block in sorted(blocks, key=lambda block: -block.length):
        # Mllama tells the pictures of one row by their place in the batch.
        fits = (i for i, left in enumerate(room) if left >= block.length and not _rowwise(block))
        if (index := next(fits, None)) is None:
            index = len(rows)
            rows.append([])
            room.append(max(each.length for each in blocks))
        rows[index].append(block)
        room[index] -= block.length
    return rows


def _rowwise(block: _Block) -> bool:
    return "cross_attention_mask" in block.prompt.vision


def _inputs(rows: Sequence[_Row], layout: Layout, facts: Facts) -> Tensors:
    """What the model is fed: ids and all that runs along with them, pictures, mask and positions."""
    length = max(sum(block.length for block in row) for row in rows)
    ids = [
        torch.cat([part for block in row for part in (block.prompt.ids, *block.answers)])
        for row in rows
    ]
    inputs = {"input_ids": _padded(ids, length, facts.pad)}
    for name in rows[0][0].prompt.per_token:
        types = [torch.cat([_types(block, name, facts) for block in row]) for row in rows]
        inputs[name] = _padded(types, length)
    visions = [_extended(block, length) for row in rows for block in row if block.prompt.vision]
    for name, value in merged(visions).items() if visions else ():
        inputs[name] = value.to(facts.dtype) if value.is_floating_point() else value
    if layout == "concat":
        inputs["attention_mask"] = _padded([torch.ones_like(own) for own in ids], length)
    else:
        inputs["attention_mask"] = _mask(rows, length, facts)
        positions = [torch.cat([_positions(block) for block in row], dim=-1) for row in rows]
        inputs["position_ids"] = _padded(positions, length)
    return inputs


def _padded(parts: Sequence[Tensor], length: int, filler: int = 0) -> Tensor:
    """Stack (..., n) tensors to (..., len(parts), length), filled up on the right."""
    return torch.stack(
        [F.pad(part, (0, length - part.shape[-1]), value=filler) for part in parts], dim=-2
    )


def _types(block: _Block, name: str, facts: Facts) -> Tensor:
    """Token types of a prompt and the answers behind it."""
    types = block.prompt.per_token[name]
    last = int(types[-1]) if facts.answer_type is None else facts.answer_type
    return F.pad(types, (0, block.length - len(types)), value=last)


def _extended(block: _Block, length: int) -> Tensors:
    """Picture tensors; one that says which token sees which picture goes on with its last line."""
    vision = dict(block.prompt.vision)
    if _rowwise(block):
        seen = vision["cross_attention_mask"]
        more = seen[:, -1:].expand(-1, length - len(block.prompt), *seen.shape[2:])
        vision["cross_attention_mask"] = torch.cat([seen, more], dim=1)
    return vision


def _positions(block: _Block) -> Tensor:
    positions = block.prompt.positions
    assert positions is not None  # `choose_layout` has seen to it
    steps = [torch.arange(1, len(ids) + 1) for ids in block.answers]
    return torch.cat([positions, *(positions[..., -1:] + step for step in steps)], dim=-1)


def _mask(rows: Sequence[_Row], length: int, facts: Facts) -> Tensor:
    """(B, 1, length, length): who sees whom, as booleans or as what is added to the scores."""
    # Each prompt and each answer is a segment with a number; a token sees its own and its prompt's.
    own = torch.full((len(rows), length), -1)
    prompts = own.clone()
    for index, row in enumerate(rows):
        start = number = 0
        for block in row:
            sizes = torch.tensor([len(block.prompt), *map(len, block.answers)])
            place = (index, slice(start, start + block.length))
            own[place] = torch.arange(number, number + len(sizes)).repeat_interleave(sizes)
            prompts[place] = number
            start, number = start + block.length, number + len(sizes)
    seen = own[:, None, :]
    visible = (own[:, :, None] == seen) | (prompts[:, :, None] == seen)
    # Padding is a segment too, so that no softmax is empty.
    visible = (visible & torch.ones(length, length, dtype=torch.bool).tril())[:, None]
    if facts.boolean_mask:
        return visible
    lowest = torch.finfo(facts.dtype).min
    return torch.zeros(visible.shape, dtype=facts.dtype).masked_fill(~visible, lowest)


class Choice(NamedTuple):
    """The layout to use, and why it isn't the faster one."""

    layout: Layout
    reason: str | None


def choose_layout(model: Any, answers: Sequence[Answer], facts: Facts) -> Choice:
    """``shared_prefix`` if the model allows it, which is tried out on real answers; else ``concat``.

    Args:
        answers: some pairs' answers, the longest of the data among them.
    """
    reason = _obstacle(model, answers) or _disagreement(model, answers, facts)
    if reason is None:
        return Choice("shared_prefix", None)
    log.warning("chosen and rejected don't share their prompt in one row: %s", reason)
    return Choice("concat", reason)


def _obstacle(model: Any, answers: Sequence[Answer]) -> str | None:
    """What no trial would show, or what would fail in it without saying why."""
    config = inner_model(model).config
    if config._attn_implementation not in _MASKED_ATTENTION:
        return f"{config._attn_implementation} attention takes no mask of its own; use sdpa"
    if any(answer.prompt.positions is None for answer in answers):
        return "the model takes no positions"
    window = _window(config)
    longest = max(block.length for row in _rows(answers, "shared_prefix") for block in row)
    if window is not None and longest > window:
        return f"rows of {longest} tokens go beyond the attention window of {window}"
    return None


def _window(config: Any) -> int | None:
    """The model's shortest attention window in tokens."""
    from transformers import DynamicCache

    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    found = [layer.sliding_window for layer in layers if hasattr(layer, "sliding_window")]
    return min(found, default=None)


class _Scores(NamedTuple):
    """Log-probabilities, and the gradient of a weighted sum of them."""

    values: Tensor
    gradient: Tensor


def _disagreement(model: Any, answers: Sequence[Answer], facts: Facts) -> str | None:
    """How the layouts differ in log-probabilities or gradients, or None."""
    # One by one, so that the check takes no more memory than training will.
    plain = _scores(model, [[answer] for answer in answers], "concat", facts)
    try:
        shared = _scores(model, [answers], "shared_prefix", facts)
    except Exception as error:
        # Whatever a model does when it is fed as it wasn't made for: not this layout.
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    apart = _apart(shared.values, plain.values)
    if not apart <= _tolerance(model, answers, facts, plain.values):
        return f"log-probabilities differ from the plain layout's by {apart:.2g} a token"
    apart = float((shared.gradient - plain.gradient).norm() / plain.gradient.norm())
    if not apart <= _GRADIENT_TOLERANCE.get(facts.dtype, _HALF_GRADIENT_TOLERANCE):
        return f"gradients differ from the plain layout's by {100 * apart:.2g} %"
    return None


def _tolerance(model: Any, answers: Sequence[Answer], facts: Facts, plain: Tensor) -> float:
    """How far the log-probabilities may be apart.

    In half precision that is measured, by what a batch does to the plain layout: no fixed number both allows for
    the rounding of a large model and tells it from a few tokens that see too much or too little.
    """
    if facts.dtype in _TOLERANCE:
        return _TOLERANCE[facts.dtype]
    batch = to_device(lay_out(answers, "concat", facts), plain.device)
    with torch.no_grad():
        together = answer_log_probs(answer_logits(model, batch), batch)
    return max(_HALF_TOLERANCE, _ROUNDING * _apart(together, plain))


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).square().mean().sqrt())


def _scores(
    model: Any, batches: Sequence[Sequence[Answer]], layout: Layout, facts: Facts
) -> _Scores:
    probes = _probes(model)
    n_tokens = sum(len(answer.ids) for answers in batches for answer in answers)
    # Unequal weights, so that two answers that take each other's place are noticed.
    weights = torch.linspace(1.0, 2.0, n_tokens, device=probes[0].device)
    values: list[Tensor] = []
    total = [torch.zeros_like(probe) for probe in probes]
    for answers in batches:
        batch = to_device(lay_out(answers, layout, facts), probes[0].device)
        found = answer_log_probs(answer_logits(model, batch), batch)
        start = sum(map(len, values))
        weighted = found @ weights[start : start + len(found)]
        gradients = torch.autograd.grad(weighted, probes, materialize_grads=True)
        total = [sum_ + part for sum_, part in zip(total, gradients, strict=True)]
        values.append(found.detach())
    return _Scores(torch.cat(values), torch.cat([part.flatten().float() for part in total]))


def _probes(model: Any) -> list[Tensor]:
    """A few trainable parameters from the model's last layers to its first, not the largest."""
    trained = [each for each in model.parameters() if each.requires_grad]
    size = max(_PROBE_SIZE, min(each.numel() for each in trained))
    trained = [each for each in trained if each.numel() <= size]
    return trained[:: -max(1, len(trained) // _N_PROBES)][:_N_PROBES]


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch with its tensors on a device."""
    from accelerate.utils import send_to_device

    moved: dict[str, Any] = send_to_device(batch, device)
    return moved
