"""A folder of lmms-eval tasks over pocket pictures: task files, their functions and a parquet file."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pocket import pope

# Task files take the rest from here; lmms-eval reads "include" from any file name.
COMMON = """
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.picture
doc_to_text: !function utils.question
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 8, temperature: 0, do_sample: false, until: []}}
lmms_eval_specific_kwargs:
  default: {{post_prompt: "\\nAnswer the question using a single word or phrase."}}
  curt: {{post_prompt: "\\nPlease answer yes or no."}}
metadata: {{version: 3.0}}
"""

EXACT = """
process_results: !function utils.exact
metric_list: [{metric: exact, aggregation: mean, higher_is_better: true}]
"""

TASKS = {
    "pocket_exact": EXACT,
    "pocket_f1": """
process_results: !function utils.pair
metric_list:
  - {metric: f1, aggregation: !function utils.f1, higher_is_better: true}
  - {metric: said_yes, aggregation: !function utils.share_of_yes}
  - {metric: distinct, aggregation: !function utils.distinct, higher_is_better: false}
""",
    # lmms-eval's own functions for POPE
    "pocket_pope": """
process_results: !function lmms_eval.tasks.pope.utils.pope_process_results
metric_list:
  - metric: pope_accuracy
    aggregation: !function lmms_eval.tasks.pope.utils.pope_aggregate_accuracy
    higher_is_better: true
  - metric: pope_f1_score
    aggregation: !function lmms_eval.tasks.pope.utils.pope_aggregate_f1_score
    higher_is_better: true
""",
    "pocket_system": f"doc_to_messages: !function utils.with_a_system_turn\n{EXACT}",
    "pocket_between": f"doc_to_messages: !function utils.between_words\n{EXACT}",
    "pocket_silent": f"doc_to_messages: !function utils.nothing\n{EXACT}",
    "pocket_marked": f"doc_to_text: !function utils.behind_a_marker\n{EXACT}",
    "pocket_words": """
doc_to_visual: null
doc_to_text: "{{question}}"
doc_to_target: "This"
generation_kwargs: {until: " ", max_new_tokens: 40}
filter_list:
  - name: letters
    filter:
      - {function: regex, regex_pattern: "([A-Za-z]+)"}
      - {function: take_first}
""",
    "pocket_repeated": """
repeats: 3
generation_kwargs: {temperature: 1.0, do_sample: true, max_new_tokens: 30}
doc_to_text: "Describe this image."
filter_list:
  - name: all
    filter: [{function: take_first_k, k: 3}]
process_results: !function utils.different
metric_list: [{metric: different, aggregation: mean, higher_is_better: true}]
""",
    "pocket_faulty": """
process_results: !function utils.faulty
metric_list:
  - {metric: exact, aggregation: mean, higher_is_better: true}
  - {metric: submission, aggregation: !function utils.submission, higher_is_better: true}
  - {metric: broken, aggregation: !function utils.broken, higher_is_better: true}
  - {metric: huge, aggregation: !function utils.huge, higher_is_better: true}
  - {metric: ending, aggregation: !function utils.ending, higher_is_better: true}
  - {metric: notes, aggregation: !function utils.noted, higher_is_better: true}
""",
    "pocket_choice": """
output_type: multiple_choice
generation_kwargs: null
doc_to_choice: ["yes", "no"]
metric_list: [{metric: acc}]
""",
    "pocket_beams": f"generation_kwargs: {{num_beams: 4}}\n{EXACT}",
    "pocket_inside": f"doc_to_text: 'Look at <image>. What is it?'\n{EXACT}",
    "pocket_film": f"doc_to_visual: !function utils.film\n{EXACT}",
    "pocket_unasked": f"doc_to_text: !function utils.unasked\n{EXACT}",
    "pocket_judged": """
process_results: !function utils.judged
metric_list: [{metric: judged, aggregation: mean, higher_is_better: true}]
""",
}

UTILS = """
import sys

import requests


def picture(doc):
    return [doc["image"]]


def film(doc):
    return ["film.mp4"]


def question(doc, lmms_eval_specific_kwargs):
    return doc["question"] + lmms_eval_specific_kwargs["post_prompt"]


def with_a_system_turn(doc):
    asked = {"type": "text", "text": doc["question"]}
    return [
        {"role": "system", "content": [{"type": "text", "text": "Answer yes or no."}]},
        {"role": "user", "content": [{"type": "image", "url": doc["image"]}, asked]},
    ]


def between_words(doc):
    look = {"type": "text", "text": "Look at this:"}
    asked = {"type": "text", "text": doc["question"]}
    return [{"role": "user", "content": [look, {"type": "image", "url": doc["image"]}, asked]}]


def nothing(doc):
    return []


def behind_a_marker(doc, lmms_eval_specific_kwargs):
    return "<image>\\n" + doc["question"]


def unasked(doc, lmms_eval_specific_kwargs):
    return doc["no such column"]


def exact(doc, results):
    print("a task that talks")
    return {"exact": float(results[0].lower().strip(".") == doc["answer"])}


def pair(doc, results):
    one = {"answer": doc["answer"], "said": results[0].lower(), "id": doc["question_id"]}
    return {"f1": one, "said_yes": (one["said"], "yes"), "distinct": one}


def f1(results):
    print("an aggregation that talks")
    hits = sum(r["answer"] == r["said"] == "yes" for r in results)
    said = sum(r["said"] == "yes" for r in results)
    return 2 * hits / (said + sum(r["answer"] == "yes" for r in results))


def share_of_yes(results):
    return sum(said == yes for said, yes in results) / len(results)


def distinct(results):
    ids = {r.pop("id") for r in results}
    assert len(ids) == len(results), "every document once"
    return len(ids)


def faulty(doc, results):
    number = doc["question_id"]
    if number == 1:
        raise KeyError("no such category")
    if number == 3:
        sys.exit("there is no film")
    given = dict.fromkeys(("submission", "broken", "huge", "ending"), number)
    return {**given, "exact": None if number == 2 else 1, "notes": {"of": [number]}}


def submission(results, args):
    for path in ("here.txt", f"{args.output_path}/there.txt"):
        with open(path, "w") as stream:
            stream.write(str(results))
    return len(results)


def broken(results):
    return results["all"]


def huge(results):
    return 10**400


def ending(results):
    sys.exit(1)


def noted(results):
    for result in results:
        result["of"].append(1)
    return sum(len(result["of"]) for result in results) / len(results)


def different(doc, results):
    return {"different": len(set(results))}


def judged(doc, results):
    return {"judged": ask(results[0])}


def ask(text):
    return requests.post("http://127.0.0.1:9", json=text).json()["score"]
"""


def make_folder(folder: Path, n_documents: int = 48) -> Path:
    """Write the tasks and ``data.parquet``: pocket POPE's adversarial questions, six on a picture."""
    import datasets

    asked = [item for item in pope.items() if item.split == "adversarial"][:n_documents]
    records = [
        {
            "question_id": number,
            "image": item.pictures[0].load(),
            "question": item.question,
            "answer": item.reference["label"],
        }
        for number, item in enumerate(asked)
    ]
    folder.mkdir(parents=True)
    table = datasets.Dataset.from_list(records).cast_column("image", datasets.Image())
    table.to_parquet(folder / "data.parquet")
    (folder / "common").write_text(COMMON.format(data=folder / "data.parquet"))
    (folder / "utils.py").write_text(UTILS)
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"include: common\ntask: {name}\n{text}")
    return folder
