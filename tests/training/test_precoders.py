"""A precoder is one more kind that learns: trained for the noise it will see, kept, found again, named."""

from __future__ import annotations

import pytest
import torch
from rich.console import Console

from linksim import load_scenario
from linksim.blocks.precoding.learned import LearnedRzf, PrecoderShape
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import Csi, Panel
from linksim.core.registry import create
from linksim.training.preparation import Built, prepare_parts

QUIET = Console(quiet=True)


def batch_of(num_drops, csi_snr_db, seed):
    """Rayleigh channels of 8 antennas at 4 tones, and what is seen of them."""
    generator = torch.Generator().manual_seed(seed)
    h, noise = (torch.randn(num_drops, 1, 1, 8, 1, 4, dtype=torch.complex64, generator=generator) for _ in range(2))
    none = torch.zeros(num_drops, 1)
    true = Csi(h, torch.zeros(1, dtype=torch.double), torch.arange(4) * 1e5 + 2e9, none, Panel(2, 2, 2), none)
    seen = true.with_h(h + 10 ** (-csi_snr_db / 20) * noise)
    return TrainingBatch(seen, true, true)


@pytest.fixture
def precoder():
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        made = LearnedRzf()
        made.prepare(PrecoderShape(4, 1, (0.0, 20.0)))
    return made


def test_before_its_training_it_is_rzf(precoder):
    h = torch.randn(3, 4, 1, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(precoder.precode(h, 0.1, 1), create("precoder", "rzf").precode(h, 0.1, 1))


def rate_of_rzf(batch, snr_db, csi_error_variance):
    """The sum rate as `LearnedPrecoder.sum_rate` has it, of textbook loading."""
    textbook = create("precoder", "rzf", {"csi_error_variance": csi_error_variance})

    class Textbook(LearnedRzf):
        def precode(self, h_hat, noise_variance, num_streams):
            return textbook.precode(h_hat, noise_variance, num_streams)

    made = Textbook()
    made.prepare(PrecoderShape(4, 1, (0.0, 20.0)))
    return made.sum_rate(batch, snr_db).mean()


def test_trained_on_noisy_csi_it_loads_more_and_sends_more(precoder):
    test, snr_db = batch_of(400, 3, 5), 20.0
    before = precoder.sum_rate(test, snr_db).mean().item()
    optimizer = torch.optim.Adam(precoder.parameters(), 0.03)
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        for step in range(60):
            optimizer.zero_grad()
            precoder.training_loss(batch_of(50, 3, 100 + step)).backward()
            optimizer.step()
    with torch.no_grad():
        after = precoder.sum_rate(test, snr_db).mean().item()
    assert after > 1.03 * before
    # of white channels, counting the error as noise is the best loading: learning comes to it, and not past it
    assert before < after < 1.01 * rate_of_rzf(test, snr_db, 10**-0.5) < 1.03 * after
    weights = precoder.precode(test.history.h[:4, 0].permute(3, 4, 0, 1, 2), 0.01, 1)
    torch.testing.assert_close(weights.abs().square().sum((-2, -1)), torch.ones(weights.shape[:2]))


def test_a_scenario_trains_it_finds_it_again_and_takes_it_by_name(scenario_file, tmp_path, command):
    base = {"methods": ["hold"], "training.learning_rate": 0.01,
            "link.precoder": "learned_rzf", "bounds": ["genie_lmmse"], "metrics": ["rate_bps_hz"],
            "training.num_drops": 250, "training.num_epochs": 1, "training.batch_drops": 50,
            "training.folder": str(tmp_path / "kept")}
    path = scenario_file(base)
    (line,) = prepare_parts(load_scenario(path), "cpu", QUIET)
    assert "trained in" in line
    (line,) = prepare_parts(load_scenario(path), "cpu", QUIET)
    assert line.startswith("precoder of the bounds: loaded from")
    (folder,) = (tmp_path / "kept").iterdir()
    given = scenario_file({**base, "link.precoder": {"type": "learned_rzf", "checkpoint": str(folder)}}, "given.yaml")
    for scenario, name in ((path, "own"), (given, "given")):
        assert command("run", scenario, "--output", tmp_path / name).code == 0
    first, second = ((tmp_path / name / "metrics.csv").read_bytes() for name in ("own", "given"))
    assert first == second
    assert b"genie LMMSE CSI,rate_bps_hz" in first  # with the same precoder
    taught = scenario_file({**base, "methods": [{"name": "m", "precoder_training": {"num_epochs": 2}}]}, "taught.yaml")
    assert "has no precoder of its own that is trained" in command("validate", taught).err
    assert len(Built.load(load_scenario(path), "cpu").learned) == 1
