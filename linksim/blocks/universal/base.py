"""What every block that answers tasks is: a question about a terminal, and what is known of the terminal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import Csi, Panel
from linksim.core.places import Places
from linksim.mimo.angle_delay import dft_codebook
from linksim.mimo.precoding import band_precoder


@dataclass(frozen=True)
class UniversalShape:
    """Sizes that a block's parameters depend on."""

    num_ue_antennas: int
    panel: Panel
    num_subcarriers: int
    subcarrier_spacing_hz: float
    num_streams: int = 1


@dataclass(frozen=True, eq=False)
class ChannelView:
    """The channel of every terminal, as it is observed.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``, mean gain about one; delays count from departure where
        ``channel.ray_traced.synchronized`` is false.
    :param gain_db: ``[sample]``, of the paths between isotropic antennas, which a terminal measures as received power.
    :param bs_height_m: ``[sample]``, of the base station above the zero of its map: it knows how high it stands.
    """

    h: torch.Tensor
    gain_db: torch.Tensor
    bs_height_m: torch.Tensor

    def __len__(self) -> int:
        return len(self.h)


@dataclass(frozen=True, eq=False)
class EnvironmentView:
    """Where every terminal stands, and what stands around it.

    :param offset_m: ``[sample, 3]``; ``bs_height_m``, ``[sample]``; ``height_map``, ``[sample]``; ``maps``,
        ``[map, row, column]``: see `linksim.core.places.Places`.
    """

    offset_m: torch.Tensor
    bs_height_m: torch.Tensor
    height_map: torch.Tensor
    maps: torch.Tensor

    def __len__(self) -> int:
        return len(self.offset_m)


View = ChannelView | EnvironmentView


@dataclass(frozen=True, eq=False)
class Truth:
    """What the answers are compared with.

    :param position_m: ``[sample, 2]``, metres ahead of the base station and to its left.
    :param line_of_sight: ``[sample]``, bool.
    :param precoder: complex, ``[sample, bs_ant, ue_ant]``: for every number of streams up to the terminal's antennas,
        its first columns are the orthonormal ones that get most power across the whole band.
    :param beam_share: ``[sample, beam]``, of the power that all beams of `dft_codebook` together get across.
    :param path_loss_db: ``[sample]``.
    """

    position_m: torch.Tensor
    line_of_sight: torch.Tensor
    precoder: torch.Tensor
    beam_share: torch.Tensor
    path_loss_db: torch.Tensor

    @property
    def beam(self) -> torch.Tensor:
        """The beam that gets most power across, ``[sample]``, int64."""
        return self.beam_share.argmax(1)


class UniversalBlock(torch.nn.Module, ABC):
    """Answers tasks about terminals (`linksim.blocks.universal.tasks.TASKS`), each from one view of them."""

    block_name: str = ""

    version: int = 1
    """Changes whenever earlier checkpoints must not be used any more."""

    knows_truth: bool = False
    """A ceiling: its views are of the true channel."""

    @abstractmethod
    def tasks(self) -> dict[str, str]:
        """The tasks that it answers, each with what it wants to see, ``channel`` or ``environment``."""

    @abstractmethod
    def prepare(self, shape: UniversalShape) -> None:
        """Make parameters and buffers of the right size, untrained."""

    @abstractmethod
    def answer(self, task: str, view: View) -> torch.Tensor:
        """The answer for every terminal; it never depends on the others.

        :returns: ``position``: metres ahead and left, ``[sample, 2]``; ``los``: probability, ``[sample]``;
            ``precoding``: complex ``[sample, bs_ant, stream]``, orthonormal columns, the strongest stream first;
            ``beam``: a score for each, ``[sample, beam]``;
            ``path_loss``: dB, ``[sample]``.
        """


class FittedBlock(UniversalBlock):
    """Fitted in closed form to training drops, its few options chosen on validation drops."""

    @abstractmethod
    def observe(self, views: dict[str, View], truth: Truth, validation: bool) -> None:
        """Take in a batch."""

    @abstractmethod
    def solve(self) -> float:
        """Fit.

        :returns: an error of the validation drops.
        """


def views_of(csi: Csi, places: Places) -> dict[str, View]:
    """Both views of the terminals of drops, drop after drop.

    :param csi: at one instant or at several, of which the last one counts.
    """
    return {
        "channel": ChannelView(csi.h[..., -1, :].flatten(0, 1), places.gain_db.flatten(), places.bs_height_m.flatten()),
        "environment": EnvironmentView(places.offset_m.flatten(0, 1), places.bs_height_m.flatten(),
                                       places.height_map.flatten(), places.maps),
    }


def truth_of(csi: Csi, places: Places) -> Truth:
    """The answers, from the true channel at its first instant."""
    h = csi.h[..., 0, :].flatten(0, 1)
    power = (h.mT @ dft_codebook(csi.panel).to(h)).abs().square().sum((1, 2))
    return Truth(places.offset_m[..., :2].flatten(0, 1), places.line_of_sight.flatten(),
                 band_precoder(h, min(h.shape[1:3])), power / power.sum(1, keepdim=True), -places.gain_db.flatten())


class LearnedUniversalBlock(UniversalBlock):
    """Trained in the shared trainer, `linksim.training.trainer`; it never writes its own loop."""


    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: all but a frozen language model."""
        frozen = {name for name, parameter in self.named_parameters()
                  if not parameter.requires_grad and name.startswith("backbone.")}
        return {name: tensor for name, tensor in self.state_dict().items() if name not in frozen}

    @abstractmethod
    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """What is minimised on a batch of terminals."""

    @abstractmethod
    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """What chooses the best epoch, of every terminal, ``[sample]``."""

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        return self.loss(views_of(batch.history, batch.places), truth_of(batch.future, batch.places))

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        errors = self.errors(views_of(batch.history, batch.places), truth_of(batch.future, batch.places))
        return errors.unflatten(0, batch.places.gain_db.shape).mean(1)
