"""The library's arguments, where its own defaults would train something else."""

import torch

from trainers.loading import training_arguments
from trainers.settings import resolve


def arguments(tmp_path, *changes):
    return training_arguments(resolve("dpo", None, list(changes)), tmp_path)


def test_one_process_trains_on_one_gpu(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = arguments(tmp_path, "per_device_train_batch_size=3")
    assert found.n_gpu == 1
    assert found.train_batch_size == 3
    assert "accelerate launch" in caplog.text


def test_processes_are_told_of_parameters_that_a_batch_may_not_use(tmp_path):
    assert arguments(tmp_path).ddp_find_unused_parameters
    assert arguments(tmp_path, "lora_r=2").ddp_find_unused_parameters  # its projector learns, too
    adapter = ("lora_r=2", "train=language_model")
    assert not arguments(tmp_path, *adapter).ddp_find_unused_parameters
