"""Take the rays of a Sionna channel model before Sionna sums them up.

Sionna draws large-scale parameters, clusters, rays, phases and antenna patterns; the step that turns rays into
coefficients is replaced by a recorder at the place where Sionna plugs it in (`_cir_sampler`, `_cir_gen`).
Sionna's [batch, tx, rx, cluster, ray] layout exists in this file alone.
"""

from __future__ import annotations

from typing import Any

import torch
from sionna.phy.channel.tr38901 import CDL

from linksim.channel.antenna_arrays import array_end, planar
from linksim.channel.rays import Rays


class _Recorder(torch.nn.Module):
    """Stands in for Sionna's coefficient generator: keeps what it is given and returns a response of ones."""

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
        # step 12 (path loss and shadowing) turns the ones into the large-scale gain
        ones = torch.ones(*links, 1, 1, 1, 1, dtype=self.generator.cdtype, device=rays.powers.device)
        return ones, torch.zeros(*links, 1, device=rays.powers.device)


def sample_rays(model: Any) -> Rays:
    """Draw the rays of a system-level model (UMa, UMi, RMa, InH, InF) with Sionna's current random state.

    :param model: an unmodified Sionna model with its topology set, of either direction and any number of base
        stations; it is left as it was.
    :returns: rays of ``[batch, bs, user]`` links, with path loss, shadowing and blockage where the model has them.
    """
    recorder = _Recorder(model._cir_sampler)
    model._cir_sampler = recorder
    returns_rays, model._return_rays = model._return_rays, False
    try:
        h, _ = model(1, 1.0)
    finally:
        model._cir_sampler = recorder.generator
        model._return_rays = returns_rays
    uplink = model._scenario.direction == "uplink"
    gain = h[:, :, 0, :, 0, 0, 0].abs().square()  # [batch, rx, tx]
    return _to_rays(recorder, uplink, gain if uplink else gain.mT, model._scenario.ut_loc, model._scenario.bs_loc)


def sample_cdl_rays(model: CDL, batch_size: int) -> Rays:
    """Draw the rays of a CDL model, as `sample_rays`; rays of ``[batch, 1, 1]`` links."""
    recorder = _Recorder(model._cir_gen)
    model._cir_gen = recorder
    try:
        model(batch_size, 1, 1.0)
    finally:
        model._cir_gen = recorder.generator
    power = recorder.recorded["rays"].powers
    nowhere = power.new_zeros(batch_size, 1, 3)
    return _to_rays(recorder, recorder.recorded["topology"].moving_end == "tx", power.new_ones(batch_size, 1, 1),
                    nowhere, nowhere)


def _to_rays(recorder: _Recorder, uplink: bool, gain: torch.Tensor, position_user_m: torch.Tensor,
             position_bs_m: torch.Tensor) -> Rays:
    """From Sionna's tensors to ours.

    :param uplink: Sionna's transmitters are the users.
    :param gain: ``[batch, bs, user]``.
    """
    generator, rays = recorder.generator, recorder.recorded["rays"]
    topology, cluster_ds_s = recorder.recorded["topology"], recorder.recorded["cluster_ds_s"]
    links = gain.shape

    def by_link(tensor: torch.Tensor) -> torch.Tensor:
        """``[batch, tx, rx, ...]`` to ``[batch, bs, user, ...]``."""
        return (tensor.transpose(1, 2) if uplink else tensor).expand(*links, *tensor.shape[3:])

    order, path_lengths = _ray_order(rays, by_link, cluster_ds_s is not None, generator)
    table = _ray_table(rays, topology, generator, uplink, by_link, order)
    arrays = [generator._tx_array, generator._rx_array]
    turns = [topology.tx_orientations, topology.rx_orientations]
    if uplink:
        arrays, turns = arrays[::-1], turns[::-1]
    bs = array_end(arrays[0], turns[0].unsqueeze(2).expand(*links, 3), *table[2:4], generator._forward_rotation_matrix)
    ue = array_end(arrays[1], turns[1].unsqueeze(1).expand(*links, 3), *table[:2], generator._forward_rotation_matrix)
    velocity = topology.velocities.unsqueeze(1).unsqueeze(-2)  # [batch, 1, user, 1, 3]
    one = torch.ones_like(table[5])
    opposite = one.clone()
    opposite[..., -1] = -1  # line of sight (eq. 7.5-29)
    crossed = table[5].rsqrt()
    los = by_link(topology.los)
    return Rays(
        amplitude=(table[4] * _share(recorder.recorded["k_factor"], rays, los, by_link, table.shape[-1])
                   * gain.unsqueeze(-1)).sqrt(),
        path_delay_s=_path_delay(rays, by_link, cluster_ds_s, order, path_lengths, generator),
        velocity_projection_m_s=sum(ue.direction[..., axis] * velocity[..., axis] for axis in range(3)),
        coupling=planar(torch.stack([one, crossed, crossed, opposite])),
        phase=planar(table[6:]),
        ue=ue,
        bs=bs,
        large_scale_gain=gain,
        line_of_sight=los,
        speed_m_s=topology.velocities.norm(dim=-1).unsqueeze(1).expand(links),
        position_user_m=position_user_m.unsqueeze(1).expand(*links, 3),
        position_bs_m=position_bs_m.unsqueeze(2).expand(*links, 3),
        is_specular=torch.arange(table.shape[-1], device=table.device) == table.shape[-1] - 1,
        path_lengths=path_lengths,
    )


def _ray_order(rays: Any, by_link: Any, split: bool, generator: Any) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Index of each ray among Sionna's ``cluster * ray``, such that the rays of a path are neighbours.

    With sub-clusters, the two strongest clusters go last, as three paths each (TR 38.901 Table 7.5-5). Those paths and
    the line of sight are filled up with unused rays (index -1) to one length, so that they make one matrix product.

    :returns: ``[batch, bs, user, ray]``, and the rays of each path; the line of sight is the very last ray.
    """
    num_clusters, num_rays = rays.aoa.shape[3:]
    each = torch.arange(num_rays, device=rays.aoa.device)
    powers = by_link(rays.powers)
    links = powers.shape[:3]
    line = each.new_full((1,), num_clusters * num_rays)
    if not split:
        order = torch.cat([torch.arange(num_clusters * num_rays, device=each.device), line])
        return order.expand(*links, -1), (num_rays,) * num_clusters + (1,)
    members = [generator._sub_cl_1_ind, generator._sub_cl_2_ind, generator._sub_cl_3_ind]
    longest = max(len(member) for member in members)
    strongest = rays.strongest_cluster_indices
    strongest = powers.topk(2, -1).indices if strongest is None else by_link(strongest)
    strong = torch.zeros_like(powers, dtype=torch.uint8).scatter_(-1, strongest, 1)
    clusters = num_rays * strong.argsort(dim=-1, stable=True).unsqueeze(-1)
    unused = each.new_full((longest - 1,), -1)
    parts = [(clusters[..., :-2, :] + each).flatten(-2)]
    for member in members:
        sub_cluster = clusters[..., -2:, :] + member
        parts.append(torch.cat([sub_cluster, unused[len(member) - 1:].expand(*links, 2, -1)], -1).flatten(-2))
    parts.append(torch.cat([unused, line]).expand(*links, -1))
    return torch.cat(parts, -1), (num_rays,) * (num_clusters - 2) + (longest,) * (2 * len(members) + 1)


def _ray_table(rays: Any, topology: Any, generator: Any, uplink: bool, by_link: Any, order: torch.Tensor
               ) -> torch.Tensor:
    """Parameters of every ray in ``order``, the line of sight last.

    :returns: ``[parameter, batch, bs, user, ray]``: zenith and azimuth at the UE, zenith and azimuth at the BS, power,
        cross-polarisation ratio, and the four phases (UE component first).
    """
    arrival, departure = ("zoa", "aoa"), ("zod", "aod")
    angles = departure + arrival if uplink else arrival + departure
    # Sionna's four phases are (theta theta, theta phi, phi theta, phi phi), receiver first
    phases = [rays.phases[..., index] for index in ((0, 2, 1, 3) if uplink else range(4))]
    power = (rays.powers / rays.aoa.shape[-1]).unsqueeze(-1).expand_as(rays.aoa)
    if rays.blockage_loss_db is not None and not rays.blockage_loss_applied_to_powers:
        power = power * 10 ** (-rays.blockage_loss_db / 10)
    diffuse = torch.stack([by_link(t) for t in (*(getattr(rays, name) for name in angles), power, rays.xpr, *phases)])
    known = order.clamp(0, diffuse.shape[4] * diffuse.shape[5] - 1)
    table = diffuse.flatten(4).gather(4, known.expand(len(diffuse), *order.shape))
    table[4] *= order >= 0

    line = by_link(topology.distance_3d)
    power = torch.ones_like(line)
    if rays.los_blockage_loss_db is not None:
        power = 10 ** (-by_link(rays.los_blockage_loss_db) / 10)
    phase = -2 * torch.pi * line / generator._lambda_0
    table[..., -1] = torch.stack([*(by_link(getattr(topology, f"los_{name}")) for name in angles), power,
                                  torch.full_like(line, torch.inf), phase, phase, phase, phase])
    return table


def _share(k_factor: torch.Tensor, rays: Any, los: torch.Tensor, by_link: Any, num_rays: int) -> torch.Tensor:
    """What of a link's power the K-factor leaves to each ray: ``[batch, bs, user, ray]``."""
    k_factor = by_link(k_factor.reshape(len(k_factor), *((1, 1) if k_factor.dim() < 3 else k_factor.shape[1:])))
    diffuse = torch.where(los, 1 / (1 + k_factor), torch.ones_like(k_factor))
    share = diffuse.unsqueeze(-1).repeat(1, 1, 1, num_rays)
    share[..., -1] = torch.where(los, k_factor / (1 + k_factor), torch.zeros_like(k_factor))
    return share


def _path_delay(rays: Any, by_link: Any, cluster_ds_s: torch.Tensor | None, order: torch.Tensor,
                path_lengths: tuple[int, ...], generator: Any) -> torch.Tensor:
    """Delay of each path; sub-clusters as in Table 7.5-5, the line of sight with the first path."""
    delay, used = by_link(rays.delays), by_link(rays.powers) > 0
    # Sionna adds the line of sight to the earliest path; unused clusters sit at 1 s
    line = torch.where(used, delay, torch.full_like(delay, torch.inf)).amin(-1, keepdim=True)
    delay = torch.where(used, delay, torch.zeros_like(delay))
    first_rays = torch.tensor((0, *path_lengths[:-2]), device=delay.device).cumsum(0)
    delay = delay.gather(-1, order[..., first_rays] // rays.aoa.shape[-1])
    if cluster_ds_s is not None:
        offset = generator._sub_cl_delay_offsets.repeat_interleave(2) * by_link(cluster_ds_s).unsqueeze(-1)
        delay[..., -offset.shape[-1]:] += offset
    return torch.cat([delay, line], -1)
