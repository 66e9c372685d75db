"""A made-up AlpacaEval folder: twelve instructions of the official form, annotators, prompts, tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

Records = list[dict[str, Any]]

N = 12
AE1, AE2 = "alpaca_eval_gpt4", "weighted_alpaca_eval_gpt4_turbo"

CONFIGS = {
    AE1: """\
# as officially
alpaca_eval_gpt4:
  prompt_template: "alpaca_eval_gpt4/alpaca_eval.txt"
  fn_completions: "openai_completions"
  completions_kwargs:
    model_name: "gpt-4"
    max_tokens: 100
    temperature: 0
  fn_completion_parser: "ranking_parser"
  batch_size: 1
""",
    AE2: """\
weighted_alpaca_eval_gpt4_turbo:
  prompt_template: "alpaca_eval_clf_gpt4_turbo/alpaca_eval_clf.txt"
  fn_completions: "openai_completions"
  completions_kwargs:
    model_name: "gpt-4-1106-preview"
    max_tokens: 1
    temperature: 1 # of no effect
    logprobs: true
    top_logprobs: 5
  fn_completion_parser: "logprob_parser"
  completion_parser_kwargs:
    numerator_token: "m"
    denominator_tokens: ["m", "M"]
    is_binarize: false
  completion_key: "completions_all"
  batch_size: 1
""",
}

PROMPT = """<|im_start|>system
Compare.
<|im_end|>
<|im_start|>user
{
    "instruction": \"\"\"{instruction}\"\"\",
}
m: \"\"\"{output_1}\"\"\"
M: \"\"\"{output_2}\"\"\"
Say m or M.
<|im_end|>"""

INSTRUCTIONS = [f"Explain thing {number}: {{braces}} ünï\n$5" for number in range(N)]


def outputs(generator: str, texts: Sequence[str | None]) -> Records:
    """Records of an official file of outputs, for the first instructions."""
    return [
        {"dataset": "made up", "instruction": i, "output": text, "generator": generator}
        for i, text in zip(INSTRUCTIONS, texts, strict=False)
    ]


def baseline_texts(generator: str) -> list[str]:
    """The baseline's outputs, of different lengths."""
    return [f"{generator} {number} {'x' * (1 + 7 * number % 30)}" for number in range(N)]


def gamed_csv(n: int = N, seed: int = 1) -> str:
    """``df_gamed.csv``: length alone is liked."""
    rng = Random(seed)
    lines = [
        "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline",
    ]
    difficulty = [round(rng.gauss(0, 1), 6) for _ in range(n)]
    for model, centre in (("verbose", -1.5), ("concise", 1.5)):
        for index in range(n):
            delta = round(rng.gauss(centre, 0.5), 8)
            preference = round(1 / (1 + math.exp(delta)), 6)
            lines.append(f"gpt4_{model},{preference},{index},{delta},{difficulty[index]},False")
    return "\n".join(lines) + "\n"


LEADERBOARDS = {
    f"{AE2}_leaderboard.csv": """\
,win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,discrete_win_rate,mode,avg_length,length_controlled_winrate,lc_standard_error
strong,70.5,1.5,600,205,0,805,74.5,community,2100,60.25,0.5
quoted|model,40.0,1.5,300,505,0,805,37.3,minimal,1500,45.125,
without_lc,30.0,1.4,300,505,0,805,37.3,minimal,1500,,
""",
    f"{AE1}_leaderboard.csv": """\
,win_rate,standard_error,n_wins,n_wins_base,n_draws,n_total,mode,avg_length,discrete_win_rate,length_controlled_winrate
old,90.5,1.5,600,205,0,805,community,2100,74.5,
""",
    "length_controlled_v1_weights_baseline_gpt4_1106_preview.csv": """\
,np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)
gpt4_1106_preview,0.0,0.0,0.0
strong,-1.25,0.5,0.75
""",
}


def write_folder(root: Path, *, with_gamed: bool = True) -> Path:
    """``DATA_DIR`` with an ``alpacaeval`` folder in it."""
    folder = root / "alpacaeval"
    for name in ("baseline_outputs", "prompts", "leaderboards", "annotations"):
        (folder / name).mkdir(parents=True)
    for file, generator in (("gpt4_1106_preview", "gpt4"), ("alpaca_eval", "davinci")):
        records = outputs(generator, baseline_texts(generator))
        (folder / "baseline_outputs" / f"{file}.json").write_text(json.dumps(records, indent=1))
    for name, config in CONFIGS.items():
        (folder / "annotators" / name).mkdir(parents=True)
        (folder / "annotators" / name / "configs.yaml").write_text(config)
    for name in ("alpaca_eval.txt", "alpaca_eval_clf.txt"):
        (folder / "prompts" / name).write_text(PROMPT)
    for name, text in LEADERBOARDS.items():
        (folder / "leaderboards" / name).write_text(text)
    difficulties = "\n".join(f"{n},{n / 10 - 0.5}" for n in range(N))
    (folder / "instruction_difficulty.csv").write_text(f",instruction_difficulty\n{difficulties}\n")
    if with_gamed:
        (folder / "df_gamed.csv").write_text(gamed_csv())
    return root
