"""What the 3GPP codebooks share: subband eigenvectors in, a PMI, a precoder for every subband out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.ports import Ports
from linksim.blocks.feedback.subbands import Subbands, divide, eigenvectors
from linksim.core.csi import Csi
from linksim.core.errors import ScenarioError

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
