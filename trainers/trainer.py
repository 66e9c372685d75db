"""``transformers.Trainer`` with an objective over the log-probabilities of policy and reference."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks.base import PlumblineError
from harness.store import to_json, write_atomically
from trainers.callbacks import Epochs, Refresh
from trainers.collate import Collator, PairData
from trainers.logprobs import PairLogProbs, sequence_kl
from trainers.loss import Loss, implicit_rewards
from trainers.methods import Method
from trainers.objectives import RunningShift
from trainers.parts import parts_of
from trainers.reference import LiveReference
from trainers.scoring import (
    Batch,
    answer_log_probs,
    answer_logits,
    inner_model,
    pair_log_probs,
)

OBJECTIVE_STATE = "objective.json"


class LogProbs(NamedTuple):
    """What policy and references say about a batch of pairs."""

    policy: PairLogProbs
    reference: PairLogProbs | None
    extra: PairLogProbs | None


class PreferenceTrainer(Trainer):
    """Trains a policy on preference pairs.

    Args:
        data: its items are what ``collator`` takes.
        live: answers for the reference where the collator's caches do not.
        refresh: new pairs for each epoch.
    """

    # `compute_loss` is a mean over its own batch: left alone, the library would take it for normalised, and
    # gradient accumulation would multiply the learning rate.
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        model: Any,
        arguments: TrainingArguments,
        *,
        method: Method,
        data: PairData,
        collator: Collator,
        live: LiveReference | None = None,
        projector_learning_rate: float = 0.0,
        refresh: Refresh | None = None,
    ) -> None:
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=data,
            data_collator=collator,
            callbacks=[Epochs(data, refresh)],
        )
        self.remove_callback(PrinterCallback)
        # Says the same to versions that do not know `loss_is_scaled_for_ga`.
        self.model_accepts_loss_kwargs = False
        self.method = method
        self.collator = collator
        self.live = live
        self.shift = RunningShift()
        self._projector_learning_rate = projector_learning_rate
        self._noted: dict[str, list[float]] = defaultdict(list)

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """The mean loss of a batch. Raises PlumblineError if it is not a number."""
        with self.accelerator.autocast():
            found = self.log_probs(model, inputs)
        loss = self.objective(found, self.shift)
        logged = loss.logged()
        if not math.isfinite(logged["loss"]):
            raise PlumblineError(
                f"the loss became {logged['loss']} after step {self.state.global_step}, at the pairs "
                f"{', '.join(inputs['ids'])}. Lower learning_rate, or set dtype=float32"
            )
        del logged["loss"]  # the library logs it
        logged["lengths/chosen"] = _mean(found.policy.chosen.n_tokens)
        if "rejected" in self.method.needs:
            logged["lengths/rejected"] = _mean(found.policy.rejected.n_tokens)
        for name, value in logged.items():
            self._noted[name].append(value)
        return loss.value

    def log_probs(self, model: Any, batch: Batch) -> LogProbs:
        """What policy and references say about a batch."""
        n_pairs = len(batch["ids"])
        weights = self.method.token_weights
        token_mean = weights is not None and weights.token_mean
        reference = extra = kl = reference_logits = None
        if "reference" in self.method.needs:
            seen = batch.get("reference_batch", batch)
            values = batch.get("reference")
            if values is None:
                assert self.live is not None
                reference_logits = self.live.logits(model, seen)
                values = answer_log_probs(reference_logits, seen)
            reference = pair_log_probs(values, seen, n_pairs, token_mean=token_mean)
        if "extra_reference" in batch:
            extra = pair_log_probs(batch["extra_reference"], batch, n_pairs)
        if "kl" not in self.method.needs:
            reference_logits = None  # not to be held during the policy's pass
        logits = answer_logits(model, batch)
        if reference_logits is not None:
            kl = sequence_kl(logits, reference_logits, batch["lengths"])
        values = answer_log_probs(logits, batch)
        policy = pair_log_probs(values, batch, n_pairs, token_mean=token_mean, kl=kl)
        return LogProbs(policy, reference, extra)

    def objective(self, found: LogProbs, shift: RunningShift) -> Loss:
        """The method's loss; ``shift`` is brought up to date first where it has one."""
        given: dict[str, Any] = {}
        if "shift" in self.method.needs and found.reference is not None:
            beta = self.method.options()["beta"]
            rewards = implicit_rewards(found.policy, found.reference, beta)
            both = torch.cat([rewards["chosen"], rewards["rejected"]])
            given["shift"] = shift.update(self.accelerator.gather(both))
        if found.extra is not None:
            given["extra_reference"] = found.extra
        return self.method.objective(found.policy, found.reference, **given)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means since the last time, over all processes."""
        if "loss" in logs and self._noted:
            names = sorted(self._noted)
            means = [sum(self._noted[name]) / len(self._noted[name]) for name in names]
            tensor = torch.tensor(means, device=self.args.device)
            reduced = self.accelerator.reduce(tensor, reduction="mean").tolist()
            logs |= dict(zip(names, reduced, strict=True))
            self._noted.clear()
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The library's optimizer, with the projector's own learning rate."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if self._projector_learning_rate:
            part = parts_of(inner_model(self.model))
            named = (model or self.model).named_parameters()
            projector = {id(each) for name, each in named if part(name) == "projector"}
            for group in list(optimizer.param_groups):
                theirs = [each for each in group["params"] if id(each) in projector]
                group["params"] = [each for each in group["params"] if id(each) not in projector]
                if theirs:
                    added = {**group, "params": theirs, "lr": self._projector_learning_rate}
                    optimizer.add_param_group(added)
            optimizer.param_groups[:] = [
                group for group in optimizer.param_groups if group["params"]
            ]
        return optimizer

    def floating_point_ops(self, inputs: Batch) -> int:
        """Not estimated: the library's rule counts padding and forgets pictures."""
        return 0

    def train(self, resume_from_checkpoint: Any = None, **arguments: Any) -> Any:
        """Train, from a saved state if there is one."""
        if resume_from_checkpoint:
            content = (Path(resume_from_checkpoint) / OBJECTIVE_STATE).read_text(encoding="utf-8")
            self.shift = RunningShift(**json.loads(content))
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **arguments)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the weights of a saved state, all of them.

        The library loads them under the names that they have in the file and passes over those that the
        model lacks. For image-text models these are the names of older versions, so it would load nothing.
        """
        whole = Path(resume_from_checkpoint, "config.json").exists()
        if not whole or self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        model = model or self.model
        saved = type(model).from_pretrained(resume_from_checkpoint, dtype=model.dtype)
        model.load_state_dict(saved.state_dict())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Before all else: the library writes its trainer_state.json last, which tells a whole state.
        if self.args.should_save:
            folder = (
                Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            )
            write_atomically(folder / OBJECTIVE_STATE, to_json(asdict(self.shift)))
        super()._save_checkpoint(model, trial)


def _mean(values: Tensor | None) -> float:
    return math.nan if values is None else float(values.float().mean())
