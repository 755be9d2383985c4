"""Predictors: parameters and latency, in the form of CSI-ALM's Table I and beside its numbers.

    uv run python benchmarks/prediction.py [--device cuda] [--precision bf16-mixed] [--repetitions 7] [--drops 1 64]
                                           [--methods gru cnn] [--backbone gpt2]

Every learned predictor that a scenario can name, with its default options and untrained weights (which cost the same
time), and hold and wiener. The problem is the papers': 16 samples of 48 subcarriers in, 4 out, and 32 antennas, each
a sequence of its own for the learned predictors. A latency is the time of one `predict` from tensors on the device to
tensors on the device, the median of several after two that warm up, divided by drops or by antennas. All take turns, so
that a machine that is busy for a while slows none of them alone. Below the table stand ratios of two times of the same
turn, their medians too: what a predictor costs over its language model alone on the same tokens, low-rank additions
folded into it as in every run; and CSI-ALM-Light over GRU.

The papers' language model is ``--backbone gpt2``. On a CPU core the CNN and the language models take half a second to
one and a half for each drop: choose fewer drops there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from linksim.blocks.parameters import merge_low_rank
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.learned import LearnedPredictor, ProblemShape
from linksim.core.csi import Csi, Panel
from linksim.core.packages import versions
from linksim.core.registry import BlockSpec, catalogue, create

SHAPE = ProblemShape(num_history=16, num_future=4, num_subcarriers=48, max_doppler_cycles=0.111)
PANEL = Panel(rows=4, columns=4, polarizations=2)
PUBLISHED = {
    "gru": ("1.49 M", "1.49 M", 7.74), "lstm": ("1.96 M", "1.96 M", 8.34), "rnn": ("0.51 M", "0.51 M", 6.72),
    "transformer": ("6.78 M", "6.78 M", 80.9), "cnn": ("3.14 M", "3.14 M", 1.38), "llm4cp": ("1.77 M", "83.6 M", 20.1),
    "csi_alm_light": ("0.349 M", "0.349 M", 2.41), "csi_alm": ("11.8 M", "93.8 M", 198.2),
}
"""Trained and all parameters, and ms on one RTX A6000, of unsaid batch and precision: Table I of CSI-ALM."""

Times = dict[str, list[float]]
"""Seconds of each turn, by what was done."""


def build(spec: BlockSpec, device: str, backbone: str | None) -> Predictor:
    """The predictor with default options, but random weights for a language model: these need no download."""
    options = {"weights": "random"} if "weights" in spec.options.model_fields else {}
    if backbone and "backbone" in spec.options.model_fields:
        options["backbone"] = backbone
    predictor = create("predictor", spec.name, options)
    if isinstance(predictor, LearnedPredictor):
        predictor.prepare(SHAPE)
        merge_low_rank(predictor)  # as in a run
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
def measure(predictors: dict[str, Predictor], num_drops: int, device: str, mixed: bool, repetitions: int) -> Times:
    """Time predictions, and language models alone under the predictor's name and "alone"."""
    history = noise(num_drops, device)
    time_s = history.time_s[-1] + 0.5e-3 * torch.arange(1, SHAPE.num_future + 1, device=device)

    def autocast(learned: bool) -> torch.autocast:
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed and learned)

    def prediction(predictor: Predictor) -> Callable[[], object]:
        def predict() -> None:
            with autocast(isinstance(predictor, LearnedPredictor)):
                predictor.predict(history, time_s, history.frequency_hz)

        return predict

    def passing(backbone: torch.nn.Module, tokens: list[torch.Tensor]) -> Callable[[], object]:
        def forward() -> None:
            with autocast(True):
                for part in tokens:
                    backbone(part)

        return forward

    actions = {}
    for name, predictor in predictors.items():
        actions[name] = prediction(predictor)
        if (backbone := getattr(getattr(predictor, "network", None), "backbone", None)) is not None:
            tokens: list[torch.Tensor] = []
            hook = backbone.register_forward_pre_hook(lambda _, inputs, tokens=tokens: tokens.append(inputs[0]))
            actions[name]()
            hook.remove()
            if tokens:  # csi_llm calls it step by step, each with the memory of those before
                actions[f"{name} alone"] = passing(backbone, tokens)
    return in_turns(actions, device, repetitions)


def in_turns(actions: dict[str, Callable[[], object]], device: str, repetitions: int) -> Times:
    """Seconds of each action in each turn, after two turns that warm up."""
    def now() -> float:
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    taken: Times = {name: [] for name in actions}
    for _ in range(repetitions + 2):
        for name, action in actions.items():
            began = now()
            action()
            taken[name].append(now() - began)
    return {name: times[2:] for name, times in taken.items()}


def ratios(times: list[Times], name: str, other: str) -> str:
    """Of two actions, for each number of drops."""
    pairs = [zip(of[name], of[other], strict=True) for of in times]
    return ", ".join(f"{statistics.median(mine / its for mine, its in pair):.2f}" for pair in pairs)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", choices=["32", "bf16-mixed"], default="32", help="of the learned ones")
    options.add_argument("--repetitions", type=int, default=7)
    options.add_argument("--drops", type=int, nargs="+", default=[1, 64])
    options.add_argument("--methods", nargs="+", help="all by default")
    options.add_argument("--backbone", help="of the methods that stand on a language model; their default by default")
    chosen = options.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    where = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    precision = "bf16-mixed" if chosen.precision != "32" else (
        f"float32 (TF32 in matrix products: {torch.backends.cuda.matmul.allow_tf32}, in convolutions: "
        f"{torch.backends.cudnn.allow_tf32})")
    print(f"{chosen.device} ({where}), torch {versions()['torch']}, {precision}; median of {chosen.repetitions}\n")

    built = {spec.name: build(spec, chosen.device, chosen.backbone) for spec in catalogue("predictor")
             if spec.name in (chosen.methods or [spec.name])}
    predictors = {name: predictor for name, predictor in built.items()
                  if isinstance(predictor, LearnedPredictor) or name in ("hold", "wiener")}
    times = [measure(predictors, drops, chosen.device, chosen.precision != "32", chosen.repetitions)
             for drops in chosen.drops]

    width = max(map(len, predictors))
    print(f"{'':{width + 20}}{'Table I of CSI-ALM':>26}"
          + "".join(f"{f'drops at once: {drops}':>27}" for drops in chosen.drops))
    print(f"{'':{width}}{'trained':>10}{'all':>10}{'trained':>10}{'all':>9}{'ms':>7}"
          + f"{'ms / drop':>13}{'us / antenna':>14}" * len(chosen.drops))
    for name, predictor in predictors.items():
        trained, total = (sum(p.numel() for p in predictor.parameters() if p.requires_grad or with_frozen)
                          for with_frozen in (False, True))
        *published, published_ms = PUBLISHED.get(name, ("", "", ""))
        line = f"{name:{width}}{trained / 1e6:8.3f} M{total / 1e6:8.2f} M{published[0]:>10}{published[1]:>9}"
        line += f"{published_ms:>7}"
        for drops, of in zip(chosen.drops, times, strict=True):
            taken = statistics.median(of[name]) / drops
            line += f"{1e3 * taken:13.2f}{1e6 * taken / PANEL.num_antennas:14.1f}"
        print(line)

    print(f"\nratios at {', '.join(map(str, chosen.drops))} drops")
    for name in predictors:
        if f"{name} alone" in times[0]:
            print(f"{name} / its language model alone: {ratios(times, name, f'{name} alone')}")
    if {"csi_alm_light", "gru"} <= predictors.keys():
        print(f"csi_alm_light / gru: {ratios(times, 'csi_alm_light', 'gru')}")


if __name__ == "__main__":
    main()
