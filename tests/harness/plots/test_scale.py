"""Scale plots: what stands where, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.base import BadRecordError, PlumblineError
from harness.plots.metrics import Wanted
from harness.plots.scale import draw_scale, short_number
from harness.plots.style import Layout
from harness.plots.training import trained_of, with_table
from harness.runs import Run, open_runs
from tests.harness.plots.made_runs import Made, make_run, metric, origin

F1 = [Wanted("pope", "f1", "adversarial")]


def run(
    path: Path, value: float | None, *known: object, n_scored: int = 20, **settings: object
) -> Path:
    made = Made([metric("f1", value, "adversarial", n_scored=n_scored)])
    given = origin(*known, **settings) if known else None  # type: ignore[arg-type]
    return make_run(path, {"pope": made}, origin=given)


def opened(*paths: Path) -> Sequence[Run]:
    return open_runs(paths)


def test_lines_are_means_over_seeds_and_bands_their_range(tmp_path: Path) -> None:
    runs = opened(
        run(tmp_path / "a", 0.5, "dpo", 100, 1),
        run(tmp_path / "b", 0.7, "dpo", 100, 2),
        run(tmp_path / "c", 0.9, "dpo", 400, 1),
        run(tmp_path / "d", 0.4, "mdpo", 100, 1),
    )
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")
    (axes,) = drawing.figure.axes
    dpo, mdpo = axes.lines
    assert dpo.get_xdata().tolist() == [100, 400]  # type: ignore[union-attr]
    assert dpo.get_ydata() == pytest.approx([60, 90])
    assert mdpo.get_ydata() == pytest.approx([40])
    whiskers, band = axes.collections[:2]
    assert whiskers.get_segments()[0][:, 1] == pytest.approx([50, 70])  # type: ignore[attr-defined]
    assert whiskers.get_segments()[1][:, 1] == pytest.approx([85, 95])  # type: ignore[attr-defined]
    (corners,) = [path.vertices for path in band.get_paths()]
    assert {float(x) for x, _ in corners} == {100}  # type: ignore[union-attr]
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["100", "400"]
    assert axes.get_ylabel() == "f1 (adversarial) (%) ↑"
    assert "least to greatest of the seeds" in drawing.notes[0]
    assert "95 % interval" in drawing.notes[1]
    assert [(r["line"], r["pairs"], r["seed"], r["value"]) for r in drawing.rows][:2] == [
        ("dpo", 100, "1", 50), ("dpo", 100, "2", 70)
    ]  # fmt: skip


def test_a_band_goes_over_sizes_with_several_seeds(tmp_path: Path) -> None:
    values = {(100, 1): 0.5, (100, 2): 0.7, (200, 1): 0.6, (200, 2): 0.9, (400, 1): 0.95}
    runs = opened(
        *[run(tmp_path / f"r{n}{seed}", v, "dpo", n, seed) for (n, seed), v in values.items()]
    )
    (axes,) = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs").figure.axes
    (path,) = axes.collections[1].get_paths()
    corners = {(float(x), round(float(y), 6)) for x, y in path.vertices}  # type: ignore[union-attr]
    assert corners == {(100, 50), (100, 70), (200, 60), (200, 90)}


def test_the_base_checkpoint_is_found_by_its_weights(tmp_path: Path) -> None:
    base = make_run(
        tmp_path / "base", {"pope": Made([metric("f1", 0.3, "adversarial")])}, weights="b" * 64
    )
    runs = opened(run(tmp_path / "a", 0.5, "dpo", 100), run(tmp_path / "b", 0.6, "dpo", 200), base)
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "steps")
    (axes,) = drawing.figure.axes
    assert axes.lines[-1].get_ydata() == pytest.approx([30, 30])
    assert drawing.rows[-1]["line"] == "base checkpoint"
    assert axes.get_xscale() == "linear"


def test_what_has_no_value_is_a_gap_and_what_is_incomplete_is_marked(tmp_path: Path) -> None:
    runs = opened(
        run(tmp_path / "a", 0.5, "dpo", 100, n_scored=19),
        run(tmp_path / "b", None, "dpo", 200),
        run(tmp_path / "c", 0.7, "dpo", 400),
    )
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")
    (axes,) = drawing.figure.axes
    assert str(axes.lines[0].get_ydata()[1]) == "nan"  # type: ignore[index]
    assert [text.get_text() for text in axes.texts] == ["*"]
    assert {"gap: no value", "* not every item that was asked has a score"} <= {*drawing.notes}


def test_runs_that_would_be_taken_for_seeds_are_refused_until_told_apart(tmp_path: Path) -> None:
    runs = opened(
        run(tmp_path / "a", 0.5, "dpo", 100, learning_rate=1e-6),
        run(tmp_path / "b", 0.6, "dpo", 100, learning_rate=2e-6),
    )
    trained = {r.name: trained_of(r) for r in runs}
    with pytest.raises(PlumblineError, match="--by method,learning_rate"):
        draw_scale(runs, trained, F1, "pairs")
    told = Layout(labels={"dpo, learning_rate 1e-06": "slow"})
    drawing = draw_scale(runs, trained, F1, "pairs", by=["method", "learning_rate"], layout=told)
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend == ["slow", "dpo, learning_rate 2e-06"]
    with pytest.raises(PlumblineError, match="--by learning: no such setting; did you mean"):
        draw_scale(runs, trained, F1, "pairs", by=["learning"])


def test_runs_of_a_line_that_differ_in_more_are_told(tmp_path: Path) -> None:
    runs = opened(
        run(tmp_path / "a", 0.5, "dpo", 100, beta=0.1),
        run(tmp_path / "b", 0.6, "dpo", 200, beta=0.2),
    )
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")
    assert "--by method,beta" in drawing.hints[0]


def test_a_run_without_record_is_named_with_what_to_do(tmp_path: Path) -> None:
    runs = opened(run(tmp_path / "a", 0.5, "dpo", 100), run(tmp_path / "b", 0.6))
    with pytest.raises(
        PlumblineError, match=r"b: nothing says its preference pairs.*--table.*--base"
    ):
        draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")


def test_a_table_tells_what_no_record_does(tmp_path: Path) -> None:
    runs = opened(run(tmp_path / "a", 0.5, "dpo", 100), run(tmp_path / "b", 0.6))
    table = tmp_path / "t.csv"
    table.write_text('run,method,pairs,seed,beta\nb,dpo,"2,000",3,0.5\nother,x,1,1,\n')
    known = {r.name: trained_of(r) for r in runs}
    told = with_table(known, table, runs)
    assert told["a"] == known["a"]
    assert told["b"].sizes == {"pairs": 2000}
    assert told["b"].recipe == {"method": "dpo", "seed": "3", "beta": "0.5"}
    table.write_text("run,pairs\nb,many\n")
    with pytest.raises(BadRecordError, match="line 2: pairs is 'many'"):
        with_table(known, table, runs)
    table.write_text("name,pairs\nb,1\n")
    with pytest.raises(BadRecordError, match="no column run"):
        with_table(known, table, runs)
    table.write_text("run,pairs\nc,1\n")
    with pytest.raises(BadRecordError, match="none of its rows"):
        with_table(known, table, runs)


def test_many_lines_stand_beside_each_other(tmp_path: Path) -> None:
    runs = opened(
        *[run(tmp_path / f"{m}{n}", 0.5, f"m{m}", n) for m in range(6) for n in (100, 200, 800)]
    )
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")
    (axes,) = drawing.figure.axes
    places = [line.get_xdata()[0] for line in axes.lines]  # type: ignore[index]
    assert len(set(places)) == 6
    assert 80 < min(places) < 100 < max(places) < 125


def test_two_editions_do_not_stand_in_one_figure(tmp_path: Path) -> None:
    made = {"pope": Made([metric("f1", 0.5, "adversarial")])}
    runs = opened(
        make_run(tmp_path / "a", made, origin=origin("dpo", 100)),
        make_run(tmp_path / "b", made, origin=origin("dpo", 200), edition="pocket"),
    )
    with pytest.raises(PlumblineError, match="two editions"):
        draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")


def test_another_protocol_is_a_remark(tmp_path: Path) -> None:
    paths = [
        make_run(
            tmp_path / name,
            {"pope": Made([metric("f1", 0.5, "adversarial")], {"prompt": name}, [name])},
            origin=origin("dpo", n),
        )
        for name, n in (("a", 100), ("b", 200))
    ]
    runs = opened(*paths)
    drawing = draw_scale(runs, {r.name: trained_of(r) for r in runs}, F1, "pairs")
    assert "POPE: b measured in another way than a (prompt, judge)" in drawing.notes


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (640, "640"),
        (2560, "2,560"),
        (10_000, "10k"),
        (1_611_264, "1.61M"),
        (7e9, "7B"),
        (2.5, "2.5"),
    ],
)
def test_sizes_are_short(number: float, text: str) -> None:
    assert short_number(number) == text


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("pop.f1", "no run has 'pop'; did you mean pope"),
        ("pope.f2", "no metric 'f2'"),
        ("pope", "say which metric"),
        ("pope.f1", "name the split: pope.f1.random, pope.f1.adversarial"),
        ("pope.f1.easy", "name the split"),
    ],
)
def test_unknown_metrics_are_named_with_the_known(
    tmp_path: Path, wanted: str, message: str
) -> None:
    made = Made([metric("f1", 0.5, "random"), metric("f1", 0.5, "adversarial")])
    runs = opened(make_run(tmp_path / "a", {"pope": made}, origin=origin("dpo", 100)))
    with pytest.raises(PlumblineError, match=message):
        draw_scale(runs, {r.name: trained_of(r) for r in runs}, [Wanted.read(wanted)], "pairs")
