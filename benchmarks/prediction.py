"""Predictors: parameters and latency, in the form of CSI-ALM's Table I and beside its numbers.

    uv run python benchmarks/prediction.py [--device cuda] [--repetitions 7] [--drops 1 64] [--methods gru cnn]
                                           [--backbone gpt2]

Every learned predictor that a scenario can name, with its default options and untrained weights (which cost the same
time), and hold and wiener. The problem is the papers': 16 samples of 48 subcarriers in, 4 out, and 32 antennas, each
a sequence of its own for the learned predictors. A latency is the time of one `predict` from tensors on the device to
tensors on the device, the median of several after two that warm up, divided by drops or by antennas. The papers'
language model is ``--backbone gpt2``. On two CPU cores the CNN and the language models take a second for each drop:
choose fewer drops there.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.trained import LearnedPredictor, ProblemShape
from linksim.csi import Csi, Panel
from linksim.registry import BlockSpec, catalogue, create

SHAPE = ProblemShape(num_history=16, num_future=4, num_subcarriers=48, max_doppler_cycles=0.111)
PANEL = Panel(rows=4, columns=4, polarizations=2)
PUBLISHED = {
    "gru": ("1.49 M", "1.49 M", 7.74), "lstm": ("1.96 M", "1.96 M", 8.34), "rnn": ("0.51 M", "0.51 M", 6.72),
    "transformer": ("6.78 M", "6.78 M", 80.9), "cnn": ("3.14 M", "3.14 M", 1.38), "llm4cp": ("1.77 M", "83.6 M", 20.1),
    "csi_alm_light": ("0.349 M", "0.349 M", 2.41), "csi_alm": ("11.8 M", "93.8 M", 198.2),
}
"""Trained and all parameters, and ms on one RTX A6000, of unsaid batch and precision: Table I of CSI-ALM."""


def build(spec: BlockSpec, device: str, backbone: str | None) -> Predictor:
    """The predictor with default options, but random weights for a language model: these need no download."""
    options = {"weights": "random"} if "weights" in spec.options.model_fields else {}
    if backbone and "backbone" in spec.options.model_fields:
        options["backbone"] = backbone
    predictor = create("predictor", spec.name, options)
    if isinstance(predictor, LearnedPredictor):
        predictor.prepare(SHAPE)
    return predictor.to(device).eval()


def noise(num_drops: int, device: str) -> Csi:
    """A history; no predictor takes longer for one channel than for another."""
    shape = (num_drops, 1, 1, PANEL.num_antennas, SHAPE.num_history, SHAPE.num_subcarriers)
    return Csi(
        h=torch.randn(shape, dtype=torch.complex64, device=device),
        time_s=torch.arange(SHAPE.num_history, dtype=torch.float64, device=device) * 0.5e-3,
        frequency_hz=2.4e9 + torch.arange(SHAPE.num_subcarriers, dtype=torch.float64, device=device) * 180e3,
        noise_variance=torch.full((num_drops, 1), 0.016, device=device),
        panel=PANEL,
        max_doppler_hz=torch.full((num_drops, 1), 67.0, device=device),
    )


@torch.inference_mode()
def latency_s(predictor: Predictor, history: Csi, repetitions: int) -> float:
    """Median time of a prediction."""
    time_s = history.time_s[-1] + 0.5e-3 * torch.arange(1, SHAPE.num_future + 1, device=history.time_s.device)
    taken = []
    for _ in range(repetitions + 2):
        if history.h.is_cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        predictor.predict(history, time_s, history.frequency_hz)
        if history.h.is_cuda:
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[2:])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--repetitions", type=int, default=7)
    options.add_argument("--drops", type=int, nargs="+", default=[1, 64])
    options.add_argument("--methods", nargs="+", help="all by default")
    options.add_argument("--backbone", help="of the methods that stand on a language model; their default by default")
    chosen = options.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    where = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    print(f"{chosen.device} ({where}), torch {torch.__version__}, float32 (TF32 in matrix products: "
          f"{torch.backends.cuda.matmul.allow_tf32}, in convolutions: {torch.backends.cudnn.allow_tf32}); "
          f"median of {chosen.repetitions}\n")
    print(f"{'':34}{'Table I of CSI-ALM':>26}" + "".join(f"{f'drops at once: {drops}':>27}" for drops in chosen.drops))
    print(f"{'':14}{'trained':>10}{'all':>10}{'trained':>10}{'all':>9}{'ms':>7}"
          + f"{'ms / drop':>13}{'us / antenna':>14}" * len(chosen.drops))
    for spec in catalogue("predictor"):
        if spec.name not in (chosen.methods or [spec.name]):
            continue
        predictor = build(spec, chosen.device, chosen.backbone)
        if not isinstance(predictor, LearnedPredictor) and spec.name not in ("hold", "wiener"):
            continue
        trained, total = (sum(p.numel() for p in predictor.parameters() if p.requires_grad or with_frozen)
                          for with_frozen in (False, True))
        *published, published_ms = PUBLISHED.get(spec.name, ("", "", ""))
        print(f"{spec.name:14}{trained / 1e6:8.3f} M{total / 1e6:8.2f} M{published[0]:>10}{published[1]:>9}"
              f"{published_ms:>7}", end="", flush=True)
        for drops in chosen.drops:
            taken = latency_s(predictor, noise(drops, chosen.device), chosen.repetitions) / drops
            print(f"{1e3 * taken:13.2f}{1e6 * taken / PANEL.num_antennas:14.1f}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
