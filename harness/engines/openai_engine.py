"""Answers from any OpenAI-compatible chat endpoint: hosted models, and the servers of vLLM, SGLang,
llama.cpp or Ollama.

A call that fails on its way is repeated; one that stays without a usable reply is a failed Response
with its reason. Calls end the run only where no other one could succeed either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.base import Decoding, Message, Picture, PlumblineError, Request, Response
from harness.endpoint.calls import GIVE_UP_AFTER, Caller
from harness.endpoint.config import EndpointConfig
from harness.endpoint.pump import pump, side_by_side
from harness.endpoint.replies import Fault, Reply
from harness.endpoint.wire import Chat, Quirks, chat_body, data_url, read_completion, same_model
from harness.engines.base import EngineStats, distinct

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

CHECK_RETRIES = 2
AHEAD = 4
"""Answers that may wait for the caller, for each call at a time, before no more are asked for."""
KEPT_URLS = 64


@dataclass
class ApiStats(EngineStats):
    """What was asked of an endpoint. Tokens are counted as the server reports them.

    Attributes:
        n_calls: calls made, the first check and failed ones included.
        n_faults: calls that brought no usable reply.
        not_sent: decoding settings that the server refuses to take; answers came without them.
        fingerprints: the server's configurations that replied, as it names them.
    """

    n_calls: int = 0
    n_faults: int = 0
    not_sent: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)

    def count(self, outcome: Reply | Fault) -> None:
        """Count one call."""
        reply = outcome.reply if isinstance(outcome, Fault) else outcome
        self.n_calls += 1
        self.n_faults += isinstance(outcome, Fault)
        if reply is None:
            return
        self.n_prefill_tokens += reply.n_prompt_tokens or 0
        self.n_new_tokens += reply.n_new_tokens or 0
        self.not_sent = sorted({*self.not_sent, *reply.not_sent})
        if reply.fingerprint:
            self.fingerprints = sorted({*self.fingerprints, reply.fingerprint})


class OpenAIEngine:
    """Answers Requests by calls to an endpoint. ``connect`` makes one.

    Attributes:
        replies_as: the model's name as the server returns it. A reply by another one is a failed
            Response: two models' answers never stand in one run.
        stats: counters.
        versions: library versions.
        takes_pictures: true; whether the model does is seen when it is reached.
        origin: empty; a server does not tell it.
    """

    takes_pictures = True
    origin: Mapping[str, Any] = {}

    def __init__(self, model: str, config: EndpointConfig) -> None:
        import openai

        self.model = model
        self.config = config
        self.replies_as: str | None = None
        self.stats = ApiStats()
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "openai": openai.__version__,
        }
        self._quirks: dict[str, Quirks] = {}
        self._url_of = PictureUrls()

    @property
    def identity(self) -> Mapping[str, Any]:
        return {
            "engine": "openai",
            "model": self.model,
            "endpoint": self.config.endpoint,
            "replies_as": self.replies_as,
        }

    @property
    def where(self) -> str:
        """The model and its place, for a person to read."""
        return f"{self.model} at {self.config.endpoint}"

    @classmethod
    def connect(
        cls, model: str, config: EndpointConfig, *, with_picture: bool = False
    ) -> OpenAIEngine:
        """Reach a model with one tiny call.

        Args:
            with_picture: ask about a grey square, so that a model which cannot see is known at once.

        Raises:
            PlumblineError: there is no such endpoint or model, or it cannot see; the text says what
                to do.
        """
        engine = cls(model, config)
        shown = (GreySquare(),) if with_picture else ()
        message = Message("user", "Reply with the word: ready", shown)
        check = Request("check", "check", (message,), Decoding(max_new_tokens=16))
        served: list[str] = []

        async def work(put: Callable[[Reply | Fault], None]) -> None:
            hasty = replace(config, max_retries=min(CHECK_RETRIES, config.max_retries))
            async with engine.caller(hasty) as caller:
                outcome = await caller.reply(model, check)
                if isinstance(outcome, Fault) and outcome.status == 404:
                    served.extend(await caller.models())
                put(outcome)

        [[outcome]] = pump(work)
        if isinstance(outcome, Reply):
            reply = outcome
        elif outcome.reply and not outcome.retry:
            reply = outcome.reply  # it refuses to reply: it is there and has read the call
        else:
            raise PlumblineError(_unreachable(engine.where, outcome, served, with_picture))
        engine.replies_as = reply.model
        if reply.model and not same_model(model, reply.model):
            log.warning("%s replies as %s", engine.where, reply.model)
        return engine

    def caller(self, config: EndpointConfig) -> Caller:
        return Caller(config, self.stats, self._quirks, read=self._read, write=self._write)

    def _write(self, request: Chat, model: str, quirks: Quirks) -> dict[str, Any]:
        body = chat_body(request, model, quirks, self._url_of)
        if request.decoding.temperature > 0 and "seed" not in quirks.refused:
            body["seed"] = request.decoding.seed
        return body

    def _read(self, text: str, asked: str, quirks: Quirks) -> Reply | Fault:
        outcome = read_completion(text, quirks)
        if isinstance(outcome, Reply) and self.replies_as not in (None, outcome.model):
            reason = f"{outcome.model or 'an unnamed model'} replied instead of {self.replies_as}"
            return Fault(reason, retry=False, reply=outcome, raw=outcome.text)
        return outcome

    def generate(self, requests: Sequence[Request]) -> Iterator[list[Response]]:
        """Yield Responses as they come; see ``harness.engines.base.Engine``.

        Raises:
            PlumblineError: the endpoint cannot go on (key refused, quota used up, another model in
                its place, gone), after everything that came has been yielded.
        """
        wanted = distinct(requests, self.stats)
        if wanted.failed:
            yield wanted.failed
        session = _Session(self, _by_pictures(wanted.first()))
        for responses in pump(session.work):
            yield wanted.for_all(responses)
            session.make_room(len(responses))


class _Session:
    """One call of ``generate``: workers that share a caller and the room for answers."""

    def __init__(self, engine: OpenAIEngine, requests: Sequence[Request]) -> None:
        self._engine = engine
        self._requests = requests
        self._caller = engine.caller(engine.config)
        self._room = asyncio.Semaphore(AHEAD * engine.config.concurrency)
        self._loop: asyncio.AbstractEventLoop
        self._n_strangers = 0

    async def work(self, put: Callable[[Response], None]) -> None:
        """Answer everything. Calls under way are finished before a reason to stop is raised."""
        self._loop = asyncio.get_running_loop()

        async def handle(request: Request) -> None:
            await self._room.acquire()
            put(await self._response(request))

        async with self._caller:
            await side_by_side(self._requests, self._engine.config.concurrency, handle)

    def make_room(self, n: int) -> None:
        """Let so many more answers be asked for. Called from the caller's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: all is answered
            for _ in range(n):
                self._loop.call_soon_threadsafe(self._room.release)

    async def _response(self, request: Request) -> Response:
        engine = self._engine
        outcome = await self._caller.reply(engine.model, request)
        if isinstance(outcome, Fault):
            self._stop_if_in_vain(outcome)
            return Response.failed(request.id, request.key, outcome.reason)
        self._n_strangers = 0
        return Response(
            request_id=request.id,
            key=request.key,
            text=outcome.text,
            finish_reason="length" if outcome.finish_reason == "length" else "stop",
            n_prompt_tokens=outcome.n_prompt_tokens,
            n_new_tokens=outcome.n_new_tokens,
        )

    def _stop_if_in_vain(self, fault: Fault) -> None:
        engine = self._engine
        replied_as = fault.reply.model if fault.reply else engine.replies_as
        self._n_strangers += replied_as != engine.replies_as
        if self._caller.is_gone(fault) or self._n_strangers >= GIVE_UP_AFTER:
            raise PlumblineError(
                f"{engine.where} cannot go on: {fault.reason}. Every answer so far is kept; once "
                "this is mended, the same command goes on."
            )


class PictureUrls:
    """Data URLs of the pictures that were asked about last: to encode one takes longer than a call.

    Used by several threads: those that want the same picture wait for the first one.
    """

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, picture: Picture) -> str:
        with self._lock:
            url = self._kept.pop(picture.digest, None) or data_url(picture)
            self._kept[picture.digest] = url
            if len(self._kept) > KEPT_URLS:
                del self._kept[next(iter(self._kept))]
        return url


@dataclass(frozen=True)
class GreySquare:
    """A picture of nothing, large enough for any image processor."""

    name: str = "a grey square"
    digest: str = "grey square"

    def load(self) -> Image:
        from PIL import Image as pil

        return pil.new("RGB", (224, 224), (127, 127, 127))


def _by_pictures(requests: Sequence[Request]) -> list[Request]:
    """The requests on the same pictures together, in the order in which those first come."""
    first_seen: dict[tuple[str, ...], int] = {}

    def place(request: Request) -> int:
        shown = tuple(picture.digest for picture in request.pictures)
        return first_seen.setdefault(shown, len(first_seen))

    return sorted(requests, key=place)


def _unreachable(where: str, fault: Fault, served: Sequence[str], with_picture: bool) -> str:
    """What is wrong with a model, and what to do about it."""
    if fault.status in (401, 403):
        return (
            f"{where} refuses the key: {fault.reason}. Name the environment variable that holds it "
            "by --key-env (without it, $OPENAI_API_KEY is sent to OpenAI, and no key elsewhere)"
        )
    if fault.status == 404:
        named = f"one of those served there ({', '.join(served[:20])})" if served else "another one"
        return (
            f"{where} is not there: {fault.reason}. Name {named} by --ckpt api:MODEL, or another "
            "endpoint by --base-url (most end in /v1)"
        )
    if fault.status is None:
        return (
            f"{where} cannot be reached: {fault.reason}. Start it, or name another endpoint by "
            "--base-url (most end in /v1)"
        )
    if with_picture and fault.status in (400, 415, 422):
        return (
            f"{where} does not answer a question about a picture: {fault.reason}. If it reads text "
            "only, ask it benchmarks without pictures (--suite language)"
        )
    return f"{where} does not work: {fault.reason}"
