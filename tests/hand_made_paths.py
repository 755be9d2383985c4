"""A hand-made path table where a scene's would be."""

from __future__ import annotations

import math

import torch

from linksim.channel.ray_traced.table import PathTable
from linksim.scenario.channel import BsArray, Channel

LIGHT = 299792458.0
CARRIER_HZ = 3.4e9


def _direct_path(position_m, bs_position_m, carrier_hz=CARRIER_HZ):
    """Zenith and azimuth at both ends, delay and transfer of the line of sight."""
    way = position_m - bs_position_m
    length = way.norm(dim=-1)
    x, y, z = (way / length[:, None]).unbind(-1)
    departure = torch.stack([z.acos(), torch.atan2(y, x)], -1)
    arrival = torch.stack([(-z).acos(), torch.atan2(-y, -x)], -1)
    gain = LIGHT / carrier_hz / (4 * math.pi * length)
    # the horizontal unit vector points the other way for a wave that comes from there
    return departure, arrival, length / LIGHT, gain[:, None, None] * torch.tensor([[1.0, 0], [0, -1]])


def make_table(num=400, num_paths=4, seed=1, spread_m=200.0, bs_position_m=(0.0, 0.0, 25.0)):
    """Positions around a base station; the first path is the line of sight, the others come from anywhere."""
    stream = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=stream, dtype=torch.float64)

    bs = torch.tensor(bs_position_m, dtype=torch.float64)
    ground = (uniform(num, 2) - 0.5) * 2 * spread_m
    position = torch.cat([ground, torch.full((num, 1), 1.5, dtype=torch.float64)], -1)
    departure, arrival, delay, transfer = _direct_path(position, bs)
    angles = [torch.stack([math.pi * (0.4 + 0.2 * uniform(num, num_paths)),
                           2 * math.pi * uniform(num, num_paths)], -1) for _ in range(2)]
    angles[0][:, 0], angles[1][:, 0] = departure, arrival
    later = delay[:, None] + 1e-6 * uniform(num, num_paths)
    later[:, 0] = delay
    random = torch.complex(uniform(num, num_paths, 2, 2) - 0.5, uniform(num, num_paths, 2, 2) - 0.5)
    size = 0.5 ** torch.arange(num_paths).double() * transfer[:, 0, 0, None]
    matrix = random * size[..., None, None]
    matrix[:, 0] = transfer.to(matrix)
    return PathTable(
        position_m=position, bs_position_m=bs, transfer=matrix.to(torch.complex64), delay_s=later.float(),
        departure=angles[0].float(), arrival=angles[1].float(),
        num_paths=torch.full((num,), num_paths), line_of_sight=torch.ones(num, dtype=torch.bool),
        total_gain=(matrix.abs().square().sum((-2, -1)) / 2).sum(-1).float(), about={"made": "by hand"},
    )


def make_channel(**changes):
    """A small ray-traced channel."""
    data = {"source": "ray_traced", "carrier_frequency_ghz": CARRIER_HZ / 1e9, "num_subcarriers": 8,
            "num_history": 4, "num_future": 2,
            "bs_array": BsArray(rows=1, columns=4, polarization="single", pattern="omni", downtilt_deg=0)}
    return Channel.model_validate(data | changes)
