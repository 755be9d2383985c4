"""Codecs that report some elements of the channel, and where they are: what both IdasNet and LLMCsiNet are."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import pydantic
import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter, combination_bits
from linksim.blocks.feedback.learned import LearnedCodec
from linksim.blocks.feedback.networks.selection import (
    RandomSelection,
    SelfInformationEncoder,
    StrongestSelection,
    fill,
    select_strongest_each,
)
from linksim.blocks.feedback.quantizer import FLOAT_BITS, MAX_BITS, CodewordQuantizer, Quantization, least_bits
from linksim.blocks.feedback.topm import affordable_coefficients
from linksim.core.errors import ScenarioError
from linksim.core.types import PositiveInt

MEAN_BITS = 8


class ReportedElements(pydantic.BaseModel, frozen=True):
    """What is reported of a channel.

    :param num_values: elements reported of each terminal antenna; 221 are the paper's compression of 1/8.
    :param bits: per report, at most.
    :param several_values: one network for all of these numbers of elements, drawn anew for every image in training; a
        report has as many as fit.
    :param value_bits: of a value, with several_values.
    :param quantization: of the values.
    :param delay_window: delay rows kept, N_c.
    :param selection: "self_information", the learned encoder f_EN; or a control: the "strongest" elements of the
        channel itself; "random" ones, at places that both sides know.
    """

    num_values: PositiveInt = 221
    bits: PositiveInt = 2048
    several_values: list[PositiveInt] | None = None
    value_bits: PositiveInt = 4
    quantization: Quantization = "lloyd_max"
    delay_window: PositiveInt = 32
    selection: Literal["self_information", "strongest", "random"] = "self_information"


class MaskedCodec(LearnedCodec):
    """Reports elements of what the terminal's network makes of an image, their positions, and the image's mean.

    An image costs its values, ``log2 C(2 rows beams, values)`` bits for their positions (none where both sides know
    them), and the mean that the base station fills the other elements with.
    """

    def __init__(self, report: ReportedElements = ReportedElements()) -> None:
        super().__init__(report.delay_window)
        self.num_values, self.several_values = report.num_values, report.several_values or []
        self.bits, self.value_bits, self.quantization = report.bits, report.value_bits, report.quantization
        self.selection = report.selection
        if self.several_values and self.selection == "random":
            raise ScenarioError(f"feedback {self.block_name!r}, option 'several_values': random places are for one "
                                "number of values")
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    @abstractmethod
    def make_decoder(self, rows: int, beams: int) -> None:
        """Make the base station's networks."""

    @abstractmethod
    def restored(self, filled: torch.Tensor) -> torch.Tensor:
        """The base station's network, ``[image, 2, row, beam]``, from an image with the reported elements in it."""

    def make(self, rows: int, beams: int) -> None:
        self._check_number(2 * rows * beams)
        self.rows, self.beams = rows, beams
        self.quantizer = CodewordQuantizer(1, self.quantization)
        self.mean_quantizer = CodewordQuantizer(1)
        self.selector = RandomSelection(rows, beams) if self.selection == "random" else StrongestSelection(
            SelfInformationEncoder() if self.selection == "self_information" else None)
        self.make_decoder(rows, beams)

    def set_budget(self, options: dict[str, Any]) -> None:
        super().set_budget(options)
        self.value_bits = options["value_bits"]

    def codeword(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return *self._selected(image), _mean(image)

    def _selected(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not (self.several_values and self.training):
            return self.selector(image, self._most_values)
        numbers = torch.tensor(self.several_values)
        drawn = numbers[torch.randint(len(numbers), (len(image),))].to(image.device)
        return select_strongest_each(self.selector.network(image), drawn)[:2]

    @property
    def _most_values(self) -> int:
        return max(self.several_values, default=self.num_values)

    def observe(self, image: torch.Tensor) -> None:
        values, _ = self.selector(image, self._most_values)
        self._kept.append((values.cpu(), _mean(image).cpu()))

    def fit_quantizers(self) -> None:
        for quantizer, values in zip((self.quantizer, self.mean_quantizer), zip(*self._kept)):
            quantizer.fit(torch.cat([part.flatten() for part in values])[:, None])
        self._kept = []

    def _check_number(self, total: int) -> None:
        if max([self.num_values, *self.several_values]) > total:
            raise ScenarioError(f"feedback {self.block_name!r}, option 'num_values': a delay window of this channel "
                                f"has {total} elements: at most {total}")

    def image_bits(self, rows: int, beams: int) -> int:
        self._check_number(2 * rows * beams)
        number, bits = (1, self._fixed_bits) if self.several_values else (self.num_values,
                                                                          least_bits(self.quantization))
        return MEAN_BITS + self._position_bits(2 * rows * beams, number) + bits * number

    def _position_bits(self, total: int, number: int) -> int:
        return 0 if self.selection == "random" else combination_bits(total, number)

    @property
    def _fixed_bits(self) -> int:
        return FLOAT_BITS if self.quantization == "none" else min(self.value_bits, MAX_BITS)

    @property
    def total(self) -> int:
        """Elements of an image."""
        return 2 * self.rows * self.beams

    def _split(self, budget: int) -> tuple[int, int]:
        """Elements of an image, and bits of each."""
        left = budget - MEAN_BITS
        if self.several_values:
            return max(1, affordable_coefficients(self.total, self._fixed_bits, max(0, left))), self._fixed_bits
        left -= self._position_bits(self.total, self.num_values)
        return self.num_values, self.quantizer.affordable_bits(left // self.num_values)

    def write_image(self, writer: BitWriter, image: torch.Tensor, budget: int) -> None:
        number, bits = self._split(budget)
        values, positions = (part[0] for part in self.selector(image[None], number))
        mean = self.mean_quantizer.quantize(_mean(image[None])[:, None], MEAN_BITS)
        writer.write(int(mean), MEAN_BITS, "mean")
        if self.selection != "random":
            writer.write_combination(positions.tolist(), self.total)
        for index in self.quantizer.quantize(values[:, None], bits).flatten().tolist():
            writer.write(index, bits, "values")

    def read_image(self, reader: BitReader, budget: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        number, bits = self._split(budget)
        mean = self.mean_quantizer.dequantize(torch.tensor([[reader.read(MEAN_BITS, "mean")]]), MEAN_BITS)[0, 0]
        positions = self.selector.order[:number].sort().values.cpu() if self.selection == "random" \
            else torch.tensor(reader.read_combination(self.total, number))
        index = torch.tensor([reader.read(bits, "values") for _ in range(number)])
        return self.quantizer.dequantize(index[:, None], bits)[:, 0], positions, mean

    def decoded(self, values: torch.Tensor, positions: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        return self.restored(fill(values, positions, mean, self.rows, self.beams))


def _mean(image: torch.Tensor) -> torch.Tensor:
    """Mean of each image, ``[image]``."""
    return image.flatten(1).mean(-1)
