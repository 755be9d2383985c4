"""Views and truth of terminals, and the codebook of beams."""

import math

import pytest
import torch

from linksim.blocks.universal.base import truth_of, views_of
from linksim.core.csi import Csi, Panel
from linksim.core.places import Places
from linksim.mimo.angle_delay import dft_codebook


def _places(count, maps=None):
    return Places(torch.zeros(count, 1, 3), torch.full((count, 1), 20.0), torch.full((count, 1), -90.0),
                  torch.ones(count, 1, dtype=torch.bool), torch.zeros(count, 1, dtype=torch.long),
                  torch.zeros(1, 4, 4) if maps is None else maps)


def _csi(h, panel):
    users = h.shape[:2]
    return Csi(h, torch.zeros(h.shape[-2]), torch.arange(h.shape[-1]).double(), torch.zeros(users), panel,
               torch.zeros(users))


@pytest.mark.parametrize("beam", [0, 3, 7])
def test_the_truth_of_a_plane_wave_is_its_own_beam_and_its_own_precoder(beam):
    panel = Panel(1, 8, 1)
    vector = dft_codebook(panel)[:, beam]
    phases = torch.exp(2j * math.pi * torch.rand(5))
    h = (vector.conj()[:, None] * phases).reshape(1, 1, 1, 8, 1, 5)
    truth = truth_of(_csi(h, panel), _places(1))
    assert truth.beam.item() == beam
    assert (truth.precoder[0, :, 0].conj() @ vector).abs().item() == pytest.approx(1, abs=1e-5)
    assert truth.path_loss_db.item() == 90


def test_no_unit_precoder_gets_more_across_than_the_true_one():
    panel = Panel(1, 6, 1)
    h = torch.randn(20, 1, 2, 6, 1, 9, dtype=torch.complex64)
    truth = truth_of(_csi(h, panel), _places(20))
    rows = h[:, 0, :, :, 0].permute(0, 1, 3, 2)

    def power(vectors):
        return torch.einsum("sufa,sa->suf", rows, vectors).abs().square().sum((1, 2))

    best = power(truth.precoder[..., 0])
    for _ in range(20):
        other = torch.nn.functional.normalize(torch.randn(20, 6, dtype=torch.complex64), dim=1)
        assert (power(other) <= best * 1.0001).all()


def test_what_a_task_is_not_given_is_not_in_its_view():
    views = views_of(_csi(torch.randn(3, 1, 1, 4, 2, 5, dtype=torch.complex64), Panel(1, 4, 1)), _places(3))
    assert set(vars(views["channel"])) == {"h", "gain_db", "bs_height_m"}
    assert "h" not in vars(views["environment"])
    assert "gain_db" not in vars(views["environment"])


def test_places_are_joined_with_their_maps():
    first, second = _places(2, torch.ones(3, 4, 4)), _places(3, torch.zeros(2, 4, 4))
    together = Places.joined([first, second])
    assert together.height_map.flatten().tolist() == [0, 0, 3, 3, 3]
    assert len(together.maps) == 5
    assert Places.joined([first, first]).maps is first.maps
