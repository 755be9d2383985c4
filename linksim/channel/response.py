"""From rays straight to the channel on a grid of times and subcarriers.

TR 38.901 step 11 as two matrix products instead of one sum over a tensor of all rays, antennas and times:

1. for every path, (antennas x rays) times (rays x times): the rays of a path share its delay;
2. for every link, (antennas and times x paths) times (paths x subcarriers).

A ray's coefficient is a product of factors over ports, panel columns, panel rows and times. The first product splits
them where the two halves are smallest together, so nothing of the size rays x antennas x times is ever formed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import weakref
from collections import deque

import torch

from linksim.channel.rays import Rays
from linksim.mimo.phasor import phasor, phasor_factors

_LARGE_BYTES = 2**22
"""The C library mostly recycles smaller blocks by itself."""

_SLACK = 1.25
"""A block may be this many times larger than asked for."""

_free: deque[torch.Tensor] = deque(maxlen=4)
"""Blocks at hand. Its methods are atomic, so threads and finalizers need no lock."""


def large_empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Like `torch.empty`, in recycled memory where that pays."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < _LARGE_BYTES:
        return torch.empty(shape, dtype=dtype, device=device)
    block = _take(size)
    # torch keeps this array alive as long as any tensor uses its memory; then the block is free again
    array = block.numpy()[:size]
    weakref.finalize(array, _free.append, block).atexit = False
    return torch.from_numpy(array).view(dtype).view(shape)


def _take(size: int) -> torch.Tensor:
    for _ in range(len(_free)):
        with contextlib.suppress(IndexError):  # another thread may have been faster
            block = _free.popleft()
            if size <= len(block) <= _SLACK * size:
                return block
            _free.append(block)
    return torch.empty(size, dtype=torch.uint8)


LEAST_BUDGET_BYTES = 2 * 2**20
"""For intermediate results, unless told otherwise: this, or an eighth of the result's own size. Larger blocks are
hardly faster; smaller ones pay for their number."""


def frequency_response(rays: Rays, carrier_hz: float, time_s: torch.Tensor, offset_hz: torch.Tensor,
                       memory_budget_bytes: int | None = None) -> torch.Tensor:
    """Sum the rays to the channel (TR 38.901 eq. 7.5-22 to 7.5-30).

    :param rays: of any links.
    :param carrier_hz: sets wavelength and Doppler.
    :param time_s: ``[time]``.
    :param offset_hz: ``[subcarrier]``, from the carrier that the phases refer to.
    :param memory_budget_bytes: bound on intermediate results: links, then times, are taken in blocks. One link at
        one time is always taken at once. By default an eighth of the result, at least 2 MiB.
    :returns: ``[*links, ue_ant, bs_ant, time, subcarrier]``, complex.
    """
    links = rays.links
    rays = rays.map_links(lambda tensor: tensor.flatten(0, len(links) - 1))
    elements = _element_factors(rays, carrier_hz)
    doppler_rad_s = 2 * torch.pi * rays.doppler_hz(carrier_hz)
    twin = _twin_of_last_path(rays.path_delay_s)
    path_delay_s = rays.path_delay_s if twin is None else rays.path_delay_s[:, :-1]
    delay = phasor(-2 * torch.pi * path_delay_s, offset_hz).mT  # [link, path, subcarrier]
    antennas = rays.ue.layout.num_antennas * rays.bs.layout.num_antennas
    h = large_empty((math.prod(links), antennas, len(time_s), len(offset_hz)), delay.dtype, delay.device)

    if memory_budget_bytes is None:
        memory_budget_bytes = max(LEAST_BUDGET_BYTES, h.numel() * h.element_size() // 8)
    per_link = h.element_size() * _elements_at_once(rays, elements, len(time_s))
    link_block = max(1, min(len(h), memory_budget_bytes // per_link))
    time_block = len(time_s) if link_block > 1 else min(len(time_s), memory_budget_bytes * len(time_s) // per_link + 1)
    for start in range(0, len(time_s), time_block):
        times = slice(start, start + time_block)
        factors = [*elements, *phasor_factors(doppler_rad_s, time_s[times])]
        groups = _by_path_length(factors, rays.path_lengths)
        for first in range(0, len(h), link_block):
            part = slice(first, first + link_block)
            paths = _path_coefficients([[factor[:, part] for factor in group] for group in groups])
            if twin is not None:
                paths, last = paths[:-1], paths[-1]
                paths[twin[part], torch.arange(len(last), device=last.device)] += last
            out = h[part, :, times]
            if out.is_contiguous():
                torch.bmm(paths.movedim(0, 2), delay[part], out=out.flatten(1, 2))
            else:
                out.copy_((paths.movedim(0, 2) @ delay[part]).view_as(out))
    return _numbered(h, rays).unflatten(0, links)


def squinting_response(rays: Rays, frequency_hz: torch.Tensor, time_s: torch.Tensor, reference_hz: float
                       ) -> torch.Tensor:
    """The same where the array is wide for the band: each tone has a wavelength and a Doppler shift of its own.

    TR 38.901 step 11 takes the carrier's wavelength at every tone; a plane wave that reaches an antenna late does so by
    a time, so by a phase that grows with frequency (cf. clause 7.6.2.1, modelling of the propagation delay). One sum
    over rays for each tone.

    :param frequency_hz: ``[subcarrier]``, absolute.
    :param reference_hz: the carrier that the phases refer to.
    :returns: as `frequency_response`.
    """
    offset_hz = frequency_hz - reference_hz
    tones = [frequency_response(rays, tone_hz, time_s, offset_hz[number:number + 1])[..., 0]
             for number, tone_hz in enumerate(frequency_hz.tolist())]
    return torch.stack(tones, -1)


def _twin_of_last_path(path_delay_s: torch.Tensor) -> torch.Tensor | None:
    """For each link, a path of the same delay as the last one, the line of sight: one path less to turn into tones.

    :param path_delay_s: ``[link, path]``.
    :returns: ``[link]``, or None where a link has no such path.
    """
    same = path_delay_s[:, :-1] == path_delay_s[:, -1:]
    return same.int().argmax(-1) if path_delay_s.shape[1] > 1 and same.any(-1).all() else None


def _element_factors(rays: Rays, carrier_hz: float) -> list[torch.Tensor]:
    """A ray's coefficient as a product of factors ``[link, index, ray]``.

    :returns: factors over (UE antenna, BS port), BS column and BS row; their outer product, in this order, is the
        coefficient of every antenna pair.
    """
    ue_port, ue_column, ue_row = (part.unsqueeze(2) for part in rays.ue.factors(carrier_hz))
    bs_port, bs_column, bs_row = rays.bs.factors(carrier_hz)
    transfer = _port_transfer(rays) * (ue_port * bs_port.unsqueeze(1))
    ue_element = (ue_column * ue_row.transpose(1, 2)).flatten(1, 2)
    ports = transfer.unsqueeze(2) * ue_element[:, None, :, None]  # UE port, UE element, BS port
    return [ports.flatten(1, 3), bs_column, bs_row]


def _port_transfer(rays: Rays) -> torch.Tensor:
    """``amplitude * field_ue^T M field_bs`` between ports, ``[link, ue_port, bs_port, ray]``, complex."""
    # by component: operands are contiguous, and a sum of two terms is no work for a matrix product
    ue, bs = (field.permute(3, 0, 2, 1) for field in (rays.ue.field, rays.bs.field))  # [2, link, port, ray]
    weight = (rays.amplitude[..., None, None] * rays.coupling).permute(2, 3, 0, 1).unsqueeze(3)
    phase = rays.phase.permute(2, 3, 0, 1).unsqueeze(3)
    parts = []
    for m in (weight * phase.cos(), weight * phase.sin()):
        arriving = [m[i, 0] * bs[0] + m[i, 1] * bs[1] for i in (0, 1)]  # [link, bs_port, ray]
        parts.append(ue[0].unsqueeze(2) * arriving[0].unsqueeze(1) + ue[1].unsqueeze(2) * arriving[1].unsqueeze(1))
    return torch.complex(*parts)


def _by_path_length(factors: list[torch.Tensor], path_lengths: tuple[int, ...]) -> list[list[torch.Tensor]]:
    """Neighbouring paths of equal length together, as views ``[path, link, index, ray]`` of the factors."""
    groups = []
    ray = 0
    for length, group in itertools.groupby(path_lengths):
        count = len(list(group))
        groups.append([factor[:, :, ray:ray + count * length].unflatten(2, (count, length)).permute(2, 0, 1, 3)
                       for factor in factors])
        ray += count * length
    return groups


def _path_coefficients(groups: list[list[torch.Tensor]]) -> torch.Tensor:
    """Sum the rays of each path, one batched matrix product for each group of paths.

    :param groups: factors over antennas and times, as `_by_path_length` returns them.
    :returns: ``[path, link, antennas and times]``.
    """
    sizes = [factor.shape[2] for factor in groups[0]]
    links, split = groups[0][0].shape[1], _split(sizes)
    num_paths = sum(len(group[0]) for group in groups)
    paths = groups[0][0].new_empty(num_paths * links, math.prod(sizes[:split]), math.prod(sizes[split:]))
    first = 0
    for group in groups:
        left, right = (_outer(half).flatten(0, 1) for half in (group[:split], group[split:]))
        torch.bmm(left, right.mT, out=paths[first:first + len(left)])
        first += len(left)
    return paths.view(num_paths, links, -1)


def _split(sizes: list[int]) -> int:
    """Where to split the factors so that both halves are smallest together."""
    return min(range(1, len(sizes)), key=lambda at: math.prod(sizes[:at]) + math.prod(sizes[at:]))


def _outer(factors: list[torch.Tensor]) -> torch.Tensor:
    """Outer product over the index dimension: ``[path, link, index, ray]``, contiguous."""
    product = factors[0].contiguous()
    for factor in factors[1:]:
        paths, links, index, rays = product.shape
        # told where to put it: otherwise the result would inherit the factors' order in memory
        outer = product.new_empty(paths, links, index, factor.shape[2], rays)
        product = torch.mul(product.unsqueeze(3), factor.unsqueeze(2), out=outer).flatten(2, 3)
    return product


def _elements_at_once(rays: Rays, elements: list[torch.Tensor], num_times: int) -> int:
    """Complex numbers held at once for one link: both halves of the rays, and the paths."""
    sizes = [*(factor.shape[1] for factor in elements), num_times]
    split = _split(sizes)
    halves = rays.amplitude.shape[-1] * (math.prod(sizes[:split]) + math.prod(sizes[split:]))
    return halves + len(rays.path_lengths) * math.prod(sizes)


def _numbered(h: torch.Tensor, rays: Rays) -> torch.Tensor:
    """From the order of the factors to the arrays' own numbering of antennas: ``[link, ue, bs, time, subcarrier]``."""
    ue, bs = rays.ue.layout, rays.bs.layout
    h = h.unflatten(1, (ue.num_antennas, bs.num_antennas))
    for dim, layout in ((1, ue), (2, bs)):
        if not layout.in_order:
            h = h.index_select(dim, layout.order)
    return h
