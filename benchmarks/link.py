"""How much faster is the abstraction than the coded link, on the same drops and points?

    uv run python benchmarks/link.py

Both are timed in one process, one after the other, after the channels are drawn and precoded: what is compared is what
differs.
"""

from __future__ import annotations

import argparse
import time

import torch

from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import by_resource
from linksim.core.registry import create
from linksim.link.block_errors import block_measures
from linksim.scenario.schema import Scenario


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drops", type=int, default=12)
    parser.add_argument("--snr-db", type=float, nargs="+", default=[0.0, 10.0, 20.0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    scenario = Scenario.model_validate({
        "methods": ["perfect CSI"], "bounds": [], "metrics": ["bler"],
        "channel": {"num_users": 4, "speed_kmh": 30, "num_history": 4, "num_future": 4},
        "link": {"mode": "coded", "precoder": "zf"}})
    drops = draw_drops(scenario.channel, options.drops, 1)
    true = by_resource(drops.future.h)
    seconds = {}
    for mode in ("abstraction", "coded"):
        for warm in (True, False):  # tables and codes are made at the first call
            began = time.perf_counter()
            for snr_db in options.snr_db[:1] if warm else options.snr_db:
                link = scenario.link.model_copy(update={"mode": mode, "snr_db": snr_db})
                here = scenario.model_copy(update={"link": link})
                weights = create("precoder", "zf").precode(true, 10 ** (-snr_db / 10), 1)
                found = block_measures(here, drops, true, true, weights, None, 1)
                if not warm:
                    lost, sent = (float(found[name][:, 0].sum()) for name in ("block_errors", "num_blocks"))
                    print(f"{mode:12} {snr_db:5.1f} dB  BLER {lost / sent:.3f} of {sent:.0f} blocks, throughput "
                          f"{float(found['throughput_bps_hz'].mean()):.2f} bit/s/Hz")
            seconds[mode] = time.perf_counter() - began
    blocks = options.drops * 16 * len(options.snr_db)
    for mode, taken in seconds.items():
        print(f"{mode:12} {taken:8.2f} s, {1e3 * taken / blocks:8.2f} ms a block")
    print(f"the abstraction is {seconds['coded'] / seconds['abstraction']:.0f} times as fast")


if __name__ == "__main__":
    main()
