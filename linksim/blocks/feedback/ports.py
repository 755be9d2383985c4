"""Dual-polarised panels as 3GPP codebooks number their CSI-RS ports, and the grid of DFT beams over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from linksim.core.csi import Panel
from linksim.core.errors import ScenarioError

LAYOUTS = ((2, 1), (2, 2), (4, 1), (3, 2), (6, 1), (4, 2), (8, 1), (4, 3), (6, 2), (12, 1), (4, 4), (8, 2), (16, 1))
"""(N1, N2) of TS 38.214, Table 5.2.2.2.1-2: 4 to 32 ports."""

TIE = 1e-9
"""Energies this close differ by rounding, which depends on the size of a batch: the first of equals is taken."""


@dataclass(frozen=True)
class Ports:
    """N1 x N2 positions with two polarisations each.

    :param n1: positions along the first dimension, ``n2`` along the second.
    :param transposed: the first dimension is the panel's rows (the standard lists N1 >= N2 alone).

    Source: TS 38.214, 5.2.2.2.1: oversampling O1 = 4, and O2 = 4 or, for N2 = 1, 1.
    """

    n1: int
    n2: int
    transposed: bool = False

    @classmethod
    def of(cls, panel: Panel, codebook: str) -> Ports:
        """The ports of a panel: N1 columns and N2 rows, or, where the standard has no such layout, the reverse.

        :param codebook: name of the codec, for the message.
        :raises ScenarioError: one polarisation, or no layout of the standard.
        """
        if panel.polarizations != 2:
            raise ScenarioError(f"feedback {codebook!r} needs a dual-polarised panel at the base station (this one has "
                                "one polarisation): set channel.bs_array.polarization to dual")
        for size, transposed in (((panel.columns, panel.rows), False), ((panel.rows, panel.columns), True)):
            if size in LAYOUTS:
                return cls(*size, transposed)
        raise ScenarioError(f"feedback {codebook!r}: a panel of {panel.columns} columns x {panel.rows} rows is none of "
                            f"TS 38.214: {', '.join(f'{n1} x {n2}' for n1, n2 in LAYOUTS)}")

    @property
    def o1(self) -> int:
        """Oversampling of the first dimension."""
        return 4

    @property
    def o2(self) -> int:
        """Oversampling of the second dimension."""
        return 4 if self.n2 > 1 else 1

    @property
    def positions(self) -> int:
        """N1 N2: half the ports, and the beams of an orthogonal group."""
        return self.n1 * self.n2

    @property
    def groups(self) -> int:
        """O1 O2: orthogonal groups of beams."""
        return self.o1 * self.o2

    def from_antennas(self, x: torch.Tensor) -> torch.Tensor:
        """``[..., bs_ant]`` in the order of `Panel` to ``[..., 2, N1 * N2]``, the second dimension fastest."""
        return self._reordered(x.unflatten(-1, (2, *((self.n2, self.n1) if self.transposed else (self.n1, self.n2)))))

    def to_antennas(self, x: torch.Tensor) -> torch.Tensor:
        """Inverse of `from_antennas`."""
        return self._reordered(x.unflatten(-1, (self.n1, self.n2))).flatten(-2)

    def _reordered(self, x: torch.Tensor) -> torch.Tensor:
        return (x.mT if self.transposed else x).flatten(-2)


@cache
def beam_grid(ports: Ports) -> torch.Tensor:
    """All oversampled beams v_{l,m} with unit norm: complex128, ``[O1 * N1, O2 * N2, N1 * N2]``.

    v_{l,m} is the Kronecker product of exp(j 2 pi l n / (O1 N1)), n < N1, and exp(j 2 pi m n / (O2 N2)), n < N2.

    Source: TS 38.214, 5.2.2.2.1.
    """
    def line(size: int, oversampling: int) -> torch.Tensor:
        turns = torch.arange(oversampling * size)[:, None] * torch.arange(size).double() / (oversampling * size)
        return torch.polar(torch.full_like(turns, size**-0.5), 2 * torch.pi * turns)

    first, second = line(ports.n1, ports.o1), line(ports.n2, ports.o2)
    return torch.einsum("la,mb->lmab", first, second).flatten(-2)


@cache
def beam_groups(ports: Ports) -> torch.Tensor:
    """The orthonormal groups: complex128, ``[O1 * O2, N1 * N2, N1 * N2]``.

    Group ``O2 q1 + q2`` has the beams l = O1 n1 + q1, m = O2 n2 + q2 in the order n = N1 n2 + n1.

    Source: TS 38.214, 5.2.2.2.3.
    """
    grid = beam_grid(ports).unflatten(1, (ports.n2, ports.o2)).unflatten(0, (ports.n1, ports.o1))
    return grid.permute(1, 3, 2, 0, 4).flatten(0, 1).flatten(1, 2)


def strongest_beams(v: torch.Tensor, ports: Ports, num_beams: int, place: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """The group, and its beams, that hold most energy of all layers and subbands; of equal groups the first.

    :param v: ``[user, subband, layer, 2, N1 * N2]``.
    :param place: 1 for the second best group, and so on.
    :returns: group ``[user]``; beams n ``[user, num_beams]``, ascending.
    """
    energy = torch.stack([(v @ group.mH).abs().square().sum((1, 2, 3)) for group in beam_groups(ports).to(v.device)], 1)
    values, beams = energy.topk(num_beams, -1)
    held = (values.sum(-1) / (v.shape[1] * v.shape[2] * TIE)).round()
    group = held.argsort(dim=-1, descending=True, stable=True)[:, place]
    return group, beams[torch.arange(len(v), device=v.device), group].sort(-1).values


def on_beams(v: torch.Tensor, ports: Ports, group: torch.Tensor, beams: torch.Tensor) -> torch.Tensor:
    """Coefficients of the chosen beams, those of the second polarisation last.

    :param v: ``[user, subband, layer, 2, N1 * N2]``.
    :returns: ``[user, layer, 2 * num_beams, subband]``.
    """
    chosen = beam_groups(ports).to(v.device)[group[:, None], beams]
    return torch.einsum("uslpa,uba->ulpbs", v, chosen.conj()).flatten(2, 3)
