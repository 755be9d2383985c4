"""Which Sionna model a channel section means, and where base station and terminals stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from sionna.phy import config
from sionna.phy.channel import gen_single_sector_topology
from sionna.phy.channel.tr38901 import CDL, InF, InH, RMa, UMa, UMi

from linksim.channel.antenna_arrays import bs_panel, ue_panel
from linksim.channel.drops import Drops, drops_of_rays
from linksim.channel.rays import Rays
from linksim.channel.statistical.sionna_rays import sample_cdl_rays, sample_rays
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import BsArray, Channel, UeArray

_MODELS = {"uma": UMa, "umi": UMi, "rma": RMa, "inh": InH, "inf": InF}


@dataclass(frozen=True)
class _Hall:
    """An indoor cell: spacing of the base stations, heights and least distance, in metres."""

    spacing_m: float
    bs_height_m: float
    ue_height_m: float
    min_distance_m: float


_HALLS = {
    "inh_open": _Hall(20.0, 3.0, 1.0, 0.0),  # TR 38.901 Table 7.2-2
    "inh_mixed": _Hall(20.0, 3.0, 1.0, 0.0),
    "inf_sl": _Hall(20.0, 1.5, 1.5, 1.0),  # Tables 7.2-4 and 7.8-7
    "inf_dl": _Hall(50.0, 1.5, 1.5, 1.0),
    "inf_sh": _Hall(50.0, 8.0, 1.5, 1.0),
    "inf_dh": _Hall(20.0, 8.0, 1.5, 1.0),
    "inf_hh": _Hall(50.0, 8.0, 8.0, 1.0),  # no deployment in the standard: InF-SH with elevated terminals
}


def draw_rays(channel: Channel, batch_size: int, device: str, precision: str = "single") -> Rays:
    """Draw the rays of a batch of drops with Sionna's current random state.

    :param channel: what to draw; its normalisation is applied.
    :param batch_size: drops.
    :param device: torch device.
    :param precision: ``"single"`` or ``"double"``.
    :returns: rays of ``[batch, user]`` links.
    """
    if channel.model.startswith("cdl_"):
        model = build_cdl(channel, batch_size * channel.num_users, device, precision)
        rays = sample_cdl_rays(model, batch_size * channel.num_users)
        rays = rays.map_links(lambda tensor: tensor.reshape(batch_size, channel.num_users, *tensor.shape[3:]))
    else:
        model = _model_for(_Build.of(channel), device, precision)
        model.reset_topology()  # or what a topology leaves out would be taken from the last one
        model.set_topology(**draw_topology(channel, batch_size, device, precision))
        rays = sample_rays(model).map_links(lambda tensor: tensor[:, 0])
    return normalized(rays, channel.normalization)


def normalized(rays: Rays, normalization: str) -> Rays:
    """Rays of ``[batch, user]`` links with the gains that ``channel.normalization`` asks for."""
    if normalization == "none":
        return rays
    gain = rays.mean_gain()
    if normalization == "drop":
        gain = gain.mean(1, keepdim=True).expand_as(gain)
    return rays.scaled(1 / gain)


class _Build(NamedTuple):
    """The fields of a channel that its Sionna model is built from."""

    model: str
    carrier_frequency_ghz: float
    bs_array: BsArray
    ue_array: UeArray
    path_loss: bool
    shadow_fading: bool
    penetration_loss: str

    @classmethod
    def of(cls, channel: Channel) -> _Build:
        return cls(*(getattr(channel, name) for name in cls._fields))


@lru_cache(maxsize=8)
def _model_for(build: _Build, device: str, precision: str) -> Any:
    """A model that is kept: building one costs as much as a small draw. The lock of `linksim.core.seeding.sionna_seed`
    guards its state."""
    return build_model(build, device, precision)


def build_model(channel: Channel | _Build, device: str, precision: str = "single") -> Any:
    """The Sionna model of a system-level channel (downlink direction: the BS transmits)."""
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    family, _, variant = channel.model.partition("_")
    extra: dict[str, str] = {}
    if family in ("uma", "umi"):
        extra = {"o2i_model": "high" if channel.penetration_loss == "high" else "low"}
    elif family == "inh":
        extra = {"indoor_scenario": variant}
    elif family == "inf":
        extra = {"factory_scenario": variant.upper()}
    model = _MODELS[family](
        carrier_frequency=carrier_hz,
        ut_array=ue_panel(channel.ue_array, carrier_hz, device, precision),
        bs_array=bs_panel(channel.bs_array, carrier_hz, device, precision),
        direction="downlink", enable_pathloss=channel.path_loss, enable_shadow_fading=channel.shadow_fading,
        device=device, precision=precision, **extra,
    )
    if family in ("uma", "umi"):
        # Sionna takes the fixed loss below 6 GHz whatever o2i_model says; the standard leaves the choice
        model._lsp_sampler._use_legacy_o2i_model = channel.penetration_loss == "fixed"
        model._scenario._legacy_o2i_indoor_distance = channel.penetration_loss == "fixed"
    return model


def draw_topology(channel: Channel, batch_size: int, device: str, precision: str = "single") -> dict[str, Any]:
    """Positions, speeds and orientations set on purpose; Sionna's defaults are static, indoor and tilted.

    Terminals stand in one 120 degree sector, upright, turned at random about the vertical, and move horizontally at
    exactly the scenario's speed, indoors too. The panel faces the sector's centre with the scenario's downtilt.
    """
    array = channel.bs_array
    speed_m_s = channel.speed_kmh / 3.6
    deployment: dict[str, Any] = {"scenario": channel.model, "bs_height": array.height_m,
                                  "indoor_probability": channel.indoor_share}
    if channel.model in _HALLS:
        hall = _HALLS[channel.model]
        deployment = {  # every length is given, so the name only fills an argument
            "scenario": "umi", "isd": hall.spacing_m, "min_bs_ut_dist": hall.min_distance_m,
            "bs_height": hall.bs_height_m if array.height_m is None else array.height_m,
            "min_ut_height": hall.ue_height_m, "max_ut_height": hall.ue_height_m, "indoor_probability": 1.0,
        }
    ut_loc, bs_loc, ut_orientation, bs_orientation, velocity, indoor = gen_single_sector_topology(
        batch_size, channel.num_users, min_ut_velocity=speed_m_s, max_ut_velocity=speed_m_s,
        precision=precision, device=device, **deployment,
    )
    if channel.indoor_share and channel.model in ("uma", "umi"):
        ut_loc[..., 2] = torch.where(indoor, _floor_heights_m(indoor.shape, device).to(ut_loc), ut_loc[..., 2])
    upright = torch.zeros_like(ut_orientation)
    upright[..., 0] = 2 * ut_orientation[..., 0]  # Sionna draws a half turn only
    tilted = bs_orientation.clone()
    tilted[..., 1] = math.radians(array.downtilt_deg)
    topology = {
        "ut_loc": ut_loc, "bs_loc": bs_loc, "ut_orientations": upright, "bs_orientations": tilted,
        "ut_velocities": velocity, "in_state": indoor,
        "los": {"mixed": "random", "los": True, "nlos": False}[channel.los],
    }
    if channel.model == "rma":
        topology["in_car"] = torch.zeros_like(indoor)
    return topology


def _floor_heights_m(shape: torch.Size, device: str) -> torch.Tensor:
    """Heights of terminals on a random floor of a house with 4 to 8 of them (TR 38.901 Table 7.2-1, from TR 36.873).

    Drawn after all else, so that nothing else moves.
    """
    stream = config.torch_rng(device)
    floors = torch.randint(4, 9, shape, generator=stream, device=device)
    floor = 1 + (torch.rand(shape, generator=stream, device=device) * floors).long().minimum(floors - 1)
    return 3.0 * (floor - 1) + 1.5


def build_cdl(channel: Channel, num_links: int, device: str, precision: str = "single") -> CDL:
    """A CDL profile. Its users share the angles and differ in phases, ray coupling and direction of motion."""
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    heading = 2 * torch.pi * torch.rand(num_links, generator=config.torch_rng(device), device=device)
    velocity = channel.speed_kmh / 3.6 * torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    tilt = torch.tensor([0.0, math.radians(channel.bs_array.downtilt_deg), 0.0], device=device)
    return CDL(
        channel.model[-1].upper(), channel.delay_spread_ns * 1e-9, carrier_hz,
        ue_panel(channel.ue_array, carrier_hz, device, precision),
        bs_panel(channel.bs_array, carrier_hz, device, precision), "downlink", bs_orientation=tilt,
        ut_velocity=velocity, precision=precision, device=device,
    )


def draw_drops(channel: Channel, batch_size: int, seed: int, device: str = "cpu") -> Drops:
    """Draw a chunk of drops.

    :param channel: what to draw.
    :param batch_size: drops; another batch size gives other drops for the same seed.
    :param seed: of this chunk, see `linksim.core.seeding.stream_seed`.
    :param device: torch device.
    """
    with sionna_seed(seed):
        rays = draw_rays(channel, batch_size, device, channel.precision)
    return drops_of_rays(channel, rays, seed)
