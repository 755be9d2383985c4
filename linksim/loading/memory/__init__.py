"""Does it fit? What a unit of a scenario takes of a machine's memory, before anything is allocated; without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from linksim.core.errors import ScenarioError
from linksim.loading.memory.blocks import block_needs
from linksim.loading.memory.sizes import Need, Sizes
from linksim.loading.memory.work_unit import held, passing
from linksim.scenario.resolved import ResolvedScenario

PROGRAM_BYTES = 1.3e9
"""Memory of Python, torch and Sionna."""

_USABLE = 0.95
"""Usable share of the machine's memory."""

_TOLERATED = 1.5
"""Estimates err on the safe side by about as much."""

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def estimate(scenario: ResolvedScenario) -> tuple[float, Need]:
    """Bytes of a process that simulates units of one sweep point and trains its blocks, and the largest part."""
    staying, passing_by = _needs(scenario)
    parts = [*staying, max(passing_by, key=lambda need: need.size)]
    return PROGRAM_BYTES + sum(need.size for need in parts), max(parts, key=lambda need: need.size)


def drops_at_once(scenario: ResolvedScenario) -> int:
    """Drops of a unit that go through a predictor together: all but where only fewer fit this machine."""
    return _drops_at_once(scenario, *_needs(scenario), machine_bytes(scenario.run.device)[0])


def check_channels(scenario: ResolvedScenario) -> None:
    """As `check_memory`, of the channels alone: before anything asks a block."""
    size = Sizes.of(scenario)
    _check(scenario, list(held(scenario, size)), list(passing(scenario, size)))


def check_memory(scenario: ResolvedScenario) -> None:
    """Whether a scenario fits this machine, or that of ``LINKSIM_MEMORY_GB``.

    :raises ScenarioError: it cannot; names the field to shrink, what takes most and the machine's memory.
    """
    _check(scenario, *_needs(scenario))


def check_workers(scenarios: Iterable[ResolvedScenario], workers: int) -> None:
    """Whether so many units fit this machine at once.

    :param scenarios: at the sweep points.
    :raises ScenarioError: they do not; says how many would.
    """
    if workers < 2:
        return
    points = list(scenarios)
    needed = max(estimate(one)[0] for one in points)
    there, whose = machine_bytes(points[0].run.device)
    fitting = max(1, int(_USABLE * there * _TOLERATED / needed))
    if workers > fitting:
        raise ScenarioError(f"--workers {workers}: each takes about {_gb(needed)} of memory, but {whose} has "
                            f"{_gb(there)}: use at most {fitting}")


def _needs(scenario: ResolvedScenario) -> tuple[list[Need], list[Need]]:
    """What stays, and what passes."""
    size = Sizes.of(scenario)
    return list(held(scenario, size)), [*passing(scenario, size), *block_needs(scenario, size)]


def _drops_at_once(scenario: ResolvedScenario, staying: list[Need], passing_by: list[Need], there: float) -> int:
    drops = scenario.run.chunk_size
    left = _USABLE * there - PROGRAM_BYTES - sum(need.size for need in staying)
    most = max((need.size for need in passing_by if need.splits), default=0.0)
    return drops if not most or most <= left else max(1, int(drops * max(left, 0.0) / most))


def _check(scenario: ResolvedScenario, staying: list[Need], passing_by: list[Need]) -> None:
    there, whose = machine_bytes(scenario.run.device)
    share = _drops_at_once(scenario, staying, passing_by, there) / scenario.run.chunk_size
    parts = [*staying, max((replace(need, size=need.size * share) if need.splits else need for need in passing_by),
                           key=lambda need: need.size)]
    needed, part = PROGRAM_BYTES + sum(need.size for need in parts), max(parts, key=lambda need: need.size)
    if needed / _TOLERATED > _USABLE * there:
        raise ScenarioError(f"{part.field}: about {_gb(needed)} of memory are needed, {_gb(part.size)} of it for "
                            f"{part.what}, but {whose} has {_gb(there)}: use less (LINKSIM_MEMORY_GB tells of another "
                            "machine)")


def machine_bytes(device: str) -> tuple[float, str]:
    """Memory that there is to work in, and whose it is.

    A GPU has memory of its own, which is asked for where one is used.
    """
    given = os.environ.get("LINKSIM_MEMORY_GB")
    if given:
        try:
            return float(given) * 1e9, "LINKSIM_MEMORY_GB"
        except ValueError:
            raise ScenarioError(f"LINKSIM_MEMORY_GB: a number needed (given {given!r})") from None
    import psutil  # start-up

    limits = [float(psutil.virtual_memory().total)]
    for path in map(Path, _CGROUPS):
        try:
            limits.append(float(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # no such limit
    if device != "cpu":
        import torch  # start-up

        if torch.cuda.is_available():
            limits = [min(limits) + torch.cuda.get_device_properties(0).total_memory]
    return min(limits), "this machine"


def _gb(size: float) -> str:
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e12, "TB")) if size < 1e3 * unit), (1e15, "PB"))
    return f"{size / unit:.3g} {name}"
