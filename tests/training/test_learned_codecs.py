"""Codecs trained by gradient descent: in the shared trainer, in stages, kept and loaded, used by a run."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from linksim import load_scenario
from linksim.blocks.feedback.learned import DelayWindow
from linksim.core.errors import LinksimError
from linksim.experiment.run import run
from linksim.training.codec_data import CodecDrops
from linksim.training.preparation import prepare_parts

QUIET = Console(quiet=True)
SMALL = {"type": "idasnet", "num_values": 12, "delay_window": 8}
LLMCSINET = {"type": "llmcsinet", "num_values": 12, "num_layers": 1, "body": "attention", "delay_window": 8}


@pytest.fixture
def scenario(scenario_file, tmp_path):
    def make(**overrides):
        return load_scenario(scenario_file({
            "methods": [{"name": "learned", "feedback": SMALL}],
            "bounds": [], "metrics": ["nmse_db", "feedback_bits"], "feedback.bits": 400, "training.num_drops": 250,
            "training.num_epochs": 3, "training.batch_drops": 50, "training.folder": str(tmp_path / "kept"),
            "training.learning_rate": 0.01, **overrides,
        }))

    return make


@pytest.fixture
def codec(part):
    """The codec of a method as what learns."""
    return lambda scenario, method=0: part(scenario, method, "feedback")


def test_a_training_is_kept_found_again_and_better_than_nothing(scenario, codec, tmp_path):
    one = scenario()
    assert "trained in" in prepare_parts(one, "cpu", QUIET)[0]
    assert "loaded from" in prepare_parts(one, "cpu", QUIET)[0]
    loaded = codec(one).load()
    assert not loaded.training
    assert not torch.equal(loaded.quantizer.deviation, torch.ones(1))  # quantisers were fitted
    table = run(one, output=tmp_path / "run", report=False).to_pandas().set_index("metric")
    assert table.loc["nmse_db", "value"] < 0
    assert 0 < table.loc["feedback_bits", "value"] <= 400


def test_the_budget_names_no_checkpoint_and_the_network_does(scenario, codec):
    one, other = scenario(), scenario(**{"feedback.bits": 300})
    assert codec(one).about == codec(other).about
    changed = scenario(**{"training.weights_seed": 1})
    assert codec(one).about != codec(changed).about


def test_what_says_nothing_about_one_instant_names_no_checkpoint(scenario, codec):
    one = scenario()
    other = scenario(**{"channel.num_history": 6, "channel.speed_kmh": 77, "channel.csi_period_ms": 1.0})
    assert codec(one).about == codec(other).about


def test_the_second_stage_starts_from_the_first_ones_best_and_trains_the_language_model(scenario, codec):
    methods = [{"name": "learned", "feedback": LLMCSINET}]
    two = scenario(methods=methods, **{"training.num_epochs": 4})
    prepare_parts(two, "cpu", QUIET)
    trained = codec(two).load()
    assert float(trained.prediction.to_patches.weight.detach().abs().max()) > 0
    frozen = scenario(methods=[{"name": "learned", "feedback": {**LLMCSINET, "freeze": True}}],
                      **{"training.num_epochs": 4})
    prepare_parts(frozen, "cpu", QUIET)
    kept = codec(frozen).load()
    # both have the same first stage; frozen keeps it, the other goes on
    assert not torch.equal(kept.preliminary[2].weight, trained.preliminary[2].weight)


def test_a_method_whose_predictor_and_codec_are_both_trained(scenario, tmp_path):
    methods = [{"name": "both", "predictor": "ridge", "feedback": {"type": "klt"}}]
    one = scenario(methods=methods, **{"channel.duplex": "tdd", "training.num_drops": 250})
    table = run(one, output=tmp_path / "run", report=False).to_pandas()
    assert len(table)


def transfer(scenario, **start):
    return scenario(methods=[
        {"name": "moved", "feedback": SMALL,
         "codec_training": {"channel": {"los": "los"}, "start_from": "start", "learning_rate": 1e-9}},
        {"name": "start", "feedback": SMALL, "codec_training": start or None},
        {"name": "alone", "feedback": SMALL, "codec_training": {"channel": {"los": "los"}, "learning_rate": 1e-9}},
    ])


def test_a_transferred_codec_starts_from_the_other_ones_weights(scenario, codec):
    one = transfer(scenario)
    lines = prepare_parts(one, "cpu", QUIET)
    names = [line.split(":")[0] for line in lines]
    assert names.index("codec of start") < names.index("codec of moved")  # though named after it
    weights = [codec(one, method).load().selector.network.features[0][0].weight for method in (0, 1, 2)]
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
    assert not torch.allclose(weights[0], weights[2], atol=1e-3)


def test_what_a_codec_starts_from_is_part_of_what_it_is(scenario, codec):
    one, other = transfer(scenario), transfer(scenario, num_epochs=7)
    assert codec(one).about != codec(other).about
    assert codec(one, 2).about == codec(other, 2).about


@pytest.mark.parametrize(("method", "message"), [
    ({"feedback": "top_m", "codec_training": {"num_epochs": 2}}, "no codec that is trained"),
    ({"codec_training": {"num_epochs": 2}}, "no codec that is trained"),
    ({"feedback": SMALL, "codec_training": {"teacher": "x"}}, "codecs have no teachers"),
    ({"feedback": SMALL, "codec_training": {"start_from": "x"}}, "no other method has the same block"),
    ({"feedback": SMALL, "codec_training": {"channel": {"num_subcarriers": 9}}}, "cannot be another one"),
    ({"feedback": "idasnet"}, "a delay window of this channel has 32 elements"),
    ({"feedback": {"type": "idasnet", "several_values": [4], "selection": "random"}}, "one number of values"),
])
def test_what_a_codecs_training_cannot_say_is_one_line(scenario, method, message):
    with pytest.raises(LinksimError, match=message):
        scenario(methods=[{"name": "learned", **method}], **{"feedback.bits": 3000})


def test_one_training_serves_every_budget_and_quantiser(scenario, codec, tmp_path):
    methods = [{"name": name, "feedback": {**SMALL, "bits": bits, "quantization": quantization}}
               for name, bits, quantization in (("coarse", 150, "lloyd_max"), ("equal", 150, "uniform"),
                                                ("fine", 300, "lloyd_max"), ("floats", 900, "none"))]
    one = scenario(methods=methods)
    assert len({str(codec(one, method).about) for method in range(4)}) == 1
    table = run(one, output=tmp_path / "run", report=False).to_pandas().pivot(index="method", columns="metric",
                                                                              values="value")
    assert len(list((tmp_path / "kept").glob("idasnet-*"))) == 1
    bits = table["feedback_bits"]
    assert bits["coarse"] <= 150 < bits["fine"] <= 300 < bits["floats"]
    assert table["nmse_db"]["equal"] != table["nmse_db"]["coarse"]
    assert table["nmse_db"]["floats"] <= table["nmse_db"]["coarse"] + 0.05


def test_a_narrowed_band_has_the_same_window(scenario, codec):
    one = scenario()
    training = codec(one).training
    whole, narrow = (CodecDrops(one, training, window=rows) for rows in (0, 8))
    window = DelayWindow(8)
    images = [window.images(drops.draw(drops.chunks[0]).future) for drops in (whole, narrow)]
    assert torch.allclose(images[0][0], images[1][0], atol=1e-5)
    assert torch.equal(images[0][1], images[1][1])
    noisy = training.model_copy(update={"csi_snr_db": (0.0, 10.0)})
    assert CodecDrops(one, noisy, window=8).window == 0  # noise is that of the whole band
