"""Pocket AMBER: the official shape, exact truth, and scores that say what a caption did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from benchmarks.amber import Amber
from benchmarks.base import Item, Response, ScoreStatus
from benchmarks.pocket import amber as pocket
from benchmarks.pocket import language as say
from benchmarks.pocket.world import USUAL, Scene
from harness.stats import evaluate


@pytest.fixture(scope="module")
def items() -> Sequence[Item]:
    return Amber().items()


def scene_of(item: Item) -> Scene:
    scene: Scene = item.pictures[0].scene  # type: ignore[attr-defined]
    return scene


def truth(item: Item) -> bool:
    """The answer to a yes/no question, read off the scene by the question's own words."""
    scene, words = scene_of(item), item.question.removesuffix(" in this image?").split()
    if item.split == "existence":
        return words[-1] in scene.kinds
    if item.split == "attribute-state":
        thing = scene.only(words[2])
        assert thing
        return thing.colour == words[-1]
    if item.split == "attribute-number":
        number = say.NUMBERS.index(words[2].capitalize())
        kind = next(kind for kind in scene.kinds if words[3] in (kind, say.plural(kind)))
        return len(scene.of_kind(kind)) == number
    relation = " ".join(words[3:-2])
    first, second = scene.only(words[2]), scene.only(words[-1])
    assert first
    assert second
    return say.relation_holds(first, second, relation)


def test_labels_are_the_ground_truth(items: Sequence[Item]) -> None:
    for item in items:
        if item.split != "generative":
            assert item.reference["label"] == ("yes" if truth(item) else "no"), item.question


def test_parts_and_balance_are_like_the_official_ones(items: Sequence[Item]) -> None:
    counts = Counter((item.split, item.reference.get("label", "")) for item in items)
    n_relations = counts["relation", "yes"] + counts["relation", "no"]
    assert counts["relation", "yes"] / n_relations == pytest.approx(975 / 1664, abs=0.01)
    assert counts["generative", ""] == 200
    assert counts["attribute-state", "yes"] == counts["attribute-state", "no"] == 200
    assert counts["attribute-number", "yes"] == counts["attribute-number", "no"] == 100
    assert counts["existence", "yes"] == 0
    assert len(items) < 2000
    assert [item.id for item in items] == [str(number) for number in range(1, len(items) + 1)]
    assert len({(item.group, item.question) for item in items}) == len(items)


def test_all_scenes_are_for_evaluation(items: Sequence[Item]) -> None:
    assert all(scene_of(item).part == "evaluation" for item in items)
    assert len({item.group for item in items}) == 200


def test_every_imagined_object_is_usual_absent_and_asked_for(items: Sequence[Item]) -> None:
    asked = {(item.group, item.question) for item in items if item.split == "existence"}
    imagined = set()
    for item in items:
        if item.split == "generative":
            scene = scene_of(item)
            assert set(item.reference["truth"]) == set(scene.kinds)
            assert set(item.reference["hallu"]) <= set(USUAL[scene.place]) - set(scene.kinds)
            for kind in item.reference["hallu"]:
                imagined.add((item.group, f"Is there {say.a(kind)} in this image?"))
    assert imagined == asked


def test_items_are_the_same_on_every_call_and_in_every_part(items: Sequence[Item]) -> None:
    assert pocket.items() == list(items)
    relation = Amber(part="relation").items()
    assert list(relation) == [item for item in items if item.split == "relation"]


def test_nouns_are_the_words_of_the_world_in_the_singular() -> None:
    text = "Two MICE, a kitten and a Cat: cats! Houses by a lake; a catalogue."
    assert pocket.nouns(text) == ["mouse", "kitten", "cat", "cat", "house"]


def caption_row(item: Item, text: str) -> dict[str, float]:
    row = Amber().score(item, [Response(item.id, "", text)])
    assert row.status is ScoreStatus.SCORED
    return dict(row.values)


def test_a_true_caption_covers_everything_and_imagines_nothing(items: Sequence[Item]) -> None:
    for item in items[:200]:
        scene = scene_of(item)
        values = caption_row(item, say.brief_caption(scene, scene.things))
        assert values["truth_covered"] == values["truth_total"]
        assert values["hallucinated_mentions"] == values["hallu_covered"] == 0
        assert values["mentions"] == len(scene.things)


def test_a_second_name_stands_for_its_object(items: Sequence[Item]) -> None:
    item = next(item for item in items if "cup" in item.reference["truth"][:1])
    values = caption_row(item, "Two mugs and a tower of mugs.")
    assert values["truth_covered"] == 1
    assert values["mentions"] == 3
    expected = 0 if "tower" in item.reference["truth"] else 1
    assert values["hallucinated_mentions"] == expected


def test_an_imagined_object_is_counted(items: Sequence[Item]) -> None:
    item = items[0]
    (imagined, *_) = item.reference["hallu"]
    values = caption_row(item, f"There is {say.a(imagined)}.")
    assert (values["hallucinated_mentions"], values["hallu_covered"]) == (1, 1)
    assert values["no_hallucination"] == 0


def test_perfect_answers_give_perfect_figures(items: Sequence[Item]) -> None:
    amber = Amber()
    rows = []
    for item in items:
        text = "Yes" if item.reference.get("label") == "yes" else "No"
        if item.split == "generative":
            text = say.detailed_caption(scene_of(item), scene_of(item).things)
        rows.append(amber.score(item, [Response(item.id, "", text)]))
    metrics = evaluate(amber.metric_specs(), rows, n_resamples=20)
    headlines = {metric.name: metric.value for metric in metrics if metric.headline}
    assert headlines == {
        "CHAIR": 0.0,
        "Cover": 100.0,
        "Hal": 0.0,
        "Cog": 0.0,
        "f1": 100.0,
        "amber_score": 100.0,
    }
    assert {metric.split for metric in metrics} == {
        "",
        "generative",
        "existence",
        "attribute",
        "attribute-state",
        "attribute-number",
        "relation",
    }
    assert all(metric.value is not None for metric in metrics)


def test_protocol_does_not_need_files() -> None:
    protocol = Amber().protocol()
    assert protocol["similarity"].startswith("exact")
    assert set(protocol["data_sha256"]) == {"items"}
