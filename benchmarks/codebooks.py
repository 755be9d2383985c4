"""What each 3GPP codebook holds of a UMa channel, its bits and its time; codecs that tell the channel beside them.

    uv run python benchmarks/codebooks.py
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from itertools import product

import torch

from linksim.blocks.feedback.base import FeedbackCodec
from linksim.blocks.feedback.codebook import divide, eigenvectors
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.channel.statistical.drops import draw_drops
from linksim.core.csi import Csi
from linksim.core.registry import create
from linksim.metrics.accuracy import sgcs_per_drop
from linksim.scenario.channel import Channel

CODEBOOKS = [
    ("type1", {}),
    *(("type2", {"num_beams": beams, "subband_amplitude": amplitude})
      for beams, amplitude in product((2, 3, 4), (False, True))),
    *(("etype2", {"combination": combination}) for combination in range(1, 9)),
    *(("etype2", {"combination": combination, "precoders_per_subband": 2}) for combination in (4, 6)),
]


EXPLICIT, BUDGETS = ("klt", "off_grid"), (64, 91, 114, 165, 208, 259, 348)
"""Codecs that tell the channel itself, at the sizes of codebook reports, fitted to other drops."""


def fitted(name: str, training: Csi) -> ClosedFormCodec:
    """A codec with default options, fitted."""
    codec = create("feedback", name)
    codec.prepare(FeedbackShape.of(training))
    one_instant = training.with_h(training.h[..., :1, :], time_s=training.time_s[:1])
    with torch.inference_mode():
        codec.observe(one_instant, False)
        codec.solve()
    return codec.eval()


@torch.inference_mode()
def measure(label: str, codec: FeedbackCodec, csi: Csi) -> None:
    """Print a line."""
    num_reports = csi.h.shape[0] * csi.h.shape[1]
    began = time.perf_counter()
    report = codec.encode(csi)
    encoded = time.perf_counter()
    decoded = codec.decode(report)
    ms = [1e3 * seconds / num_reports for seconds in (encoded - began, time.perf_counter() - encoded)]
    score = sgcs_per_drop(decoded.h, csi.h).mean(1)
    print(f"{label:48s} {score.mean():.4f} +- {1.96 * score.std() / len(score) ** 0.5:.4f}   "
          f"{report.num_bits.double().mean():6.1f} {int(report.num_bits.max()):4d}   "
          f"encode {ms[0]:.1f} decode {ms[1]:.1f}", flush=True)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--drops", type=int, default=128, help="of 2 users each")
    parser.add_argument("--los", choices=("mixed", "los", "nlos"), default="mixed")
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    channel = Channel.model_validate({"num_subcarriers": 52, "num_history": 1, "num_future": 1, "num_users": 2,
                                      "los": arguments.los})
    csi = draw_drops(channel, arguments.drops, arguments.seed).history
    print(f"UMa, {channel.carrier_frequency_ghz} GHz, {arguments.los}; 4 x 4 dual-polarised; 52 resource blocks of "
          f"180 kHz, subbands of 4; rank 1; {arguments.drops} drops of 2 users")
    print("SGCS per subcarrier, mean over drops with a 95 % interval; bits per report, mean and largest; ms per report")
    for name, options in CODEBOOKS:
        label = " ".join((name, *(f"{key}={value}" for key, value in options.items())))
        measure(label, create("feedback", name, options), csi)
    for name in EXPLICIT:
        codec = fitted(name, draw_drops(channel, arguments.drops, arguments.seed + 1).history)
        for bits in BUDGETS:
            measure(f"{name} bits={bits}", codec.at_budget({"bits": bits}), csi)
    for per_subband in (1, 2):
        subbands = divide(csi.frequency_hz, "small", per_subband)
        v = eigenvectors(csi.h[..., 0, :].flatten(0, 1), subbands, 1)[:, subbands.of_subcarrier]
        h = v.conj().resolve_conj().permute(0, 2, 3, 1).unsqueeze(-2).unflatten(0, csi.h.shape[:2])
        score = sgcs_per_drop(h.to(csi.h.dtype), csi.h).mean()
        print(f"subband eigenvectors without quantisation, {per_subband} per subband: {score:.4f}")


if __name__ == "__main__":
    main()
