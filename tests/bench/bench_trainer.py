"""How fast training is, and what memory it takes, beside TRL and beside a plain script.

Run: python -m tests.bench.bench_trainer [--trl-python VENV/bin/python] [--full] [--rounds 3] [--pairs 16]

One random LLaVA (22 million parameters, vocabulary 32,000), the same pairs for all (576 picture tokens, about 60
of prompt and 150 of each answer), LoRA of rank 16 on the language model or full fine-tuning, float32, batches
of two pairs. Each way trains in a process of its own; rounds alternate, and medians are printed:

- ours: ``python -m trainers.run``, with an empty reference cache (cold) and with a filled one (warm);
- TRL's ``DPOTrainer``, in the environment that ``--trl-python`` names (TRL is no dependency of Plumbline);
- a straightforward trainer (plain): chosen, rejected and, for mDPO, cropped each forward on their own, the
  reference the same way in each step, log-probabilities from full logits.

Time is that of the training loop, and of everything from loading the model to the saved checkpoint; on a machine that
others use too, CPU seconds are the fairer ones. Memory is the peak of the process's resident set, less what it
was before.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

N_EPOCHS, BATCH_SIZE = 1, 2
RANK = 16
LORA_TARGETS = r"model\.language_model\.layers\..*\.(q|k|v|o|gate|up|down)_proj"
WORDS = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "rstvxz"]
WAYS = (
    "ours dpo cold",
    "ours dpo warm",
    "trl dpo",
    "plain dpo",
    "ours mdpo cold",
    "ours mdpo warm",
    "plain mdpo",
)


def make_checkpoint(folder: Path) -> None:
    import transformers as hf

    from tests.harness.engines.tiny_models import byte_tokenizer, chat_template, save, text_sizes

    tokenizer = byte_tokenizer(learn_from=[f" {word}" for word in WORDS] * 3)
    side = {"height": 336, "width": 336}
    processor = hf.LlavaProcessor(
        hf.CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size=side),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template(),
    )
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 32}
    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4}
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            **vision, num_attention_heads=4, image_size=336, patch_size=14
        ),
        text_config=hf.LlamaConfig(
            **text_sizes(
                tokenizer, **sizes, **heads, vocab_size=32000, max_position_embeddings=2048
            )
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
    )
    save(folder, hf.LlavaForConditionalGeneration(config), processor, scale=1.0)


def make_pairs(folder: Path, n_pairs: int) -> Path:
    """Pairs as JSON Lines, with pictures of noise beside them."""
    import numpy as np
    from PIL import Image

    rng = Random("bench")
    folder.mkdir()

    def text(n_words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(n_words))

    records = []
    for number in range(n_pairs):
        pixels = np.random.default_rng(number).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(
            folder / f"{number}.png"
        )
        answers = {"chosen": text(rng.randint(140, 150)), "rejected": text(rng.randint(140, 150))}
        records.append({"image": f"{number}.png", "prompt": text(55), **answers})
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def arguments_of(out: str) -> dict[str, Any]:
    """``TrainingArguments`` that all ways share."""
    return {
        "output_dir": out,
        "per_device_train_batch_size": BATCH_SIZE,
        "num_train_epochs": N_EPOCHS,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": False,
    }


def read_pairs(path: Path) -> list[dict[str, Any]]:
    from PIL import Image

    records = [json.loads(line) for line in path.open()]
    for record in records:
        record["image"] = Image.open(path.parent / record["image"]).convert("RGB")
    return records


def ours(
    method: str, ckpt: Path, pairs: Path, out: Path, cache: Path, full: bool
) -> dict[str, float]:
    from trainers import run

    shared = arguments_of("")
    fixed = ("output_dir", "disable_tqdm")
    changes = [f"{name}={value}" for name, value in shared.items() if name not in fixed]
    changes = [change.replace("False", "false") for change in changes]
    changes += ["train=language_model", f"lora_r={0 if full else RANK}"]
    command = [f"--method={method}", f"--ckpt={ckpt}", f"--data={pairs}", f"--out={out}"]
    command += [f"--cache-dir={cache}", *(f"--set={change}" for change in changes)]
    if run.main(command):
        raise SystemExit("training failed")
    record = json.loads((out / "training.json").read_text())
    print(record["layout"], record["reference"], file=sys.stderr)
    return {"loss": record["curves"]["loss"][-1]}


def trl(ckpt: Path, pairs: Path, out: Path, full: bool) -> dict[str, float]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoProcessor, LlavaForConditionalGeneration
    from trl import DPOConfig, DPOTrainer

    def chat(role: str, text: str, n_images: int = 0) -> list[dict[str, Any]]:
        content = [{"type": "image"}] * n_images + [{"type": "text", "text": text}]
        return [{"role": role, "content": content}]

    records = [
        {
            "images": [record["image"]],
            "prompt": chat("user", record["prompt"], 1),
            "chosen": chat("assistant", record["chosen"]),
            "rejected": chat("assistant", record["rejected"]),
        }
        for record in read_pairs(pairs)
    ]
    model = LlavaForConditionalGeneration.from_pretrained(ckpt, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".language_model." in name or name.startswith("lm_head"))
    adapter = LoraConfig(r=RANK, lora_alpha=16, target_modules=LORA_TARGETS)
    trainer = DPOTrainer(
        model,
        args=DPOConfig(**arguments_of(str(out)), max_length=None, gradient_checkpointing=False),
        train_dataset=Dataset.from_list(records),
        processing_class=AutoProcessor.from_pretrained(ckpt),
        peft_config=None if full else adapter,
    )
    trainer.train()
    trainer.save_model(str(out))
    return {"loss": trainer.state.log_history[-2]["loss"]}


def plain(method: str, ckpt: Path, pairs: Path, out: Path, full: bool) -> dict[str, float]:
    """A forward pass for each part, for the policy and for the reference, as a first version would have them."""
    import copy

    import torch
    import transformers as hf
    from peft import LoraConfig, get_peft_model
    from torch.nn.functional import logsigmoid

    from trainers.corruptions import crop

    model: Any = hf.LlavaForConditionalGeneration.from_pretrained(ckpt, dtype=torch.float32)
    processor = hf.AutoProcessor.from_pretrained(ckpt)
    reference: Any = None
    if full:
        reference = copy.deepcopy(model).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".language_model." in name or name.startswith("lm_head"))
    else:
        model = get_peft_model(
            model, LoraConfig(r=RANK, lora_alpha=16, target_modules=LORA_TARGETS)
        )

    def inputs(
        records: list[dict[str, Any]], answer: str, corrupt: bool
    ) -> dict[str, torch.Tensor]:
        images = [record["image"] for record in records]
        if corrupt:
            images = [crop(image, Random(0)) for image in images]
        prompts = [f"<s><|user|><image>\n{record['prompt']}<|assistant|>" for record in records]
        texts = [f"{p}{record[answer]}</s>" for p, record in zip(prompts, records, strict=True)]
        batch = processor(
            text=texts, images=images, padding=True, padding_side="right", return_tensors="pt"
        )
        n_prompt = [
            len(processor(text=p, images=[i])["input_ids"][0])
            for p, i in zip(prompts, images, strict=True)
        ]
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        for row, n in enumerate(n_prompt):
            labels[row, :n] = -100
        return {**batch, "labels": labels}

    def collate(records: list[dict[str, Any]]) -> dict[str, Any]:
        wanted = [("chosen", False), ("rejected", False)]
        wanted += [("chosen", True)] if method == "mdpo" else []
        return {"parts": [inputs(records, *each) for each in wanted]}

    def log_probs(network: Any, part: dict[str, torch.Tensor]) -> torch.Tensor:
        labels = part["labels"][:, 1:]
        fed = {name: value for name, value in part.items() if name != "labels"}
        logits = network(**fed).logits[:, :-1].float().log_softmax(-1)
        values = logits.gather(-1, labels.clamp_min(0)[..., None]).squeeze(-1)
        return (values * (labels != -100)).sum(-1)

    class Plain(hf.Trainer):
        loss_is_scaled_for_ga = False

        def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> torch.Tensor:
            policy = [log_probs(model, part) for part in inputs["parts"]]
            with torch.no_grad():
                if reference is not None:
                    initial = [log_probs(reference, part) for part in inputs["parts"]]
                else:
                    with model.disable_adapter():
                        initial = [log_probs(model, part) for part in inputs["parts"]]
            chosen, *others = (p - i for p, i in zip(policy, initial, strict=True))
            terms = [chosen - other for other in others]
            terms += [chosen] if method == "mdpo" else []
            return -sum(logsigmoid(0.1 * term) for term in terms).mean()  # type: ignore[union-attr]

    arguments = hf.TrainingArguments(**arguments_of(str(out)), remove_unused_columns=False)
    trainer = Plain(model, arguments, collate, read_pairs(pairs))
    trainer.train()
    trainer.save_model(str(out))
    return {"loss": trainer.state.log_history[-2]["loss"]}


def clocked(owner: Any, name: str) -> dict[str, float]:
    """Let a method note how long its call takes, on the wall and on the CPU."""
    taken: dict[str, float] = {}
    method = getattr(owner, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        began, cpu = time.perf_counter(), time.process_time()
        try:
            return method(*arguments, **named)
        finally:
            taken.update(loop=time.perf_counter() - began, loop_cpu=time.process_time() - cpu)

    setattr(owner, name, timed)
    return taken


def one_way(way: str, folder: Path, out: Path, cache: Path, full: bool) -> None:
    """Train in this process and print what it took."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    ckpt, pairs = folder / "checkpoint", folder / "pairs" / "pairs.jsonl"
    if way == "trl dpo":
        import trl as _  # noqa: F401  (imports are no part of what is measured)
    loop = clocked(transformers.Trainer, "_inner_training_loop")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    if way == "trl dpo":
        found = trl(ckpt, pairs, out, full)
    elif way.startswith("plain"):
        found = plain(way.split()[1], ckpt, pairs, out, full)
    else:
        found = ours(way.split()[1], ckpt, pairs, out, cache, full)
    found |= {"whole": time.perf_counter() - began, "whole_cpu": time.process_time() - cpu} | loop
    found["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trl-python", help="the interpreter of an environment that has TRL")
    parser.add_argument("--full", action="store_true", help="full fine-tuning in place of LoRA")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--one-way", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_way:
        way, *paths = arguments.one_way
        one_way(way, *map(Path, paths), arguments.full)
        return
    ways = [way for way in arguments.ways if way != "trl dpo" or arguments.trl_python]
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoint(folder / "checkpoint")
        make_pairs(folder / "pairs", arguments.pairs)
        for _ in range(arguments.rounds):
            for way in ways:
                out, cache = folder / "out", folder / f"cache {way.rpartition(' ')[0]}"
                if "cold" in way:
                    shutil.rmtree(cache, ignore_errors=True)
                python = arguments.trl_python if way == "trl dpo" else sys.executable
                command = [python, "-m", "tests.bench.bench_trainer"]
                command += ["--full"] if arguments.full else []
                command += ["--one-way", way, str(folder), str(out), str(cache)]
                told = subprocess.run(command, capture_output=True, text=True)
                if told.returncode:
                    raise SystemExit(f"{way} failed:\n{told.stderr[-2000:]}")
                taken[way].append(json.loads(told.stdout.splitlines()[-1]))
                print(way, taken[way][-1], file=sys.stderr)
                shutil.rmtree(out, ignore_errors=True)
    kind = "full" if arguments.full else "LoRA"
    print(f"{arguments.pairs} pairs, {N_EPOCHS} epoch, {kind}; medians of {arguments.rounds}")
    columns = {
        "loop": "loop s",
        "loop_cpu": "loop CPU s",
        "whole": "whole s",
        "whole_cpu": "whole CPU s",
    }
    columns |= {"memory": "peak MiB", "loss": "last loss"}
    print(" " * 16 + "".join(f"{title:>13}" for title in columns.values()))
    for way, results in taken.items():
        figures = [statistics.median(result[name] for result in results) for name in columns]
        print(f"{way:16}" + "".join(f"{figure:13.4g}" for figure in figures))


if __name__ == "__main__":
    main()
