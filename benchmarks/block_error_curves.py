"""Simulate the block error curves of NR's LDPC codes that `link.mode: abstraction` looks up.

    uv run python benchmarks/block_error_curves.py            # about 20 minutes on a core; goes on where it was stopped

Sionna's own tables have points 1.8 dB apart, and a code block of 2,000 bits falls from 1 to 0 within half a decibel:
what lies between two points is a guess, up to 0.8 dB off. Here the modulations and code rates of MCS tables 1 and 2 are
simulated around its own threshold, for two sizes, and a normal distribution function of the SNR in dB is fitted to
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

from linksim.nr.link_adaptation import CURVES

SIZES = (500, 2000)
"""Bits of a code block, CRC included; larger ones differ little from the second."""

RATES = {2: (251, 308, 379, 526, 679), 4: (340, 434, 553, 658), 6: (438, 517, 616, 666, 719, 822, 910, 948),
         8: (682.5, 754, 841, 916.5, 948)}
"""Code rates times 1024 by bits of a symbol, of MCS tables 1 and 2; those between are interpolated."""

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
        low, high = (middle, high) if at(middle, 12) > 0.5 else (low, middle)
    step = 0.5 * (1.2 if size < 1000 else 0.6 if size < 4000 else 0.4)
    for number in (-1, 0, 1, 2):
        at((low + high) / 2 + number * step, 80)
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
    wanted = {f"{order}/{rate:g}": (order, rate / 1024) for order, rates in RATES.items() for rate in rates}
    kept = json.loads(out.read_text()) if out.is_file() else {"iterations": ITERATIONS, "curves": {}}
    for name, (order, rate) in wanted.items():
        if name in kept["curves"]:
            continue
        found = [curve(order, rate, size) for size in SIZES]
        kept["curves"][name] = {"order": order, "rate": rate, "sizes": list(SIZES),
                                "middle_db": [round(one[0], 3) for one in found],
                                "width_db": [round(one[1], 3) for one in found], "points": [one[2] for one in found]}
        waiting = out.with_suffix(".tmp")
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in kept["curves"].items())
        waiting.write_text(f'{{"iterations": {ITERATIONS}, "curves": {{\n{lines}\n}}}}\n')
        os.replace(waiting, out)
        print(name, kept["curves"][name]["middle_db"], kept["curves"][name]["width_db"], flush=True)


if __name__ == "__main__":
    main()
