from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.plane_waves import GridSize, by_rank
from linksim.blocks.prediction.sparse_bayesian import neighbours
from linksim.channel.drops import draw_drops
from linksim.csi import Panel
from linksim.link.acquisition import acquire
from linksim.metrics import nmse as mean_nmse
from linksim.metrics.genie import genie_lmmse
from linksim.registry import create
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition
from linksim.seeding import generator


def db(value: torch.Tensor) -> float:
    return float(10 * torch.log10(value))


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
    _, waves = by_rank(history, history.max_doppler_hz, history.noise_variance, GridSize(30, 12, 12))[0]

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
