"""Rel-16 enhanced Type II codebook: the Type II coefficients compressed over the band by a few delay taps.

How a terminal finds its PMI is left open by the standard: the search here is ours.
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.codebook import Codebook, Setting
from linksim.blocks.feedback.etype2_pmi import (
    DIFFERENTIAL_LEVELS,
    NUM_PHASES,
    REFERENCE_LEVELS,
    Etype2Layer,
    Etype2Pmi,
    Etype2Sizes,
    precoder_of,
    read_pmi,
    subband_coefficients,
    write_pmi,
)
from linksim.blocks.feedback.ports import TIE, on_beams, strongest_beams
from linksim.core.registry import register
from linksim.core.types import PositiveFloat

NUM_ALIGNMENTS = 10
"""Rounds of phase alignment with the sparse approximation."""

NUM_GROUPS = 3
"""Orthogonal groups of beams that are tried."""


def search_pmi(v: torch.Tensor, sizes: Etype2Sizes) -> list[Etype2Pmi]:
    """A PMI for every user.

    The orthogonal groups, and their L beams, of most energy. For each, from two first guesses of the phases that
    subband eigenvectors leave open (strongest beam real; neighbouring subbands in phase), alternately: the M taps and
    the coefficients of most energy, tap 0 being that of the strongest coefficient; the subbands turned into phase with
    these. Of the quantised results, the one of highest mean squared correlation with the eigenvectors is reported.

    :param v: complex128, ``[user, subband, layer, 2, N1 * N2]``, orthonormal layers.
    """
    best: Quantised | None = None
    for place in range(min(NUM_GROUPS, sizes.ports.groups)):
        group, beams = strongest_beams(v, sizes.ports, sizes.num_beams, place)
        x = on_beams(v, sizes.ports, group, beams)
        for turned in (_strongest_beam_real(x), _neighbours_in_phase(x)):
            found = Quantised.of(_aligned(turned, sizes), x, sizes, group=group, beams=beams)
            best = found if best is None else best.better(found)
    return best.pmis()


class Quantised:
    """Coefficients of all users and layers as indices; see `Etype2Layer` for what they mean.

    Tables are ``[user, layer, 2 L, M]``, taps ``[user, layer, M]``, beams ``[user, L]``, group, window and score
    ``[user]``.
    """

    def __init__(self, **tables: torch.Tensor) -> None:
        self.tables = tables

    @classmethod
    def of(cls, aligned: torch.Tensor, x: torch.Tensor, sizes: Etype2Sizes, **spatial: torch.Tensor) -> Quantised:
        """Quantise the sparse approximation of aligned coefficients.

        :param aligned: ``[user, layer, 2 L, subband]``, as `_aligned` returns them.
        :param x: the same without alignment, whose correlation is the score.
        :param spatial: group and beams that they are coefficients of.
        """
        y, taps, window = _taps(aligned, sizes)
        y = y.gather(-1, taps.unsqueeze(-2).expand(*y.shape[:-1], -1))
        nonzero = _largest(y, sizes)
        strongest = y[..., 0].abs().argmax(-1)
        y = y / y[..., 0].gather(-1, strongest.unsqueeze(-1)).unsqueeze(-1)
        size = y.abs()
        other = torch.arange(2 * sizes.num_beams, device=y.device) // sizes.num_beams
        other = (other != strongest.unsqueeze(-1) // sizes.num_beams).unsqueeze(-1).double()  # [user, layer, 2 L, 1]

        levels = 2.0 ** ((torch.arange(DIFFERENTIAL_LEVELS, device=y.device).double() - 7) / 2)
        least_error = torch.full(y.shape[:2], torch.inf, dtype=torch.float64, device=y.device)
        reference = torch.full(y.shape[:2], REFERENCE_LEVELS, device=y.device)
        kept, differential = nonzero, torch.zeros_like(nonzero, dtype=torch.int64)
        for k1 in range(REFERENCE_LEVELS, 0, -1):
            p1 = 2.0 ** (other * (k1 - REFERENCE_LEVELS) / 4)
            k2 = (size.unsqueeze(-1) / p1.unsqueeze(-1) - levels).abs().argmin(-1)
            keep = nonzero & (size > p1 * levels[0] / 2)  # a zero is nearer, and free
            error = (size - p1 * levels[k2] * keep).square().sum((-2, -1))
            better = error < least_error - TIE
            least_error = torch.where(better, error, least_error)
            reference = torch.where(better, k1, reference)
            kept = torch.where(better[..., None, None], keep, kept)
            differential = torch.where(better[..., None, None], k2, differential)

        phases = (y.angle() * NUM_PHASES / (2 * torch.pi)).round().long() % NUM_PHASES
        is_strongest = torch.zeros_like(kept)
        is_strongest[..., 0] = torch.nn.functional.one_hot(strongest, 2 * sizes.num_beams).bool()
        kept = kept | is_strongest
        differential = torch.where(is_strongest, 7, differential) * kept
        phases = phases * (kept & ~is_strongest)

        p1 = 2.0 ** (other * (reference - REFERENCE_LEVELS)[..., None, None] / 4)
        coefficients = torch.polar(p1 * levels[differential] * kept, 2 * torch.pi * phases.double() / NUM_PHASES)
        w = subband_coefficients(coefficients, taps, sizes.num_subbands)
        held = (w.conj() * x).sum(-2).abs().square() / w.abs().square().sum(-2).clamp_min(1e-12)
        return cls(taps=taps, strongest=strongest, reference=reference, nonzero=kept, differential=differential,
                   phases=phases, window=window, score=held.mean((-2, -1)), **spatial)

    def better(self, other: Quantised) -> Quantised:
        """User by user the one of higher score."""
        mine = self.tables["score"] >= other.tables["score"] - TIE
        return Quantised(**{
            name: torch.where(mine.reshape(-1, *(1,) * (table.ndim - 1)), table, other.tables[name])
            for name, table in self.tables.items()
        })

    def pmis(self) -> list[Etype2Pmi]:
        """One PMI a user."""
        lists = {name: table.tolist() for name, table in self.tables.items()}
        return [
            Etype2Pmi(group, tuple(lists["beams"][user]), lists["window"][user], tuple(
                Etype2Layer(tuple(taps), lists["strongest"][user][layer], lists["reference"][user][layer],
                            *(tuple(map(tuple, lists[name][user][layer]))
                              for name in ("nonzero", "differential", "phases")))
                for layer, taps in enumerate(lists["taps"][user])))
            for user, group in enumerate(lists["group"])
        ]


def _strongest_beam_real(x: torch.Tensor) -> torch.Tensor:
    """Each subband turned so that the layer's strongest coefficient is real and positive."""
    strongest = x.abs().square().sum(-1).argmax(-1)
    reference = x.gather(2, strongest[..., None, None].expand(-1, -1, 1, x.shape[-1]))
    return x * _phase(reference).conj()


def _neighbours_in_phase(x: torch.Tensor) -> torch.Tensor:
    """Each subband turned so that its inner product with the one before is real and positive."""
    steps = torch.ones_like(x[:, :, 0])
    steps[..., 1:] = _phase((x[..., :-1].conj() * x[..., 1:]).sum(2)).conj()
    return x * steps.cumprod(-1).unsqueeze(2)


def _aligned(x: torch.Tensor, sizes: Etype2Sizes) -> torch.Tensor:
    """Subbands turned into phase with their sparse approximation, in rounds; strongest coefficient in tap 0."""
    for _ in range(NUM_ALIGNMENTS):
        x = _strongest_in_tap_0(x)
        y, taps, _ = _taps(x, sizes)
        chosen = taps.unsqueeze(-2).expand(*y.shape[:-1], -1)
        sparse = y.gather(-1, chosen)
        sparse = sparse * _largest(sparse, sizes)
        approximation = subband_coefficients(sparse, taps, sizes.num_subbands)
        x = x * _phase((x.conj() * approximation).sum(2, keepdim=True))
    return _strongest_in_tap_0(x)


def _strongest_in_tap_0(x: torch.Tensor) -> torch.Tensor:
    """All taps shifted circularly (a turn linear in the subband) so that tap 0 has the largest coefficient."""
    num_subbands = x.shape[-1]
    tap = _delay(x).abs().amax(2).argmax(-1)[..., None, None]
    turns = (tap * torch.arange(num_subbands, device=x.device) % num_subbands).double() / num_subbands
    return x * torch.exp(-2j * torch.pi * turns)


def _delay(x: torch.Tensor) -> torch.Tensor:
    """Coefficients of all N3 taps."""
    return torch.fft.fft(x, dim=-1) / x.shape[-1]


def _taps(x: torch.Tensor, sizes: Etype2Sizes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tap 0 and the M - 1 others of most energy, for N3 > 19 within the window of most energy.

    :param x: ``[user, layer, 2 L, subband]``.
    :returns: coefficients ``[user, layer, 2 L, N3]``; taps ``[user, layer, M]``, ascending; M_initial ``[user]``.
    """
    y = _delay(x)
    energy = y.abs().square().sum(2)
    num_users, _, num_subbands = energy.shape
    if not sizes.windowed:
        window = torch.zeros(num_users, dtype=torch.int64, device=x.device)
    else:
        width = 2 * sizes.num_taps
        starts = torch.arange(1 - width, 1, device=x.device)
        inside = (starts[:, None] + torch.arange(width, device=x.device)) % num_subbands  # [start, place]
        outside_0 = torch.where(inside == 0, 0.0, energy[..., inside])  # [user, layer, start, place]
        held = outside_0.topk(sizes.num_taps - 1, -1).values.sum((1, 3))
        choice = held.argmax(-1)
        window = starts[choice]
        allowed = torch.zeros(num_users, num_subbands, dtype=torch.bool, device=x.device)
        allowed.scatter_(1, inside[choice], True)
        energy = torch.where(allowed.unsqueeze(1), energy, -1.0)
    energy = energy.clone()
    energy[..., 0] = torch.inf
    return y, energy.topk(sizes.num_taps, -1).indices.sort(-1).values, window


def _largest(y: torch.Tensor, sizes: Etype2Sizes) -> torch.Tensor:
    """The K0 largest coefficients of every layer, and of these the 2 K0 largest of all: bool, like ``y``."""
    size = y.abs().flatten(2)
    ranks = size.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    among_layers = torch.where(ranks < sizes.max_nonzero, size, -1.0)
    among_layers = among_layers.scatter(-1, size.argmax(-1, keepdim=True), torch.inf).flatten(1)
    first = among_layers.argsort(dim=-1, descending=True, stable=True).argsort(-1) < sizes.max_total
    return first.unflatten(1, size.shape[1:]).logical_and(ranks < sizes.max_nonzero).unflatten(-1, y.shape[2:])


def _phase(x: torch.Tensor) -> torch.Tensor:
    """x / |x|, 1 where x is 0."""
    return torch.where(x == 0, 1.0, x / x.abs().clamp_min(torch.finfo(torch.float64).tiny))


@register("feedback", "etype2")
class EnhancedType2(Codebook):
    """Enhanced Type II codebook of Rel-16: L beams, M delay taps, and the K_NZ largest coefficients.

    In subband t a layer is the sum over beams i, polarisations p and taps f of
    v_i p1_p p2_{i,f} phi_{i,f} exp(j 2 pi t n3_f / N3), normalised.

    Sources: TS 38.214, 5.2.2.2.5 and 5.2.3; TS 38.212, 6.3.2.1.2. Compared with quoted text of the standard: which
    combinations are excluded, the groups and priorities of part 2, the order i2,3, i1,5, i1,6 at the head of group 1.
    Compared with public implementations: the table of combinations, the tables of amplitudes, the taps of i1,5 and
    i1,6, the strongest coefficient. Compared with patents on the report: K_NZ of ceil(log2 K0) bits for one layer,
    ceil(log2 2 K0) for more. From knowledge of the standard alone: ceil(log2 K_NZ) bits of i1,8 for one layer, i1,7,
    i2,4, i2,5 in this order at the end of groups 1 and 2. Codebook subset restriction is left out.

    :param combination: paramCombination-r16: L, p and beta.
    :param rank: layers reported.
    :param precoders_per_subband: R, precoders (N3) a CQI subband.
    :param subband_size: the smaller or the larger of the two sizes of TS 38.214, Table 5.2.1.4-2.
    :param resource_block_khz: width of 12 subcarriers; the narrowest with at most 275 blocks in the band if empty.
    """

    def __init__(self, combination: Literal[1, 2, 3, 4, 5, 6, 7, 8] = 6, rank: Literal[1, 2, 3, 4] = 1,
                 precoders_per_subband: Literal[1, 2] = 1, subband_size: Literal["small", "large"] = "small",
                 resource_block_khz: PositiveFloat | None = None) -> None:
        super().__init__()
        self.combination = combination
        self.rank = rank
        self.precoders_per_subband = precoders_per_subband
        self.subband_size = subband_size
        self.resource_block_khz = resource_block_khz

    def sizes(self, setting: Setting) -> Etype2Sizes:
        """What the PMI's fields are dimensioned by.

        :raises ScenarioError: a combination that the standard excludes.
        """
        return Etype2Sizes.of(setting.ports, setting.num_layers, setting.num_subbands, self.combination,
                              self.precoders_per_subband)

    def search(self, v: torch.Tensor, setting: Setting) -> list[Etype2Pmi]:
        return search_pmi(v, self.sizes(setting))

    def write(self, pmi: Etype2Pmi, setting: Setting) -> BitWriter:
        return write_pmi(pmi, self.sizes(setting))

    def read(self, reader: BitReader, setting: Setting) -> Etype2Pmi:
        return read_pmi(reader, self.sizes(setting))

    def precoder(self, pmi: Etype2Pmi, setting: Setting) -> torch.Tensor:
        return precoder_of(pmi, self.sizes(setting))

    def least_bits(self, setting: Setting) -> int:
        return self.sizes(setting).report_bits(setting.num_layers)
