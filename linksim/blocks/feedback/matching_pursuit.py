"""Channels as few plane waves whose delays and directions lie on no DFT grid: orthogonal matching pursuit.

Gains of waves that are not orthogonal are quantised so that each error is made up for by those after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from linksim.core.csi import Panel

ROUNDING = 0.45
"""Added before a magnitude is rounded down: zeros are cheaper."""


def quantized_gains(gram: torch.Tensor, correlation: torch.Tensor, energy: torch.Tensor, count: torch.Tensor,
                    step: torch.Tensor) -> torch.Tensor:
    """Gains of the first waves of each user in whole steps, from the last wave to the first (the strongest).

    Decisions are fed back: what one gain is wrong by, the ones decided after it take into account.

    :param gram: complex128, ``[user, wave, wave]``; ``correlation``, ``[user, wave, gain]``.
    :param energy: of the channel, ``[user]``.
    :param count: waves used, ``[user]``; the others get gains of zero.
    :param step: of the quantiser, ``[user]``.
    :returns: whole numbers of steps, int64, ``[user, wave, gain, 2]``, real and imaginary part.

    Source: the nearest plane algorithm, Babai, "On Lovasz' lattice reduction and the nearest lattice point problem",
    Combinatorica 6(1), 1986; known in detection as successive cancellation.
    """
    waves = gram.shape[1]
    used = torch.arange(waves) < count[:, None]
    both = used[:, :, None] & used[:, None, :]
    # errors of the quantiser's size are noise: twins do not get large gains of opposite sign
    noise = (step.square() / energy.clamp_min(1e-300) / 6).clamp_max(1.0)
    loading = torch.diag_embed(torch.where(used, noise[:, None], 1.0)).to(gram.dtype)
    loaded = torch.where(both, gram, 0) + loading
    lower, failed = torch.linalg.cholesky_ex(loaded)
    if failed.any():  # waves that double precision cannot tell apart, and a step finer than that
        lower = torch.linalg.cholesky(loaded + torch.where(failed > 0, 1e-9, 0.0)[:, None, None] * torch.eye(waves))
    target = torch.linalg.solve_triangular(lower, torch.where(used[..., None], correlation, 0), upper=False)
    upper = lower.mH
    gain = torch.zeros_like(correlation)
    steps = torch.zeros(*correlation.shape, 2, dtype=torch.long)
    for wave in reversed(range(int(count.max()) if len(count) else 0)):
        known = (upper[:, wave:wave + 1, wave + 1:] @ gain[:, wave + 1:])[:, 0]
        value = torch.view_as_real((target[:, wave] - known) / upper[:, wave, wave, None]) / step[:, None, None]
        whole = (value.abs() + ROUNDING).floor().copysign(value) * used[:, wave, None, None]
        steps[:, wave] = whole.long()
        gain[:, wave] = torch.view_as_complex(whole.contiguous()) * step[:, None]
    return steps


def squared_error(gram: torch.Tensor, correlation: torch.Tensor, energy: torch.Tensor, gain: torch.Tensor
                  ) -> torch.Tensor:
    """What waves of these gains leave of the channels' energy, ``[user]``.

    :param gain: complex128, ``[user, wave, gain]``; ``energy``, ``[user]``.
    """
    cross = (correlation.conj() * gain).sum((1, 2)).real
    own = (gain.conj() * (gram @ gain)).sum((1, 2)).real
    return energy - 2 * cross + own


_COARSE = 2
"""Oversampling of the grid that is searched everywhere, by FFTs; the fine one is searched around its peaks."""

_CANDIDATES = 4
"""Coarse peaks whose surroundings are searched."""

_CELLS_AT_ONCE = 2**22
"""Bounds the memory: coarse cells of all users that are searched together."""

_LOADING = 1e-6


@dataclass(frozen=True)
class WaveGrid:
    """Plane waves on an oversampled grid: a delay, a column direction and a row direction.

    :param panel: polarisations see the same waves, with gains of their own.
    :param num_subcarriers: of the band.
    :param delay_oversampling: cells of a delay bin; ``beam_oversampling``, of a beam.
    """

    panel: Panel
    num_subcarriers: int
    delay_oversampling: int = 8
    beam_oversampling: int = 4

    @property
    def line_sizes(self) -> tuple[int, int, int]:
        """Samples along subcarriers, columns and rows."""
        return self.num_subcarriers, self.panel.columns, self.panel.rows

    @property
    def oversampling(self) -> tuple[int, int, int]:
        """Oversampling of delays, columns and rows; a line of one antenna has one direction."""
        return (self.delay_oversampling, *(self.beam_oversampling if size > 1 else 1
                                           for size in (self.panel.columns, self.panel.rows)))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Cells of delays, columns and rows."""
        return tuple(size * factor for size, factor in zip(self.line_sizes, self.oversampling))  # type: ignore

    def line(self, axis: int, index: torch.Tensor) -> torch.Tensor:
        """Unit vectors of cells, complex128, ``[..., sample]``.

        :param axis: 0 for delays, 1 for columns, 2 for rows.
        :param index: int64, any shape.
        """
        turns = index[..., None] * torch.arange(self.line_sizes[axis])
        return self._phases[axis][turns % self.sizes[axis]]

    def inner(self, index: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Inner products of plane waves with others, complex128: it takes the difference of their cells alone.

        :param index: ``[..., 3]``; ``other``, likewise, shapes as they broadcast.
        """
        product = torch.ones((), dtype=torch.complex128)
        for axis, overlap in enumerate(self._overlaps):
            product = product * overlap[(other[..., axis] - index[..., axis]) % self.sizes[axis]]
        return product

    @cached_property
    def _phases(self) -> list[torch.Tensor]:
        """Entries of unit vectors by their angle in cells of a full turn, along each axis."""
        angles = [torch.arange(cells).double() * (2 * math.pi / cells) for cells in self.sizes]
        return [torch.polar(torch.full_like(angle, samples**-0.5), -angle if axis == 0 else angle)
                for axis, (angle, samples) in enumerate(zip(angles, self.line_sizes))]

    @cached_property
    def _overlaps(self) -> list[torch.Tensor]:
        """Inner products of lines by how many cells the second lies further."""
        sums = [torch.fft.fft(torch.ones(samples, dtype=torch.complex128), n=cells) / samples
                for samples, cells in zip(self.line_sizes, self.sizes)]
        return [total if axis == 0 else total.conj() for axis, total in enumerate(sums)]

    def separated(self, h: torch.Tensor) -> torch.Tensor:
        """``[user, ue_ant, bs_ant, 1, subcarrier]`` to ``[user, gain, column, row, subcarrier]``."""
        return h.squeeze(-2).unflatten(2, self.panel.shape).flatten(1, 2)

    def joined(self, x: torch.Tensor, num_ue_antennas: int) -> torch.Tensor:
        """Inverse of `separated`."""
        return x.unflatten(1, (num_ue_antennas, -1)).flatten(2, 4).unsqueeze(-2)

    def waves(self, index: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        """The channel of plane waves, ``[user, gain, column, row, subcarrier]``, complex128.

        :param index: ``[user, wave, 3]``.
        :param gain: complex, ``[user, wave, gain]``.
        """
        delay, column, row = (self.line(axis, index[..., axis]) for axis in range(3))
        array = torch.einsum("uwg,uwc,uwr->ugcrw", gain, column, row)
        return torch.einsum("ugcrw,uwk->ugcrk", array, delay)

    def gram(self, index: torch.Tensor) -> torch.Tensor:
        """Inner products of plane waves, ``[user, wave, wave]``, complex128."""
        return self.inner(index[:, :, None], index[:, None])

    def correlation(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Inner products of plane waves with a channel, ``[user, wave, gain]``.

        :param x: ``[user, gain, column, row, subcarrier]``.
        """
        delay, column, row = (self.line(axis, index[..., axis]).conj().to(x.dtype) for axis in range(3))
        seen = torch.einsum("ugcrk,uwk->ugcrw", x, delay)
        return torch.einsum("ugcrw,uwc,uwr->uwg", seen, column, row)


@dataclass(frozen=True)
class Pursuit:
    """What the pursuit found, strongest first.

    :param index: cells, int64, ``[user, wave, 3]``.
    :param peak: norm over gains of the correlation for which a wave was taken, ``[user, wave]``; -1 for waves that are
        none because nothing was left.
    :param gram: inner products of the waves, ``[user, wave, wave]``; ``correlation``, with the channel,
        ``[user, wave, gain]``.
    :param energy: of the channel, ``[user]``.
    """

    index: torch.Tensor
    peak: torch.Tensor
    gram: torch.Tensor
    correlation: torch.Tensor
    energy: torch.Tensor


def pursue(x: torch.Tensor, grid: WaveGrid, num_waves: int, least_residual: float = 1e-6) -> Pursuit:
    """Take one plane wave after the other, each the one most alike to what all before leave.

    :param x: complex, ``[user, gain, column, row, subcarrier]``, on the CPU.
    :param num_waves: to find.
    :param least_residual: share of the energy at which a user is done.

    Source: Pati, Rezaiifar and Krishnaprasad, "Orthogonal matching pursuit", Asilomar 1993; with gains of several
    antennas at once, Tropp, Gilbert and Strauss, "Simultaneous sparse approximation", Signal Processing 86(3), 2006.
    """
    cells = math.prod(_COARSE * size for size in grid.line_sizes) * x.shape[1]
    parts = [_pursue(part, grid, num_waves, least_residual) for part in x.split(max(1, _CELLS_AT_ONCE // cells))]
    return Pursuit(*(torch.cat([getattr(part, name) for part in parts])
                     for name in ("index", "peak", "gram", "correlation", "energy")))


def _pursue(x: torch.Tensor, grid: WaveGrid, num_waves: int, least_residual: float) -> Pursuit:
    x = x.to(torch.complex64)
    users, gains = x.shape[:2]
    energy = torch.view_as_real(x).double().square().flatten(1).sum(-1)
    index = torch.zeros(users, num_waves, 3, dtype=torch.long)
    peak = torch.full((users, num_waves), -1.0, dtype=torch.float64)
    gram = torch.eye(num_waves, dtype=torch.complex128).repeat(users, 1, 1)
    seen = torch.zeros(users, num_waves, gains, dtype=torch.complex128)
    lines = [torch.zeros(users, num_waves, size, dtype=torch.complex64) for size in grid.line_sizes]
    lower = torch.eye(num_waves, dtype=torch.complex128).repeat(users, 1, 1)
    residual, left = x.clone(), energy.clone()
    for wave in range(num_waves):
        going = (left > least_residual * energy).nonzero().flatten()
        if not len(going):
            break
        found, height = _strongest(residual[going], grid)
        index[going, wave], peak[going, wave] = found, height.double()
        for axis, line in enumerate(lines):
            line[going, wave] = grid.line(axis, found[:, axis]).to(line.dtype)
        new = grid.inner(index[going, :wave + 1], found[:, None])  # [user, wave]
        gram[going, :wave + 1, wave], gram[going, wave, :wave + 1] = new, new.conj()
        seen[going, wave] = grid.correlation(x[going], found[:, None])[:, 0].to(torch.complex128)
        lower[going, wave, :wave + 1] = _next_row(lower[going, :wave, :wave], new[:, :wave])
        factor = lower[going, :wave + 1, :wave + 1]
        gain = torch.cholesky_solve(seen[going, :wave + 1], factor)
        left[going] = squared_error(gram[going, :wave + 1, :wave + 1], seen[going, :wave + 1], energy[going], gain)
        gain = gain.to(x.dtype)
        used = [line[going, :wave + 1] for line in lines]
        array = torch.einsum("uwg,uwc,uwr->ugcrw", gain, used[1], used[2]).flatten(1, 3)
        residual[going] = x[going] - (array @ used[0]).unflatten(1, x.shape[1:4])
    return Pursuit(index, peak, gram, seen, energy)


def _next_row(lower: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
    """The row that another wave adds to a Cholesky factor of the Gram matrix.

    :param lower: ``[user, wave, wave]``; ``product``, of the waves before with the new one, ``[user, wave]``.
    :returns: ``[user, wave + 1]``.
    """
    row = torch.linalg.solve_triangular(lower, product[..., None], upper=False)[..., 0].conj()
    rest = (1 + _LOADING - row.abs().square().sum(-1)).clamp_min(_LOADING).sqrt()
    return torch.cat([row, rest[:, None].to(row.dtype)], -1)


def _strongest(x: torch.Tensor, grid: WaveGrid) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell of the wave most alike to each user's channel, ``[user, 3]``, and the correlation's norm."""
    coarse = [_COARSE if factor > 1 else 1 for factor in grid.oversampling]
    sizes = [size * factor for size, factor in zip(grid.line_sizes, coarse)]
    spectrum = torch.fft.ifft(x, n=sizes[0], dim=-1)
    spectrum = torch.fft.fftn(spectrum, s=sizes[1:], dim=(-3, -2))
    power = torch.view_as_real(spectrum).square().sum((1, -1))  # [user, column, row, delay]
    best = power.flatten(1).topk(min(_CANDIDATES, power[0].numel()), -1).indices
    column, rest = best // (sizes[2] * sizes[0]), best % (sizes[2] * sizes[0])
    cell = [rest % sizes[0], column, rest // sizes[0]]
    fine = [at * (factor // rough) for at, factor, rough in zip(cell, grid.oversampling, coarse)]
    reach = [range(-(factor // rough) + 1, factor // rough) if factor > rough else range(1)
             for factor, rough in zip(grid.oversampling, coarse)]
    # the three lines of a wave are searched together: they bend each other's peaks
    around = [torch.stack([at + step for step in steps], -1) % size
              for at, steps, size in zip(fine, reach, grid.sizes)]  # each [user, candidate, step]
    delay, column, row = (grid.line(axis, at).conj().to(x.dtype) for axis, at in enumerate(around))
    match = torch.einsum("ugcrk,unak->ugcrna", x, delay)
    match = torch.einsum("ugcrna,unbc->ugrnab", match, column)
    match = torch.einsum("ugrnab,undr->ugnabd", match, row)
    power = torch.view_as_real(match).square().sum((1, -1)).flatten(1)
    height, at = power.max(-1)
    lengths = [len(steps) for steps in reach]
    place = torch.unravel_index(at, (best.shape[1], *lengths))
    users = torch.arange(len(x))
    found = torch.stack([cells[users, place[0], step] for cells, step in zip(around, place[1:])], -1)
    return found, height.sqrt()
