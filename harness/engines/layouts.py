"""Which batch layout a checkpoint allows: found out by trying, against plain ``model.generate``.

"shared" is the fastest: one prefix per group of pictures. "batched" is left padding. "single" is
one request at a time and always right. Models for which sharing or padding changes the answer are
many and keep coming (bidirectional attention over the prompt, cross attention, recurrent layers),
so there is no list of them here: the first real requests are run both ways, and a layout is used if
the logits agree.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

import torch

from harness.engines.base import EngineStats
from harness.engines.decoding import Decoder, Group
from harness.engines.prompts import Prompt
from harness.engines.single import SingleDecoder
from harness.engines.tokens import Chooser, Row

Layout = Literal["shared", "batched", "single"]
Kind = Literal["pictures", "text"]

logger = logging.getLogger(__name__)

_N_STEPS = 3
_HOLE = 3
# Largest root-mean-square difference of logits, relative to their own spread.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}
_HALF_TOLERANCE = 0.1

# Settings of a generation config that only the library's own loop follows, and their inert values.
_FOREIGN_SETTINGS: dict[str, tuple[Any, ...]] = {
    "cache_implementation": (None, "dynamic", "hybrid"),
    "guidance_scale": (None, 1, 1.0),
    "max_time": (None,),
    "num_return_sequences": (None, 1),
    "prefill_chunk_size": (None,),
    "stop_strings": (None,),
    "token_healing": (None, False),
    "use_cache": (None, True),
    "watermarking_config": (None,),
}


class Layouts:
    """Knows the fastest layout that a checkpoint has been seen to allow."""

    def __init__(
        self,
        model: Any,
        chooser: Chooser,
        decoder: Decoder,
        single: SingleDecoder,
        stats: EngineStats,
    ) -> None:
        self._model = model
        self._chooser = chooser
        self._decoder = decoder
        self._single = single
        self._stats = stats
        self._verdicts: dict[tuple[Kind, Layout], str | None] = {}
        self._obstacle = self._find_obstacle()
        self._window = self._find_window()

    def allows(self, layout: Layout, kind: Kind, sample: Sequence[Group]) -> bool:
        """Whether a layout gives the answers of plain generation.

        Args:
            layout: "shared" or "batched".
            kind: what the groups hold; verdicts are kept by kind.
            sample: real groups to try it on, if it has not been tried.
        """
        if (kind, layout) not in self._verdicts:
            reason = self._obstacle or self._try(layout, sample)
            self._verdicts[kind, layout] = reason
            self._record(kind, layout, reason)
        return self._verdicts[kind, layout] is None

    def _record(self, kind: Kind, layout: Layout, reason: str | None) -> None:
        """Keep the statistics at the fastest layout in use, and at why it isn't a faster one."""
        if self._verdicts.get((kind, "shared"), "untried") is None:
            self._stats.modes[kind] = "shared"
        elif (kind, "batched") in self._verdicts:
            allowed = self._verdicts[kind, "batched"] is None
            self._stats.modes[kind] = "batched" if allowed else "single"
        if reason is not None:
            earlier = [self._stats.fallbacks[kind]] if kind in self._stats.fallbacks else []
            self._stats.fallbacks[kind] = "; ".join([*earlier, f"{layout}: {reason}"])
            logger.warning("%s requests can't run %s: %s", kind, layout, reason)

    def fits_window(self, groups: Sequence[Group]) -> bool:
        """Whether holes inside rows are harmless: a sliding window counts them as tokens."""
        if self._window is None:
            return True
        prefix = max(group.n_shared for group in groups)
        suffix = max(group.longest - group.n_shared for group in groups)
        limits = [prompt.limit for group in groups for prompt in group.prompts]
        return prefix + suffix + max(limits) + 2 * _HOLE <= self._window

    def _find_obstacle(self) -> str | None:
        """Why only the library's own loop can serve this checkpoint, if so."""
        if self._model.config.is_encoder_decoder:
            return "the model is an encoder-decoder"
        config = self._chooser.config(1)
        mode = config.get_generation_mode().value
        if mode != "greedy_search":
            return f"generation_config.json asks for {mode}"
        for name, inert in _FOREIGN_SETTINGS.items():
            if getattr(config, name, None) not in inert:
                return f"generation_config.json sets {name}"
        return None

    def _find_window(self) -> int | None:
        from transformers import DynamicCache

        cache = DynamicCache(config=self._model.config.get_text_config(decoder=True))
        windows = [
            layer.sliding_window for layer in cache.layers if hasattr(layer, "sliding_window")
        ]
        return min(windows, default=None)

    def _try(self, layout: Layout, sample: Sequence[Group]) -> str | None:
        """Run a few prompts both ways; returns how they differ, or None."""
        counts = (
            self._stats.n_vision_passes,
            self._stats.n_prefill_tokens,
            self._stats.n_new_tokens,
        )
        chosen = _few(sample)
        ours: dict[str, list[torch.Tensor]] = {}

        def observe(rows: Sequence[Row], logits: torch.Tensor) -> None:
            for row, line in zip(rows, logits.float().cpu(), strict=True):
                ours.setdefault(row.prompt.request.key, []).append(line)

        try:
            batch_size = sum(len(group.prompts) for group in chosen)
            (rows,) = self._decoder.run(
                chosen, batch_size, limit=_N_STEPS, extra_hole=_HOLE, observer=observe
            )
            reasons = (self._difference(row, ours[row.prompt.request.key]) for row in rows)
            return next((reason for reason in reasons if reason), None)
        except Exception as error:
            # Whatever a model does when it is fed in a layout that it wasn't made for: not this
            # layout.
            logger.debug("the %s layout failed", layout, exc_info=True)
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        finally:
            checked = self._stats.n_vision_passes - counts[0]
            checked += sum(prompt.n_pictures for group in chosen for prompt in group.prompts)
            self._stats.n_self_check_pictures += checked
            self._stats.n_vision_passes = counts[0]
            self._stats.n_prefill_tokens = counts[1]
            self._stats.n_new_tokens = counts[2]

    def _difference(self, row: Row, ours: Sequence[torch.Tensor]) -> str | None:
        """How a row's logits differ from plain generation's, for as long as the tokens agree.

        After a token where two candidates are equal within the tolerance, the two may part; that is
        rounding and no fault of the layout.
        """
        plain = self._single.generate(row.prompt, row.limit, output_logits=True)
        tokens = plain.sequences[0, -len(plain.logits) :].tolist()
        for step, logits in enumerate(plain.logits[: len(ours)]):
            if tokens[:step] != row.new_ids[:step]:
                return None
            expected = logits[0].float().cpu()
            spread = float((expected - expected.mean()).square().mean().sqrt())
            error = float((ours[step] - expected).square().mean().sqrt())
            if not error <= spread * _TOLERANCE.get(self._model.dtype, _HALF_TOLERANCE):
                return (
                    f"logits of new token {step + 1} differ by {error:.2g} "
                    f"(their spread is {spread:.2g})"
                )
        return None


def _few(groups: Sequence[Group]) -> list[Group]:
    """The shortest and the longest group, each with its shortest and its longest prompt."""
    ordered = sorted(groups, key=lambda group: group.n_shared)
    ends = [ordered[0], ordered[-1]] if len(ordered) > 1 else ordered
    return [Group(_ends(group.prompts), group.n_shared) for group in ends]


def _ends(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    ordered = sorted(prompts, key=len)
    return (ordered[0], ordered[-1]) if len(ordered) > 1 else tuple(ordered)


def solo_groups(prompts: Sequence[Prompt]) -> list[Group]:
    """Each prompt on its own."""
    return [Group((prompt,), len(prompt)) for prompt in prompts]


def shared_groups(prompts: Sequence[Prompt]) -> list[Group]:
    """Prompts by equal pictures and equal tokens up to the last one; a lone prompt is solo."""

    def start(prompt: Prompt) -> tuple[Any, ...]:
        pictures = tuple(picture.digest for picture in prompt.request.pictures)
        return pictures, tuple(prompt.ids[: prompt.n_vision_prefix].tolist())

    groups = []
    for _, members in groupby(sorted(prompts, key=start), key=start):
        group = tuple(members)
        n_common = _n_common(group)
        if len(group) == 1 or n_common < group[0].n_vision_prefix:
            groups.extend(solo_groups(group))
        else:
            groups.append(Group(group, n_common))
    return groups


def _n_common(prompts: Sequence[Prompt]) -> int:
    """Length of the longest common prefix that leaves each prompt at least one token."""
    shortest = min(len(prompt) for prompt in prompts)
    ids = torch.stack([prompt.ids[:shortest] for prompt in prompts])
    differs = (ids != ids[0]).any(dim=0).nonzero()
    return min(int(differs[0]) if len(differs) else shortest, shortest - 1)
