"""Tasks: what their numbers mean, what they cost, and which one an instruction means."""

import math
from dataclasses import replace

import pytest
import torch

from linksim.blocks.universal.base import Truth, UniversalShape
from linksim.blocks.universal.tasks import TASKS, similarity, task_named
from linksim.core.csi import Panel
from linksim.core.errors import LinksimError

SHAPE = UniversalShape(1, Panel(1, 4, 1), 8, 1e5)


@pytest.fixture
def truth():
    stream = torch.Generator().manual_seed(1)
    precoder = torch.randn(6, 4, 2, dtype=torch.complex64, generator=stream)
    return Truth(200 * torch.rand(6, 2, generator=stream), torch.arange(6) % 2 == 0,
                 torch.linalg.qr(precoder).Q, torch.eye(4)[torch.arange(6) % 4],
                 80 + 40 * torch.rand(6, generator=stream))


def _perfect(name, truth, num_streams=1):
    """The output of a head that knows."""
    match name:
        case "position":
            return truth.position_m / 100
        case "los":
            return torch.where(truth.line_of_sight, 30.0, -30.0)[:, None]
        case "precoding":
            # another phase and length are no fault
            beams = torch.fft.ifft(3j * truth.precoder[..., :num_streams], dim=1, norm="ortho")
            return torch.view_as_real(beams).flatten(1)
        case "beam":
            return 40 * torch.nn.functional.one_hot(truth.beam, 4).float()
    return ((-truth.path_loss_db + 100) / 15)[:, None]


@pytest.mark.parametrize("name", TASKS)
def test_who_knows_loses_nothing(name, truth):
    task, output = TASKS[name], _perfect(name, truth)
    assert output.shape == (6, task.num_outputs(SHAPE))
    assert task.loss(output, truth).max() < 1e-5
    assert task.error(task.answer(output), truth).max() < 1e-5
    wrong = TASKS[name].loss(output.roll(1, 0), truth)
    assert wrong.mean() > 0.05


def test_power_targets_are_met_by_the_shares_themselves_and_forgive_a_tie(truth):
    share = torch.tensor([[0.48, 0.46, 0.03, 0.03]]).expand(6, -1)
    near_tie = replace(truth, beam_share=share)
    beam, second = TASKS["beam"], torch.tensor([[0.46, 0.48, 0.03, 0.03]]).log().expand(6, -1)
    best = beam.loss(share.log(), near_tie, "power")
    assert (best < beam.loss(share.log() + torch.randn(6, 4), near_tie, "power")).all()
    last = share.flip(1).log()
    for_second = beam.loss(second, near_tie, "power") - best
    assert (for_second < 0.01 * (beam.loss(last, near_tie, "power") - best)).all()


def test_answers_have_units(truth):
    torch.testing.assert_close(TASKS["position"].answer(_perfect("position", truth)), truth.position_m)
    torch.testing.assert_close(TASKS["path_loss"].answer(_perfect("path_loss", truth)), truth.path_loss_db)
    for num_streams in (1, 2):
        precoder = TASKS["precoding"].answer(torch.randn(3, 8 * num_streams), num_streams)
        torch.testing.assert_close(precoder.mH @ precoder, torch.eye(num_streams).expand(3, -1, -1).to(precoder))


def test_similarity_is_one_for_the_same_direction_and_nothing_for_another():
    def one(*entries):
        return torch.tensor(entries, dtype=torch.complex64)[None, :, None]

    first = one(1, 1j, 0, 0)
    assert similarity(first, -2j * first).item() == pytest.approx(1)
    assert similarity(first, one(1, -1j, 0, 0)).item() == pytest.approx(0)
    assert similarity(first, one(1, 0, 0, 0)).item() == pytest.approx(0.5)
    assert math.isfinite(similarity(torch.zeros_like(first), first).item())


def test_similarity_of_several_streams_is_their_mean(truth):
    best = truth.precoder
    assert similarity(-2j * best, best).tolist() == pytest.approx([1] * 6, abs=1e-5)
    assert similarity(best.flip(2), best).tolist() == pytest.approx([0] * 6, abs=1e-5)
    assert similarity(torch.stack([best[..., 0], best[..., 0]], 2), best).tolist() == pytest.approx([0.5] * 6, abs=1e-5)
    assert similarity(best[..., :1], best).tolist() == pytest.approx([1] * 6, abs=1e-5)


def test_a_precoder_of_two_streams_is_learned_column_by_column(truth):
    task, output = TASKS["precoding"], _perfect("precoding", truth, 2)
    assert output.shape == (6, task.num_outputs(replace(SHAPE, num_streams=2)))
    assert task.loss(output, truth, num_streams=2).max() < 1e-5
    assert task.loss(output.roll(1, 0), truth, num_streams=2).mean() > 0.05
    output = torch.randn(6, 16, requires_grad=True)
    task.loss(output, truth, num_streams=2).sum().backward()
    assert output.grad.isfinite().all()


@pytest.mark.parametrize(("instruction", "name"), [
    ("position", "position"), ("Where is the terminal?", "position"), ("LOS status", "los"), ("is it NLOS?", "los"),
    ("precoding", "precoding"), ("beam selection, please", "beam"), ("path loss", "path_loss"),
    ("PathLoss", "path_loss"),
])
def test_an_instruction_means_a_task(instruction, name):
    assert task_named(instruction).name == name


@pytest.mark.parametrize("instruction", ["", "weather", "closet", "position and path loss"])
def test_an_instruction_that_means_none_or_several_lists_them(instruction):
    with pytest.raises(LinksimError, match='"position", "LOS status", "precoding", "beam selection", "path loss"'):
        task_named(instruction)
