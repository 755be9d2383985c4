"""What the 3GPP codebooks share: subband eigenvectors in, a PMI, a precoder for every subband out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.ports import Ports
from linksim.core.csi import Csi
from linksim.core.errors import ScenarioError

RESOURCE_BLOCK_KHZ = (180.0, 360.0, 720.0, 1440.0)
"""Twelve subcarriers of 15, 30, 60 and 120 kHz (TS 38.211, 4.4.4.1)."""

SIZES = ((24, 72, 4, 8), (73, 144, 8, 16), (145, 275, 16, 32))
"""Resource blocks of the band from, to; the smaller and the larger subband (TS 38.214, Table 5.2.1.4-2)."""


@dataclass(frozen=True)
class Subbands:
    """Which subband each subcarrier lies in.

    :param of_subcarrier: int64, ``[subcarrier]``.
    :param count: subbands of the PMI, N3.
    :param blocks: resource blocks of the band.
    :param size_blocks: resource blocks of a subband of the PMI.
    """

    of_subcarrier: torch.Tensor
    count: int
    blocks: int
    size_blocks: float


def divide(frequency_hz: torch.Tensor, size: Literal["small", "large"], per_cqi_subband: int = 1,
           resource_block_khz: float | None = None) -> Subbands:
    """Divide a band from its lower edge; the last subband may be shorter.

    A band of less than 24 resource blocks, for which the standard defines no subbands, is one subband.

    :param frequency_hz: ``[subcarrier]``, ascending at one spacing.
    :param size: which of the two sizes the standard allows for the band.
    :param per_cqi_subband: R, 1 or 2 precoders a CQI subband.
    :param resource_block_khz: if None, the narrowest of `RESOURCE_BLOCK_KHZ` with at most 275 in the band.
    :raises ScenarioError: a band of more than 275 resource blocks, or subbands with no subcarrier.

    Source: TS 38.214, 5.2.1.4 and Table 5.2.1.4-2; R: 5.2.2.2.5.
    """
    count = len(frequency_hz)
    offset_hz = (frequency_hz - frequency_hz[0]).double().cpu()
    spacing_hz = float(offset_hz[-1]) / (count - 1) if count > 1 else 0.0
    band_hz = count * spacing_hz

    def blocks_of(width_khz: float) -> int:
        return max(ceil(band_hz / (width_khz * 1e3) - 1e-6), 1)

    widths = RESOURCE_BLOCK_KHZ if resource_block_khz is None else (resource_block_khz,)
    width_khz = next((width for width in widths if blocks_of(width) <= SIZES[-1][1]), None)
    if width_khz is None:
        raise ScenarioError(f"a band of {band_hz / 1e6:g} MHz has {blocks_of(widths[-1])} resource blocks of "
                            f"{widths[-1]:g} kHz, but TS 38.214 divides at most 275 into subbands")
    blocks = blocks_of(width_khz)
    sizes = [(small, large) for low, high, small, large in SIZES if low <= blocks <= high]
    if not sizes:
        return Subbands(torch.zeros(count, dtype=torch.int64), 1, blocks, blocks)
    blocks_each = sizes[0][("small", "large").index(size)] / per_cqi_subband
    of_subcarrier = ((offset_hz + spacing_hz / 2) / (blocks_each * width_khz * 1e3)).floor().long()
    num_subbands = ceil(blocks / blocks_each)
    if len(of_subcarrier.unique()) < num_subbands:
        raise ScenarioError(f"subbands of {blocks_each * width_khz:g} kHz are narrower than the subcarriers' spacing "
                            f"of {spacing_hz / 1e3:g} kHz: use larger subbands, or more subcarriers")
    return Subbands(of_subcarrier, num_subbands, blocks, blocks_each)


def even_then_odd(count: int) -> list[int]:
    """Subbands in the order of part 2 of a report: the even ones, then the odd ones (TS 38.212, Table 6.3.2.1.2-5)."""
    return [*range(0, count, 2), *range(1, count, 2)]


def eigenvectors(h: torch.Tensor, subbands: Subbands, num_layers: int) -> torch.Tensor:
    """Strongest eigenvectors of every subband's transmit covariance, which is summed over its subcarriers.

    :param h: ``[user, ue_ant, bs_ant, subcarrier]``, finite.
    :param num_layers: at most ``ue_ant``.
    :returns: complex128, ``[user, subband, layer, bs_ant]``, orthonormal, also for a channel that is zero.
    """
    h = h.to(torch.complex128)
    h = h / h.abs().amax((-3, -2, -1), keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    found = []
    for subband in range(subbands.count):
        rows = h[..., (subbands.of_subcarrier == subband).to(h.device)].movedim(-1, 1).flatten(1, 2)
        if rows.shape[1] > rows.shape[2]:
            vectors = torch.linalg.eigh(rows.mH @ rows)[1].flip(-1)[..., :num_layers].mT
        else:
            vectors = torch.linalg.svd(rows, full_matrices=False)[2][:, :num_layers].conj()
        found.append(vectors)
    return torch.stack(found, 1)


USERS_AT_ONCE = 256
"""Reports searched together: their correlations with all beams are some tens of megabytes."""


@dataclass(frozen=True)
class Setting:
    """What a PMI refers to."""

    ports: Ports
    num_subbands: int
    num_layers: int


class Codebook(FeedbackCodec):
    """A codebook of TS 38.214 for one dual-polarised panel: the report is the PMI of a fixed rank.

    The rank is set by rank restriction, so it costs no bits; CQI is not reported. A PMI's precoder holds for all
    subcarriers of its subband.
    """

    kind = "implicit"
    rank: int
    subband_size: Literal["small", "large"]
    resource_block_khz: float | None
    precoders_per_subband: int = 1

    @abstractmethod
    def search(self, v: torch.Tensor, setting: Setting) -> list[Any]:
        """A PMI for every user.

        :param v: complex128, ``[user, subband, layer, 2, N1 * N2]``, orthonormal layers.
        """

    @abstractmethod
    def write(self, pmi: Any, setting: Setting) -> BitWriter:
        """The PMI as bits."""

    @abstractmethod
    def read(self, reader: BitReader, setting: Setting) -> Any:
        """Inverse of `write`.

        :raises ReportError: no PMI of this codebook.
        """

    @abstractmethod
    def precoder(self, pmi: Any, setting: Setting) -> torch.Tensor:
        """What a PMI stands for: complex128, ``[subband, layer, 2, N1 * N2]``, unit norm."""

    @abstractmethod
    def least_bits(self, setting: Setting) -> int:
        """Length of the shortest report.

        :raises ScenarioError: a setting that the standard excludes.
        """

    def setting(self, grid: ReportGrid) -> tuple[Setting, Subbands]:
        """What a grid's PMIs refer to.

        :raises ScenarioError: an array or a grid that the codebook cannot serve.
        """
        ports = Ports.of(grid.panel, self.block_name)
        if grid.num_ue_antennas < self.rank:
            raise ScenarioError(f"feedback {self.block_name!r}, option 'rank': {self.rank} layers need as many "
                                f"antennas at the terminal, which has {grid.num_ue_antennas}")
        subbands = divide(grid.frequency_hz, self.subband_size, self.precoders_per_subband, self.resource_block_khz)
        return Setting(ports, subbands.count, self.rank), subbands

    def minimum_bits(self, grid: ReportGrid) -> int:
        return self.least_bits(self.setting(grid)[0])

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        setting, subbands = self.setting(ReportGrid.of(csi))
        writers = []
        for h in csi.h[..., 0, :].flatten(0, 1).split(USERS_AT_ONCE):
            v = setting.ports.from_antennas(eigenvectors(h, subbands, self.rank))
            writers += [self.write(pmi, setting) for pmi in self.search(v, setting)]
        return writers

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        setting, subbands = self.setting(grid)
        w = torch.stack([self.precoder(self.read(reader, setting), setting) for reader in readers])
        v = setting.ports.to_antennas(w)[:, subbands.of_subcarrier]  # [user, subcarrier, layer, bs_ant]
        h = v.conj().resolve_conj().permute(0, 2, 3, 1).unsqueeze(-2).to(torch.complex64)
        return h.unflatten(0, (grid.num_drops, grid.num_users)).contiguous()
