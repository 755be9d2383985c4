"""The tasks of a universal model: their keywords, what they are given, and what an answer is.

Source: AI2MMUM, Table I: three tasks from the channel, two from the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch

from linksim.blocks.universal.base import Truth, UniversalShape
from linksim.core.errors import LinksimError

POSITION_SCALE_M = 100.0
_METRES_THAT_COUNT = 20.0
_MEAN_GAIN_DB, _SCALE_DB = -100.0, 15.0


@dataclass(frozen=True)
class Task:
    """One task.

    :param keywords: of its instruction.
    :param given: what the model sees of a terminal.
    """

    name: str
    keywords: str
    given: Literal["channel", "environment"]

    def num_outputs(self, shape: UniversalShape) -> int:
        """Numbers that its head puts out."""
        antennas = shape.panel.num_antennas
        return {"position": 2, "los": 1, "precoding": 2 * antennas * shape.num_streams, "beam": antennas,
                "path_loss": 1}[self.name]

    def answer(self, output: torch.Tensor, num_streams: int = 1) -> torch.Tensor:
        """What the numbers of a head mean, ``[sample, …]``; see `linksim.blocks.universal.base.UniversalBlock.answer`.

        :param output: ``[sample, num_outputs]``.
        :param num_streams: of the precoder.
        """
        match self.name:
            case "position":
                return POSITION_SCALE_M * output
            case "los":
                return output[:, 0].sigmoid()
            case "precoding":
                beams = torch.view_as_complex(output.float().unflatten(1, (-1, num_streams, 2)).contiguous())
                # few beams carry most of it, which is easier to learn than what all antennas send
                columns = torch.nn.functional.normalize(torch.fft.fft(beams, dim=1, norm="ortho"), dim=1)
                return columns if num_streams == 1 else torch.linalg.qr(columns).Q
            case "path_loss":
                return -(_MEAN_GAIN_DB + _SCALE_DB * output[:, 0])
        return output

    def loss(self, output: torch.Tensor, truth: Truth, beam_targets: Literal["strongest", "power"] = "strongest",
             num_streams: int = 1) -> torch.Tensor:
        """Loss of every sample, ``[sample]``, each about one for a model that knows nothing, but the
        position, whose loss is about one 20 m away.

        :param output: of the head.
        :param beam_targets: classes of the beam task: the strongest beam alone, or every beam by its share of the
            power. Of two that are nearly as strong, chance says which one is the strongest.
        :param num_streams: of the precoder.
        """
        functional = torch.nn.functional
        match self.name:
            case "position":
                # a square would hardly feel the last ten metres
                return (POSITION_SCALE_M * output - truth.position_m).norm(dim=1) / _METRES_THAT_COUNT
            case "los":
                return functional.binary_cross_entropy_with_logits(output[:, 0], truth.line_of_sight.to(output.dtype),
                                                                   reduction="none")
            case "precoding":
                return 1 - similarity(self.answer(output, num_streams), truth.precoder)
            case "beam":
                targets = truth.beam if beam_targets == "strongest" else truth.beam_share
                return functional.cross_entropy(output, targets, reduction="none") / 3
        return (output[:, 0] - (-truth.path_loss_db - _MEAN_GAIN_DB) / _SCALE_DB).square()

    def error(self, answer: torch.Tensor, truth: Truth) -> torch.Tensor:
        """What chooses the best epoch, of every sample, ``[sample]``, 0 to about 1."""
        match self.name:
            case "position":
                return (answer - truth.position_m).norm(dim=1) / POSITION_SCALE_M
            case "los":
                return ((answer > 0.5) != truth.line_of_sight).float()
            case "precoding":
                return 1 - similarity(answer, truth.precoder)
            case "beam":
                return (answer.argmax(1) != truth.beam).float()
        return ((answer - truth.path_loss_db) / _SCALE_DB).square()


_ALSO = {"position": ("positioning", "where"), "los": ("nlos", "line of sight"), "precoding": ("precoder",),
         "path_loss": ("pathloss",)}
"""Other words for a task in an instruction."""

TASKS = {task.name: task for task in (
    Task("position", "position", "channel"),
    Task("los", "LOS status", "channel"),
    Task("precoding", "precoding", "channel"),
    Task("beam", "beam selection", "environment"),
    Task("path_loss", "path loss", "environment"),
)}


def task_named(instruction: str) -> Task:
    """The task that an instruction means: the one whose name or keywords it holds.

    :raises LinksimError: none, or several; lists them.
    """
    words = f" {re.sub(r'[^a-z0-9]+', ' ', instruction.lower())} "
    asked = [task for task in TASKS.values() if any(f" {word} " in words for word in _words_of(task))]
    if len(asked) != 1:
        known = ", ".join(f'"{task.keywords}"' for task in TASKS.values())
        found = "several tasks" if asked else "no task"
        raise LinksimError(f"the instruction {instruction!r} names {found}: write one of {known}")
    return asked[0]


def _words_of(task: Task) -> set[str]:
    return {task.name.replace("_", " "), task.keywords.lower(), *_ALSO.get(task.name, ())}


def similarity(precoder: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
    """SGCS of precoders, ``[sample]``: the squared cosine of each column with the best of its stream, mean over the
    streams; one where all are parallel.

    AI2MMUM's evaluation divides by the product of Frobenius norms, which gives 1/K to K perfect columns; this is the
    mean over layers of 3GPP TR 38.843, clause 6.2.2.

    :param precoder: complex, ``[sample, bs_ant, stream]``.
    :param best: of as many streams or more, of which the first ones count.
    """
    best = best[..., :precoder.shape[-1]]
    product = (precoder.conj() * best).sum(1).abs().square()
    power = precoder.abs().square().sum(1) * best.abs().square().sum(1)
    return (product / power.clamp_min(torch.finfo(power.dtype).tiny)).mean(1)
