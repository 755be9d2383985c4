"""Codecs whose codeword is a vector of learned numbers: the autoencoders of the CsiNet line."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.learned import LearnedCodec
from linksim.blocks.feedback.networks.clnet import CLNetDecoder, CLNetEncoder
from linksim.blocks.feedback.networks.crnet import CRNetDecoder, CRNetEncoder
from linksim.blocks.feedback.networks.csinet import CsiNetDecoder, CsiNetEncoder
from linksim.blocks.feedback.networks.gcrnet import GCRNetDecoder, GCRNetEncoder
from linksim.blocks.feedback.networks.transnet import (
    TransInDecNetDecoder,
    TransInDecNetEncoder,
    TransNetDecoder,
    TransNetEncoder,
)
from linksim.blocks.feedback.quantizer import CodewordQuantizer, least_bits
from linksim.core.registry import register
from linksim.core.types import PositiveInt


class AutoencoderCodec(LearnedCodec):
    """Every value of the codeword gets as many whole bits as the budget allows, at most ten.

    The networks see parts from 0 to 1 with 0.5 for zero, as in the CsiNet data.

    :param num_values: of the codeword, M; 256 of 2048 parts are the literature's compression of 1/8.
    :param bits: per report, at most.
    :param quantization: of the codeword.
    :param delay_window: delay rows kept.
    """

    networks: ClassVar[tuple[type, type]]

    def __init__(self, num_values: PositiveInt = 256, bits: PositiveInt = 1024,
                 quantization: Literal["lloyd_max", "uniform", "none"] = "lloyd_max",
                 delay_window: PositiveInt = 32) -> None:
        super().__init__(delay_window)
        self.num_values = num_values
        self.bits = bits
        self.quantization = quantization
        self._kept: list[torch.Tensor] = []

    def make(self, rows: int, beams: int) -> None:
        self.encoder, self.decoder = (network(rows, beams, self.num_values) for network in self.networks)
        self.quantizer = CodewordQuantizer(self.num_values, self.quantization)

    @property
    def sides(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        return [self.encoder], [self.decoder]

    def codeword(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.encoder(0.5 + 0.5 * image),)

    def observe(self, image: torch.Tensor) -> None:
        self._kept.append(self.codeword(image)[0].cpu())

    def fit_quantizers(self) -> None:
        self.quantizer.fit(torch.cat(self._kept))
        self._kept = []

    def image_bits(self, rows: int, beams: int) -> int:
        return self.num_values * least_bits(self.quantization)

    def _bits_per_value(self, budget: int) -> int:
        return self.quantizer.affordable_bits(budget // self.num_values)

    def write_image(self, writer: BitWriter, image: torch.Tensor, budget: int) -> None:
        bits = self._bits_per_value(budget)
        for index in self.quantizer.quantize(self.codeword(image[None])[0][0], bits).tolist():
            writer.write(index, bits, "values")

    def read_image(self, reader: BitReader, budget: int) -> tuple[torch.Tensor]:
        bits = self._bits_per_value(budget)
        index = torch.tensor([reader.read(bits, "values") for _ in range(self.num_values)])
        return (self.quantizer.dequantize(index, bits),)

    def decoded(self, codeword: torch.Tensor) -> torch.Tensor:
        return 2 * self.decoder(codeword) - 1


@register("feedback", "csinet", trains=True)
class CsiNetCodec(AutoencoderCodec):
    """Convolutional autoencoder with two RefineNet blocks.

    Source: Wen, Shih and Jin, "Deep learning for massive MIMO CSI feedback", IEEE Wireless Commun. Lett. 7(5), 2018.
    """

    networks = CsiNetEncoder, CsiNetDecoder


@register("feedback", "crnet", trains=True)
class CRNetCodec(AutoencoderCodec):
    """Multi-resolution convolutional autoencoder.

    Source: Lu, Wang and Song, "Multi-resolution CSI feedback with deep learning in massive MIMO system", ICC 2020.
    """

    networks = CRNetEncoder, CRNetDecoder


@register("feedback", "clnet", trains=True)
class CLNetCodec(AutoencoderCodec):
    """Multi-resolution autoencoder with spatial and channel attention at the terminal.

    Source: Ji and Li, "CLNet: complex input lightweight neural network designed for massive MIMO CSI feedback", IEEE
    Wireless Commun. Lett. 10(10), 2021.
    """

    networks = CLNetEncoder, CLNetDecoder


@register("feedback", "transnet", trains=True)
class TransNetCodec(AutoencoderCodec):
    """Transformer autoencoder.

    Source: Cui, Guo and Song, "TransNet: full attention network for CSI feedback in FDD massive MIMO system", IEEE
    Wireless Commun. Lett. 11(5), 2022.
    """

    networks = TransNetEncoder, TransNetDecoder


@register("feedback", "transindecnet", trains=True)
class TransInDecNetCodec(AutoencoderCodec):
    """Linear terminal, transformer layer at the base station.

    Source: Huh and Ko, "TransInDecNet: efficient CSI compression and reconstruction for FDD MIMO using transformer",
    ICUFN 2025; as LLMCsiNet describes it.
    """

    networks = TransInDecNetEncoder, TransInDecNetDecoder


@register("feedback", "gcrnet", trains=True)
class GCRNetCodec(AutoencoderCodec):
    """Lightweight grouped-convolution autoencoder, GCRNet-1x.

    Source: Hu, Zou and Xue, "A lightweight design to convolution based deep learning CSI feedback", IEEE Commun. Lett.
    28(9), 2024; sizes as LLMCsiNet, Table IV.
    """

    networks = GCRNetEncoder, GCRNetDecoder
