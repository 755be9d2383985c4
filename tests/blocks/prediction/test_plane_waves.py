from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from linksim.blocks.prediction.plane_waves import (
    PlaneWaves,
    _to_beams,
    by_size,
    from_beams,
    predict_by_waves,
)
from linksim.blocks.prediction.wave_grid import GridSize

SIZE = GridSize(num_delays=10, num_dopplers=6, frequency_rank=12)


def waves_of(history, size=SIZE):
    return next(by_size(history, size, history.time_s[-1:]))[1]


@pytest.fixture(scope="module")
def history(few_paths, split):
    return split(few_paths(num_paths=5), 0.016, seed=1)[0]


@pytest.fixture(scope="module")
def waves(history):
    found = waves_of(history)
    return PlaneWaves(**{name: value if name == "doppler" else
                         value.to(torch.complex128 if value.is_complex() else torch.float64)
                         for name, value in vars(found).items()})


def dense(waves, power, noise):
    """Dictionary ``[direction, wave]`` of the first user, and what its powers make of it, without any shortcut."""
    atoms = torch.einsum("tn,fk->tfnk", waves.time_atoms[0], waves.frequency_atoms[0]).flatten(2).flatten(0, 1)
    covariance = torch.einsum("iw,bw,jw->bij", atoms, power[0].flatten(1).to(atoms), atoms.conj())
    return atoms, covariance + noise[0] * torch.eye(len(atoms))


def test_evidence_is_that_of_the_whole_covariance(waves):
    power = waves.first_power * torch.rand(waves.first_power.shape, generator=torch.Generator().manual_seed(0)).double()
    atoms, covariance = dense(waves, power, waves.noise)
    inverse = torch.linalg.inv(covariance)
    matched = atoms.mH @ inverse @ waves.observed[0]  # [beam, wave, snapshot]
    evidence = waves.evidence(power, waves.noise)
    # the loading that single precision needs is 2e-7 of a trace that may be 50 dB above the noise
    assert torch.allclose(evidence.seen[0].flatten(1), matched.abs().square().mean(-1), rtol=1e-2)
    expected = torch.einsum("iw,bij,jw->bw", atoms.conj(), inverse, atoms).real
    assert torch.allclose(evidence.expected[0].flatten(1), expected, rtol=1e-2)
    assert torch.allclose(waves.matched(power, waves.noise)[0].flatten(2), matched.mT, rtol=1e-2, atol=1e-3)


def test_the_prediction_is_the_conditional_mean_of_the_plane_waves(waves):
    time_s, frequency_hz = torch.tensor([8e-3, 9e-3], dtype=torch.float64), torch.arange(12).double() * 180e3
    atoms, covariance = dense(waves, waves.first_power, waves.noise)
    angle = waves.doppler.shift_hz[0][:, None] * time_s[:, None, None, None] \
        - waves.delay_s[0] * frequency_hz[:, None, None]
    later = torch.exp(2j * math.pi * angle).flatten(2).flatten(0, 1)  # [time and subcarrier, wave]
    cross = torch.einsum("iw,bw,jw->bij", later, waves.first_power[0].flatten(1).to(later), atoms.conj())
    mean = cross @ torch.linalg.solve(covariance, waves.observed[0]) * waves.scale[0]
    predicted = waves.predict(waves.first_power, waves.noise, time_s, frequency_hz)[0]
    assert torch.allclose(predicted.flatten(2).mT, mean, rtol=1e-3, atol=1e-3 * float(mean.abs().max()))


def test_beams_are_undone(history):
    h = torch.randn(2, 3, *history.h.shape[3:], dtype=torch.complex64)  # three terminal antennas
    beams = _to_beams(h, history.panel)
    assert beams.shape[:3] == (2, 4, 6)
    assert torch.allclose(from_beams(beams, history.panel, 3), h, atol=1e-6)


def test_users_of_unlike_speeds_are_as_if_alone(history, few_paths):
    mixed = replace(history, max_doppler_hz=torch.tensor([[20.0, 200.0], [200.0, 1500.0], [0.0, 900.0]]))

    def estimate(waves):
        return waves.first_power, waves.noise

    def predict(csi):
        return predict_by_waves(csi, csi.time_s[-2:] + 1e-3, csi.frequency_hz, SIZE, "known", estimate).h

    whole = predict(mixed)
    for drop in range(3):
        part = slice(drop, drop + 1)
        alone = predict(replace(mixed, h=mixed.h[part], noise_variance=mixed.noise_variance[part],
                                max_doppler_hz=mixed.max_doppler_hz[part]))
        assert torch.allclose(alone, whole[part], rtol=1e-3, atol=1e-4)


def test_users_without_noise_are_as_if_alone(history):
    mixed = replace(history, noise_variance=torch.tensor([[0.0, 0.1], [0.1, 0.0], [0.0, 0.0]]))

    def predict(csi):
        return predict_by_waves(csi, csi.time_s[-2:] + 1e-3, csi.frequency_hz, SIZE, "known",
                                lambda waves: (waves.first_power, waves.noise)).h

    whole = predict(mixed)
    assert whole.dtype == history.h.dtype
    for drop in range(3):
        part = slice(drop, drop + 1)
        alone = predict(replace(mixed, h=mixed.h[part], noise_variance=mixed.noise_variance[part],
                                max_doppler_hz=mixed.max_doppler_hz[part]))
        assert torch.allclose(alone, whole[part], rtol=1e-3, atol=1e-4)


def test_far_bands_fade_to_nothing(history):
    def predict(offset_hz, uncertainty_s):
        return predict_by_waves(history, history.time_s[-1:] + 5e-4, history.frequency_hz + offset_hz, SIZE,
                                "known", lambda waves: (waves.first_power, waves.noise), uncertainty_s).h

    assert torch.equal(predict(0.0, 0.0), predict(0.0, 1e-7))  # nothing fades within the band
    assert predict(1e9, 5e-9).abs().max() < 1e-6 * predict(0.0, 5e-9).abs().max()


def test_uneven_subcarriers_are_refused(history):
    uneven = replace(history, frequency_hz=history.frequency_hz + torch.arange(12) ** 2 * 1e4)
    with pytest.raises(ValueError, match="evenly spaced subcarriers"):
        waves_of(uneven)


def test_one_subcarrier_has_one_delay(history):
    one = history.with_h(history.h[..., :1], frequency_hz=history.frequency_hz[:1])

    def predict(offset_hz):
        return predict_by_waves(one, history.time_s[-1:] + 5e-4, one.frequency_hz + offset_hz, SIZE, "known",
                                lambda waves: (waves.first_power, waves.noise)).h

    assert predict(0.0).isfinite().all()
    assert predict(0.0).abs().mean() > 0.3
    assert predict(20e6).abs().max() < 1e-6  # a phase that nobody can know


def test_many_beams_are_inverted_in_parts_with_the_same_result(waves, monkeypatch):
    whole = waves.evidence(waves.first_power, waves.noise)
    monkeypatch.setattr("linksim.blocks.prediction.plane_waves._ENTRIES_AT_ONCE", 1)
    parts = waves.evidence(waves.first_power, waves.noise)
    assert torch.allclose(whole.seen, parts.seen)
    assert torch.allclose(whole.expected, parts.expected)
