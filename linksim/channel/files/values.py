"""Whether stored channels are numbers that a link can be computed with: what is not is named by file and drop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from linksim.channel.files.reader import Header, Samples, fault
from linksim.channel.rays import Rays

LARGEST = 1e8
"""Amplitude of an entry: powers of channels are squared again on the way to a rate, in single precision."""

LONGEST_S = 1.0
"""Delay of a path, also by satellite. Longer ones are in another unit."""

SMALLEST = 1e-18
"""Largest amplitude of a drop that is not silent: below, powers are zero in single precision."""


_WORDS = {"stretch": "channels", "delays_s": "delays"}


def check_finite(samples: Samples, header: Header, items: np.ndarray) -> None:
    """Whether all values of some items are finite.

    A largest Doppler shift may be NaN: unknown.

    :param items: their numbers in the reader's order.
    :raises ScenarioError: the first that is not, by its name, item and file.
    """
    for name, array in _float_arrays(samples):
        wrong, what = ~np.isfinite(array), "not finite, or too large for single precision"
        if name.endswith("max_doppler_hz"):
            wrong, what = np.isinf(array) | (array < 0), "negative or infinite"
        if name == "delays_s":
            wrong, what = ~(np.abs(array) <= LONGEST_S), "not finite, or longer than a second"
        if wrong.any():
            number = int(wrong.reshape(len(array), -1).any(1).argmax())
            hint = ": paths that are not there have zero gain" if name in ("gains", "delays_s") else ""
            raise fault(header.title, f"{_WORDS.get(name, name)} of {header.name_of(items[number])}: some are {what}"
                                      f"{hint}")


def check_amplitudes(parts: dict[str, torch.Tensor], header: Header, items: np.ndarray) -> tuple[str, ...]:
    """Whether powers of the channels, as they go into the chain, can be computed.

    :param parts: history, future: ``[batch, user, ...]``.
    :param items: ``[batch, item]``, numbers of the items of each drop.
    :returns: a note that names silent drops.
    :raises ScenarioError: an amplitude that is too large, or a user too weak and yet not silent.
    """
    peak = torch.stack([h.abs().flatten(2).amax(-1) for h in parts.values()]).amax(0)  # [batch, user]
    silent, wrong = peak == 0, (peak > LARGEST) | ((peak > 0) & (peak < SMALLEST))

    def place(drop: int, user: int) -> str:
        if items.shape[1] > 1:
            return header.name_of(items[drop, user])
        return header.name_of(items[drop, 0]) + f", user {user}" * (peak.shape[1] > 1)

    if wrong.any():
        drop, user = wrong.nonzero()[0].tolist()
        raise fault(header.title, f"{place(drop, user)} has amplitudes of up to {float(peak[drop, user]):.1e}, "
                                  "which is no channel gain: write channel.normalization: user, or scale it")
    if not silent.any():
        return ()
    places = [place(*where) for where in silent.nonzero().tolist()]
    return (f"{header.title}: zero throughout: {'; '.join(places[:20])}{'; …' * (len(places) > 20)}",)


def check_rays(rays: Rays, header: Header) -> None:
    """Whether the tensors of stored rays fit together.

    :raises ScenarioError: the first that has another shape or type than the others ask for.
    """
    links, count = tuple(rays.large_scale_gain.shape), rays.amplitude.shape[-1]
    paths = len(rays.path_lengths)
    if min(rays.path_lengths, default=0) < 1 or sum(rays.path_lengths) != count:
        raise fault(header.title, f"rays/path_lengths make {sum(rays.path_lengths)} rays, but rays/amplitude has "
                                  f"{count}")
    wanted: dict[str, tuple[int, ...]] = {
        "amplitude": (*links, count), "path_delay_s": (*links, paths), "velocity_projection_m_s": (*links, count),
        "coupling": (*links, count, 2, 2), "phase": (*links, count, 2, 2), "line_of_sight": links, "speed_m_s": links,
        "position_user_m": (*links, 3), "position_bs_m": (*links, 3), "is_specular": (count,),
    }
    for name, end in (("ue", rays.ue), ("bs", rays.bs)):
        layout = end.layout
        ports, columns, rows = (len(part) if part.ndim else 0
                                for part in (layout.port_m, layout.column_m, layout.row_m))
        wanted |= {f"{name}.direction": (*links, count, 3), f"{name}.field": (*links, count, ports, 2),
                   f"{name}.rotation": (*links, 3, 3), f"{name}.port_m": (ports, 3), f"{name}.column_m": (columns, 3),
                   f"{name}.row_m": (rows, 3), f"{name}.order": (ports * columns * rows,)}
    for name, tensor in rays.to_dict().items():
        if name in wanted and tuple(tensor.shape) != wanted[name]:
            raise fault(header.title, f"rays/{name} has shape {list(tensor.shape)}, but the other rays need "
                                      f"{list(wanted[name])}")
    for name, end in (("ue", rays.ue), ("bs", rays.bs)):
        order = end.layout.order
        if not torch.equal(order.sort().values, torch.arange(len(order), device=order.device, dtype=order.dtype)):
            raise fault(header.title, f"rays/{name}.order does not number every antenna once")
    if rays.is_specular.dtype != torch.bool:
        raise fault(header.title, "rays/is_specular is not true or false")


def mean_power(h: torch.Tensor) -> torch.Tensor:
    """Mean |h|^2 of every user, ``[batch, user]``; in double precision where squares leave the range of single."""
    power = h.abs().square().mean((-4, -3, -2, -1))
    if ((power > 1e-30) & (power < 1e30)).all():
        return power
    return h.to(torch.complex128).abs().square().mean((-4, -3, -2, -1))


def _float_arrays(samples: Samples) -> Iterator[tuple[str, np.ndarray]]:
    for name, value in vars(samples).items():
        if name == "paths":  # shown as they are, NaN where unused
            continue
        if isinstance(value, dict):
            items = value.items()
            prefix = f"{name}/"
        elif isinstance(value, tuple):
            items, prefix = (("history/" + name, value[0]), ("future/" + name, value[1])), ""
        else:
            items, prefix = ((name, value),), ""
        for key, array in items:
            if array is not None and array.dtype.kind in "fc" and array.ndim:
                yield f"{prefix}{key}", array
