"""One training from beginning to end: read, check, compute the reference, train, write.

Every step can be repeated: the same command after a kill finds its pairs, its cached reference and its
last state, and ends in the same weights.
"""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from transformers import set_seed

from benchmarks.base import PlumblineError, sha256_of
from harness.engines.prompts import context_length
from harness.engines.transformers_engine import TransformersEngine
from harness.show import Progress
from harness.store import RunFolder, write_atomically
from trainers import output
from trainers.collate import (
    Collator,
    Item,
    PairData,
    Usable,
    answer_of,
    roles_of,
    usable_pairs,
)
from trainers.corruptions import open_corruption
from trainers.encoding import Encoder, Rejecting
from trainers.layouts import Choice, Facts, choose_layout, facts_of
from trainers.loading import Base, load_base, training_arguments
from trainers.methods import Method, open_method
from trainers.parts import choose_parameters, with_adapter, without_dropout
from trainers.preferences import Lengths, Preferences
from trainers.reference import LiveReference, choose_source, fill_cache
from trainers.reference_cache import ReferenceCache
from trainers.settings import Settings
from trainers.trainer import PreferenceTrainer, Refresh, Told, last_state

if TYPE_CHECKING:
    from rich.console import Console

_N_DRAWN = 5
"""Random pairs whose reference is checked at the start."""

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
        refresh: makes new pairs for each epoch.
    """

    settings: Settings
    ckpt: str
    preferences: Preferences
    data: str
    out: Path
    cache_dir: Path
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

    def say(self, text: str) -> None:
        if self.state.is_main_process:
            self.console.print(text, markup=False, soft_wrap=True)

    def run(self) -> None:
        out = self.task.out
        data = PairData((), self._encoder(), self._per_forward())
        usable = self._usable(data)
        data.pairs = usable.preferences.pairs
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
            "sessions": record.get("sessions", []),
        }
        told = Told(self.console)
        trainer = self._trainer(data, usable.lengths, record)
        if self.state.is_main_process:
            trainer.add_callback(told)
        begun = last_state(out)
        if self.state.is_main_process:
            write_atomically(out / output.RECIPE, self.settings.to_toml())
            output.write_record(out, record)
        if begun is not None:
            self.say(f"going on from {begun.name}")
        try:
            result = trainer.train(resume_from_checkpoint=str(begun) if begun else None)
        finally:
            told.close()
        self._finish(trainer, record, begun, result)

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

    def _usable(self, data: PairData) -> Usable:
        """The pairs that can be trained on; what is left out is listed."""
        context = context_length(self.checkpoint.model.config) or self.settings.max_length
        with Progress(self.console, "pairs read") as progress:
            usable = usable_pairs(
                self.task.preferences,
                data,
                self.roles,
                min(self.settings.max_length, context),
                self.settings.skip_unreadable,
                progress if self.state.is_main_process else _silent,
            )
        self.say(usable.preferences.report())
        return usable

    def _identity(self, data: PairData) -> dict[str, Any]:
        """What must agree when a training goes on."""
        recipe = {name: value for name, value in self.settings.flat().items() if name not in _FREE}
        return {
            "checkpoint": self.identity,
            "data_sha256": sha256_of([data.keys(pair) for pair in data.pairs]),
            "recipe": recipe,
            "n_processes": self.state.num_processes,
        }

    def _told_of(self, used: Preferences) -> dict[str, Any]:
        return {
            "source": self.task.data,
            "format": used.format,
            "n_pairs": len(used.pairs),
            "dropped": [asdict(each) for each in used.dropped],
        }

    def _model(self) -> Any:
        """The model with what learns marked, its dropout off."""
        settings, model = self.settings, self.checkpoint.model
        if settings.lora_r:
            set_seed(self.arguments.seed)  # an adapter's first layers are drawn
            model.requires_grad_(False)
            model = with_adapter(
                model,
                settings.train,
                rank=settings.lora_r,
                alpha=settings.lora_alpha,
                dropout=settings.lora_dropout,
                targets=settings.lora_targets,
                base=self.base.name,
                revision=self.base.revision,
            )
        else:
            choose_parameters(model, settings.train)
        if not settings.dropout:
            without_dropout(model)
        return model.to(self.arguments.device)

    def _trainer(
        self, data: PairData, lengths: Mapping[str, Lengths], record: dict[str, Any]
    ) -> PreferenceTrainer:
        """A trainer that has passed its checks; what they found is added to the record."""
        settings, model = self.settings, self._model()
        tokenizer = getattr(self.checkpoint.processor, "tokenizer", self.checkpoint.processor)
        facts = facts_of(model, tokenizer.pad_token_id)
        sample = self._sample(data, lengths)
        choice = self._layout(model, sample, facts)
        changing = self._per_forward() or self.task.refresh is not None
        source, live = None, None
        if "reference" in self.method.needs:
            source = choose_source(settings.reference, self.method, model, changing)
            live = None if source == "cache" else LiveReference(source, model)
        caches = {"reference": self._cache(choice, self.identity)} if source == "cache" else {}
        collator = Collator(self.roles, choice.layout, facts, caches, self.method.substitutes)
        exact = facts.dtype == torch.float32 and not (self.arguments.bf16 or self.arguments.fp16)
        trainer = PreferenceTrainer(
            model,
            self.arguments,
            method=self.method,
            data=data,
            collator=collator,
            live=live,
            projector_learning_rate=settings.projector_learning_rate,
            exact=exact,
            refresh=self.task.refresh,
        )
        for cache in caches.values():
            self._fill(cache, trainer, model)
        self._add_extra(trainer, choice)
        first = trainer.check_start(sample)
        self.say(
            f"step 0: loss {first:.4f}, as theory says" if source else f"step 0: loss {first:.4f}"
        )
        record |= {
            "layout": choice._asdict(),
            "reference": {"source": source, "first_loss": first},
        }
        return trainer

    def _sample(self, data: PairData, lengths: Mapping[str, Lengths]) -> list[Item]:
        """Pairs for the checks at the start: the longest, the shortest, which share rows, and random ones."""
        ordered = sorted(data.pairs, key=lambda pair: sum(lengths[pair.id]))
        ends = [ordered[-1], *ordered[: min(2, len(ordered) - 1)]]
        between = ordered[2:-1]
        drawn = Random(self.arguments.seed).sample(between, min(_N_DRAWN, len(between)))
        return [data.item(pair) for pair in (*ends, *drawn)]

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
            "autocast": "bf16" * self.arguments.bf16 + "fp16" * self.arguments.fp16,
            "substituted": self.method.substitutes,
        }
        cache = ReferenceCache(self.task.cache_dir, told)
        self.say(f"reference log-probabilities: {cache.folder}")
        return cache

    def _fill(self, cache: ReferenceCache, trainer: PreferenceTrainer, model: Any) -> None:
        with Progress(self.console, "reference pairs") as progress:
            fill_cache(
                cache,
                model,
                trainer.data,
                trainer.collator,
                batch_size=self.arguments.per_device_eval_batch_size,
                state=self.state,
                autocast=trainer.accelerator.autocast,
                tell=progress if self.state.is_main_process else _silent,
            )

    def _add_extra(self, trainer: PreferenceTrainer, choice: Choice) -> None:
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
        self._fill(cache, trainer, extra.model.to(self.arguments.device))
        trainer.collator.caches = {**trainer.collator.caches, "extra_reference": cache}

    def _finish(
        self, trainer: PreferenceTrainer, record: dict[str, Any], begun: Path | None, result: Any
    ) -> None:
        out = self.task.out
        first = int(begun.name.rpartition("-")[2]) if begun else 0
        session = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
            "training_seconds": round(result.metrics["train_runtime"], 1),
            "steps": [first, trainer.state.global_step],
            "versions": _versions(),
        }
        record["sessions"] = [*record["sessions"], session]
        record["curves"] = output.curves(trainer.state.log_history)
        self._save_model(trainer)
        if not self.state.is_main_process:
            return
        output.copy_processor(self.checkpoint.source, out)
        output.plot(record, out / "training.png")
        output.write_record(out, {**record, "finished": True})
        if not self.settings.keep_checkpoints:
            for folder in out.glob("checkpoint-*"):
                shutil.rmtree(folder)
        self.say(
            f"{trainer.state.global_step} steps; the checkpoint is in {out}\n\nEvaluate it:\n  python -m harness.run --ckpt {out}"
        )

    def _save_model(self, trainer: PreferenceTrainer) -> None:
        """Adapter or whole weights, from all processes that hold a part of them."""
        merge = self.settings.merge or self.base.merged
        if self.settings.lora_r and merge:
            merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
            if self.state.is_main_process:
                merged.save_pretrained(self.task.out)
            return
        if trainer.is_fsdp_enabled:
            trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
        trainer.save_model(str(self.task.out))
        (self.task.out / "training_args.bin").unlink(missing_ok=True)


def _silent(done: int, total: int) -> None:
    """Progress of a process that is not the first."""


def _versions() -> dict[str, str]:
    import accelerate
    import peft
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "peft": peft.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
