"""lmms-eval's own run, to compare with: ``python lmms_peer.py CKPT TASK_FOLDER OUT.json chat|simple TASK...``.

Its wrapper for LLaVA needs two repairs from outside: ``decord``, which it imports for films and does not
declare, is replaced by an empty module, and ``device_map``, whose default transformers 5 refuses, is given.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any


def main(ckpt: str, folder: str, out: str, prompts: str, *names: str) -> None:
    decord = types.ModuleType("decord")
    vars(decord).update(VideoReader=None, cpu=None)
    sys.modules["decord"] = decord

    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager
    from transformers import LlavaForConditionalGeneration

    asked = []
    generate = LlavaForConditionalGeneration.generate

    def recorded(model: Any, **arguments: Any) -> Any:
        asked.append(arguments["input_ids"][0].tolist())
        return generate(model, **arguments)

    LlavaForConditionalGeneration.generate = recorded
    told = simple_evaluate(
        model="llava_hf",
        model_args=f"pretrained={ckpt},device_map=cpu,device=cpu",
        tasks=list(names),
        task_manager=TaskManager(
            include_path=folder, include_defaults=False, model_name="llava_hf"
        ),
        force_simple=prompts == "simple",
        batch_size=1,
        bootstrap_iters=0,
    )
    answers = {
        name: [s["filtered_resps"][0] for s in sorted(samples, key=lambda s: s["doc_id"])]
        for name, samples in told["samples"].items()
    }
    found = {"results": told["results"], "answers": answers, "prompts": asked}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
