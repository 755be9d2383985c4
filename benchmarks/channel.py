"""Drawing channels: plain Sionna beside linksim's engine, in one process, taking turns.

    uv run python benchmarks/channel.py [--device cuda] [--repetitions 7]

Both sides draw the same drops from the same seeds: topology, large-scale parameters, clusters and rays are Sionna's
in both; Sionna's side goes on with its own coefficient step and `cir_to_ofdm_channel`. A row is the median of several
turns; in its turn a side runs twice and the second run counts. The limit is the time that the engine's matrix products
alone would take at the rate that a large matrix product reaches here, or that writing the result would take at the
memory's measured bandwidth, whichever is longer; Sionna's draws are no part of it. Peak memory is measured in processes
of their own, above what imports and a first drop take (which loads the libraries' code).
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sionna.phy.channel import cir_to_ofdm_channel

from linksim.channel.response import frequency_response
from linksim.channel.statistical.drops import build_model, draw_topology
from linksim.channel.statistical.sionna_rays import sample_rays
from linksim.core.packages import versions
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import BsArray, Channel

PERIOD_S = 0.5e-3
SPACING_HZ = 180e3


@dataclass(frozen=True)
class Row:
    """One setting: UMa, one user with one antenna per drop; and the ratio to reach."""

    bs_side: int
    times: int
    tones: int
    batch: int
    target: float

    @property
    def channel(self) -> Channel:
        return Channel(bs_array=BsArray(rows=self.bs_side, columns=self.bs_side))

    def __str__(self) -> str:
        return f"{2 * self.bs_side**2:4d} antennas {self.times:3d} times {self.tones:4d} tones batch {self.batch:3d}"


ROWS = [Row(4, 20, 48, 64, 10), Row(4, 64, 256, 16, 10), Row(8, 20, 48, 16, 12)]


class Contest:
    """Both sides of one row."""

    def __init__(self, row: Row, device: str) -> None:
        self.row, self.device = row, device
        self.model = build_model(row.channel, device)
        self.offset_hz = (torch.arange(row.tones, dtype=torch.float64) - (row.tones - 1) / 2) * SPACING_HZ
        self.time_s = torch.arange(row.times, dtype=torch.float64) * PERIOD_S
        self.carrier_hz = row.channel.carrier_frequency_ghz * 1e9

    def topology(self) -> None:
        self.model.reset_topology()
        self.model.set_topology(**draw_topology(self.row.channel, self.row.batch, self.device))

    def sionna(self, seed: int) -> torch.Tensor:
        with sionna_seed(seed):
            self.topology()
            coefficients, delays = self.model(self.row.times, 1 / PERIOD_S)
        return cir_to_ofdm_channel(self.offset_hz.to(delays), coefficients, delays)

    def linksim(self, seed: int) -> torch.Tensor:
        with sionna_seed(seed):
            self.topology()
            rays = sample_rays(self.model)
        return frequency_response(rays, self.carrier_hz, self.time_s, self.offset_hz)

    def draws(self, seed: int) -> None:
        """What both sides share: Sionna's topology, parameters and rays."""
        with sionna_seed(seed):
            self.topology()
            self.model._ray_sampler(self.model._lsp)

    def relative_error(self) -> float:
        reference = self.sionna(0)[:, 0, 0, 0]
        return float((self.linksim(0)[:, 0, 0, 0] - reference).abs().square().sum() / reference.abs().square().sum())

    def limit_s(self, flops_per_s: float, bytes_per_s: float) -> float:
        rays, row = sample_rays(self.model), self.row
        inner = sum(rays.path_lengths) + len(rays.path_lengths) * row.tones
        flops = 8 * row.batch * 2 * row.bs_side**2 * row.times * inner
        return max(flops / flops_per_s, 8 * row.batch * 2 * row.bs_side**2 * row.times * row.tones / bytes_per_s)


def seconds(function: Callable[[], Any], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = function()
    if device != "cpu":
        torch.cuda.synchronize()
    del result
    return time.perf_counter() - start


def machine_rates(device: str) -> tuple[float, float]:
    """Complex matrix product rate (FLOP/s) and bandwidth of writing (byte/s), the best of several."""
    size = 1024 if device == "cpu" else 8192
    a = torch.randn(size, size, dtype=torch.complex64, device=device)
    product = min(seconds(lambda: a @ a, device) for _ in range(10))
    block = torch.empty(2**26 if device == "cpu" else 2**30, device=device)
    writing = min(seconds(lambda: block.fill_(1.0), device) for _ in range(10))
    return 8 * size**3 / product, 4 * len(block) / writing


def peak_memory_mib(side: str, row: Row, device: str) -> float:
    """Peak of one side above what imports and a first drop take, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_memory_mib, (side, row, device))


def _peak_memory_mib(side: str, row: Row, device: str) -> float:
    getattr(Contest(replace(row, batch=1), device), side)(0)
    contest = Contest(row, device)
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for seed in range(3):
            getattr(contest, side)(seed)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = _status_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far, the parent's included (Linux)
    for seed in range(3):
        getattr(contest, side)(seed)
    return (_status_kib("VmHWM") - before) / 2**10


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--repetitions", type=int, default=7)
    chosen = options.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    flops_per_s, bytes_per_s = machine_rates(chosen.device)
    print(f"{chosen.device}, {torch.get_num_threads()} threads, torch {versions()['torch']}; complex product "
          f"{flops_per_s / 1e9:.0f} GFLOP/s, writing {bytes_per_s / 1e9:.0f} GB/s; float32, UMa, 1 UE antenna\n")
    print(f"{'':46}{'drops/s':>18}{'':>17}{'peak MiB':>17}{'':>8}")
    print(f"{'':46}{'Sionna':>9}{'linksim':>9}{'ratio':>8}{'target':>9}{'Sionna':>9}{'linksim':>8}{'error':>10}"
          f"{'draws ms':>10}{'ours ms':>9}{'of limit':>10}")
    for row in ROWS:
        contest = Contest(row, chosen.device)
        times: dict[str, list[float]] = {"sionna": [], "linksim": [], "draws": []}
        for seed, side in itertools.product(range(-2, chosen.repetitions), times):
            run = partial(getattr(contest, side), seed + 2)
            run()  # not measured: a side shall not pay for the state in which the other left memory and caches
            taken = seconds(run, chosen.device)
            if seed >= 0:  # the first two turns warm up
                times[side].append(taken)
        middle = {side: statistics.median(values) for side, values in times.items()}
        memory = [peak_memory_mib(side, row, chosen.device) for side in ("sionna", "linksim")]
        ours = middle["linksim"] - middle["draws"]
        limit = contest.limit_s(flops_per_s, bytes_per_s)
        print(f"{row!s:46}{row.batch / middle['sionna']:9.0f}{row.batch / middle['linksim']:9.0f}"
              f"{middle['sionna'] / middle['linksim']:7.1f}x{row.target:8.0f}x{memory[0]:9.0f}{memory[1]:8.0f}"
              f"{contest.relative_error():10.0e}{1e3 * middle['draws']:10.1f}{1e3 * ours:9.1f}{limit / ours:10.0%}")
    print("\ndraws: Sionna's topology, parameters and rays, in both; ours: the rest of linksim's time; of limit: the\n"
          "least time of the matrix products or of writing the result, over ours. linksim recycles the memory of\n"
          "results that are gone (above 4 MiB).")


if __name__ == "__main__":
    main()
