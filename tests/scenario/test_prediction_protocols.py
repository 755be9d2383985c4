"""The protocols of learned prediction: equal training everywhere, nothing trained twice, the yardsticks in each."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from linksim.loading.load import load_scenario
from linksim.training.identity import digest
from linksim.training.preparation import parts_of

FOLDER = Path(__file__).parents[2] / "scenarios" / "prediction"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PUBLISHED = {"cnn", "rnn", "gru", "lstm", "transformer", "llm4cp", "csi_alm", "csi_alm_light"}
"""Blocks of the papers, which are compared at equal budget; others may learn otherwise, and say so."""


@functools.cache
def scenario(name):
    return load_scenario(FOLDER / f"{name}.yaml")


@functools.cache
def checkpoints(name):
    """The digest of every trained method by its name."""
    return {part.name: digest(part.about) for part in parts_of(scenario(name))}


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_has_the_classical_yardsticks_and_the_bound(name):
    read = scenario(name)
    assert {"hold", "Wiener (Doppler estimated)", "Wiener (Doppler known)", "ridge"} <= {m.name for m in read.methods}
    assert "genie_lmmse" in read.bounds
    assert (read.channel.num_users > 1) == ("rate_bps_hz" in read.metrics)
    assert "Full" in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("duplex", ["tdd", "fdd"])
def test_noise_zero_shot_and_rate_use_the_checkpoints_of_the_speed_protocol(duplex):
    trained = checkpoints(f"{duplex}_speed")
    rate = checkpoints(f"{duplex}_rate")
    assert {name: digest for name, digest in rate.items() if name != "ridge"} == {
        name: digest for name, digest in trained.items() if name != "ridge"}  # ridge is fitted to the users at hand
    assert checkpoints(f"{duplex}_history_snr") == trained
    assert checkpoints(f"{duplex}_zero_shot") == trained


@pytest.mark.parametrize("duplex", ["tdd", "fdd"])
def test_lightweight_shares_with_few_shot_and_speed(duplex):
    light, few, whole = (checkpoints(f"{duplex}_{name}") for name in ("lightweight", "few_shot", "speed"))
    for name in ("RNN", "GRU", "LSTM", "CSI-ALM", "CSI-ALM-Light", "ridge"):
        assert light[name] == few[name]
        assert few[name] != whole[name]
    for name in ("CSI-ALM", "CSI-ALM-Light"):
        assert light[f"{name} (all)"] == whole[name]
    assert len(set(light.values())) == len(light)


def test_seeds_and_controls_begin_with_the_checkpoints_of_the_speed_protocol():
    trained, seeds = checkpoints("tdd_speed"), checkpoints("seeds")
    for name in ("RNN", "GRU", "LSTM", "Transformer", "LLM4CP", "CSI-ALM", "CSI-ALM-Light"):
        assert seeds[f"{name} (seed 0)"] == trained[name]
        assert len({seeds[f"{name} (seed {seed})"] for seed in range(3)}) == 3
    assert checkpoints("ablation")["CSI-ALM"] == trained["CSI-ALM"]
    assert checkpoints("ablation_llm4cp")["LLM4CP"] == trained["LLM4CP"]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_the_same_drops_and_steps(name):
    """Those on all drops, those on a share; the CNN, several times as slow, has fewer steps and the file says so."""
    budgets = {}
    swept = "training.num_epochs" in scenario(name).sweep
    for part in parts_of(scenario(name)):
        training, block = part.training, part.block.name
        if block not in PUBLISHED:
            continue
        share = (training.fraction, training.num_epochs) if swept else training.fraction
        budgets.setdefault((share, block == "cnn"), set()).add(
            (training.num_epochs, training.num_drops, training.batch_drops, training.antenna_pairs, training.precision))
    assert all(len(found) == 1 for found in budgets.values())
    for fraction in {fraction for fraction, cnn in budgets if cnn}:
        (epochs, *slow), (all_epochs, *other) = *budgets[fraction, True], *budgets[fraction, False]
        assert 4 * epochs == all_epochs
        assert slow == other
        assert "a quarter for the CNN" in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
