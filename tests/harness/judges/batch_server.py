"""A provider's batch endpoints on 127.0.0.1: OpenAI's files and batches, over the toy judge."""

from __future__ import annotations

import email.parser
import email.policy
import json
from collections.abc import Callable, Mapping
from typing import Any

from harness.endpoint.server import ChatHandler, Reaction, error_reaction, json_reaction
from tests.harness.judges.servers import ScriptedServer

Record = dict[str, Any]


class BatchServer(ScriptedServer):
    """Works a batch off when it has been looked at ``n_looks`` times.

    Attributes:
        ending: the status in which batches end.
        leaves_out: custom ids for which nothing comes back.
        lost: how many orders are taken without the client ever hearing of it.
    """

    def __init__(self, script: Any = None, **options: Any) -> None:
        super().__init__(script, handler=BatchHandler, **options)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Record] = {}
        self.n_looks, self.lost = 2, 0
        self.ending = "completed"
        self.leaves_out: Callable[[str], bool] = lambda text: False

    @property
    def ordered(self) -> list[Record]:
        """All calls of all batches."""
        files = [batch["input_file_id"] for batch in self.batches.values()]
        return [json.loads(line) for file in files for line in self.files[file].splitlines()]

    def create(self, order: Mapping[str, Any]) -> Reaction:
        name = f"batch_{len(self.batches)}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "in_progress",
            "looks": 0,
            **order,
        }
        if self.lost:
            self.lost -= 1
            return Reaction(silent_s=0.0)
        return json_reaction(self.batches[name])

    def look(self, name: str) -> Reaction:
        batch = self.batches[name]
        batch["looks"] += 1
        if batch["looks"] >= self.n_looks and batch["status"] == "in_progress":
            batch |= self._work_off(batch)
        return json_reaction(batch)

    def _work_off(self, batch: Record) -> Record:
        if self.ending == "failed":
            return {"status": "failed", "errors": {"data": [{"code": "model_not_found"}]}}
        good: list[Record] = []
        bad: list[Record] = []
        for line in self.files[batch["input_file_id"]].splitlines():
            call = json.loads(line)
            if self.leaves_out(call["body"]["messages"][-1]["content"]):
                continue
            reaction = self.react(call["body"], line, {})
            response = {"status_code": reaction.status, "body": json.loads(reaction.body)}
            record = {"custom_id": call["custom_id"], "response": response, "error": None}
            (good if reaction.status == 200 else bad).append(record)
        made: Record = {"status": self.ending}
        for key, records in (("output_file_id", good), ("error_file_id", bad)):
            if records:
                made[key] = f"file_{len(self.files)}"
                self.files[made[key]] = "\n".join(map(json.dumps, records)).encode()
        return made


class BatchHandler(ChatHandler):
    server: BatchServer

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        match self.path.partition("?")[0].split("/")[2:]:
            case ["batches"]:
                records = list(self.server.batches.values())
                self.send(json_reaction({"object": "list", "data": records, "has_more": False}))
            case ["batches", name] if name in self.server.batches:
                self.send(self.server.look(name))
            case ["files", name, "content"] if name in self.server.files:
                self.send(Reaction(body=self.server.files[name]))
            case _:
                self.send(self.nothing_here())

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        if self.path == "/v1/chat/completions":
            super().do_POST()
            return
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/files":
            name = f"file_{len(self.server.files)}"
            self.server.files[name] = _uploaded(self.headers["Content-Type"], raw)
            self.send(json_reaction({"id": name, "object": "file", "purpose": "batch"}))
        elif self.path == "/v1/batches":
            self.send(self.server.create(json.loads(raw)))
        else:
            self.send(error_reaction(404, "nothing here", "not_found"))


def _uploaded(content_type: str, raw: bytes) -> bytes:
    """The part named "file" of a form."""
    header = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(header + raw)
    for part in form.iter_parts():
        if 'name="file"' in part["Content-Disposition"]:
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            return content
    raise ValueError("no file in the form")
