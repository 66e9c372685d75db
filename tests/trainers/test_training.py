"""Training tiny models: the first loss, where the reference comes from, what is written."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from benchmarks.base import BadRecordError, PlumblineError
from harness.store import MixedRunError
from tests.trainers.tiny_pairs import Noise, encoder, pair
from trainers import reference
from trainers.collate import answer_of
from trainers.layouts import facts_of, lay_out
from trainers.output import last_state
from trainers.pairs import Spans
from trainers.preferences import Preferences
from trainers.reference import LiveReference
from trainers.scoring import answer_logits
from trainers.settings import resolve
from trainers.start import StartError
from trainers.trainer import PreferenceTrainer
from trainers.training import Task, run_training

LN2 = math.log(2)
BASIC = (
    *("per_device_train_batch_size=2", "num_train_epochs=2", "learning_rate=1e-3"),
    *("warmup_steps=0", "lr_scheduler_type=constant", "max_length=200"),
)


@pytest.fixture
def train(tiny_folder, tmp_path):
    """Train a tiny checkpoint in memory's pairs; gives training.json."""

    def run(method, *changes, model="llava", pairs=None, out="out", refresh=None):
        given = tuple(pairs or (pair(number) for number in range(6)))
        task = Task(
            settings=resolve(method, None, [*BASIC, *changes]),
            ckpt=str(tiny_folder(model)),
            preferences=Preferences(given, (), "plain"),
            data="memory",
            out=tmp_path / out,
            cache_dir=tmp_path / "cache",
            refresh=refresh,
        )
        run_training(task, Console(quiet=True))
        return json.loads((task.out / "training.json").read_text())

    return run


def weights(folder):
    return load_file(next(folder.glob("*.safetensors")))


def assert_same(one, other, atol=1e-6):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=atol, rtol=1e-4)


@pytest.mark.parametrize(
    ("method", "theory"),
    [
        ("dpo", LN2),
        ("mdpo", 3 * LN2),
        ("rdpo", 2 * LN2),
        ("rdpo_released", 2 * LN2),
        ("ddpo", LN2),
        ("ld_dpo", LN2),
        ("chip", 3 * LN2),
        ("chip_released", LN2),
    ],
)
@pytest.mark.parametrize("lora", [0, 2])
def test_the_first_loss_is_what_theory_says_and_training_lowers_it(train, method, theory, lora):
    found = train(method, f"lora_r={lora}", "lora_dropout=0.1")
    assert found["reference"]["first_loss"] == pytest.approx(theory, abs=1e-3)
    assert found["curves"]["loss"][0] == pytest.approx(theory, abs=1e-3)
    assert found["curves"]["loss"][-1] < theory - 0.01
    assert found["finished"]


def test_the_first_loss_of_mpo_and_its_running_shift(train, tmp_path):
    found = train("mpo", "keep_checkpoints=true")
    told = found["curves"]
    assert told["loss"][0] == pytest.approx(1.2 * LN2 + told["terms/nll"][0], abs=1e-3)
    state = last_state(tmp_path / "out") / "objective.json"
    shift = json.loads(state.read_text())
    means = [
        (a + b) / 2 for a, b in zip(told["rewards/chosen"], told["rewards/rejected"], strict=True)
    ]
    assert shift["n_steps"] == 6
    assert shift["mean"] == pytest.approx(np.mean(means), abs=1e-5)


def test_ipo_hinge_and_supervision_start_where_they_should(train):
    assert train("dpo", "loss=ipo")["reference"]["first_loss"] == pytest.approx(25, abs=0.03)
    hinge = train("dpo", "loss=hinge", out="hinge")
    assert hinge["reference"]["first_loss"] == pytest.approx(1, abs=1e-3)
    found = train("sft", out="sft")
    assert found["reference"]["source"] is None
    assert found["curves"]["loss"][-1] < found["curves"]["loss"][0]
    assert not any(name.startswith("rewards") for name in found["curves"])


def test_two_references(train, tmp_path):
    with pytest.raises(PlumblineError, match="extra_reference=PATH_OR_HUB_ID"):
        train("mrpo", out="without")
    train("sft", out="extra")
    found = train("mrpo", f"extra_reference={tmp_path / 'extra'}")
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert np.isfinite(found["curves"]["loss"]).all()


@pytest.mark.parametrize("method", ["dpo", "mdpo", "ddpo"])
def test_a_cached_reference_trains_as_one_that_is_asked_in_each_step(train, tmp_path, method):
    train(method, "reference=cache", out="cached")
    train(method, "reference=copy", out="asked")
    assert_same(weights(tmp_path / "cached"), weights(tmp_path / "asked"))


def test_an_adapter_switched_off_is_the_reference_even_if_the_projector_learns(train, tmp_path):
    changes = ("lora_r=2", "train=language_model,projector")
    train("dpo", *changes, "reference=adapter", out="switched")
    train("dpo", *changes, "reference=cache", out="cached")
    assert_same(weights(tmp_path / "switched"), weights(tmp_path / "cached"))
    assert any("multi_modal_projector" in name for name in weights(tmp_path / "cached"))


def test_what_is_not_the_reference_is_refused(train):
    with pytest.raises(PlumblineError, match="reference=adapter: parameters outside"):
        train("dpo", "reference=adapter")
    with pytest.raises(PlumblineError, match="reference=cache: the method needs"):
        train("chip", "reference=cache", out="chip")


@pytest.mark.parametrize("method", ["dpo", "mdpo"])
def test_both_layouts_train_alike(train, tmp_path, method):
    assert train(method, out="shared")["layout"]["layout"] == "shared_prefix"
    assert train(method, "layout=concat", out="plain")["layout"]["layout"] == "concat"
    assert_same(weights(tmp_path / "shared"), weights(tmp_path / "plain"), atol=1e-5)


def test_a_layout_that_is_asked_for_in_vain_is_an_error(train):
    with pytest.raises(PlumblineError, match="layout=shared_prefix: log-probabilities differ"):
        train("dpo", "layout=shared_prefix", model="paligemma")


def test_accumulated_gradients_are_those_of_a_larger_batch(train, tmp_path):
    train("dpo", "per_device_train_batch_size=3", out="large")
    changes = ("per_device_train_batch_size=1", "gradient_accumulation_steps=3")
    train("dpo", *changes, out="accumulated")
    assert_same(weights(tmp_path / "large"), weights(tmp_path / "accumulated"), atol=1e-5)


def test_the_same_training_twice_gives_the_same_adapter(train, tmp_path):
    train("dpo", "lora_r=2", out="one")
    train("dpo", "lora_r=2", out="two")
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "two"), atol=0)


def test_recomputed_activations_train_alike(train, tmp_path):
    train("dpo", "lora_r=2", out="kept")
    train("dpo", "lora_r=2", "gradient_checkpointing=true", out="recomputed")
    assert_same(weights(tmp_path / "kept"), weights(tmp_path / "recomputed"))


def test_the_cache_is_used_again_by_other_objectives_and_rates(train, monkeypatch):
    computed = []

    def counting(*arguments, **named):
        computed.append(fill(*arguments, **named))
        return computed[-1]

    fill = reference.fill_cache
    monkeypatch.setattr("trainers.training.fill_cache", counting)
    train("dpo")
    train("dpo", "learning_rate=1e-4", "seed=3", out="other")
    train("mdpo", out="mdpo")
    assert computed == [12, 0, 6]


def test_a_cache_that_was_being_filled_goes_on(train, monkeypatch):
    monkeypatch.setattr(reference, "FLUSH_EVERY_S", -1.0)
    real, left = reference.to_device, [2]

    def killed(batch, device):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(batch, device)

    monkeypatch.setattr(reference, "to_device", killed)
    with pytest.raises(KeyboardInterrupt):
        train("dpo", "per_device_eval_batch_size=2")
    monkeypatch.setattr(reference, "to_device", real)
    computed = []
    fill = reference.fill_cache
    monkeypatch.setattr(
        "trainers.training.fill_cache", lambda *a, **n: computed.append(fill(*a, **n))
    )
    train("dpo")
    assert computed == [4]


def sabotage(folder, change):
    for path in folder.glob("*/*.parquet"):
        table = pq.read_table(path)
        values = [change(np.array(row)) for row in table["values"].to_pylist()]
        changed = pa.array(values, pa.list_(pa.float32()))
        pq.write_table(pa.table({"key": table["key"], "values": changed}), path)


@pytest.mark.parametrize(
    "change",
    [lambda values: values - 0.01 / len(values) - 0.02, lambda values: values * 1.01],
    ids=["shifted", "scaled"],
)
def test_a_sabotaged_reference_is_refused(train, tmp_path, change):
    train("dpo")
    sabotage(tmp_path / "cache", change)
    with pytest.raises(
        StartError, match=r"must be the same\. The reference log-probabilities are of"
    ):
        train("dpo", out="sabotaged")
    assert not (tmp_path / "sabotaged" / "training.json").exists()


def test_dropout_that_stays_does_not_disturb_the_check(train):
    assert train("dpo", "lora_r=2", "lora_dropout=0.5", "dropout=true")["finished"]


def test_a_reference_has_no_dropout_even_where_the_policy_keeps_it(tiny):
    model = tiny("llama").model
    encode = encoder(tiny("llama")).encode
    answers = [answer_of(encode(pair(0, pictures=False)), "chosen")]
    batch = lay_out(answers, "concat", facts_of(model, 0))
    expected = LiveReference("copy", model).logits(model, batch)
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    model.train()
    assert not answer_logits(model, batch).equal(expected)
    assert LiveReference("adapter", model).logits(model, batch).equal(expected)
    assert model.training


def test_what_learns_in_an_adapter_is_exact_where_the_base_is_not(train, tmp_path):
    half = ("dtype=bfloat16", "bf16=true", "use_cpu=true")
    found = train("dpo", "lora_r=2", "train=language_model,projector", *half)
    assert {value.dtype for value in weights(tmp_path / "out").values()} == {torch.float32}
    assert found["reference"]["first_loss"] == pytest.approx(LN2, abs=0.05)


def test_crops_that_are_drawn_anew_are_not_cached_and_differ(train):
    found = train("mdpo", "corruption=crop_released")
    assert found["reference"]["source"] == "copy"
    assert abs(found["curves"]["loss"][0] - 3 * LN2) > 1e-4
    assert found["curves"]["terms/dpo"][0] == pytest.approx(LN2, abs=1e-4)


@pytest.mark.parametrize("lora", [0, 2])
def test_the_projector_has_its_own_learning_rate(train, tiny_folder, tmp_path, lora):
    changes = (f"lora_r={lora}", "train=language_model,projector", "optim=sgd", "merge=true")
    train("dpo", *changes, "projector_learning_rate=1e-12")
    before, after = weights(tiny_folder("llava")), weights(tmp_path / "out")
    moved = {name for name, value in after.items() if (value - before[name]).abs().max() > 1e-9}
    assert moved
    assert all("language_model" in name for name in moved)


def test_long_and_unusable_pairs_are_left_out_by_name(train, tmp_path):
    usable = [pair(number) for number in range(4)]
    long = pair(4, chosen="very " * 60, id="long")
    single = pair(5, rejected=None, id="single")
    blind = pair(6, pictures=False, id="blind")
    found = train("mdpo", pairs=[*usable, long, single, blind])
    assert found["data"]["n_pairs"] == 4
    reasons = {each["id"]: each["reason"] for each in found["data"]["dropped"]}
    assert reasons == {
        "long": "longer than 200 tokens",
        "single": "there is no rejected answer",
        "blind": "there is no picture to reject",
    }


def test_an_unreadable_pair_stops_the_training_unless_it_may_be_skipped(train):
    pairs = [pair(0), pair(1), pair(2, chosen=" ", id="bad")]
    with pytest.raises(BadRecordError, match="pair bad: an answer is empty"):
        train("dpo", pairs=pairs)
    found = train("dpo", "skip_unreadable=true", pairs=pairs, out="skipped")
    assert [each["id"] for each in found["data"]["dropped"]] == ["bad"]


@pytest.mark.parametrize("model", ["llava", "llava_next", "qwen2_5_vl", "idefics3", "gemma3"])
def test_text_and_picture_pairs_train_together(train, model):
    pairs = [pair(number, pictures=number % 2 == 0) for number in range(6)]
    assert train("dpo", pairs=pairs, model=model)["curves"]["loss"][-1] < LN2


@pytest.mark.parametrize("model", ["llama", "llava_next", "qwen2_5_vl", "paligemma", "internvl"])
def test_other_architectures_train(train, model):
    pairs = [pair(number, pictures=model != "llama") for number in range(4)]
    found = train("dpo" if model == "llama" else "mdpo", "lora_r=2", model=model, pairs=pairs)
    assert found["curves"]["loss"][-1] < found["curves"]["loss"][0]


def test_pairs_can_be_made_anew_for_each_epoch(train):
    asked = []

    def refresh(epoch, model):
        asked.append((epoch, model.training))
        return [replace(pair(10 * epoch + number)) for number in range(6)]

    found = train("dpo", refresh=refresh)
    assert [epoch for epoch, _ in asked] == [0, 1]
    assert found["reference"]["source"] == "copy"
    assert found["data"]["n_pairs"] == 6
    with pytest.raises(PlumblineError, match="epoch 0 has 1 pairs and the first had 6"):
        train("dpo", refresh=lambda epoch, model: [pair(0)], out="fewer")


def test_others_stand_in_for_pairs_that_were_made_too_long(train):
    def refresh(epoch, model):
        long = {} if epoch == 0 else {"chosen": "very " * 60}
        return [pair(10 * epoch), *(pair(10 * epoch + number, **long) for number in range(1, 6))]

    pairs = [*(pair(number) for number in range(5)), pair(5, rejected="very " * 60)]
    found = train("dpo", "per_device_train_batch_size=6", refresh=refresh, pairs=pairs)
    assert [each["id"] for each in found["data"]["dropped"]] == ["pair-5"]
    assert found["curves"]["step"] == [1, 2]
    # The second epoch has one pair, six times.
    chosen = found["curves"]["lengths/chosen"]
    assert chosen[1] == len(pair(10).chosen) + 1 != chosen[0]


def test_a_finished_training_is_left_alone_and_another_one_refused(train, tmp_path):
    first = train("dpo")
    assert train("dpo") == first
    assert train("dpo", "save_steps=0.5") == first
    with pytest.raises(MixedRunError, match=r"recipe\.beta: 0\.1 in the folder, 0\.2 now"):
        train("dpo", "beta=0.2")
    with pytest.raises(MixedRunError, match="data_sha256"):
        train("dpo", pairs=[pair(number) for number in range(5)])
    marked = [pair(number, spans=Spans(((0, 3),), ())) for number in range(6)]
    with pytest.raises(MixedRunError, match="data_sha256"):
        train("dpo", pairs=marked)


@pytest.mark.parametrize("lora", [0, 2])
def test_an_interrupted_training_goes_on_from_its_last_whole_state(
    train, tmp_path, monkeypatch, lora
):
    changes = (f"lora_r={lora}", "train=language_model,projector", "save_steps=2")
    train("mpo", *changes, out="whole")
    steps = [0]

    def interrupted(self, *arguments, **named):
        steps[0] += 1
        if steps[0] == 5:
            raise KeyboardInterrupt
        return real(self, *arguments, **named)

    real = PreferenceTrainer.compute_loss
    monkeypatch.setattr(PreferenceTrainer, "compute_loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train("mpo", *changes, out="broken")
    monkeypatch.undo()
    # A kill while a state is written leaves it without its last file, or with half of it.
    (tmp_path / "broken" / "checkpoint-5").mkdir()
    (tmp_path / "broken" / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5')
    found = train("mpo", *changes, out="broken")
    assert [session["steps"] for session in found["sessions"]] == [[0, 4], [4, 6]]
    assert all(session["seconds"] > 0 for session in found["sessions"])
    assert len(found["curves"]["step"]) == 6
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "broken"), atol=0)


def test_a_checkpoint_of_another_origin_is_not_overwritten(train, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("{}")
    with pytest.raises(MixedRunError, match=r"holds a checkpoint \(config\.json\)"):
        train("dpo")


def test_a_loss_that_is_no_number_stops_the_training(train):
    with pytest.raises(PlumblineError, match="Lower learning_rate"):
        train("sft", "learning_rate=1e30", "max_grad_norm=0", "optim=sgd", "num_train_epochs=9")


def test_rejected_pictures_of_the_data_are_used(train):
    pairs = [pair(n, rejected_pictures=(Noise(50 + n),)) for n in range(4)]
    found = train("rdpo", pairs=pairs)
    assert found["reference"]["first_loss"] == pytest.approx(2 * LN2, abs=1e-3)
