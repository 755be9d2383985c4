"""Where terminals of a ray-traced drop stand, and what the ground between them and the base station is like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch


@dataclass(frozen=True, eq=False)
class Places:
    """Every terminal as its base station sees it.

    :param offset_m: ``[batch, user, 3]``, metres ahead of the panel, to its left and above it.
    :param bs_height_m: ``[batch, user]``, of the base station above the zero of the map.
    :param gain_db: ``[batch, user]``, of all paths between isotropic antennas: the path loss, negative.
    :param line_of_sight: ``[batch, user]``, bool.
    :param height_map: ``[batch, user]``, int64, which of ``maps`` is theirs.
    :param maps: ``[map, row, column]``, metres; shared by all. See `linksim.channel.ray_traced.maps`.
    """

    offset_m: torch.Tensor
    bs_height_m: torch.Tensor
    gain_db: torch.Tensor
    line_of_sight: torch.Tensor
    height_map: torch.Tensor
    maps: torch.Tensor

    def each(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Places:
        """Apply a function to all that terminals have of their own."""
        return replace(self, **{name: function(getattr(self, name)) for name in _OWN})

    def to(self, device: torch.device | str) -> Places:
        """The same on another device."""
        return replace(self.each(lambda tensor: tensor.to(device)), maps=self.maps.to(device))

    @staticmethod
    def joined(parts: list[Places]) -> Places:
        """Drops one after the other; their maps are put together unless they are one and the same."""
        if all(part.maps is parts[0].maps for part in parts):
            first, maps = [0] * len(parts), parts[0].maps
        else:
            counts = [len(part.maps) for part in parts]
            first, maps = [sum(counts[:number]) for number in range(len(parts))], torch.cat([p.maps for p in parts])
        own = {name: torch.cat([getattr(part, name) for part in parts]) for name in _OWN if name != "height_map"}
        which = torch.cat([part.height_map + begin for part, begin in zip(parts, first)])
        return Places(**own, height_map=which, maps=maps)


_OWN = tuple(field.name for field in fields(Places) if field.name != "maps")
