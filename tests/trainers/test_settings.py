"""Recipes are complete and say where they come from; a wrong setting is named."""

import pytest

from benchmarks.base import PlumblineError
from trainers.settings import read_recipe, recipes, resolve


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_resolves_and_cites_its_source(name):
    settings = resolve("dpo" if name == "pocket" else None, name, [])
    assert len(settings.source) > 20
    values = settings.flat()
    for key, value in read_recipe(name).items():
        found = list(values[key]) if isinstance(values[key], tuple) else values[key]
        assert found == value, key


def test_published_settings_of_mdpo():
    values = resolve(None, "mdpo_bunny", []).flat()
    expected = {
        "method": "mdpo", "beta": 0.1, "anchor": 0.0, "lora_r": 64, "lora_alpha": 128.0,
        "learning_rate": 1e-5, "num_train_epochs": 3, "warmup_steps": 0.1, "corruption": "crop",
    }  # fmt: skip
    assert {key: values[key] for key in expected} == expected
    assert values["per_device_train_batch_size"] * values["gradient_accumulation_steps"] == 32


def test_every_value_can_be_overridden():
    settings = resolve(None, "mdpo_bunny", ["beta=0.3", "learning_rate=2e-6", "lora_r=8"])
    assert settings.options["beta"] == 0.3
    assert settings.arguments["learning_rate"] == 2e-6
    assert settings.lora_r == 8


def test_what_decides_the_weights_is_said_even_where_nobody_set_it():
    values = resolve("dpo", None, []).flat()
    for name in (
        "seed",
        "learning_rate",
        "optim",
        "adam_beta2",
        "max_grad_norm",
        "num_train_epochs",
    ):
        assert name in values


def test_a_resolved_recipe_is_a_recipe(tmp_path):
    settings = resolve("mpo", "pocket", ["train=language_model,projector", "save_steps=7"])
    path = tmp_path / "recipe.toml"
    path.write_text(settings.to_toml())
    assert resolve(None, str(path), []) == settings


def test_another_method_leaves_out_options_that_it_does_not_have():
    settings = resolve("dpo", "chip_llava", [])
    assert "kl_weight" not in settings.options
    assert settings.arguments["learning_rate"] == 5e-7
    assert "beta" not in resolve("sft", "pocket", []).options


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["betta=1"], r"betta: no setting .* \(near: .*beta"),
        (["beta"], "KEY=VALUE"),
        (["beta=-1"], "beta"),
        (["learning_rate=fast"], "learning_rate=fast: float is expected"),
        (["lora_r=1.5"], "lora_r=1.5: int"),
        (["layout=diagonal"], "one of auto, concat, shared_prefix"),
        (["label_smoothing_factor=0.1"], "no setting"),
        (["output_dir=x"], "no setting"),
        (["save_only_model=true"], "no setting"),
        (["train=3"], "names are expected"),
        (["kl_weight=1"], "kl_weight: no setting of dpo"),
    ],
)
def test_a_wrong_setting_is_named(changes, problem):
    with pytest.raises(PlumblineError, match=problem):
        resolve("dpo", None, changes)


def test_method_and_recipe_must_exist(tmp_path):
    with pytest.raises(PlumblineError, match="--method sft"):
        resolve(None, None, [])
    with pytest.raises(PlumblineError, match="no method 'dppo'"):
        resolve("dppo", None, [])
    with pytest.raises(PlumblineError, match=r"none of that name .*mdpo_bunny"):
        resolve("dpo", "mdpo_bunni", [])
    path = tmp_path / "mine.toml"
    path.write_text("beta = = 1")
    with pytest.raises(PlumblineError, match=r"mine\.toml: not TOML"):
        resolve("dpo", str(path), [])
