"""POPE on a made-up set of twelve questions: two pictures, three splits.

Run: pytest tests/benchmarks/test_pope.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.base import (
    BadRecordError,
    Metric,
    MissingDataError,
    PlumblineError,
    Response,
    ScoreStatus,
)
from benchmarks.pope import SPLITS, VARIANTS, Pope, official_answer
from harness.stats import evaluate

ABSENT = {
    "random": ("kite", "bed"),
    "popular": ("chair", "car"),
    "adversarial": ("fork", "bus"),
}
LABELS = ("yes", "no", "yes", "no")


def questions(split: str) -> list[dict[str, Any]]:
    """Two on each picture: a dog and a train are there, the split's objects are not."""
    first, second = ABSENT[split]
    asked = [("a.jpg", "dog"), ("a.jpg", first), ("b.jpg", "train"), ("b.jpg", second)]
    return [
        {
            "question_id": number,
            "image": image,
            "text": f"Is there a {thing} in the image?",
            "label": label,
        }
        for number, ((image, thing), label) in enumerate(zip(asked, LABELS, strict=True), start=1)
    ]


def json_lines(records: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Question files of all variants: JSON Lines, and arrays for the seem variants."""
    folder = tmp_path_factory.mktemp("data")
    for name, variant in VARIANTS.items():
        for split in SPLITS:
            path = folder / "pope" / variant.questions.format(split=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            records = questions(split)
            is_array = name.startswith("seem")
            path.write_text(json.dumps(records, indent=4) if is_array else json_lines(records))
    return folder


@pytest.fixture
def pope(data_dir: Path) -> Pope:
    return Pope(edition="official", data_dir=data_dir)


def measured(pope: Pope, answers: Mapping[str, str]) -> dict[tuple[str, str], Metric]:
    """Metrics by split and name, from answers by item id."""
    rows = [
        pope.score(item, [Response(item.id, "", answers[item.id])] if item.id in answers else [])
        for item in pope.items()
    ]
    metrics = evaluate(pope.metric_specs(), rows, n_resamples=50)
    return {(metric.split, metric.name): metric for metric in metrics}


def values(metrics: Mapping[tuple[str, str], Metric], split: str) -> list[float | None]:
    names = ("accuracy", "precision", "recall", "f1", "yes_ratio")
    return [metrics[split, name].value for name in names]


# What is asked


@pytest.mark.parametrize("variant", VARIANTS)
def test_items_of_every_variant(data_dir: Path, variant: str) -> None:
    items = Pope(edition="official", data_dir=data_dir, variant=variant).items()
    assert len(items) == 12
    assert [item.id for item in items[3:5]] == ["random/4", "popular/1"]
    assert items[1].question == "Is there a kite in the image?"
    assert (items[1].group, items[1].split, items[1].reference) == (
        "a.jpg",
        "random",
        {"label": "no"},
    )


def test_pictures_lie_where_their_data_sets_put_them(data_dir: Path) -> None:
    def first_picture(variant: str) -> object:
        return Pope("official", data_dir, variant=variant).items()[0].pictures[0]

    for variant in ("coco", "coco_older", "seem_aokvqa"):
        assert first_picture(variant).path == data_dir / "coco/val2014/a.jpg"  # type: ignore[attr-defined]
    assert first_picture("seem_gqa").path == data_dir / "gqa/images/a.jpg"  # type: ignore[attr-defined]


def test_questions_on_a_picture_share_one_object(pope: Pope) -> None:
    assert len({id(item.pictures[0]) for item in pope.items()}) == 2


def test_prompts(pope: Pope, data_dir: Path) -> None:
    item = pope.items()[0]
    request = pope.request(item)
    assert request is not None
    (message,) = request.messages
    assert message.role == "user"
    assert message.pictures == item.pictures
    assert message.text == (
        "Is there a dog in the image?\nAnswer the question using a single word or phrase."
    )
    assert (request.id, request.decoding.max_new_tokens) == ("random/1", 64)
    assert request.decoding.temperature == 0
    assert pope.request(item, [Response("random/1", "", "Yes")]) is None
    bare = Pope("official", data_dir, prompt="bare", max_new_tokens=5).request(item)
    assert bare is not None
    assert bare.messages[0].text == "Is there a dog in the image?"
    assert bare.decoding.max_new_tokens == 5


def test_the_pocket_edition_asks_the_same_way() -> None:
    pocket = Pope(edition="pocket")
    item = pocket.items()[0]
    request = pocket.request(item)
    assert request is not None
    assert request.messages[0].text.startswith(item.question + "\nAnswer the question")
    assert pocket.protocol()["prompt"] == "short_answer"
    assert pocket.protocol() != Pope(edition="pocket", prompt="bare").protocol()


def test_protocol_names_what_a_run_depends_on(pope: Pope, data_dir: Path) -> None:
    protocol = pope.protocol()
    content = (data_dir / "pope" / "coco_pope_popular.json").read_bytes()
    assert protocol["questions_sha256"]["popular"] == hashlib.sha256(content).hexdigest()
    assert protocol["prompt_template"].startswith("{question}\n")
    assert json.loads(json.dumps(protocol)) == protocol
    assert Pope("official", data_dir, prompt="bare").protocol() != protocol


@pytest.mark.parametrize(
    "options",
    [{"variant": "gqa"}, {"prompt": "long"}, {"max_new_tokens": 0}, {"variant": "seem_gqa"}],
)
def test_an_option_that_does_not_exist_is_refused(options: dict[str, Any]) -> None:
    """The last one exists, but not in the pocket edition, which is the default."""
    with pytest.raises(PlumblineError, match=r"pope\."):
        Pope(**options)


# Question files


def test_missing_files_come_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"coco_pope_random\.json") as caught:
        Pope("official", tmp_path).items()
    assert caught.value.remedy == f"python -m harness.fetch pope --data-dir {tmp_path}"
    with pytest.raises(MissingDataError) as caught:
        Pope("official").items()
    assert caught.value.remedy == "python -m harness.fetch pope"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"question_id": 1}, "question_id 1 as in line 1"),
        ({"question_id": "2"}, "question_id is '2', not an integer"),
        ({"question_id": True}, "question_id is True, not an integer"),
        ({"question_id": None}, "question_id is None, not an integer"),
        ({"image": "../b.jpg"}, "image is '../b.jpg', not a file name"),
        ({"image": ""}, "image is '', not a file name"),
        ({"text": " "}, "text is ' ', not a question"),
        ({"label": "No"}, "label is 'No', neither 'yes' nor 'no'"),
        ({"label": ["no"]}, r"label is \['no'\], neither"),
    ],
)
def test_a_damaged_question_file_is_not_scored_against(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    records = questions("random")
    records[1] |= change
    path = tmp_path / "pope" / "coco_pope_random.json"
    path.parent.mkdir()
    path.write_text(json_lines(records))
    with pytest.raises(
        BadRecordError, match=rf"coco_pope_random\.json, line 2: {problem}"
    ) as error:
        Pope("official", tmp_path).items()
    assert "python -m harness.fetch pope" in str(error.value)


# The official parser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No.", "no"),
        ("no.", "no"),
        ("No, there is no X.", "no"),
        ("There is not a dog", "no"),
        ("Yes, but it is not clearly visible", "no"),
        ("not sure", "no"),
        ("No\nThere is no dog", "no"),
        ("n,o", "no"),
        ("", "yes"),
        ("NO", "yes"),
        ("NOT", "yes"),
        ("None", "yes"),
        ("Nope", "yes"),
        ("I cannot see it", "yes"),
        ("There isn't one", "yes"),
        ("No!", "yes"),
        ("No;", "yes"),
        ('"No"', "yes"),
        ("Yes. No, wait.", "yes"),
        ("No\n", "yes"),
        ("No\t", "yes"),
        ("No\nThere is a cat", "yes"),
        ("No,there is none.", "yes"),
        ("Dr. No", "yes"),
        ("e.g. no X", "yes"),
        ("...No", "yes"),
        ("No\ud800", "yes"),
    ],
)
def test_official_parser_on_the_edge_cases_of_the_protocol(text: str, expected: str) -> None:
    assert official_answer(text) == expected


@given(st.text(), st.text())
def test_official_parser_ignores_what_follows_the_first_full_stop(text: str, rest: str) -> None:
    sentence = text.split(".")[0]
    assert official_answer(f"{sentence}.{rest}") == official_answer(sentence)


@given(st.text(), st.sampled_from(["No", "no", "not"]), st.text())
def test_one_of_three_words_between_spaces_means_no(before: str, word: str, after: str) -> None:
    before = before.replace(".", "")
    assert official_answer(f"{before} {word} {after}") == "no"


@given(st.text(alphabet="No t,.\n"))
def test_official_parser_ignores_commas(text: str) -> None:
    assert official_answer(text) == official_answer(text.replace(",", ""))


# Scores, by hand

ANSWERS = {
    # tp, tn, tp, tn
    "random/1": "Yes",
    "random/2": "No.",
    "random/3": "yes, a train",
    "random/4": "no",
    # tp, fp, fn, tn
    "popular/1": "Yes",
    "popular/2": "Yes",
    "popular/3": "No, there is none.",
    "popular/4": "There is no car.",
    # tp, fp (officially: an empty answer), tp, fp (officially: capitals)
    "adversarial/1": "Yes.",
    "adversarial/2": "",
    "adversarial/3": "A train",
    "adversarial/4": "NO",
}


def test_official_metrics_by_hand(pope: Pope) -> None:
    metrics = measured(pope, ANSWERS)
    assert values(metrics, "random") == [1.0, 1.0, 1.0, 1.0, 0.5]
    assert values(metrics, "popular") == [0.5, 0.5, 0.5, 0.5, 0.5]
    assert values(metrics, "adversarial") == [0.5, 0.5, 1.0, 2 / 3, 1.0]
    assert metrics["", "mean_f1"].value == (1.0 + 0.5 + 2 / 3) / 3
    assert metrics["", "mean_accuracy"].value == (1.0 + 0.5 + 0.5) / 3
    # pooled: tp 5, fp 3, tn 3, fn 1
    p, r = 5 / 8, 5 / 6
    assert metrics["", "pooled_f1"].value == 2 * p * r / (p + r)
    assert metrics["", "pooled_accuracy"].value == 8 / 12
    assert all(metric.complete for metric in metrics.values())


def test_lenient_metrics_by_hand_stand_apart(pope: Pope) -> None:
    """Adversarial: "" and "A train" have no verdict and count as wrong (fp, fn), "NO" is a tn."""
    metrics = measured(pope, ANSWERS)
    lenient = ("lenient_accuracy", "lenient_f1", "lenient_unparsed")
    assert [metrics["adversarial", name].value for name in lenient] == [0.5, 0.5, 0.5]
    assert [metrics["popular", name].value for name in lenient] == [0.5, 0.5, 0.0]
    assert metrics["", "lenient_mean_unparsed"].value == 0.5 / 3
    assert {name for _, name in metrics if not metrics[_, name].official} == {
        *lenient,
        *(name.replace("lenient_", "lenient_mean_") for name in lenient),
    }


def test_headlines_and_directions(pope: Pope) -> None:
    specs = pope.metric_specs()
    assert [(spec.split, spec.name) for spec in specs if spec.headline] == [
        ("adversarial", "f1"),
        ("", "mean_f1"),
        ("", "mean_accuracy"),
    ]
    assert {spec.name for spec in specs if spec.direction == "neither"} == {"yes_ratio"}
    assert len({(spec.split, spec.name) for spec in specs}) == len(specs)


def test_without_a_yes_precision_does_not_exist(pope: Pope) -> None:
    """The official script stops; what can be computed is given."""
    metrics = measured(pope, {f"random/{number}": "No" for number in range(1, 5)})
    assert values(metrics, "random") == [0.5, None, 0.0, None, 0.0]
    note = metrics["random", "f1"].note
    assert note is not None
    assert "ZeroDivisionError" in note
    assert metrics["", "mean_f1"].value is None
    assert values(metrics, "popular") == [None] * 5


def test_always_wrong_has_no_f1(pope: Pope) -> None:
    wrong = {f"random/{n}": "No" if label == "yes" else "Yes" for n, label in enumerate(LABELS, 1)}
    assert values(measured(pope, wrong), "random") == [0.0, 0.0, 0.0, None, 0.5]


def test_only_answered_questions_are_scored_and_coverage_shows_it(pope: Pope) -> None:
    metrics = measured(pope, {"random/1": "Yes", "random/2": "Yes"})
    assert values(metrics, "random") == [0.5, 0.5, 1.0, 2 / 3, 1.0]
    assert (metrics["random", "f1"].n_scored, metrics["random", "f1"].n_asked) == (2, 4)
    assert (metrics["", "mean_f1"].n_scored, metrics["", "mean_f1"].n_asked) == (2, 12)


def test_a_failed_generation_is_a_status_and_not_a_yes(pope: Pope) -> None:
    item = pope.items()[0]
    row = pope.score(item, [Response.failed(item.id, "", "out of memory")])
    assert (row.status, row.values) == (ScoreStatus.GENERATION_ERROR, {})
    assert row.details == {"reason": "out of memory"}
    assert pope.score(item, []).status is ScoreStatus.GENERATION_ERROR


def test_a_row_shows_what_was_read(pope: Pope) -> None:
    row = pope.score(pope.items()[0], [Response("random/1", "", "")])
    assert row.details == {"label": "yes", "prediction": "yes", "lenient": None}


def test_ten_megabytes_of_answer(pope: Pope) -> None:
    row = pope.score(pope.items()[0], [Response("random/1", "", "no " * 3_500_000)])
    assert row.details["prediction"] == "no"


# Answer files out and in again


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([f"{split}/{number}" for split in SPLITS for number in range(1, 5)]),
        st.text(st.characters(exclude_categories=())),
    )
)
def test_what_is_written_is_read_back(
    pope: Pope, tmp_path_factory: pytest.TempPathFactory, answers: dict[str, str]
) -> None:
    """Any characters, lone surrogates among them."""
    responses = {item_id: Response(item_id, "", text) for item_id, text in answers.items()}
    folder = tmp_path_factory.mktemp("answers")
    paths = []
    for name, text in pope.official_files(responses).items():
        paths.append(folder / name)
        paths[-1].write_text(text, encoding="utf-8")
    assert {r.request_id: r for r in pope.read_responses(paths)} == responses


def test_official_files_leave_failures_out(pope: Pope) -> None:
    responses = {
        "random/3": Response("random/3", "", "Yes"),
        "random/1": Response("random/1", "", "\ud800"),
        "popular/1": Response.failed("popular/1", "", "out of memory"),
    }
    (name, text), *others = pope.official_files(responses).items()
    assert (name, others) == ("pope_random.jsonl", [])
    assert [json.loads(line) for line in text.splitlines()] == [
        {"question_id": 1, "question": "Is there a dog in the image?", "answer": "\ud800"},
        {"question_id": 3, "question": "Is there a train in the image?", "answer": "Yes"},
    ]
