"""Generation with Hugging Face transformers: any image-text or causal language model.

Requests on the same pictures share one vision pass and one prefix of keys and values; identical
requests are asked once; batches shrink when memory runs out. A fast layout is used only after it
has been seen to agree with plain ``model.generate`` on the first real requests; see
``harness.engines.layouts``.

Importing this module imports torch; take it only when it is going to be used.
"""

from __future__ import annotations

import gc
import logging
import platform
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch

from benchmarks.base import PlumblineError, Request, Response
from harness.engines import checkpoints
from harness.engines.base import EngineStats, distinct
from harness.engines.checkpoints import Checkpoint, Options
from harness.engines.decoding import Decoder, Group
from harness.engines.layouts import Kind, Layout, Layouts, shared_groups, solo_groups
from harness.engines.processors import builds_prompts
from harness.engines.prompts import Prompt, Prompter, PromptFormat
from harness.engines.single import SingleDecoder
from harness.engines.tokens import Chooser

logger = logging.getLogger(__name__)

_DEFAULT_BATCH_SIZE = 64
# Batches are cut from windows of this many, so that rows of like length can be put together.
_WINDOW_BATCHES = 4
# A window also ends when its pictures take this much memory as tensors.
_WINDOW_BYTES = 256 * 2**20
# What allocators other than CUDA's say; they raise a plain RuntimeError.
_ALLOCATION = re.compile(r"can't allocate memory|not enough memory|out of memory")


class TransformersEngine:
    """Answers Requests with a checkpoint in this process.

    Attributes:
        model: the loaded model.
        stats: counters.
        identity: what must agree before the responses of two sessions may stand in one run.
        versions: library versions and the device.
        origin: the model's size and how it was trained.
        takes_pictures: whether the checkpoint is an image-text model.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        batch_size: int | None = None,
        prompt_format: Literal["auto", "chat", "plain"] = "auto",
    ) -> None:
        model, processor = checkpoint.model, checkpoint.processor
        self.model = model
        self.takes_pictures = checkpoint.takes_pictures
        chosen = _prompt_format(checkpoint, prompt_format)
        self.stats = EngineStats(batch_size=batch_size or _DEFAULT_BATCH_SIZE)
        self.identity: Mapping[str, Any] = {
            "engine": "transformers",
            **checkpoint.identity,
            "prompt_format": chosen,
            # With torchvision installed the library takes another class, whose pixels differ a
            # little.
            "image_processor": _class_name(getattr(processor, "image_processor", None)),
        }
        self.versions: Mapping[str, str] = _versions(model)
        self.origin = checkpoint.origin
        self._prompter = Prompter(
            model, processor, takes_pictures=checkpoint.takes_pictures, format=chosen
        )
        self._chooser = Chooser(model, getattr(processor, "tokenizer", processor))
        self._decoder = Decoder(model, self._chooser, self.stats)
        self._single = SingleDecoder(model, self._chooser, self.stats)
        self._layouts = Layouts(model, self._chooser, self._decoder, self._single, self.stats)

    @classmethod
    def load(
        cls,
        checkpoint: str,
        *,
        dtype: str = "auto",
        device: str = "auto",
        batch_size: int | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        allow_pickle: bool = False,
        base: str | None = None,
        prompt_format: Literal["auto", "chat", "plain"] = "auto",
    ) -> TransformersEngine:
        """Load a checkpoint.

        Args:
            checkpoint: a folder, a hub id (``owner/name`` or ``owner/name@revision``), the folder
                of a PEFT adapter, or a GGUF file of a text model.
            dtype: a torch dtype's name; "auto" is float32 on a CPU, else the checkpoint's own.
            device: a torch device, "auto", or "balanced" to spread a model over all GPUs.
            batch_size: rows per batch; by default 64, halved whenever memory runs out.
            trust_remote_code: run Python code that comes with the checkpoint.
            revision: branch, tag or commit of a hub id.
            allow_pickle: also load ``*.bin`` weights, which can run code.
            base: the base model of an adapter, instead of the one that its config names.
            prompt_format: "chat" applies the checkpoint's chat template; "plain" gives the text as
                it is, turns joined by newlines. "auto" is "plain" only for image-text models that
                have no template because their processor builds the prompt (PaliGemma).

        Raises:
            PlumblineError: the checkpoint cannot be used; the text says why and what to do.
        """
        options = Options(dtype, device, trust_remote_code, allow_pickle, base)
        with _without_progress_bars():
            loaded = checkpoints.load(checkpoints.locate(checkpoint, revision, options), options)
        return cls(loaded, batch_size=batch_size, prompt_format=prompt_format)

    def generate(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
        """Yield the Responses of each finished batch; see ``harness.engines.base.Engine``."""
        wanted = distinct(requests, self.stats)
        if wanted.failed:
            yield wanted.failed
        for responses in self._answer(wanted.first()):
            yield wanted.for_all(responses)

    def _answer(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
        """Answer requests that all differ."""
        waiting: list[Prompt] = []
        for request in _in_order(requests):
            last = waiting[-1].request if waiting else request
            if _kind(request) != _kind(last):
                yield from self._answer_window(waiting, final=True)
                waiting = []
            elif request.pictures != last.pictures and self._fills_window(waiting):
                waiting = yield from self._answer_window(waiting, final=False)
            try:
                waiting.append(self._prompter.prompt(request))
            except Exception as error:
                # Templates and processors raise whatever they like about one conversation.
                yield [_failure(request, error)]
        yield from self._answer_window(waiting, final=True)

    def _fills_window(self, prompts: Sequence[Prompt]) -> bool:
        tensors = {id(value): value for prompt in prompts for value in prompt.vision.values()}
        n_bytes = sum(value.nbytes for value in tensors.values())
        return len(prompts) >= _WINDOW_BATCHES * self.stats.batch_size or n_bytes > _WINDOW_BYTES

    def _answer_window(
        self, prompts: list[Prompt], final: bool
    ) -> Generator[list[Response], None, list[Prompt]]:
        """Answer prompts of one kind; unless ``final``, returns those of a batch left unfilled."""
        batches = self._planned(prompts)
        left: list[Prompt] = []
        if not final and batches and _n_rows(batches[-1][1]) < self.stats.batch_size // 2:
            left = [prompt for group in batches.pop()[1] for prompt in group.prompts]
        for layout, groups in batches:
            if layout == "single":
                for group in groups:
                    yield [self._answer_alone(group.prompts[0])]
            else:
                yield from self._answer_batch(groups)
        return left

    def _planned(self, prompts: Sequence[Prompt]) -> list[tuple[Layout, list[Group]]]:
        """Prompts of one kind as batches, each with the fastest layout that is right for it."""
        if not prompts:
            return []
        kind = _kind(prompts[0].request)
        groups = shared_groups(prompts) if kind == "pictures" else solo_groups(prompts)
        fitting = [g for g in groups if not g.solo and self._layouts.fits_window([g])]
        batches = _batches(fitting, self.stats.batch_size)
        shared = [batch for batch in batches if self._layouts.fits_window(batch)]
        sample = [group for batch in shared for group in batch]
        if sample and not self._layouts.allows("shared", kind, sample):
            shared, sample = [], []
        in_groups = {prompt.request.key for group in sample for prompt in group.prompts}
        alone = solo_groups([p for p in prompts if p.request.key not in in_groups])
        layout: Layout = "batched"
        if alone and not self._layouts.allows("batched", kind, alone):
            layout = "single"
        planned: list[tuple[Layout, list[Group]]] = [("shared", batch) for batch in shared]
        planned += [(layout, batch) for batch in _batches(alone, self.stats.batch_size)]
        return planned

    def _answer_batch(self, groups: list[Group]) -> Iterator[list[Response]]:
        """Answer one batch; smaller ones if memory runs out, row by row if anything else fails."""
        todo = deque([groups])
        batch_size = self.stats.batch_size
        while todo:
            batch = todo.popleft()
            done: set[str] = set()
            trouble: str | None = None
            out_of_memory = False
            try:
                for rows in self._decoder.run(batch, self.stats.batch_size):
                    responses = [self._chooser.response(row) for row in rows]
                    done.update(response.key for response in responses)
                    yield responses
            except Exception as error:
                # Only noted here: as long as the error lives, so do the batch's tensors.
                trouble, out_of_memory = _note(error)
            if trouble is None:
                continue
            _free_memory()
            left = _without(batch, done)
            if _n_rows(left) == 1:
                request = left[0].prompts[0].request
                yield [Response.failed(request.id, request.key, trouble)]
                # This one was to blame, not the size of the batch.
                self.stats.batch_size = batch_size
            elif out_of_memory and self.stats.batch_size > 1:
                self._shrink(_n_rows(left))
                todo.extendleft(reversed(_batches(left, self.stats.batch_size)))
            else:
                prompts = [prompt for group in left for prompt in group.prompts]
                todo.extendleft([group] for group in reversed(solo_groups(prompts)))

    def _answer_alone(self, prompt: Prompt) -> Response:
        try:
            return self._chooser.response(self._single.run(prompt))
        except Exception as error:
            trouble, _ = _note(error)
        _free_memory()
        return Response.failed(prompt.request.id, prompt.request.key, trouble)

    def _shrink(self, n_rows: int) -> None:
        """Go on with half the rows of the batch that didn't fit."""
        self.stats.batch_size = max(1, min(self.stats.batch_size, n_rows) // 2)
        logger.warning("out of memory: going on with batches of %d", self.stats.batch_size)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging as library

    shown = library.is_progress_bar_enabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            library.enable_progress_bar()


def _in_order(requests: Sequence[Request]) -> list[Request]:
    """Text first, by length; then pictures, with the requests on the same ones together."""
    first_seen: dict[tuple[str, ...], int] = {}
    limits: dict[tuple[str, ...], int] = {}
    shown = [tuple(picture.digest for picture in request.pictures) for request in requests]
    for index, (request, pictures) in enumerate(zip(requests, shown, strict=True)):
        first_seen.setdefault(pictures, index)
        limits[pictures] = max(limits.get(pictures, 0), request.decoding.max_new_tokens)

    def place(pair: tuple[Request, tuple[str, ...]]) -> tuple[int, ...]:
        request, pictures = pair
        if not pictures:
            n_characters = sum(len(message.text) for message in request.messages)
            return (0, request.decoding.max_new_tokens, n_characters)
        return (1, limits[pictures], len(pictures), first_seen[pictures])

    return [request for request, _ in sorted(zip(requests, shown, strict=True), key=place)]


def _class_name(part: Any) -> str | None:
    return None if part is None else type(part).__name__


def _kind(request: Request) -> Kind:
    return "pictures" if request.pictures else "text"


def _batches(groups: Sequence[Group], batch_size: int) -> list[list[Group]]:
    """Groups of like length together, up to ``batch_size`` rows; a larger group is on its own."""
    batches: list[list[Group]] = []
    for group in sorted(groups, key=lambda group: (group.n_shared, group.longest)):
        if batches and _n_rows(batches[-1]) + len(group.prompts) <= batch_size:
            batches[-1].append(group)
        else:
            batches.append([group])
    return batches


def _n_rows(groups: Iterable[Group]) -> int:
    return sum(len(group.prompts) for group in groups)


def _without(groups: Iterable[Group], done: set[str]) -> list[Group]:
    """What is left of groups when the requests with these keys are answered."""
    left = []
    for group in groups:
        prompts = tuple(prompt for prompt in group.prompts if prompt.request.key not in done)
        if prompts:
            left.append(replace(group, prompts=prompts))
    return left


def _note(error: Exception) -> tuple[str, bool]:
    """An error of generation as text, and whether memory ran out. Fatal ones are raised again."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or _ALLOCATION.search(text):
        return f"out of memory: {text}", True
    if isinstance(error, torch.AcceleratorError):
        # The device's context is gone: all that follows would fail, and be taken for bad requests.
        raise error
    logger.warning("generation failed", exc_info=error)
    return f"{type(error).__name__}: {text}", False


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _failure(request: Request, error: Exception) -> Response:
    """A request for which no prompt could be made."""
    if isinstance(error, PlumblineError):
        return Response.failed(request.id, request.key, str(error))
    logger.warning("%s: no prompt could be made", request.id, exc_info=error)
    return Response.failed(request.id, request.key, f"{type(error).__name__}: {error}")


def _prompt_format(checkpoint: Checkpoint, wanted: str) -> PromptFormat:
    """How conversations become text. Raises PlumblineError when there is no chat template."""
    processor = checkpoint.processor
    if wanted == "plain":
        return "plain"
    if getattr(processor, "chat_template", None):
        return "chat"
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is not None and getattr(tokenizer, "chat_template", None):
        processor.chat_template = tokenizer.chat_template
        return "chat"
    if wanted == "auto" and checkpoint.takes_pictures and builds_prompts(processor):
        return "plain"
    raise PlumblineError(
        f"{checkpoint.source}: the checkpoint has no chat template; put the chat_template.jinja of "
        "the model that it was trained from into the folder, or choose the prompt format plain"
    )


def _versions(model: Any) -> dict[str, str]:
    import transformers

    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": str(model.device),
    }
    if model.device.type == "cuda":
        versions["device"] = torch.cuda.get_device_name(model.device)
    return versions
