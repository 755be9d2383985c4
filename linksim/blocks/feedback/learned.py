"""What a codec that learns adds: it is shaped for a problem, then fitted on the CSI of training drops, in closed form
or by gradient descent with quantisers fitted at the end.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.quantizer import SCALE_BITS, scale_code, scale_of
from linksim.blocks.feedback.range_coder import MAX_TOTAL
from linksim.blocks.parameters import matched
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import Csi, Panel
from linksim.core.errors import LinksimError, ScenarioError
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay


@dataclass(frozen=True)
class FeedbackShape:
    """Sizes that a trained codec's parameters depend on."""

    num_ue_antennas: int
    panel: Panel
    num_subcarriers: int

    @classmethod
    def of(cls, csi: Csi) -> FeedbackShape:
        return cls(csi.h.shape[2], csi.panel, csi.h.shape[-1])


class FittedCodec(FeedbackCodec):
    """A codec with parameters."""

    shape: FeedbackShape | None = None

    @abstractmethod
    def prepare(self, shape: FeedbackShape) -> None:
        """Make parameters and buffers of the right size, untrained, and remember the shape."""

    def at_budget(self, options: dict[str, Any]) -> FittedCodec:
        """The same codec, sharing its parameters, with a method's own budget.

        :param options: of the method; those that say what the codec is made of are its own.
        """
        other = copy.copy(self)
        other._modules = dict(self._modules)  # copied as well, or a part replaced there would be here
        other.set_budget(options)
        return other

    def set_budget(self, options: dict[str, Any]) -> None:
        """Take over what of the options is chosen when the codec is used."""
        self.bits = options["bits"]

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds."""
        return self.state_dict()

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what `saved_state` gave.

        :raises LinksimError: other names, sizes or types; says which.
        """
        self.load_state_dict(matched(self.saved_state(), state, self.block_name), strict=False)

    def check_shape(self, grid: ReportGrid) -> None:
        """:raises ScenarioError: the codec was shaped for other sizes, or not yet."""
        if self.shape is None:
            raise ScenarioError(f"feedback {self.block_name!r} is not trained: it needs a checkpoint or training drops")
        sizes = FeedbackShape(grid.num_ue_antennas, grid.panel, grid.num_subcarriers)
        if sizes != self.shape:
            raise ScenarioError(f"feedback {self.block_name!r} was trained for {self.shape}, not for {sizes}")


class ClosedFormCodec(FittedCodec):
    """Fitted from training drops without gradients."""

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        super().restore(state)
        for name, table in self.named_buffers():
            if table.dtype == torch.int32 and not _are_frequencies(table):
                raise LinksimError(f"does not fit {self.block_name}: {name} holds no frequencies of symbols")

    @abstractmethod
    def observe(self, csi: Csi, validation: bool) -> None:
        """Take noiseless CSI of training drops at one instant, ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``."""

    @abstractmethod
    def solve(self) -> float:
        """Fit, drop what was kept.

        :returns: NMSE of validation drops (of training drops where there are none), linear.
        """


def _are_frequencies(table: torch.Tensor) -> bool:
    """Whether every row of integers can be a range coder's."""
    return bool((table >= 1).all() and (table.long().sum(-1) <= MAX_TOTAL).all())


@dataclass(frozen=True)
class DelayWindow:
    """The first delay rows of an angle-delay channel; what lies beyond is never reported.

    :param rows: delay rows kept, N_c in the literature.

    Source: LLMCsiNet, eq. (2) and the text below it.
    """

    rows: int

    def images(self, csi: Csi) -> tuple[torch.Tensor, torch.Tensor]:
        """Every terminal antenna's window as an image, and each user's scale.

        :param csi: ``h`` ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``.
        :returns: ``[batch * user, ue_ant, 2, row, beam]``, real and imaginary part between -1 and 1; the code of the
            scale (see `scale_code`), ``[batch * user]``: the largest part's magnitude, rounded up.
        """
        image = self._parts(csi)
        code = scale_code(image.abs().flatten(1).amax(-1), upwards=True)
        return self._scaled(image, code), code

    def images_at(self, csi: Csi, code: torch.Tensor) -> torch.Tensor:
        """Images at scales that are given: ``[batch * user, ue_ant, 2, row, beam]``."""
        return self._scaled(self._parts(csi), code)

    def _parts(self, csi: Csi) -> torch.Tensor:
        g = to_angle_delay(csi.h, csi.panel)[..., 0, :self.rows].mT.flatten(0, 1)
        return torch.stack([g.real, g.imag], 2)

    @staticmethod
    def _scaled(image: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        # a channel of zeros stays one
        scale = torch.where(code > 0, scale_of(code), 1.0).to(image.dtype)
        return image / scale[:, None, None, None, None]

    def channel(self, image: torch.Tensor, code: torch.Tensor, shape: tuple[int, ...], panel: Panel) -> torch.Tensor:
        """The full band, zero beyond the window.

        :param image: ``[batch * user, ue_ant, 2, row, beam]``; ``code`` as `images` gives it.
        :param shape: of the result, ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``.
        :returns: complex64.
        """
        image = image.float() * scale_of(code).float()[:, None, None, None, None]
        g = torch.complex(image[:, :, 0], image[:, :, 1]).mT
        g = torch.nn.functional.pad(torch.view_as_real(g), (0, 0, 0, shape[-1] - self.rows))
        g = torch.view_as_complex(g.contiguous()).unsqueeze(-2).unflatten(0, shape[:2])
        return from_angle_delay(g, panel).to(torch.complex64)

    def energy_beyond(self, csi: Csi) -> torch.Tensor:
        """Share of each user's energy outside the window, ``[batch, user]``: the least NMSE of any codec of it."""
        energy = to_angle_delay(csi.h, csi.panel).abs().square().sum((2, 3, 4))
        return energy[..., self.rows:].sum(-1) / energy.sum(-1).clamp_min(torch.finfo(energy.dtype).tiny)


_DECODED_AT_ONCE = 64
_LEAST_ENERGY = 0.5
"""Least energy of an image: a channel that is not zero has a part of nearly 1."""


class LearnedCodec(FittedCodec):
    """Works on the first delay rows of the angle-delay channel, each terminal antenna an image of parts from -1 to 1.

    Trained in the shared trainer, `linksim.training.trainer`, on the squared error of the window over its energy, mean
    over users; it never writes its own loop. A report is the scale of the user's images and what `write_image` writes
    of each.

    A subclass makes its networks in `make`, and says what they do (`codeword`, `decoded`) and how a codeword becomes
    bits and is read again. Quantisers are fitted when training is over, on training codewords alone.

    :param delay_window: delay rows kept, N_c in the literature; a narrower band has all of its own.
    """

    num_stages: int = 1
    """Stages of training; `begin_stage` is told each."""

    def __init__(self, delay_window: int = 32) -> None:
        super().__init__()
        self.delay_window = delay_window

    @abstractmethod
    def make(self, rows: int, beams: int) -> None:
        """Make networks for images ``[2, row, beam]``, untrained."""

    @property
    @abstractmethod
    def sides(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        """Networks of the terminal and of the base station."""

    @abstractmethod
    def codeword(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the terminal's networks make of images ``[image, 2, row, beam]``, before it is quantised."""

    def reconstructed(self, image: torch.Tensor) -> torch.Tensor:
        """What the base station would know of images if values cost nothing; differentiable.

        :param image: ``[image, 2, row, beam]``, between -1 and 1; the result likewise.
        """
        return self.decoded(*self.codeword(image))

    @abstractmethod
    def observe(self, image: torch.Tensor) -> None:
        """Keep codewords of training images, ``[image, 2, row, beam]``, for `fit_quantizers`."""

    @abstractmethod
    def fit_quantizers(self) -> None:
        """Fit quantisers to what was kept, and drop that."""

    @abstractmethod
    def image_bits(self, rows: int, beams: int) -> int:
        """Fewest bits for an image ``[2, row, beam]``."""

    @abstractmethod
    def write_image(self, writer: BitWriter, image: torch.Tensor, budget: int) -> None:
        """One image, ``[2, row, beam]``, in at most ``budget`` bits."""

    @abstractmethod
    def read_image(self, reader: BitReader, budget: int) -> tuple[torch.Tensor, ...]:
        """What `decoded` needs of an image; each tensor is stacked over images."""

    @abstractmethod
    def decoded(self, *parts: torch.Tensor) -> torch.Tensor:
        """Images ``[image, 2, row, beam]`` from codewords, or from the stacked results of `read_image`."""

    def set_budget(self, options: dict[str, Any]) -> None:
        super().set_budget(options)
        self.quantization = options["quantization"]
        self.quantizer = copy.copy(self.quantizer)
        self.quantizer.quantization = self.quantization

    def begin_stage(self, stage: int) -> None:
        """Training goes on in another stage, 0 being the first."""

    def prepare(self, shape: FeedbackShape) -> None:
        self.shape = shape
        self.window = DelayWindow(min(self.delay_window, shape.num_subcarriers))
        self.make(self.window.rows, shape.panel.num_antennas)
        self._frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: all but a pretrained backbone that is not trained."""
        return {name: tensor for name, tensor in self.state_dict().items() if name not in self._frozen}

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """Squared error of the true window over its energy, mean over users, what is encoded being noisy.

        Source: LLMCsiNet, eq. (13), every sample weighted as in its eq. (14).
        """
        return self._window_errors(batch).mean()

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        """NMSE of the window, each drop's mean over users, ``[batch]``: what lies beyond is the same for all epochs."""
        return self._window_errors(batch).mean(-1)

    def _window_errors(self, batch: TrainingBatch) -> torch.Tensor:
        seen, code = self.window.images(batch.history)
        true = self.window.images_at(batch.future, code)
        decoded = self.reconstructed(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
        error, energy = ((part.float().square()).flatten(1).sum(-1) for part in (decoded - true, true))
        return (error / energy.clamp_min(_LEAST_ENERGY)).unflatten(0, batch.future.h.shape[:2])

    def finish(self, batches: Iterator[TrainingBatch]) -> None:
        """Called when training is over, with its drops once more and the best weights."""
        for batch in batches:
            self.observe(self.window.images(batch.history)[0].flatten(0, 1))
        self.fit_quantizers()

    def minimum_bits(self, grid: ReportGrid) -> int:
        rows = min(self.delay_window, grid.num_subcarriers)
        return SCALE_BITS + grid.num_ue_antennas * self.image_bits(rows, grid.panel.num_antennas)

    def _image_budget(self, num_ue_antennas: int) -> int:
        return max(0, self.bits - SCALE_BITS) // num_ue_antennas

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        self.check_shape(ReportGrid.of(csi))
        images, codes = self.window.images(csi)
        images = images.to(self.device)
        budget = self._image_budget(csi.h.shape[2])
        writers = []
        # one by one: in a batch, rounding depends on the neighbours, and a value at the edge of a cell with it
        for user, code in zip(images, codes.tolist()):
            writer = BitWriter()
            writer.write(code, SCALE_BITS, "scale")
            if code:
                for image in user:
                    self.write_image(writer, image, budget)
            writers.append(writer)
        return writers

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        self.check_shape(grid)
        budget, antennas = self._image_budget(grid.num_ue_antennas), grid.num_ue_antennas
        codes = [reader.read(SCALE_BITS, "scale") for reader in readers]
        present = [index for index, code in enumerate(codes) if code]
        images = torch.zeros(len(readers), antennas, 2, self.window.rows, grid.panel.num_antennas)
        for first in range(0, len(present), _DECODED_AT_ONCE):
            part = present[first:first + _DECODED_AT_ONCE]
            read = [self.read_image(readers[index], budget) for index in part for _ in range(antennas)]
            stacked = [torch.stack(tensors).to(self.device) for tensors in zip(*read)]
            images[part] = self.decoded(*stacked).float().cpu().unflatten(0, (len(part), antennas))
        return self.window.channel(images, torch.tensor(codes), grid.shape, grid.panel)
