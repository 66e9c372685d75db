"""Published figures beside runs: one rule for the label, and reasons that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from official_runs import OfficialPart, write_official_run

from benchmarks.base import PlumblineError
from harness import run as run_command
from harness.comparability import assess, cell, explain, metric_of, refuse_pocket
from harness.published import Figure, MetricKey, PublishedRow, find, read
from harness.runs import Part, open_runs

SCORE = MetricKey("mmhal", "score")
MEAN_F1 = MetricKey("pope", "mean_f1")
CHAIRI = MetricKey("object_halbench", "CHAIRi")

POPE = {"mean_f1": (0.859, 0.850, 0.868, 9000)}
POPE_OLDER = {"mean_f1": (0.859, 0.850, 0.868, 8910)}
MMHAL = {"score": (2.45, 2.10, 2.80, 96), "hallucination_rate": (0.53, 0.43, 0.63, 96)}
OBJECTS = {"CHAIRs_refine": (0.55, 0.50, 0.60, 300), "CHAIRi": (0.16, 0.14, 0.18, 300)}
AMBER = {"CHAIR/generative": (7.8, 7.2, 8.4, 1004), "amber_score": (83.5, 83.0, 84.0, 15_220)}


def part_of(path: Path, name: str, part: OfficialPart) -> Part:
    return write_official_run(path / "run", {name: part}).parts[name]


def figures(
    source: str, key: MetricKey, model: str = "LLaVA-1.5-7B", method: str = "none"
) -> tuple[Figure, ...]:
    found = tuple(
        figure
        for figure in read()
        if (figure.source.source, figure.key, figure.model, figure.method)
        == (source, key, model, method)
    )
    assert found
    return found


def row(query: str) -> PublishedRow:
    return find(query)[0]


# The label


def test_the_same_questions_prompt_and_decoding_are_comparable(tmp_path: Path) -> None:
    older = OfficialPart(
        POPE_OLDER, options={"variant": "coco_older"}, protocol={"variant": "coco_older"}
    )
    found = cell(figures("llava_repo", MEAN_F1), part_of(tmp_path, "pope", older))
    assert (found.label, found.deviations) == ("comparable", ())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"variant": "coco"}, "asked the older question files"),
        ({"prompt": "bare"}, "this run has prompt bare"),
        ({"temperature": 0.7}, "this run has temperature 0.7"),
    ],
)
def test_what_is_known_to_differ_deviates(
    tmp_path: Path, changed: Mapping[str, object], reason: str
) -> None:
    protocol = {"variant": "coco_older", **changed}
    metrics = POPE_OLDER if protocol["variant"] == "coco_older" else POPE
    found = cell(
        figures("llava_repo", MEAN_F1),
        part_of(tmp_path, "pope", OfficialPart(metrics, protocol=protocol)),
    )
    assert found.label == "deviates"
    (deviation,) = found.deviations
    assert reason in deviation


def test_what_a_source_does_not_state_is_unknown(tmp_path: Path) -> None:
    found = cell(
        figures("li", MEAN_F1, "LLaVA-1.5-13B"), part_of(tmp_path, "pope", OfficialPart(POPE))
    )
    assert found.label == "unknown"
    assert len(found.deviations) == 4  # data, prompt, decoding, metric
    assert "the source does not say which POPE metric it prints" in found.deviations[3]


def test_a_judge_that_is_named_without_a_version_is_unknown(tmp_path: Path) -> None:
    found = cell(figures("halva", SCORE), part_of(tmp_path, "mmhal", OfficialPart(MMHAL)))
    assert found.label == "unknown"
    assert found.deviations == ("the source's judge is GPT-4, without a version",)


@pytest.mark.parametrize(
    ("source", "judge", "label", "reason"),
    [
        (
            "halva",
            "gpt-4o-2024-08-06",
            "deviates",
            "judged by gpt-4o-2024-08-06; the official judge is gpt-4-0314",
        ),
        ("tars", "gpt-4-0314", "deviates", "the source's judge is GPT-4V"),
        ("v_dpo", "gpt-4-0314", "deviates", "the source's judge is GPT-4-0613"),
        ("mfpo", "gpt-4-0314", "unknown", "is not on record"),
    ],
)
def test_judges(tmp_path: Path, source: str, judge: str, label: str, reason: str) -> None:
    found = cell(
        figures(source, SCORE), part_of(tmp_path, "mmhal", OfficialPart(MMHAL, judges=[judge]))
    )
    assert found.label == label
    assert reason in found.deviations[0]


def test_a_stated_judge_that_judged_the_run_too_agrees(tmp_path: Path) -> None:
    part = part_of(tmp_path, "mmhal", OfficialPart(MMHAL, judges=["gpt-4-0613"]))
    texts = [finding.text for finding in assess(figures("v_dpo", SCORE)[0], part)]
    assert texts == ["this run was judged by gpt-4-0613; the official judge is gpt-4-0314"]


def test_an_unrecorded_judge_is_unknown(tmp_path: Path) -> None:
    found = cell(
        figures("halva", SCORE), part_of(tmp_path, "mmhal", OfficialPart(MMHAL, judges=[]))
    )
    assert (found.label, found.deviations) == ("unknown", ("who judged this run is not recorded",))


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (OfficialPart({"CHAIR/generative": (7.8, 7.2, 8.4, 20)}), "asked 20 of 15,220 items"),
        (OfficialPart(AMBER, n_unscored=4), "4 of 1,004 items of this run have no score"),
        (OfficialPart(AMBER, official=False), "not the official scorer's"),
    ],
)
def test_less_data_or_another_scorer_deviates(
    tmp_path: Path, part: OfficialPart, reason: str
) -> None:
    found = cell(
        figures("amber", MetricKey("amber", "CHAIR", "generative"), "LLaVA-1.5"),
        part_of(tmp_path, "amber", part),
    )
    assert found.label == "deviates"
    assert any(reason in deviation for deviation in found.deviations)


def test_a_part_of_amber_is_all_that_its_own_metrics_need(tmp_path: Path) -> None:
    key = MetricKey("amber", "CHAIR", "generative")
    metrics = {"CHAIR/generative": (7.8, 7.2, 8.4, 1004)}
    part = part_of(tmp_path, "amber", OfficialPart(metrics, options={"part": "generative"}))
    assert cell(figures("amber", key, "LLaVA-1.5"), part).label == "unknown"


def test_an_option_that_leaves_the_protocol_deviates(tmp_path: Path) -> None:
    words = part_of(
        tmp_path, "object_halbench", OfficialPart(OBJECTS, options={"extractor": "words"})
    )
    found = cell(figures("tars", CHAIRI), words)
    assert found.label == "deviates"
    assert "object_halbench.extractor=words (the default is judge)" in found.deviations[0]
    short = part_of(
        tmp_path / "short", "mmhal", OfficialPart(MMHAL, options={"max_new_tokens": "64"})
    )
    assert "mmhal.max_new_tokens=64" in " ".join(cell(figures("halva", SCORE), short).deviations)


def test_a_cell_of_several_sources_has_the_label_of_the_worst(tmp_path: Path) -> None:
    part = part_of(tmp_path, "mmhal", OfficialPart(MMHAL))
    both = cell(figures("halva", SCORE) + figures("tars", SCORE), part)
    assert both.label == "deviates"
    assert both.deviations == (
        "TARS: the source's judge is GPT-4V; the official one reads text only",
        "HALVA: the source's judge is GPT-4, without a version",
    )


def test_alpacaeval_1_and_2_are_two_benchmarks(tmp_path: Path) -> None:
    rates = {"win_rate": (6.7, 6.0, 7.4, 805)}
    second = part_of(tmp_path, "alpacaeval", OfficialPart(rates))
    options = {"version": "1"}
    protocol = {"version": 1, "annotator": "alpaca_eval_gpt4"}
    first = part_of(
        tmp_path / "1", "alpacaeval", OfficialPart(rates, options=options, protocol=protocol)
    )
    key, old = MetricKey("alpacaeval", "win_rate"), MetricKey("alpacaeval_1", "win_rate")
    (figure,) = figures("alpacaeval_repo", key, "vicuna-13b-v1.5")
    assert cell((figure,), second).label == "comparable"
    assert cell((figure,), first).deviations == (
        "the source's AlpacaEval 2 is another benchmark than this run's AlpacaEval 1",
    )
    assert metric_of(second, key) is not None
    assert metric_of(second, old) is None
    assert metric_of(first, key) is None
    assert cell(figures("alpacaeval_repo", old, "vicuna-13b"), first).label == "comparable"


def test_another_mmbench_table_deviates_from_a_source_that_names_its_own(tmp_path: Path) -> None:
    key = MetricKey("mmbench", "circular", "dev")
    metrics = {"circular/dev": (0.643, 0.62, 0.66, 1164)}
    current = part_of(tmp_path, "mmbench", OfficialPart(metrics))
    assert "asked the table mmbench_dev_20230712; this run has table MMBench_DEV_EN" in " ".join(
        cell(figures("llava_repo", key), current).deviations
    )
    chinese = part_of(
        tmp_path / "cn", "mmbench", OfficialPart(metrics, protocol={"table": "MMBench_DEV_CN"})
    )
    assert metric_of(chinese, key) is None
    assert metric_of(chinese, MetricKey("mmbench_cn", "circular", "dev")) is not None


def test_every_figure_can_be_put_beside_a_run_of_its_benchmark(tmp_path: Path) -> None:
    metrics = {"pope": POPE, "mmhal": MMHAL, "object_halbench": OBJECTS, "amber": AMBER}
    run = write_official_run(tmp_path, {name: OfficialPart(m) for name, m in metrics.items()})
    for figure in read():
        for part in run.parts.values():
            for finding in assess(figure, part):
                assert finding.text
                assert "\n" not in finding.text


# The explanation


def test_an_explanation_gives_numbers_reasons_and_other_models_of_the_name(tmp_path: Path) -> None:
    parts = {
        "mmhal": OfficialPart(MMHAL, judges=["gpt-4o-2024-08-06"]),
        "object_halbench": OfficialPart(OBJECTS),
    }
    text = explain(write_official_run(tmp_path / "ours", parts), row("llava-1.5-7b mdpo"))
    assert text.splitlines() == [
        "LLaVA-1.5-7B + mDPO [data: Silkie 10K], beside the run ours",
        "",
        "Object HalBench: unknown",
        "  CHAIRs_refine: 55.0 here (50.0 – 60.0)",
        "    below the interval: 35.7 (-19.3: mDPO, Table 1)",
        "  CHAIRi: 16.0 here (14.0 – 18.0)",
        "    below the interval: 9.8 (-6.2: mDPO, Table 1)",
        "  Why they may differ, the largest effect first:",
        "  - Judge: the source's judge is not on record",
        "  - Data: two question files go by this name; which the source asked is not on record",
        "  - Decoding: Object HalBench fixes no decoding, and the source's is not on record",
        "  - Metric (CHAIRi): mentions counted as by the sources with 15.8 or 15.9 for the unaligned LLaVA-1.5-7B; "
        "other sources count to 25.2 to 28.0",
        "  Known about the published numbers:",
        "  - mDPO, Table 1: a model that the source trained",
        "",
        "MMHal-Bench: deviates",
        "  score: 2.45 here (2.10 – 2.80)",
        "    inside the interval: 2.39 (-0.06: mDPO, Table 1)",
        "  hallucination_rate: 0.530 here (0.430 – 0.630)",
        "    inside the interval: 0.54 (+0.010: mDPO, Table 1)",
        "  Why they may differ, the largest effect first:",
        "  - Judge: the official judge is gpt-4-0314 (retired: it cannot be called any more, and other judges' scores "
        "are not comparable)",
        "  - Judge: this run was judged by gpt-4o-2024-08-06; the official judge is gpt-4-0314",
        "  - Judge: the source's judge is GPT-4, without a version",
        "  Known about the published numbers:",
        "  - mDPO, Table 1: a model that the source trained",
        "",
        "In parentheses: published minus this run. Inside the interval, the draw of the questions alone can make the "
        "difference; an interval knows nothing of another judge, prompt or decoding.",
        "The model:",
        "- whether some/checkpoint is this model cannot be seen from published figures",
        "- mDPO on this backbone is also another model, data not on record (LPOI): Object HalBench CHAIRs_refine 30.7, "
        "Object HalBench CHAIRi 16.0, MMHal-Bench score 2.26, MMHal-Bench hallucination_rate 0.56",
        "- mDPO on this backbone is also another model, data RLAIF-V (NaPO): MMHal-Bench score 3.28, MMHal-Bench "
        "hallucination_rate 0.42, Object HalBench CHAIRs_refine 35.3, Object HalBench CHAIRi 10.5",
        "- mDPO on this backbone is also another model, data not on record (MISP-DPO): MMHal-Bench score 2.99",
    ]  # fmt: skip


def test_an_explanation_shows_that_sources_disagree_and_which_were_read_second_hand(
    tmp_path: Path,
) -> None:
    run = write_official_run(tmp_path / "ours", {"object_halbench": OfficialPart(OBJECTS)})
    text = explain(run, row("llava-1.5-7b none"))
    assert "CHAIRi: 16.0 here (14.0 – 18.0); the sources disagree" in text
    assert "inside the interval: 15.9 (-0.1: mDPO, Table 1), 15.8 (-0.2: TARS, Table 1)" in text
    assert "above the interval: 25.2 (+9.2: mDPO, Table 1; MFPO, Table 1)" in text
    assert "- Decoding (RLAIF-V): the source searches with 3 beams" in text
    assert "- mDPO, Table 1: quoted there from HALVA & RLAIF-V" in text
    assert "not in the source itself: MFPO, SENTINEL, RLAIF-V, LPOI" in text


def test_an_explanation_without_anything_in_common_says_what_both_have(tmp_path: Path) -> None:
    run = write_official_run(tmp_path / "ours", {"mmhal": OfficialPart(MMHAL)})
    text = explain(run, row("zephyr-7b-beta"))
    assert (
        "Nothing to compare: the run has MMHal-Bench; the row has AlpacaEval, AlpacaEval 2." in text
    )


def test_pocket_runs_are_refused_beside_published_rows_and_told_why(tmp_path: Path) -> None:
    out = tmp_path / "pocket"
    assert run_command.main(["--suite", "mmhal", "--limit", "1", "--out", str(out)]) == 0
    (pocket,) = open_runs([out])
    with pytest.raises(PlumblineError, match=r"pocket edition.*Leave out --published"):
        refuse_pocket([pocket])
    found = cell(figures("halva", SCORE), pocket.parts["mmhal"])
    assert found.label == "deviates"
    assert found.deviations[0].startswith("pocket edition")
    text = explain(pocket, row("llava-1.5-7b mdpo"))
    assert "No difference to a published number means anything" in text
    assert "2.39" not in text
