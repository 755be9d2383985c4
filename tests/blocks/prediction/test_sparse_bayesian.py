from __future__ import annotations

import itertools
import random

import pytest
import torch

from linksim.blocks.prediction.plane_waves import by_size
from linksim.blocks.prediction.sparse_bayesian import neighbours
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.bounds.genie import genie_lmmse
from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import Panel
from linksim.core.registry import create
from linksim.core.seeding import generator
from linksim.metrics import nmse as mean_nmse
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition


def db(value: torch.Tensor) -> float:
    return float(10 * torch.log10(value))


def compared_with_wiener(csi_snr_db=18, num_drops=8, panel=(2, 2, "single"), num_ue_antennas=1, **channel):
    """Linear NMSE of both, both knowing the Doppler shift, and what sparse Bayesian learning loses beyond the interval.

    :returns: Wiener's, sparse Bayesian learning's, the loss: nothing to speak of where the interval holds zero.
    """
    array = dict(zip(("rows", "columns", "polarization"), panel, strict=True))
    channel = Channel(bs_array=array, ue_array={"num_antennas": num_ue_antennas}, **channel)
    drops = draw_drops(channel, num_drops, seed=5)
    history, _ = acquire(drops.history, Acquisition(csi_snr_db=csi_snr_db), generator(1))
    errors = []
    for name in ("wiener", "sparse_bayesian"):
        h = create("predictor", name).predict(history, drops.future.time_s, drops.future.frequency_hz).h
        error, power = ((x.abs().square().sum((2, 3, 4, 5))) for x in (h - drops.future.h, drops.future.h))
        errors.append((error / power).flatten().double())
    difference = errors[1] - errors[0]
    interval = 2 * difference.std() / num_drops**0.5
    return float(errors[0].mean()), float(errors[1].mean()), float(difference.mean() - interval)


@pytest.mark.parametrize("channel", [
    pytest.param({"speed_kmh": 40, "csi_period_ms": 5}, id="13 cycles in 16 samples"),
    pytest.param({"speed_kmh": 100, "num_history": 40}, id="long history"),
    pytest.param({"carrier_frequency_ghz": 28, "speed_kmh": 45}, id="aliased"),
    pytest.param({"carrier_frequency_ghz": 28, "speed_kmh": 30, "num_history": 4}, id="short history"),
    pytest.param({"num_subcarriers": 1, "num_history": 8}, id="one subcarrier"),
])
@pytest.mark.parametrize("los", ["mixed", "nlos"])
def test_many_cycles_are_no_worse_than_for_wiener(channel, los):
    wiener, sparse, loss = compared_with_wiener(**{"num_subcarriers": 6, "los": los, "num_drops": 6, **channel})
    assert loss < 1e-3
    assert sparse < max(wiener, 1) * 1.25


@pytest.mark.parametrize("channel", [pytest.param({}, id="16 samples"), pytest.param({"num_history": 4}, id="four")])
def test_where_there_is_no_noise_single_precision_does_not_stand_for_it(channel):
    """Loading that single precision needs is 2e-7 of a covariance's trace: more than the noise at 60 dB."""
    wiener, sparse, loss = compared_with_wiener(csi_snr_db=60, num_subcarriers=12, los="nlos", **channel)
    assert loss < 0
    assert sparse < wiener


AXES = {
    "carrier_frequency_ghz": (0.7, 2.4, 28.0), "band": ((1, 180), (6, 180), (12, 180), (48, 180), (48, 720)),
    "speed_kmh": (3, 30, 120), "csi_period_ms": (0.5, 1, 5), "num_history": (4, 16, 48),
    "panel": ((1, 1, "single"), (2, 2, "single"), (4, 4, "dual")), "num_ue_antennas": (1, 2), "csi_snr_db": (0, 18),
    "los": ("nlos", "mixed"),
}


def pairwise(axes, seed=0):
    """Points that bring every two values of every two axes together at least once."""
    choices = random.Random(seed)
    pairs = {((one, left), (other, right)) for one, other in itertools.combinations(axes, 2)
             for left, right in itertools.product(axes[one], axes[other])}
    points = []
    while pairs:
        tried = [{name: choices.choice(values) for name, values in axes.items()} for _ in range(60)]
        points.append(max(tried, key=lambda point: len(pairs & set(itertools.combinations(point.items(), 2)))))
        pairs -= set(itertools.combinations(points[-1].items(), 2))
    return points


@pytest.mark.slow
@pytest.mark.parametrize("point", pairwise(AXES), ids=lambda point: " ".join(str(value) for value in point.values()))
def test_nowhere_is_it_worse_than_wiener(point):
    num_subcarriers, spacing_khz = point["band"]
    channel = {name: value for name, value in point.items() if name != "band"}
    _, _, loss = compared_with_wiener(num_drops=12, num_subcarriers=num_subcarriers, subcarrier_spacing_khz=spacing_khz,
                                      **channel)
    assert loss < 1e-3


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent"])
@pytest.mark.parametrize("los", ["nlos", "los"])
def test_it_lies_between_wiener_and_the_genie_on_uma(duplex, los):
    drops = draw_drops(Channel(model="uma", los=los, speed_kmh=60, duplex=duplex), 6, seed=5)
    history, observation = acquire(drops.history, Acquisition(csi_snr_db=18), generator(1))
    wiener, sparse = (db(mean_nmse(create("predictor", name).predict(
        history, drops.future.time_s, drops.future.frequency_hz).h, drops.future.h))
        for name in ("wiener", "sparse_bayesian"))
    bound = db(mean_nmse(genie_lmmse(drops, observation).h, drops.future.h))
    assert bound < sparse < wiener - (2 if duplex == "tdd" else 0.5)


def test_iterations_raise_the_likelihood(few_paths, split):
    history, _ = split(few_paths(num_paths=5), 0.016, seed=1)
    _, waves = next(by_size(history, GridSize(num_delays=30, num_dopplers=12, frequency_rank=12), history.time_s[-1:]))

    def likelihood(power):
        a = torch.einsum("utn,ufk->utfnk", waves.time_atoms, waves.frequency_atoms).flatten(1, 2).flatten(2)
        a = a[:, None].to(torch.complex128)
        covariance = (a * power.double().flatten(2)[:, :, None]) @ a.mH
        covariance = covariance + waves.noise[:, None, None, None].double() * torch.eye(a.shape[-2])
        y = waves.observed.to(torch.complex128)
        distance = (y.conj() * torch.linalg.solve(covariance, y)).sum((-2, -1)).real / y.shape[-1]
        return float(-(torch.linalg.slogdet(covariance)[1] + distance).sum())

    found = [likelihood(waves.first_power)]
    power = waves.first_power
    for _ in range(5):
        evidence = waves.evidence(power, waves.noise)
        power = power * evidence.seen / evidence.expected
        found.append(likelihood(power))
    assert found[5] > found[3] > found[1] > found[0]


def test_neighbours_are_the_beams_beside():
    beams = torch.zeros(1, 12, 2)
    beams[0, 5] = 1.0  # column 1 of 3, row 1 of 4
    columns, rows = neighbours(beams, Panel(rows=4, columns=3, polarizations=2))
    assert columns[0, :, 0].nonzero().flatten().tolist() == [1, 9]
    assert rows[0, :, 0].nonzero().flatten().tolist() == [4, 6]
