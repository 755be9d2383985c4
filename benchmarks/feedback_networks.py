"""Learned codecs: parameters, operations and latency at the terminal and at the base station.

    uv run python benchmarks/feedback_networks.py [--values 256 128 64 32] [--batch 1 64] [--device cuda]
                                                  [--backbone gpt2-large] [--repetitions 15]

In the form of LLMCsiNet's Tables IV and V and Fig. 6: windows of 32 delay rows x 32 antennas, autoencoders with the
given numbers of values, IdasNet and LLMCsiNet with the numbers of elements that the paper puts beside them (221, 111,
56, 28). Weights are untrained, which costs the same time; parameters are those that are there, word embeddings left
out. Operations are multiplications and additions of matrix products and convolutions (two each), by torch's counter. A
latency is the median of several runs, all networks taking turns; below stands the terminal's, relative to CRNet's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from linksim.blocks.feedback.learned import FeedbackShape, LearnedCodec
from linksim.core.csi import Panel
from linksim.core.registry import create

SHAPE = FeedbackShape(1, Panel(rows=1, columns=32, polarizations=1), 32)
ELEMENTS = {256: 221, 128: 111, 64: 56, 32: 28}
"""Elements that LLMCsiNet reports where an autoencoder has so many values: Table II."""

AUTOENCODERS = ["csinet", "crnet", "clnet", "transnet", "transindecnet", "gcrnet"]
PUBLISHED = {
    "crnet": ("0.52 M", "0.53 M"), "idasnet": ("3.16 K", "3.36 K"), "transindecnet": ("0.52 M", "0.80 M"),
    "gcrnet": ("0.52 M", "2.18 M"), "llmcsinet-s": ("3.16 K", "19.85 M"), "llmcsinet-m": ("3.16 K", "59.21 M"),
    "llmcsinet-l": ("3.16 K", "118.24 M"),
}
"""At the terminal and at the base station, compression 1/8: Table IV, whose entries for TransInDecNet stand the other
way round (its terminal is one linear map of 2048 x 256)."""


def build(name: str, values: int, backbone: str | None, device: str) -> LearnedCodec:
    """An untrained codec."""
    kind, _, size = name.partition("-")
    options = {"num_values": values if kind in AUTOENCODERS else ELEMENTS.get(values, round(0.86 * values))}
    if size:
        options |= {"num_layers": {"s": 1, "m": 3, "l": 6}[size], "weights": "random"}
        if backbone:
            options["backbone"] = backbone
    codec = create("feedback", kind, options)
    codec.prepare(SHAPE)
    return codec.to(device).eval()


def count(modules: list[torch.nn.Module]) -> int:
    """Parameters, without word embeddings, which no codec uses."""
    return sum(parameter.numel() for module in modules for name, parameter in module.named_parameters()
               if not name.endswith("backbone.words"))


def operations(work: Callable[[], object]) -> int:
    """Of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def latencies(works: dict[str, Callable[[], object]], repetitions: int, device: str) -> dict[str, float]:
    """Median seconds of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repetitions + 2):
        for name, work in works.items():
            if device != "cpu":
                torch.cuda.synchronize()
            began = time.perf_counter()
            work()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn >= 2:  # the first ones warm up
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in times.items()}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--values", nargs="+", type=int, default=[256, 128, 64, 32])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 64])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone")
    options = parser.parse_args()
    names = [*AUTOENCODERS, "idasnet", "llmcsinet-s", "llmcsinet-m", "llmcsinet-l"]
    print(f"{options.device}, {torch.get_num_threads()} threads, single precision, backbone "
          f"{options.backbone or 'smollm2'}")
    for values in options.values:
        codecs = {name: build(name, values, options.backbone, options.device) for name in names}
        print(f"\n{values} values of 2048, compression 1/{2048 // values}")
        heads = [f"{side} ms, batch {batch}" for batch in options.batch for side in ("UE", "BS")]
        print(f"{'':14}{'UE params':>12}{'BS params':>13}{'UE MFLOP':>10}{'BS MFLOP':>10}"
              + "".join(f"{head:>18}" for head in heads))
        image = torch.rand(max(options.batch), *(2, 32, 32), device=options.device) * 2 - 1
        times: dict[str, dict[str, float]] = {}
        for batch in options.batch:
            part = image[:batch]
            words = {name: codec.codeword(part) for name, codec in codecs.items()}
            terminal = {name: (lambda codec=codec, part=part: codec.codeword(part)) for name, codec in codecs.items()}
            station = {name: (lambda codec=codec, word=words[name]: codec.decoded(*word))
                       for name, codec in codecs.items()}
            times[f"UE {batch}"] = latencies(terminal, options.repetitions, options.device)
            times[f"BS {batch}"] = latencies(station, options.repetitions, options.device)
        for name, codec in codecs.items():
            one = image[:1]
            word = codec.codeword(one)
            cost = operations(lambda: codec.codeword(one)), operations(lambda: codec.decoded(*word))  # noqa: B023
            line = "".join(f"{1e3 * each[name]:18.2f}" for each in times.values())
            said = f"   published {' and '.join(PUBLISHED[name])}" if values == 256 and name in PUBLISHED else ""
            print(f"{name:14}{count(codec.sides[0]):12,}{count(codec.sides[1]):13,}{cost[0] / 1e6:10.2f}"
                  f"{cost[1] / 1e6:10.1f}{line}{said}")
        for batch in options.batch:
            each = times[f"UE {batch}"]
            print(f"  terminal, batch {batch}: LLMCsiNet / CRNet {each['llmcsinet-l'] / each['crnet']:.2f}, "
                  f"IdasNet / CRNet {each['idasnet'] / each['crnet']:.2f}")


if __name__ == "__main__":
    main()
