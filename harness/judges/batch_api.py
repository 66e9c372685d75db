"""The batch endpoints of an OpenAI-compatible provider: upload, order, await, download."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from harness.endpoint.calls import api_fault, client_options, read_as_utf8
from harness.endpoint.limits import pause_s
from harness.endpoint.wire import shortened
from harness.judges.base import JudgeStoppedError
from harness.judges.config import JudgeConfig

if TYPE_CHECKING:
    from openai import OpenAI

log = logging.getLogger(__name__)

T = TypeVar("T")
Json = Mapping[str, Any]
CHAT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


class BatchApi:
    """Patient calls: what fails in transport is called again, what is refused stops the judge."""

    def __init__(self, config: JudgeConfig) -> None:
        from openai import DefaultHttpxClient, OpenAI

        self._config = config
        http = DefaultHttpxClient(event_hooks={"response": [read_as_utf8]})
        self._client: OpenAI = OpenAI(**client_options(config), http_client=http)

    def close(self) -> None:
        self._client.close()

    def upload(self, lines: bytes) -> str:
        """Store the calls of a batch. Returns the file's id."""
        files = self._client.files.with_raw_response
        made = self._patiently(
            lambda: files.create(file=("plumbline.jsonl", lines), purpose="batch"), _record
        )
        return str(made["id"])

    def order(self, input_file: str, *, perhaps_ordered: bool = False) -> str:
        """Have a file worked off. Returns the batch's id.

        Args:
            perhaps_ordered: an earlier session may have ordered it; that batch is taken then.
        """
        batches = self._client.batches.with_raw_response
        look_first = perhaps_ordered

        def find_or_create() -> Any:
            nonlocal look_first
            if look_first:
                for batch in self._patiently(lambda: batches.list(limit=100), _record)["data"]:
                    if batch.get("input_file_id") == input_file:
                        return batches.retrieve(batch["id"])
            look_first = True  # an order whose reply was lost may have been taken
            return batches.create(input_file_id=input_file, endpoint=CHAT, completion_window="24h")

        return str(self._patiently(find_or_create, _record)["id"])

    def wait(self, batch: str) -> Json:
        """The batch's record, once it has ended."""
        batches = self._client.batches.with_raw_response
        while True:
            record = self._patiently(lambda: batches.retrieve(batch), _record)
            if record.get("status") in ENDED:
                return record
            counts = record.get("request_counts") or {}
            log.info("batch %s: %s of %s", batch, counts.get("completed"), counts.get("total"))
            time.sleep(self._config.poll_s)

    def lines(self, record: Json) -> Iterator[Json]:
        """What an ended batch brought, replies and errors."""
        files = self._client.files.with_raw_response
        for name in ("output_file_id", "error_file_id"):
            if file := record.get(name):
                yield from self._patiently(functools.partial(files.content, file), _records)

    def _patiently(self, call: Callable[[], Any], read: Callable[[str], T]) -> T:
        """What a call brings, once it does. Raises JudgeStoppedError when it is refused."""
        import openai

        n_failed = 0
        while True:
            wait_s = None
            try:
                return read(self._config.key.redact(call().text))
            except openai.APIError as error:
                fault = api_fault(error, self._config)
                reason, retry, wait_s = fault.reason, fault.retry, fault.wait_s
            except ValueError as error:
                reason, retry = f"the server sent something else than JSON ({error})", True
            n_failed += 1
            if not retry or n_failed > self._config.max_retries:
                raise stopped(f"{reason} (call {n_failed})") from None
            config = self._config
            time.sleep(wait_s or pause_s(n_failed, config.backoff_s, config.backoff_cap_s))


def stopped(reason: str) -> JudgeStoppedError:
    return JudgeStoppedError(
        f"the batch API cannot go on: {reason}. Batches under way are named in the run folder; the "
        "same command goes on from there once this is mended."
    )


def _record(text: str) -> Json:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(shortened(text))
    return value


def _records(text: str) -> list[Json]:
    return [_record(line) for line in text.split("\n") if line.strip()]
