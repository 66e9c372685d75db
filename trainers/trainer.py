"""``transformers.Trainer`` with an objective over policy and reference, and a check before the first step."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from benchmarks.base import PlumblineError
from harness.show import Progress
from harness.store import to_json, write_atomically
from trainers.collate import Collator, Item, PairData
from trainers.layouts import to_device
from trainers.logprobs import PairLogProbs, ResponseLogProbs
from trainers.loss import Loss, implicit_rewards
from trainers.methods import Method
from trainers.objectives import RunningShift
from trainers.pairs import Preference
from trainers.parts import parts_of
from trainers.reference import LiveReference
from trainers.scoring import (
    Batch,
    answer_kl,
    answer_log_probs,
    answer_logits,
    inner_model,
    pair_log_probs,
)

if TYPE_CHECKING:
    from rich.console import Console

OBJECTIVE_STATE = "objective.json"
TRAINER_STATE = "trainer_state.json"

Refresh = Callable[[int, Any], Sequence[Preference]]
"""Makes the pairs of an epoch (its number from 0, and the policy as it is then); as many each time."""

# Largest difference of log-probabilities (summed over an answer) and of the loss at the first step.
_EXACT = (0.01, 1e-3)
_HALF = (0.5, 0.05)


class StartError(PlumblineError):
    """The first loss is not what theory says; training would optimise something else."""


class _LogProbs(NamedTuple):
    """What policy and references say about a batch of pairs."""

    policy: PairLogProbs
    reference: PairLogProbs | None
    extra: PairLogProbs | None

    def at_start(self) -> _LogProbs:
        """The same with a policy that equals its reference, whose divergence from it is 0."""

        def same(response: ResponseLogProbs) -> ResponseLogProbs:
            return replace(response, kl=torch.zeros_like(response.summed))

        assert self.reference is not None
        chosen, rejected = same(self.reference.chosen), same(self.reference.rejected)
        image = self.reference.image_rejected
        policy = PairLogProbs(chosen, rejected, None if image is None else same(image))
        return self._replace(policy=policy)


class PreferenceTrainer(Trainer):
    """Trains a policy on preference pairs.

    Args:
        data: its items are what ``collator`` takes.
        live: answers for the reference where the collator's caches do not.
        exact: whether weights and computation are float32.
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
        exact: bool = True,
        refresh: Refresh | None = None,
    ) -> None:
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=data,
            data_collator=collator,
            callbacks=[_Epochs(data, refresh)],
        )
        self.remove_callback(PrinterCallback)
        # Says the same to versions that do not know `loss_is_scaled_for_ga`.
        self.model_accepts_loss_kwargs = False
        self.method = method
        self.data = data
        self.collator = collator
        self.live = live
        self.shift = RunningShift()
        self._projector_learning_rate = projector_learning_rate
        self._tolerances = _EXACT if exact else _HALF
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
        loss = self._objective(found, self.shift)
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

    def log_probs(self, model: Any, batch: Batch) -> _LogProbs:
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
            kl = answer_kl(logits, reference_logits, batch)
        values = answer_log_probs(logits, batch)
        policy = pair_log_probs(values, batch, n_pairs, token_mean=token_mean, kl=kl)
        return _LogProbs(policy, reference, extra)

    def _objective(self, found: _LogProbs, shift: RunningShift) -> Loss:
        given: dict[str, Any] = {}
        if "shift" in self.method.needs and found.reference is not None:
            beta = self.method.options()["beta"]
            rewards = implicit_rewards(found.policy, found.reference, beta)
            both = torch.cat([rewards["chosen"], rewards["rejected"]])
            given["shift"] = shift.update(self.accelerator.gather(both))
        if found.extra is not None:
            given["extra_reference"] = found.extra
        return self.method.objective(found.policy, found.reference, **given)

    def check_start(self, items: Sequence[Item]) -> float:
        """The mean loss before the first step, after it has been compared with theory.

        While nothing is learned, policy and reference are the same, so each log-ratio is 0 and the loss is what
        the objective gives for that: ln 2 for DPO, 3 ln 2 for mDPO. Anything else means that the reference is
        not this model, or is not computed in the same way.

        Raises:
            StartError: it is something else; the text says what, where and what to do.
        """
        size = self.args.per_device_train_batch_size
        was_training = self.model.training
        self.model.eval()
        losses = [
            self._checked_loss(items[start : start + size]) for start in range(0, len(items), size)
        ]
        self.model.train(was_training)
        return sum(losses) / len(losses)

    def _checked_loss(self, items: Sequence[Item]) -> float:
        batch = to_device(self.collator(items), self.args.device)
        with torch.no_grad(), self.accelerator.autocast():
            found = self.log_probs(self.model, batch)
        loss = float(self._objective(found, RunningShift()).value)
        if not math.isfinite(loss):
            raise StartError(
                f"the first loss is {loss}; set dtype=float32, or look for damaged weights"
            )
        if found.reference is None:
            return loss
        # Pictures that are drawn anew differ between policy and reference from the start, by intention.
        names = ["chosen", "rejected"]
        same_pictures = "reference_batch" not in batch
        names += ["image_rejected"] if same_pictures and found.policy.image_rejected else []
        for name in names:
            ours, theirs = getattr(found.policy, name), getattr(found.reference, name)
            self._check_equal(name, ours.summed, theirs.summed, batch["ids"])
        theory = float(self._objective(found.at_start(), RunningShift()).value)
        if same_pictures and not abs(loss - theory) <= self._tolerances[1] * max(1, abs(theory)):
            raise StartError(
                f"the first loss is {loss:.4f}, and a policy that equals its reference has {theory:.4f}. {_CAUSES}"
            )
        return loss

    def _check_equal(self, name: str, ours: Tensor, theirs: Tensor, ids: Sequence[str]) -> None:
        """Raises StartError if log-probabilities (B,) of policy and reference differ."""
        # Sums over long answers carry more rounding.
        excess = (ours - theirs).abs() - (self._tolerances[0] + 1e-5 * theirs.abs())
        worst = int(excess.argmax())
        if not float(excess[worst]) <= 0:
            raise StartError(
                f"before the first step, the policy gives the {name} answer of pair {ids[worst]} a log-probability "
                f"of {float(ours[worst]):.3f} and the reference {float(theirs[worst]):.3f}; they must be the same. "
                f"{_CAUSES}"
            )

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


_CAUSES = (
    "The reference log-probabilities are of other weights or were computed in another way: if they come from "
    "a cache, remove it (its folder is shown above) or take another --cache-dir; else set layout=concat, or dropout=false"
)


class _Epochs(TrainerCallback):
    """Tells the data which epoch begins, and replaces its pairs where they are made anew."""

    def __init__(self, data: PairData, refresh: Refresh | None) -> None:
        self._data = data
        self._refresh = refresh

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **_: Any,
    ) -> None:
        epoch = int(state.epoch or 0)
        self._data.begin_epoch(epoch)
        if self._refresh is None:
            return
        pairs = self._refresh(epoch, model)
        if len(pairs) != len(self._data):
            raise PlumblineError(
                f"epoch {epoch} has {len(pairs)} pairs and the first had {len(self._data)}; the learning rate's "
                "schedule needs as many each time"
            )
        self._data.pairs = tuple(pairs)


class Told(TrainerCallback):
    """Progress of the steps, with the last loss and margin; ``close`` it when the training ends or fails."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._first = state.global_step
        self._progress = Progress(self._console, "steps").__enter__()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        told = {"loss": "loss", "rewards/margin": "margin"}
        figures = [f"{short} {logs[name]:.4f}" for name, short in told.items() if name in logs]
        if self._progress is not None and figures:
            self._progress.what = f"steps ({', '.join(figures)})"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress is not None:
            self._progress(state.global_step - self._first, state.max_steps - self._first)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)


def last_state(folder: Path) -> Path | None:
    """The newest state of a training that was written to its end."""
    whole = []
    for path in folder.glob("checkpoint-*/" + TRAINER_STATE):
        try:
            whole.append((json.loads(path.read_text(encoding="utf-8"))["global_step"], path.parent))
        except (ValueError, KeyError, TypeError):
            continue  # killed while writing it
    return max(whole)[1] if whole else None


def _mean(values: Tensor | None) -> float:
    return math.nan if values is None else float(values.float().mean())
