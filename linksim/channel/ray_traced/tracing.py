"""The paths from a base station to many positions of a scene, as Sionna RT finds them.

Both ends are traced with one isotropic antenna of two polarisations whose axes are the ground's: the four gains of a
path are then its transfer matrix between the spherical components (theta, phi), and any array, orientation and
velocity can be put on afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from linksim.channel.ray_traced.runtime import import_sionna_rt
from linksim.channel.ray_traced.scene import candidate_positions, load_scene
from linksim.channel.ray_traced.site import site_of
from linksim.channel.ray_traced.table import PathTable, from_cache, table_name
from linksim.core.errors import ScenarioError
from linksim.core.packages import installed_version
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import PROCEDURAL, STORED_PATHS, RayTraced

BATCH = 64
"""Positions of one call of the solver: memory grows with it (1.3 GB at 100,000 rays), time per position does not."""


def trace(options: RayTraced, carrier_hz: float, say: Callable[[str], None]) -> PathTable:
    """Trace a scene. The same options give the same table.

    :param carrier_hz: at which materials and phases are computed.
    :param say: is told of the progress.
    :raises ScenarioError: no position has a path; what tracing needs is missing.
    """
    rt = import_sionna_rt()
    scene = load_scene(options, carrier_hz)
    positions = candidate_positions(scene, options)
    began = time.monotonic()
    parts = []
    for first in range(0, len(positions), BATCH):
        parts.append(trace_positions(rt, scene, options, carrier_hz, positions[first:first + BATCH]))
        done = min(first + BATCH, len(positions))
        if 10 * done // len(positions) == 10 * first // len(positions) or done == len(positions):
            continue
        left_s = (time.monotonic() - began) / done * (len(positions) - done)
        say(f"tracing {options.title}: {done} of {len(positions)} positions, about {left_s:.0f} s left")
    table = PathTable.joined(parts, {"sionna_rt": installed_version("sionna-rt"), "carrier_hz": carrier_hz,
                                     "options": options.model_dump(mode="json"), "candidates": len(positions)})
    if not len(table) and options.scene != PROCEDURAL:
        raise ScenarioError(f"channel.ray_traced: none of {len(positions)} positions in {options.title} is reached by "
                            "a path: move the base station (position_m), or allow more (max_depth, diffraction)")
    say(f"traced {options.title}: {len(table)} of {len(positions)} positions have a path, "
        f"{time.monotonic() - began:.0f} s")
    return table


def trace_positions(rt: Any, scene: Any, options: RayTraced, carrier_hz: float, positions: np.ndarray,
                    keep_all: bool = False) -> PathTable:
    """The same for some positions at once.

    :param positions: ``[position, 3]``, m.
    :param keep_all: those without a path, too; they are left out otherwise.
    """
    import mitsuba as mi  # optional

    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="VH")
    for name in [*scene.transmitters, *scene.receivers]:
        scene.remove(name)
    scene.add(rt.Transmitter("bs", position=mi.Point3f(*site_of(options).position_m)))
    for number, position in enumerate(positions):
        scene.add(rt.Receiver(f"ue{number}", position=mi.Point3f(*map(float, position))))
    paths = solve(rt, scene, options)
    real, imaginary = (np.array(part)[:, :, 0].transpose(0, 3, 1, 2) for part in paths.a)  # position, path, rx, tx
    transfer = torch.from_numpy((real + 1j * imaginary).astype(np.complex64))
    tensors = {name: torch.from_numpy(np.array(getattr(paths, name))[:, 0])
               for name in ("valid", "tau", "theta_t", "phi_t", "theta_r", "phi_r")}
    interactions = np.array(paths.interactions)  # [depth, position, 1, path]
    direct = torch.from_numpy((interactions == 0).all(0)[:, 0]) if interactions.size else tensors["valid"]
    power = transfer.abs().square().sum((-2, -1)) / 2
    power = torch.where(tensors["valid"], power, torch.zeros_like(power))
    # of paths of equal power the earlier one first, whatever their order in the solver
    early = torch.where(power > 0, tensors["tau"], torch.inf).argsort(dim=-1, stable=True)
    order = early.gather(-1, power.gather(-1, early).argsort(dim=-1, descending=True, stable=True))[:, :STORED_PATHS]
    kept = power.gather(-1, order) > 0

    def picked(values: torch.Tensor) -> torch.Tensor:
        return torch.where(kept, values.gather(-1, order), torch.zeros_like(values[:, :1]))

    table = PathTable(
        position_m=torch.from_numpy(positions), bs_position_m=torch.tensor(site_of(options).position_m).double(),
        transfer=torch.where(kept[..., None, None], transfer.take_along_dim(order[..., None, None], 1), 0),
        delay_s=picked(tensors["tau"]),
        departure=torch.stack([picked(tensors["theta_t"]), picked(tensors["phi_t"])], -1),
        arrival=torch.stack([picked(tensors["theta_r"]), picked(tensors["phi_r"])], -1),
        num_paths=kept.sum(-1), line_of_sight=(picked(direct & tensors["valid"])).any(-1),
        total_gain=power.sum(-1),
    )
    return table if keep_all else table.at(kept.any(-1))


def solve(rt: Any, scene: Any, options: RayTraced) -> Any:
    """Sionna RT's paths between the devices of a scene."""
    return rt.PathSolver(deterministic=True)(
        scene, max_depth=options.max_depth, samples_per_src=options.rays_launched, synthetic_array=True, los=True,
        specular_reflection=True, diffuse_reflection=options.diffuse_reflection, refraction=options.refraction,
        diffraction=options.diffraction, edge_diffraction=options.edge_diffraction, seed=options.trace_seed,
    )


def kept_table(channel: Channel, say: Callable[[str], None]) -> PathTable:
    """The table of one scene or area: from the cache, traced at first; see `linksim.channel.ray_traced.path_tables`."""
    def traced() -> dict[str, torch.Tensor]:
        return trace(channel.ray_traced, channel.carrier_frequency_ghz * 1e9, say).to_tensors()

    return from_cache(table_name(channel), traced)
