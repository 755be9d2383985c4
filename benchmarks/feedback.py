"""Codecs of CSI feedback: full-band NMSE against actual bits, beside the genie rate-distortion bound.

    uv run python benchmarks/feedback.py [--codecs top_m klt] [--bits 128 256 512 1024 2048 4096] [--drops 32]
                                         [--training-drops 300] [--seed 1]

The set is the one of LLMCsiNet's Table I: UMa at 28 GHz, 1024 tones over 100 MHz, a base station with a line of 32
antennas, one antenna at the terminal, outdoors; nothing is truncated to a delay window. CSI is noiseless. Bits are
those of the reports, mean over drops; NMSE is the mean over drops of the linear ratio, in dB, with its standard error.
The bound is told the geometry of every drop for free.
"""

from __future__ import annotations

import argparse
import math
import time

import torch

from linksim.blocks.feedback.base import FeedbackCodec
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.bounds.rate_distortion import least_error, ray_eigenvalues
from linksim.channel.drops import Drops
from linksim.channel.statistical.drops import draw_drops
from linksim.core.registry import create
from linksim.metrics.accuracy import nmse_per_drop
from linksim.scenario.channel import BsArray, Channel

CHANNEL = Channel(
    model="uma", carrier_frequency_ghz=28, num_subcarriers=1024, subcarrier_spacing_khz=100e3 / 1024, num_history=1,
    num_future=1, bs_array=BsArray(rows=1, columns=32, polarization="single"), precision="double",
)
CHUNK = 16


def chunks(count: int, first_seed: int) -> list[Drops]:
    """Drops in chunks of 16."""
    return [draw_drops(CHANNEL, CHUNK, first_seed + index) for index in range(-(-count // CHUNK))]


def fitted(name: str, training_drops: int, seed: int) -> FeedbackCodec:
    """The codec with default options, fitted on drops of its own where it learns."""
    codec = create("feedback", name)
    if isinstance(codec, ClosedFormCodec):
        for index in range(-(-training_drops // CHUNK)):
            csi = draw_drops(CHANNEL, CHUNK, seed + 100_000 + index).future
            if codec.shape is None:
                codec.prepare(FeedbackShape.of(csi))
            codec.observe(csi, validation=False)
        codec.solve()
    return codec


def row(name: str, nmse: torch.Tensor, extra: str = "") -> str:
    """A line of the table: dB of the mean, and its standard error in dB, for each number of bits.

    :param nmse: linear, ``[drop, bits]``.
    """
    cells = []
    for value in nmse.double().mT:
        mean, error = float(value.mean()), float(value.std()) / math.sqrt(len(value))
        cells.append(f"{10 * math.log10(mean):7.2f} ±{10 * math.log10(1 + error / mean):4.2f}")
    return f"{name:24}" + "".join(f"{cell:>15}" for cell in cells) + extra


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--codecs", nargs="+", default=["top_m", "klt"])
    parser.add_argument("--bits", nargs="+", type=int, default=[128, 256, 512, 1024, 2048, 4096])
    parser.add_argument("--drops", type=int, default=32)
    parser.add_argument("--training-drops", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tests = chunks(options.drops, options.seed)
    print(f"{len(tests) * CHUNK} drops; NMSE of the full band in dB")
    print(f"{'bits per report':24}" + "".join(f"{bits:>15}" for bits in options.bits))
    for name in options.codecs:
        codec = fitted(name, options.training_drops, options.seed)
        errors, used, began = [], [], time.monotonic()
        for bits in options.bits:
            codec.bits = bits
            reports = [codec.encode(drops.future) for drops in tests]
            errors.append(torch.cat([nmse_per_drop(codec.decode(report).h, drops.future.h).flatten()
                                     for report, drops in zip(reports, tests)]))
            used.append(float(torch.cat([report.num_bits.double().flatten() for report in reports]).mean()))
        ms = 1e3 * (time.monotonic() - began) / len(options.bits) / CHUNK / len(tests)
        print(row(name, torch.stack(errors, -1), f"   {ms:.0f} ms a report"))
        print(f"{'  bits used, mean':24}" + "".join(f"{bits:15.0f}" for bits in used), flush=True)
    values = [ray_eigenvalues(drops) for drops in tests]
    bound = [torch.cat([least_error(one, bits).flatten() for one in values]) for bits in options.bits]
    print(row("genie rate-distortion", torch.stack(bound, -1)))


if __name__ == "__main__":
    main()
