"""Simulate the block error curves of NR's LDPC codes that `link.mode: abstraction` looks up.

    uv run python benchmarks/block_error_curves.py            # about 20 minutes on a core; goes on where it was stopped

Sionna's own tables have points 1.8 dB apart, and a code block of 2,000 bits falls from 1 to 0 within half a decibel:
what lies between two points is a guess, up to 0.8 dB off. Here every modulation and code rate of MCS tables 1 and 2 is
simulated around its own threshold, for three sizes, and a normal distribution function of the SNR in dB is fitted to
it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from scipy import optimize, stats
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
from sionna.phy.mapping import Constellation, Demapper, Mapper

from linksim.link.error_tables import CURVES
from linksim.link.slots import LEAST_RATE, mcs_entries

SIZES, LARGEST_OF_LOW_RATES = (500, 2000, 6000), 3800
"""Bits of a code block, CRC included; one of NR has at most 8,448, and 3,840 at rates up to 1/3, where Sionna's base
graph 1 ends."""

ITERATIONS = 20


class Link:
    """One code and modulation over AWGN."""

    def __init__(self, order: int, rate: float, size: int) -> None:
        self.size = size
        coded = round(size / rate / order) * order
        self.encoder = LDPC5GEncoder(size, coded, num_bits_per_symbol=order)
        self.decoder = LDPC5GDecoder(self.encoder, num_iter=ITERATIONS, hard_out=True, return_infobits=True)
        constellation = Constellation("qam", order)
        self.mapper = Mapper(constellation=constellation)
        self.demapper = Demapper("app", constellation=constellation)
        self.draw = torch.Generator().manual_seed(size)

    def errors(self, snr_db: float, num_blocks: int) -> int:
        """How many of so many blocks are lost."""
        bits = torch.randint(2, (num_blocks, self.size), generator=self.draw).float()
        symbols = self.mapper(self.encoder(bits))
        variance = 10 ** (-snr_db / 10)
        noise = variance**0.5 * torch.randn(symbols.shape, dtype=torch.complex64, generator=self.draw)
        llr = self.demapper(symbols + noise, torch.full(symbols.shape, variance))
        return int((self.decoder(llr) != bits).any(-1).sum())


def curve(order: int, rate: float, size: int) -> tuple[float, float, list[list[float]]]:
    """Middle and width, in dB, of the fitted curve, and the points it is fitted to: SNR, blocks, lost ones."""
    link = Link(order, rate, size)
    low = 10 * np.log10(2 ** (order * rate) - 1)  # no code works below capacity
    high, found = low + 6, {}

    def at(snr_db: float, num_blocks: int) -> float:
        before = found.get(snr_db, (0, 0))
        found[snr_db] = before[0] + num_blocks, before[1] + link.errors(snr_db, num_blocks)
        return found[snr_db][1] / found[snr_db][0]

    while high - low > 0.2:
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle, 16) > 0.5 else (low, middle)
    step = 0.5 * (1.2 if size < 1000 else 0.6 if size < 4000 else 0.4)
    for number in (-1, 0, 1, 2):
        at((low + high) / 2 + number * step, 100)
    snr, blocks, lost = (np.array(part) for part in zip(*((s, n, e) for s, (n, e) in sorted(found.items()))))

    def misfit(parameters: np.ndarray) -> float:
        chance = stats.norm.sf((snr - parameters[0]) / np.exp(parameters[1])).clip(1e-9, 1 - 1e-9)
        return -float((lost * np.log(chance) + (blocks - lost) * np.log(1 - chance)).sum())

    best = optimize.minimize(misfit, [(low + high) / 2, np.log(step / 2)], method="Nelder-Mead").x
    return float(best[0]), float(np.exp(best[1])), [[round(float(s), 4), int(n), int(e)] for s, n, e in
                                                    zip(snr, blocks, lost)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=CURVES)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    wanted = {}
    for table in (1, 2):
        for order, rate in zip(*(part.tolist() for part in mcs_entries(table))):
            if order and rate >= LEAST_RATE:
                wanted[f"{order}/{round(1024 * rate, 1):g}"] = order, round(1024 * rate, 1) / 1024
    kept = json.loads(out.read_text()) if out.is_file() else {"iterations": ITERATIONS, "curves": {}}
    for name, (order, rate) in sorted(wanted.items(), key=lambda item: item[1]):
        if name in kept["curves"]:
            continue
        sizes = [size if rate > 1 / 3 else min(size, LARGEST_OF_LOW_RATES) for size in SIZES]
        found = [curve(order, rate, size) for size in sizes]
        kept["curves"][name] = {"order": order, "rate": rate, "sizes": sizes,
                                "middle_db": [round(one[0], 3) for one in found],
                                "width_db": [round(one[1], 3) for one in found], "points": [one[2] for one in found]}
        waiting = out.with_suffix(".tmp")
        waiting.write_text(json.dumps(kept, indent=0))
        os.replace(waiting, out)
        print(name, kept["curves"][name]["middle_db"], kept["curves"][name]["width_db"], flush=True)


if __name__ == "__main__":
    main()
