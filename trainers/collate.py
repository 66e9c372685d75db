"""The data of a training: pairs that are encoded when they are needed, and what becomes of several of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from benchmarks.base import BadRecordError, PlumblineError
from trainers.encoding import Encoded, Encoder, Role
from trainers.layouts import Answer, Facts, Layout, lay_out
from trainers.methods import Method
from trainers.pairs import Dropped, Preference
from trainers.preferences import Lengths, Preferences, without_long
from trainers.reference_cache import ReferenceCache
from trainers.scoring import Batch

MEMO_BYTES = 2**29
"""Picture tensors that are kept from epoch to epoch (512 MiB a process)."""


def roles_of(method: Method) -> tuple[Role, ...]:
    """What is scored for each pair, in the order of a batch."""
    roles: list[Role] = ["chosen"]
    roles += ["rejected"] if "rejected" in method.needs else []
    roles += ["image_rejected"] if "rejected_image" in method.needs else []
    return tuple(roles)


class Item(NamedTuple):
    """A pair on its way into a batch, and as the reference policy sees it where that is something else."""

    encoded: Encoded
    reference: Encoded | None


class PairData(Dataset[Item]):
    """Pairs by index, encoded when they are asked for.

    Args:
        per_forward: draw rejected pictures anew each time, others for the reference than for the policy.
    """

    def __init__(
        self, pairs: Sequence[Preference], encoder: Encoder, per_forward: bool = False
    ) -> None:
        self.pairs = tuple(pairs)
        self._encoder = encoder
        self._per_forward = per_forward
        self._n_draws = 0
        self._memo: OrderedDict[str, tuple[Preference, Item]] = OrderedDict()
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Item:
        return self.item(self.pairs[index])

    def item(self, pair: Preference) -> Item:
        """A pair, encoded. Raises BadRecordError."""
        known = self._memo.get(pair.id)
        if known is not None and known[0] is pair:
            return known[1]
        encoded = self._encoder.encode(pair, self._n_draws)
        if self._per_forward:
            return Item(encoded, self._encoder.encode(pair, self._n_draws + 1))
        item = Item(encoded, None)
        if known is not None:
            self._n_bytes -= known[1].encoded.n_bytes
        self._memo[pair.id] = (pair, item)
        self._n_bytes += encoded.n_bytes
        while self._n_bytes > MEMO_BYTES:
            _, (_, oldest) = self._memo.popitem(last=False)
            self._n_bytes -= oldest.encoded.n_bytes
        return item

    def begin_epoch(self, epoch: int) -> None:
        """Rejected pictures that are drawn anew depend on the epoch, not on what was trained before it."""
        self._n_draws = 2 * epoch

    def keys(self, pair: Preference) -> Mapping[Role, str]:
        """Of the pair's answers in a ``ReferenceCache``; nothing is encoded for it."""
        return self._encoder.keys(pair)

    def lengths(self, pair: Preference) -> Lengths:
        """Exact numbers of tokens. Raises BadRecordError."""
        encoded = self.item(pair).encoded
        rejected = 0 if encoded.rejected is None else len(encoded.rejected)
        return Lengths(encoded.n_prompt, len(encoded.chosen), rejected)


class Collator:
    """Makes batches of items.

    Args:
        caches: token log-probabilities by key, each under the name of what it becomes in a batch
            (``reference``, ``extra_reference``); none for what is computed in each step.
        substituted: mark rejected answers and those beside rejected pictures; see ``methods.Method.substitutes``.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        layout: Layout,
        facts: Facts,
        caches: Mapping[str, ReferenceCache],
        substituted: bool = False,
    ) -> None:
        self.roles = roles
        self.caches = caches
        self._layout = layout
        self._facts = facts
        self._substituted = substituted

    def __call__(self, items: Sequence[Item]) -> Batch:
        """``answers`` of the items, role by role, with

        ``ids`` of the pairs; (N,) cached log-probabilities; ``reference_batch``, a batch of its own: each where
        it is needed.
        """
        pairs = [item.encoded for item in items]
        batch = self.answers([(pair, role) for role in self.roles for pair in pairs])
        batch["ids"] = [pair.id for pair in pairs]
        for name, cache in self.caches.items():
            values = [cache[pair.keys[role]] for role in self.roles for pair in pairs]
            batch[name] = torch.from_numpy(np.concatenate(values))
        seen = [item.reference for item in items if item.reference is not None]
        if seen:
            batch["reference_batch"] = self.answers(
                [(pair, role) for role in self.roles for pair in seen]
            )
        return batch

    def answers(self, wanted: Sequence[tuple[Encoded, Role]]) -> Batch:
        """``layouts.lay_out`` of answers, with ``weights`` (N,) and ``substituted`` (N,) where they are needed."""
        answers = [answer_of(pair, role) for pair, role in wanted]
        batch = lay_out(answers, self._layout, self._facts)
        weights = [pair.weights_of(role) for pair, role in wanted]
        if weights[0] is not None:
            batch["weights"] = torch.cat([torch.tensor(each) for each in weights])
        if self._substituted:
            marks = [
                torch.full(answer.ids.shape, role != "chosen")
                for answer, (_, role) in zip(answers, wanted, strict=True)
            ]
            batch["substituted"] = torch.cat(marks)
        return batch


def answer_of(pair: Encoded, role: Role) -> Answer:
    """What is scored of a pair in a role."""
    prompt = pair.image_prompt if role == "image_rejected" else pair.prompt
    ids = pair.rejected if role == "rejected" else pair.chosen
    # Pairs that lack what the method needs have been left out before (`usable_pairs`).
    assert prompt is not None
    assert ids is not None
    return Answer(prompt, ids)


class Usable(NamedTuple):
    """Pairs that can be trained on, and their numbers of tokens by id."""

    preferences: Preferences
    lengths: dict[str, Lengths]


def usable_pairs(
    preferences: Preferences,
    data: PairData,
    roles: Sequence[str],
    max_length: int,
    skip_unreadable: bool,
    tell: Callable[[int, int], None],
) -> Usable:
    """The pairs that a method can use and a model can take.

    Args:
        tell: is told how many pairs are done, and how many there are.

    Raises:
        BadRecordError: a pair cannot be prepared.
        PlumblineError: none is left.
    """
    kept: list[Preference] = []
    dropped: list[Dropped] = []
    lengths: dict[str, Lengths] = {}
    for number, pair in enumerate(preferences.pairs, start=1):
        reason = _unusable(pair, roles)
        if reason is None:
            try:
                lengths[pair.id] = data.lengths(pair)
            except BadRecordError as error:
                if not skip_unreadable:
                    raise
                reason = str(error)
        if reason is None:
            kept.append(pair)
        else:
            dropped.append(Dropped(pair.id, reason))
        tell(number, len(preferences.pairs))
    used = replace(preferences, pairs=tuple(kept), dropped=(*preferences.dropped, *dropped))
    if not kept:
        raise PlumblineError(f"no pair can be used: {used.report()}")
    return Usable(without_long(used, lambda pair: lengths[pair.id], max_length), lengths)


def filled(pairs: Sequence[Preference], n: int) -> tuple[Preference, ...]:
    """``n`` pairs, the first ones twice where there are not so many.

    For pairs that are made anew: the learning rate's schedule, and going on after a kill, need as many in each
    epoch, and some may be too long.
    """
    return tuple(pairs[index % len(pairs)] for index in range(n))


def _unusable(pair: Preference, roles: Sequence[str]) -> str | None:
    if "rejected" in roles and pair.rejected is None:
        return "there is no rejected answer"
    if "image_rejected" in roles and not pair.pictures:
        return "there is no picture to reject"
    return None
