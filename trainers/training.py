"""One training from beginning to end: read, check, compute the reference, train, write.

Every step can be repeated: the same command after a kill finds its pairs, its cached reference and its
last state, and ends in the same weights.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.base import PlumblineError, sha256_of
from harness.engines.prompts import context_length
from harness.engines.transformers_engine import TransformersEngine
from harness.show import Progress
from harness.store import RunFolder, write_atomically
from trainers import output
from trainers.callbacks import Refresh, Saved, Told
from trainers.collate import (
    Collator,
    Item,
    PairData,
    Usable,
    answer_of,
    filled,
    roles_of,
    usable_pairs,
)
from trainers.corruptions import open_corruption
from trainers.encoding import Encoder, Rejecting
from trainers.layouts import Choice, Facts, choose_layout, facts_of
from trainers.loading import Base, learning_model, load_base, training_arguments
from trainers.methods import Method, open_method
from trainers.pairs import Preference
from trainers.parts import exact_copies
from trainers.preference_formats import Choices
from trainers.preferences import Lengths, Preferences
from trainers.reference import LiveReference, choose_source, fill_cache
from trainers.reference_cache import ReferenceCache
from trainers.settings import Settings
from trainers.start import EXACT, HALF, check_start, sample_of
from trainers.trainer import PreferenceTrainer

if TYPE_CHECKING:
    from rich.console import Console

_FREE = (
    *("source", "keep_checkpoints", "save_steps", "save_total_limit", "save_strategy"),
    *("logging_steps", "report_to", "run_name", "dataloader_num_workers"),
)
"""Settings that do not change what is learned, and may differ when a training goes on."""


@dataclass(frozen=True)
class Task:
    """What is to be trained on what, and where.

    Attributes:
        data: where the preferences came from, in words.
        cache_dir: where log-probabilities of references are kept.
        choices: with which the preferences were read.
        refresh: makes new pairs for each epoch.
    """

    settings: Settings
    ckpt: str
    preferences: Preferences
    data: str
    out: Path
    cache_dir: Path
    choices: Choices = field(default_factory=Choices)
    trust_remote_code: bool = False
    refresh: Refresh | None = None


def run_training(task: Task, console: Console) -> None:
    """Train, or go on with a training. Raises PlumblineError."""
    from accelerate import PartialState
    from transformers.utils import logging as library

    started = time.time()
    output.refuse_strangers(task.out)
    library.disable_progress_bar()
    # Loaded before processes are connected: the library would otherwise give weights to the first alone.
    base = load_base(task.ckpt, task.settings, task.trust_remote_code)
    arguments = training_arguments(task.settings, task.out)
    state = PartialState()
    with RunFolder(task.out) if state.is_main_process else nullcontext():
        state.wait_for_everyone()
        _Training(task, base, arguments, state, console, started).run()
        state.wait_for_everyone()


class _Training:
    """The steps of one training, and what they share."""

    def __init__(
        self,
        task: Task,
        base: Base,
        arguments: Any,
        state: Any,
        console: Console,
        started: float,
    ) -> None:
        self.task, self.settings = task, task.settings
        self.base, self.checkpoint = base, base.checkpoint
        self.arguments, self.state, self.console = arguments, state, console
        self.started = started
        self.method: Method = open_method(self.settings.method, self.settings.options)
        self.roles = roles_of(self.method)
        self.identity = dict(TransformersEngine(base.checkpoint).identity)
        # Half precision that the library computes in where the weights are more exact.
        self.autocast = "bf16" * arguments.bf16 + "fp16" * arguments.fp16

    def say(self, text: str) -> None:
        if self.state.is_main_process:
            self.console.print(text, markup=False, soft_wrap=True)

    def run(self) -> None:
        out = self.task.out
        data = PairData((), self._encoder(), self._per_forward())
        with Progress(self.console, "pairs read") as progress:
            tell = progress if self.state.is_main_process else _silent
            usable = self._usable(data, self.task.preferences, tell)
        self.say(usable.preferences.report())
        data.pairs = usable.preferences.pairs
        if self.task.refresh is not None:
            data.pairs = filled(data.pairs, len(self.task.preferences.pairs))
        identity = self._identity(data)
        record = output.read_record(out)
        if record:
            output.refuse_other(out, record["identity"], identity)
        if record.get("finished"):
            self.say(f"{out}: this training is finished; nothing is left to do")
            return
        record = {
            "identity": identity,
            "checkpoint": self.task.ckpt,
            "data": self._told_of(usable.preferences),
            "recipe": self.settings.flat(),
            "sessions": list(record.get("sessions", ())),
        }
        told = Told(self.console)
        trainer = self._trainer(data, usable.lengths, record)
        begun = output.last_state(out)
        if begun is not None:
            self.say(f"going on from {begun.name}")
        record["sessions"].append(self._session(begun))
        if self.state.is_main_process:
            trainer.add_callback(told)
            trainer.add_callback(Saved(lambda step: self._note(record, step)))
            write_atomically(out / output.RECIPE, self.settings.to_toml())
            output.write_record(out, record)
        try:
            trainer.train(resume_from_checkpoint=str(begun) if begun else None)
        finally:
            told.close()
        self._finish(trainer, record)

    def _encoder(self) -> Encoder:
        rejecting = token_weights = None
        if "rejected_image" in self.method.needs:
            pairs = self.task.preferences.pairs
            others = tuple(picture for pair in pairs for picture in pair.pictures)
            rejecting = Rejecting(self.settings.corruption, self.settings.corruption_seed, others)
        if "segments" in self.method.needs:
            token_weights = self.method.token_weights
        return Encoder(self.checkpoint, self.identity["prompt_format"], token_weights, rejecting)

    def _per_forward(self) -> bool:
        """Whether rejected pictures are drawn anew for each forward pass."""
        corrupted = "rejected_image" in self.method.needs
        return corrupted and open_corruption(self.settings.corruption).per_forward

    def _usable(
        self, data: PairData, preferences: Preferences, tell: Callable[[int, int], None]
    ) -> Usable:
        """The pairs that can be trained on; what is left out is listed."""
        context = context_length(self.checkpoint.model.config) or self.settings.max_length
        max_length = min(self.settings.max_length, context)
        skip = self.settings.skip_unreadable
        return usable_pairs(preferences, data, self.roles, max_length, skip, tell)

    def _refresh(self, data: PairData) -> Refresh | None:
        """The task's, without pairs that cannot be trained on."""
        make = self.task.refresh
        if make is None:
            return None
        wanted = len(self.task.preferences.pairs)

        def refresh(epoch: int, model: Any) -> Sequence[Preference]:
            made = make(epoch, model)
            if len(made) != wanted:
                raise PlumblineError(
                    f"epoch {epoch} has {len(made)} pairs and the first had {wanted}; the learning rate's "
                    "schedule needs as many each time"
                )
            found = replace(self.task.preferences, pairs=tuple(made), dropped=())
            found = self._usable(data, found, _silent).preferences
            if found.dropped:
                self.say(f"epoch {epoch}: {found.report()}")
            return filled(found.pairs, wanted)

        return refresh

    def _identity(self, data: PairData) -> dict[str, Any]:
        """What must agree when a training goes on."""
        recipe = {name: value for name, value in self.settings.flat().items() if name not in _FREE}
        return {
            "checkpoint": self.identity,
            "data_sha256": sha256_of([(data.keys(pair), pair.spans) for pair in data.pairs]),
            "recipe": recipe,
            "autocast": self.autocast,
            "n_processes": self.state.num_processes,
        }

    def _told_of(self, used: Preferences) -> dict[str, Any]:
        return {
            "source": self.task.data,
            "format": used.format,
            "choices": asdict(self.task.choices),
            "n_pairs": len(used.pairs),
            "dropped": [asdict(each) for each in used.dropped],
        }

    def _trainer(
        self, data: PairData, lengths: Mapping[str, Lengths], record: dict[str, Any]
    ) -> PreferenceTrainer:
        """A trainer that has passed its checks; what they found is added to the record."""
        settings = self.settings
        model = learning_model(self.base, settings, self.arguments)
        tokenizer = getattr(self.checkpoint.processor, "tokenizer", self.checkpoint.processor)
        facts = facts_of(model, tokenizer.pad_token_id)
        sample = [data.item(pair) for pair in sample_of(data.pairs, lengths, self.arguments.seed)]
        choice = self._layout(model, sample, facts)
        changing = self._per_forward() or self.task.refresh is not None
        source, live = None, None
        if "reference" in self.method.needs:
            source = choose_source(settings.reference, self.method, model, changing)
            live = None if source == "cache" else LiveReference(source, model)
        if settings.lora_r and self.autocast:
            exact_copies(model)
        caches = {"reference": self._cache(choice, self.identity)} if source == "cache" else {}
        collator = Collator(self.roles, choice.layout, facts, caches, self.method.substitutes)
        trainer = PreferenceTrainer(
            model,
            self.arguments,
            method=self.method,
            data=data,
            collator=collator,
            live=live,
            projector_learning_rate=settings.projector_learning_rate,
            refresh=self._refresh(data),
        )
        for cache in caches.values():
            self._fill(cache, trainer, data, model)
        self._add_extra(trainer, data, choice)
        exact = facts.dtype == torch.float32 and not self.autocast
        first = check_start(trainer, sample, EXACT if exact else HALF)
        self.say(
            f"step 0: loss {first:.4f}, as theory says" if source else f"step 0: loss {first:.4f}"
        )
        record |= {
            "layout": choice._asdict(),
            "reference": {"source": source, "first_loss": first},
        }
        return trainer

    def _layout(self, model: Any, sample: Sequence[Item], facts: Facts) -> Choice:
        wanted = self.settings.layout
        if wanted == "concat" or "rejected" not in self.roles:
            return Choice(
                "concat", "it was asked for" if wanted == "concat" else "one answer a pair"
            )
        model.eval()
        batch = sample[: min(4, self.arguments.per_device_train_batch_size)]
        answers = [answer_of(item.encoded, role) for role in self.roles for item in batch]
        choice = choose_layout(model, answers, facts)
        if wanted == "shared_prefix" and choice.reason:
            raise PlumblineError(f"layout=shared_prefix: {choice.reason}; take layout=auto")
        self.say(f"layout: {choice.layout}" + (f" ({choice.reason})" if choice.reason else ""))
        return choice

    def _cache(self, choice: Choice, identity: dict[str, Any]) -> ReferenceCache:
        """The cache of a model's log-probabilities, as they are computed here."""
        told = {
            **identity,
            "layout": choice.layout,
            "autocast": self.autocast,
            "substituted": self.method.substitutes,
        }
        cache = ReferenceCache(self.task.cache_dir, told)
        self.say(f"reference log-probabilities: {cache.folder}")
        return cache

    def _fill(
        self, cache: ReferenceCache, trainer: PreferenceTrainer, data: PairData, model: Any
    ) -> None:
        with Progress(self.console, "reference pairs") as progress:
            fill_cache(
                cache,
                model,
                data,
                trainer.collator,
                batch_size=self.arguments.per_device_eval_batch_size,
                state=self.state,
                autocast=trainer.accelerator.autocast,
                tell=progress if self.state.is_main_process else _silent,
            )

    def _add_extra(self, trainer: PreferenceTrainer, data: PairData, choice: Choice) -> None:
        """Cache what the second reference says, with the policy's processor; the model itself is let go."""
        if "extra_reference" not in self.method.needs:
            return
        if not self.settings.extra_reference:
            raise PlumblineError(
                f"{self.settings.method} needs a second reference model: --set extra_reference=PATH_OR_HUB_ID"
            )
        extra = load_base(
            self.settings.extra_reference, self.settings, self.task.trust_remote_code
        ).checkpoint
        cache = self._cache(choice, {**self.identity, "extra": dict(extra.identity)})
        self._fill(cache, trainer, data, extra.model.to(self.arguments.device))
        trainer.collator.caches = {**trainer.collator.caches, "extra_reference": cache}

    def _session(self, begun: Path | None) -> dict[str, Any]:
        """This process's part of the training, for the record."""
        first = int(begun.name.rpartition("-")[2]) if begun else 0
        return {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": 0.0,
            "steps": [first, first],
            "versions": output.versions(),
        }

    def _note(self, record: dict[str, Any], step: int) -> None:
        """Keep how far this session has come, and in what time."""
        session = record["sessions"][-1]
        session["seconds"] = round(time.time() - self.started, 1)
        session["steps"][1] = step
        output.write_record(self.task.out, record)

    def _finish(self, trainer: PreferenceTrainer, record: dict[str, Any]) -> None:
        out = self.task.out
        record["curves"] = output.curves(trainer.state.log_history)
        merge = bool(self.settings.lora_r) and (self.settings.merge or self.base.merged)
        output.save_weights(trainer, out, merge)
        if not self.state.is_main_process:
            return
        output.copy_processor(self.checkpoint.source, out)
        output.plot(record, out / "training.png")
        self._note({**record, "finished": True}, trainer.state.global_step)
        if not self.settings.keep_checkpoints:
            for folder in out.glob("checkpoint-*"):
                shutil.rmtree(folder)
        self.say(
            f"{trainer.state.global_step} steps; the checkpoint is in {out}\n\n"
            f"Evaluate it:\n  python -m harness.run --ckpt {out}"
        )


def _silent(done: int, total: int) -> None:
    """Progress of a process that is not the first."""
