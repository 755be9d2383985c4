"""Draw drops with Sionna's 38.901 models and take their rays before Sionna sums them up.

Sionna draws large-scale parameters, clusters, rays, phases and antenna patterns; the step that turns rays into
coefficients is replaced by a recorder at the place where Sionna plugs it in (`_cir_sampler`, `_cir_gen`).
Sionna's [batch, tx, rx, cluster, ray] layout exists in this file alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from sionna.phy.channel import gen_single_sector_topology
from sionna.phy.channel.tr38901 import CDL, PanelArray, RMa, UMa, UMi

from linksim.channel.rays import Rays
from linksim.scenario.schema import BsArray, Channel, UeArray

_MODELS = {"uma": UMa, "umi": UMi, "rma": RMa}


class _Recorder(torch.nn.Module):
    """Stands in for Sionna's coefficient generator: keeps what it is given and returns an empty response."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator
        self.recorded: dict[str, Any] = {}

    def forward(self, num_time_samples: int, sampling_frequency: float, k_factor: torch.Tensor, rays: Any,
                topology: Any, c_ds: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        if rays.phases is None:
            rays.phases = self.generator._step_10(rays.aoa.shape)
        self.recorded = {"k_factor": k_factor, "rays": rays, "topology": topology, "cluster_ds_s": c_ds}
        links = rays.powers.shape[:3]
        empty = torch.zeros(*links, 1, 1, 1, 1, dtype=self.generator.cdtype, device=rays.powers.device)
        return empty, torch.zeros(*links, 1, device=rays.powers.device)


def draw_rays(channel: Channel, batch_size: int, device: str, precision: str = "single") -> Rays:
    """Draw the rays of a batch of drops with Sionna's current random state.

    :param channel: what to draw; its normalisation is applied.
    :param batch_size: drops.
    :param device: torch device.
    :param precision: ``"single"`` or ``"double"``.
    :returns: rays of ``[batch, user]`` links.
    """
    draw = _draw_cdl if channel.model.startswith("cdl_") else _draw_system_level
    rays = draw(channel, batch_size, device, precision)
    if channel.normalization == "none":
        return rays
    gain = rays.mean_gain()
    if channel.normalization == "drop":
        gain = gain.mean(1, keepdim=True).expand_as(gain)
    return rays.scaled(1 / gain)


def build_model(channel: Channel, device: str, precision: str = "single") -> Any:
    """The Sionna model of a system-level channel (downlink direction: the BS transmits)."""
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    extra = {} if channel.model == "rma" else {"o2i_model": "low"}
    return _MODELS[channel.model](
        carrier_frequency=carrier_hz,
        ut_array=ue_panel(channel.ue_array, carrier_hz, device, precision),
        bs_array=bs_panel(channel.bs_array, carrier_hz, device, precision),
        direction="downlink", enable_pathloss=channel.path_loss, enable_shadow_fading=channel.shadow_fading,
        device=device, precision=precision, **extra,
    )


def draw_topology(channel: Channel, batch_size: int, device: str, precision: str = "single") -> dict[str, Any]:
    """Positions, speeds and orientations set on purpose; Sionna's defaults are static, indoor and tilted.

    Terminals stand upright, turned at random about the vertical, and move horizontally at exactly the
    scenario's speed. The panel faces the sector's centre with the scenario's downtilt.
    """
    array = channel.bs_array
    speed_m_s = channel.speed_kmh / 3.6
    ut_loc, bs_loc, ut_orientation, bs_orientation, velocity, indoor = gen_single_sector_topology(
        batch_size, channel.num_users, channel.model, bs_height=array.height_m,
        indoor_probability=channel.indoor_share, min_ut_velocity=speed_m_s, max_ut_velocity=speed_m_s,
        precision=precision, device=device,
    )
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


def bs_panel(array: BsArray, carrier_hz: float, device: str, precision: str) -> PanelArray:
    dual = array.polarization == "dual"
    return PanelArray(
        num_rows_per_panel=array.rows, num_cols_per_panel=array.columns, polarization=array.polarization,
        polarization_type="cross" if dual else "V", antenna_pattern=array.pattern,
        carrier_frequency=carrier_hz, device=device, precision=precision,
    )


def ue_panel(array: UeArray, carrier_hz: float, device: str, precision: str) -> PanelArray:
    dual = array.polarization == "dual"
    return PanelArray(
        num_rows_per_panel=1, num_cols_per_panel=array.num_antennas // (2 if dual else 1),
        polarization=array.polarization, polarization_type="cross" if dual else "V",
        antenna_pattern=array.pattern, carrier_frequency=carrier_hz, device=device, precision=precision,
    )


def _draw_system_level(channel: Channel, batch_size: int, device: str, precision: str) -> Rays:
    model = build_model(channel, device, precision)
    model.set_topology(**draw_topology(channel, batch_size, device, precision))
    recorder = _Recorder(model._cir_sampler)
    model._cir_sampler = recorder
    model(1, 1.0)
    # step 12 (path loss and shadowing) on a response of ones is the large-scale gain
    ones = torch.ones(batch_size, 1, channel.num_users, 1, 1, 1, 1, dtype=model.cdtype, device=device)
    gain = model._step_12(ones, model._lsp.sf, model._lsp.pathloss).abs().square().reshape(batch_size, -1)
    rays = _to_rays(recorder, model._scenario.ut_loc)
    return rays.scaled(gain)


def _draw_cdl(channel: Channel, batch_size: int, device: str, precision: str) -> Rays:
    """Users of a CDL profile share its angles and differ in phases, ray coupling and direction of motion."""
    from sionna.phy import config

    carrier_hz = channel.carrier_frequency_ghz * 1e9
    links = batch_size * channel.num_users
    heading = 2 * torch.pi * torch.rand(links, generator=config.torch_rng(device), device=device)
    speed_m_s = channel.speed_kmh / 3.6
    velocity = speed_m_s * torch.stack([heading.cos(), heading.sin(), torch.zeros_like(heading)], -1)
    tilt = torch.tensor([0.0, math.radians(channel.bs_array.downtilt_deg), 0.0], device=device)
    model = CDL(
        channel.model[-1].upper(), channel.delay_spread_ns * 1e-9, carrier_hz,
        ue_panel(channel.ue_array, carrier_hz, device, precision),
        bs_panel(channel.bs_array, carrier_hz, device, precision), "downlink", bs_orientation=tilt,
        ut_velocity=velocity, precision=precision, device=device,
    )
    recorder = _Recorder(model._cir_gen)
    model._cir_gen = recorder
    model(links, 1, 1.0)
    rays = _to_rays(recorder, torch.zeros(links, 1, 3, device=device))
    return _regroup(rays, batch_size, channel.num_users)


def _regroup(rays: Rays, batch_size: int, num_users: int) -> Rays:
    """Turn ``[batch * user, 1, ...]`` links into ``[batch, user, ...]``."""
    shared = {"polarization_ue", "polarization_bs", "is_specular"}
    fields = {}
    for name, tensor in vars(rays).items():
        if name == "position_bs_m":
            fields[name] = tensor[:1].expand(batch_size, -1, -1)
        elif name in shared:
            fields[name] = tensor
        else:
            fields[name] = tensor.reshape(batch_size, num_users, *tensor.shape[2:])
    return Rays(**fields)


def _to_rays(recorder: _Recorder, position_user_m: torch.Tensor) -> Rays:
    generator, record = recorder.generator, recorder.recorded
    rays, topology = record["rays"], record["topology"]
    # one transmitter: [batch, 1, user, cluster, ray] -> [batch, user, cluster, ray]
    power, delay = _power_and_delay(rays, record["cluster_ds_s"], generator)
    phase = rays.phases[:, 0].unflatten(-1, (2, 2))
    cross = rays.xpr[:, 0].rsqrt()
    coupling = torch.stack([torch.ones_like(cross), cross, cross, torch.ones_like(cross)], -1).unflatten(-1, (2, 2))
    angles = {name: getattr(rays, name)[:, 0].flatten(2) for name in ("aoa", "aod", "zoa", "zod")}

    # the line-of-sight ray goes last, with the delay of the first cluster, where Sionna adds it
    los = topology.los[:, 0].expand(power.shape[:2])
    k_factor = record["k_factor"].reshape(record["k_factor"].shape[0], -1).expand(power.shape[:2])
    specular_power = torch.where(los, k_factor / (1 + k_factor), torch.zeros_like(k_factor))
    diffuse_power = power * torch.where(los, 1 / (1 + k_factor), torch.ones_like(k_factor))[..., None, None]
    amplitude = torch.cat([diffuse_power.flatten(2), specular_power.unsqueeze(-1)], -1).sqrt()
    first = delay.flatten(2).amin(-1, keepdim=True)
    delay = torch.cat([delay.flatten(2), first], -1)
    delay = torch.where(amplitude > 0, delay, torch.zeros_like(delay))  # unused clusters sit at 1 s
    specular_phase = -2 * torch.pi * topology.distance_3d[:, 0].expand(power.shape[:2]) / generator._lambda_0
    sign = torch.tensor([[0.0, 0.0], [0.0, torch.pi]], dtype=phase.dtype, device=phase.device)
    phase = torch.cat([phase.flatten(2, 3), (specular_phase[..., None, None] + sign).unsqueeze(2)], 2)
    diagonal = torch.eye(2, dtype=coupling.dtype, device=coupling.device)
    coupling = torch.cat([coupling.flatten(2, 3), diagonal.expand(*los.shape, 1, 2, 2)], 2)
    for name in angles:
        angle = getattr(topology, f"los_{name}")[:, 0].expand(los.shape)
        angles[name] = torch.cat([angles[name], angle.unsqueeze(-1)], -1)

    bs_turn = topology.tx_orientations[:, :1, None].expand(-1, los.shape[1], -1, -1)
    ue_turn = topology.rx_orientations[:, :, None].expand(los.shape[0], -1, -1, -1)
    direction_ue = generator._unit_sphere_vector(angles["zoa"], angles["aoa"]).squeeze(-1)
    velocity = topology.velocities.unsqueeze(2)
    return Rays(
        amplitude=amplitude,
        delay_s=delay,
        velocity_projection_m_s=(direction_ue * velocity).sum(-1),
        coupling=coupling,
        phase=phase,
        field_ue=_fields(generator, generator._rx_array, ue_turn, angles["zoa"], angles["aoa"]),
        field_bs=_fields(generator, generator._tx_array, bs_turn, angles["zod"], angles["aod"]),
        direction_ue=direction_ue,
        direction_bs=generator._unit_sphere_vector(angles["zod"], angles["aod"]).squeeze(-1),
        position_ue_m=_positions(generator, generator._rx_array, ue_turn),
        position_bs_m=_positions(generator, generator._tx_array, bs_turn)[:, 0],
        polarization_ue=_polarization(generator._rx_array),
        polarization_bs=_polarization(generator._tx_array),
        is_specular=torch.arange(amplitude.shape[-1], device=amplitude.device) == amplitude.shape[-1] - 1,
        line_of_sight=los,
        speed_m_s=topology.velocities.norm(dim=-1),
        position_user_m=position_user_m,
    )


def _power_and_delay(rays: Any, cluster_ds_s: torch.Tensor | None, generator: Any
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """Power and delay of each ray ``[batch, user, cluster, ray]``; sub-cluster delays as in Table 7.5-5."""
    num_rays = rays.aoa.shape[-1]
    power = (rays.powers[:, 0] / num_rays).unsqueeze(-1).expand(*rays.powers[:, 0].shape, num_rays)
    delay = rays.delays[:, 0].unsqueeze(-1).expand_as(power).clone()
    if cluster_ds_s is not None:
        strongest = rays.strongest_cluster_indices
        strongest = (torch.argsort(rays.powers, -1, descending=True)[..., :2] if strongest is None
                     else strongest)[:, 0]
        offset = torch.zeros(num_rays, dtype=delay.dtype, device=delay.device)
        for index, name in enumerate(("_sub_cl_1_ind", "_sub_cl_2_ind", "_sub_cl_3_ind")):
            offset[getattr(generator, name)] = generator._sub_cl_delay_offsets[index]
        is_strong = torch.zeros_like(rays.powers[:, 0]).scatter(-1, strongest, 1.0)
        delay = delay + is_strong.unsqueeze(-1) * offset * cluster_ds_s[:, 0, :, None, None]
    return power, delay


def _fields(generator: Any, array: PanelArray, turn: torch.Tensor, zenith: torch.Tensor, azimuth: torch.Tensor
            ) -> torch.Tensor:
    """Field patterns in the ground's axes, ``[batch, user, ray, polarization, 2]``."""
    zenith_local, azimuth_local = generator._gcs_to_lcs(turn, zenith, azimuth)
    elements = [array.ant_pol1] + ([array.ant_pol2] if array.polarization == "dual" else [])
    fields = [
        generator._l2g_response(
            torch.stack(element.field(zenith_local, azimuth_local), -1), turn, zenith, azimuth).squeeze(-1)
        for element in elements
    ]
    return torch.stack(fields, -2)


def _positions(generator: Any, array: PanelArray, turn: torch.Tensor) -> torch.Tensor:
    """Antenna positions in the ground's axes, ``[batch, user, antenna, 3]``."""
    return generator._rot_pos(turn, array.ant_pos.reshape(1, 1, -1, 3, 1)).squeeze(-1)


def _polarization(array: PanelArray) -> torch.Tensor:
    index = torch.zeros(array.num_ant, dtype=torch.long, device=array.ant_pos.device)
    if array.polarization == "dual":
        index[array.ant_ind_pol2] = 1
    return index

