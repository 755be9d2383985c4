"""Small synthetic channels whose statistics are known exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from linksim.blocks.prediction.doppler import temporal_correlation
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import Csi, Panel

PERIOD_S = 5e-4
SPACING_HZ = 180e3
CARRIER_HZ = 2.4e9
NUM_HISTORY = 16
PANEL = Panel(rows=2, columns=2, polarizations=2)


def complex_normal(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.complex64)


def wrap(h: torch.Tensor, noise_variance: float, max_doppler_hz: float, first_hz: float = CARRIER_HZ) -> Csi:
    batch, user, _, _, time, subcarrier = h.shape
    return Csi(
        h=h,
        time_s=torch.arange(time, dtype=torch.float64) * PERIOD_S,
        frequency_hz=first_hz + torch.arange(subcarrier, dtype=torch.float64) * SPACING_HZ,
        noise_variance=torch.full((batch, user), noise_variance),
        panel=PANEL,
        max_doppler_hz=torch.full((batch, user), max_doppler_hz),
    )


def split(csi: Csi, noise_variance: float, seed: int) -> tuple[Csi, Csi]:
    """Noisy history and clean future of a clean channel."""
    generator = torch.Generator().manual_seed(seed)
    past = csi.h[..., :NUM_HISTORY, :]
    noisy = past + math.sqrt(noise_variance) * complex_normal(past.shape, generator)
    history = wrap(noisy, noise_variance, float(csi.max_doppler_hz[0, 0]), float(csi.frequency_hz[0]))
    return history, csi.with_h(csi.h[..., NUM_HISTORY:, :], csi.time_s[NUM_HISTORY:])


def few_paths(num_subcarriers: int = 12, num_paths: int = 3, batch: int = 3, seed: int = 0) -> Csi:
    """Sums of a few plane waves with their own direction, delay (0-1.5 us) and Doppler (up to 200 Hz)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 2, num_paths)
    gain = complex_normal((*shape, 2), generator)
    delay_s = 1.5e-6 * torch.rand(shape, generator=generator, dtype=torch.float64)
    # Doppler shifts kept apart: this is a test of identities, not of resolution.
    slots = torch.linspace(-200, 200, num_paths, dtype=torch.float64)
    doppler_hz = slots - 40 * torch.rand(shape, generator=generator, dtype=torch.float64) * slots.sign()
    column, row = 2 * torch.rand((2, *shape), generator=generator, dtype=torch.float64) - 1
    time_s = torch.arange(NUM_HISTORY + 4, dtype=torch.float64) * PERIOD_S
    frequency_hz = torch.arange(num_subcarriers, dtype=torch.float64) * SPACING_HZ
    index = torch.arange(2, dtype=torch.float64)
    h = torch.einsum(
        "buqp,buqc,buqr,buqt,buqk->bupcrtk",
        gain.to(torch.complex128),
        torch.exp(1j * math.pi * column[..., None] * index),
        torch.exp(1j * math.pi * row[..., None] * index),
        torch.exp(2j * math.pi * doppler_hz[..., None] * time_s),
        torch.exp(-2j * math.pi * delay_s[..., None] * frequency_hz),
    ).flatten(2, 4)[:, :, None]
    h = h / h.abs().square().mean((2, 3, 4, 5), keepdim=True).sqrt()
    return wrap(h.to(torch.complex64), 0.0, 200.0)


def clarke_fading(max_doppler_hz: float, batch: int = 8, seed: int = 0, num_subcarriers: int = 12) -> Csi:
    """Gaussian fading with exactly the Clarke autocorrelation, independent over antennas and subcarriers."""
    generator = torch.Generator().manual_seed(seed)
    time_s = torch.arange(NUM_HISTORY + 4, dtype=torch.float64) * PERIOD_S
    correlation = temporal_correlation(time_s[:, None] - time_s, torch.tensor(max_doppler_hz))
    eigenvalues, eigenvectors = torch.linalg.eigh(correlation)
    colour = (eigenvectors * eigenvalues.clamp_min(0).sqrt()).to(torch.complex64)
    white = complex_normal((batch, 2, 1, PANEL.num_antennas, len(time_s), num_subcarriers), generator)
    return wrap(colour @ white, 0.0, max_doppler_hz)


def nmse(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """Ratio of sums: all users have the same statistics here."""
    return float((estimate - truth).abs().square().sum() / truth.abs().square().sum())


@pytest.fixture(scope="session")
def learn() -> Callable[..., tuple[float, float]]:
    """Some steps of Adam on one batch: the loss before and after, gradients of the last step kept."""
    def steps(block: torch.nn.Module, batch: TrainingBatch, rate: float, number: int) -> tuple[float, float]:
        optimizer = torch.optim.Adam([p for p in block.parameters() if p.requires_grad], rate)
        first = float(block.training_loss(batch).detach())
        for _ in range(number):
            optimizer.zero_grad()
            block.training_loss(batch).backward()
            optimizer.step()
        return first, float(block.training_loss(batch).detach())

    return steps


@pytest.fixture(scope="session")
def tiny_language_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that a block can name as its backbone, for random weights: GPT-2, 16 wide, of two layers."""
    folder = tmp_path_factory.mktemp("tiny_gpt2")
    sizes = {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 11, "n_positions": 32}
    (folder / "config.json").write_text(json.dumps(sizes), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="session", name="few_paths")
def _few_paths() -> Callable[..., Csi]:
    return few_paths


@pytest.fixture(scope="session", name="clarke_fading")
def _clarke_fading() -> Callable[..., Csi]:
    return clarke_fading


@pytest.fixture(scope="session", name="split")
def _split() -> Callable[..., tuple[Csi, Csi]]:
    return split


@pytest.fixture(scope="session", name="nmse")
def _nmse() -> Callable[..., float]:
    return nmse


@pytest.fixture(scope="module")
def short_batch() -> TrainingBatch:
    """Two drops of five tones: six samples seen, three to predict."""
    history, future = split(few_paths(5, batch=2), 0.016, seed=1)
    future = future.with_h(history.h[..., 6:9, :], history.time_s[6:9])
    return TrainingBatch(history.with_h(history.h[..., :6, :], history.time_s[:6]), future, future)
