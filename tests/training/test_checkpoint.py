"""Checkpoints: used when they match, never otherwise; training drops are not test drops."""

import torch
from rich.console import Console

from linksim.experiment.plan import make_plan, unit_seed
from linksim.link.acquisition import acquire
from linksim.metrics import nmse
from linksim.scenario.load import scenario_from_dict
from linksim.seeding import generator
from linksim.training.checkpoint import load_predictor, prepare
from linksim.training.data import training_batches, training_conditions

CONSOLE = Console(quiet=True)


def scenario(folder, domain="angle_delay", **channel):
    return scenario_from_dict({
        "channel": {"num_subcarriers": 8, "num_history": 8, "num_future": 2,
                    "bs_array": {"rows": 2, "columns": 2}, **channel},
        "methods": [{"name": "ridge", "predictor": {"type": "ridge", "domain": domain}}],
        "sweep": {"channel.speed_kmh": [10, 60]},
        "training": {"num_drops": 250, "folder": str(folder)},
    })


def test_a_matching_checkpoint_is_loaded_and_another_channel_is_trained_anew(tmp_path):
    assert "trained" in prepare(scenario(tmp_path), "cpu", CONSOLE)[0]
    assert "loaded" in prepare(scenario(tmp_path), "cpu", CONSOLE)[0]
    assert "trained" in prepare(scenario(tmp_path, los="nlos"), "cpu", CONSOLE)[0]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_kill_before_the_weights_are_written_leaves_no_checkpoint(tmp_path):
    prepare(scenario(tmp_path), "cpu", CONSOLE)
    (folder,) = tmp_path.iterdir()
    (folder / "weights.safetensors").rename(folder / "weights.tmp")
    assert "trained" in prepare(scenario(tmp_path), "cpu", CONSOLE)[0]


def test_training_sees_every_speed_in_training_and_in_validation(tmp_path):
    case = scenario(tmp_path)
    assert [channel.speed_kmh for channel, _ in training_conditions(case)] == [10, 60]
    seen = {(round(float(batch.history.max_doppler_hz.max())), validation)
            for batch, validation in training_batches(case)}
    assert len(seen) == 4


def test_training_drops_are_never_test_drops(tmp_path):
    case = scenario(tmp_path)
    point = make_plan(case).channel_points[0]
    from linksim.channel.drops import draw_drops

    test = draw_drops(point.points[0][1].channel, 25, unit_seed(case, point, 0))
    for batch, _ in training_batches(case):
        inner = (batch.future.h[:, :1] - test.future.h[:, :1]).abs().flatten(1).amax(1)
        assert (inner > 1e-3).all()


def test_ridge_learns_ageing_and_beats_hold_in_both_domains(tmp_path):
    from linksim.channel.drops import draw_drops

    for domain in ("angle_delay", "antenna"):
        case = scenario(tmp_path, domain)
        prepare(case, "cpu", CONSOLE)
        block = load_predictor(case, case.methods[0].predictor, "cpu")
        point = make_plan(case).channel_points[1]
        drops = draw_drops(point.points[0][1].channel, 40, 99)
        history, _ = acquire(drops.history, point.points[0][1].acquisition, generator(1))
        predicted = block.predict(history, drops.future.time_s, drops.future.frequency_hz)
        held = history.h[..., -1:, :].expand_as(drops.future.h)
        assert nmse(predicted.h, drops.future.h) < 0.5 * nmse(held, drops.future.h)


def test_ridge_output_never_depends_on_batch_neighbours_and_scales_with_the_channel(tmp_path):
    from dataclasses import replace

    case = scenario(tmp_path)
    prepare(case, "cpu", CONSOLE)
    block = load_predictor(case, case.methods[0].predictor, "cpu")
    batch, _ = next(iter(training_batches(case)))
    whole = block.predict(batch.history, batch.future.time_s, batch.future.frequency_hz).h
    first = replace(batch.history, h=batch.history.h[:1], noise_variance=batch.history.noise_variance[:1],
                    max_doppler_hz=batch.history.max_doppler_hz[:1])
    alone = block.predict(first, batch.future.time_s, batch.future.frequency_hz).h
    torch.testing.assert_close(alone, whole[:1], rtol=1e-4, atol=1e-5)
    louder = replace(batch.history, h=3j * batch.history.h, noise_variance=9 * batch.history.noise_variance)
    torch.testing.assert_close(block.predict(louder, batch.future.time_s, batch.future.frequency_hz).h, 3j * whole,
                               rtol=1e-3, atol=1e-4)
