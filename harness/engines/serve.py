"""``python -m harness.engines.serve --ckpt PATH``: a checkpoint as an OpenAI-compatible endpoint.

It serves whatever ``harness.run`` loads in process, to any client: as the model of a run (``--ckpt
api:NAME --base-url URL``) or as a judge (``--judge NAME --judge-base-url URL``). Calls that wait
together are answered in one batch.
"""

from __future__ import annotations

import argparse
import itertools
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from benchmarks.base import Request, Response, ResponseStatus
from benchmarks.pocket import CHECKPOINT
from harness.command import DONE, run_command
from harness.endpoint.incoming import read_chat
from harness.endpoint.server import (
    ChatServer,
    Reaction,
    completion,
    error_reaction,
    json_reaction,
)
from harness.engines.base import Engine
from harness.engines.select import add_loading_options, in_process

GATHER_S = 0.01
"""How long the first of several calls waits for the others."""


class Together:
    """Has an engine answer in one thread; requests that come while it is busy are its next batch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[tuple[Request, Future[Response]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="engine", daemon=True).start()

    def answer(self, request: Request) -> Response:
        """The response, once it is there. Raises whatever ended the engine."""
        answered: Future[Response] = Future()
        self._waiting.put((request, answered))
        return answered.result()

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            time.sleep(GATHER_S)
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            left = {request.id: answered for request, answered in batch}
            try:
                for responses in self._engine.generate([request for request, _ in batch]):
                    for response in responses:
                        left.pop(response.request_id).set_result(response)
            except Exception as error:  # told to each client that waits for it
                for answered in left.values():
                    answered.set_exception(error)


class EngineServer(ChatServer):
    """An engine behind HTTP."""

    def __init__(self, engine: Engine, model: str, **options: Any) -> None:
        super().__init__(model, **options)
        self._engine = Together(engine)
        self._numbers = itertools.count()

    def answer(self, body: Mapping[str, Any]) -> Reaction:
        if unknown := self.unknown(body):
            return unknown
        try:
            request = read_chat(body, f"call {next(self._numbers)}")
        except ValueError as error:
            return error_reaction(400, str(error), "invalid_request_error")
        try:
            response = self._engine.answer(request)
        except Exception as error:  # whatever ended the engine: the client is told
            return error_reaction(500, f"{type(error).__name__}: {error}", "server_error")
        if response.status is not ResponseStatus.OK:
            return error_reaction(400, response.error or "no answer", "invalid_request_error")
        return json_reaction(
            completion(
                self.model,
                response.text,
                response.n_prompt_tokens,
                n_new_tokens=response.n_new_tokens,
                finish_reason=response.finish_reason,
            )
        )


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m harness.engines.serve",
        description="Serve a checkpoint until interrupted. The first line printed is the URL to name "
        "by --base-url, the second one the --ckpt for it.",
    )
    parser.add_argument(
        "--ckpt",
        default=str(CHECKPOINT),
        metavar="PATH|HF_ID",
        help="as for harness.run (default: the embedded pocket checkpoint)",
    )
    parser.add_argument(
        "--name", help="what clients call the model (default: the last part of --ckpt)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="(default 0: any free one)")
    add_loading_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = make_parser().parse_args(argv)

    def body() -> int:
        engine = in_process(arguments.ckpt, arguments).start()
        name = arguments.name or Path(arguments.ckpt).name.removesuffix(".gguf")
        with EngineServer(engine, name, host=arguments.host, port=arguments.port) as server:
            print(f"{server.url}\napi:{name}", flush=True)
            server.serve_forever()
        return DONE

    return run_command(body, "nothing is lost")


if __name__ == "__main__":
    sys.exit(main())
