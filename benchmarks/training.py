"""Training steps of learned predictors: sequences a second, and where the time of a step goes.

    uv run python benchmarks/training.py [--methods gru cnn] [--sequences 16 64 256] [--precision 32 bf16-mixed]
                                         [--compile] [--threads 1] [--repetitions 7] [--device cuda]

Every learned predictor that a scenario can name, with its default options, random weights for a language model (which
cost the same time) and the training of `scenarios/prediction/tdd_speed.yaml`: 16 sequences a step, two antenna pairs of
each of 8 drops. A larger step has more drops. A predictor that sees the whole array takes all 32 pairs of a drop, one
drop at least. ``--compile`` adds rows with ``torch.compile`` around the loss; what it takes to compile is left out.

A step is what the trainer does in one: data, loss, gradients, clipped, and AdamW. Data is the noise of the drops,
which is another one in every epoch, and their channels, drawn once for all of them; the trainer makes both in a thread
of its own, which costs the same CPU time. Times are medians after two steps that warm up; shares are those of the first
number of sequences.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from linksim.core.packages import versions
from linksim.core.registry import catalogue
from linksim.loading.load import load_scenario
from linksim.training.data import joined, selected
from linksim.training.loop import make_optimizer
from linksim.training.part import Part
from linksim.training.preparation import parts_of

SCENARIO = Path(__file__).parents[1] / "scenarios" / "prediction" / "tdd_speed.yaml"
STAGES = ("data", "forward", "backward", "optimiser")


def parts(names: list[str] | None) -> list[Part]:
    """What the predictors learn from, by the scenario's training."""
    known = {spec.name: spec for spec in catalogue("predictor") if spec.trains}
    if unknown := set(names or ()) - known.keys():
        raise SystemExit(f"no learned predictor {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    methods = [{"name": name, "predictor": {"type": name, **(
        {"weights": "random"} if "weights" in known[name].options.model_fields else {})}} for name in names or known]
    return [part for part in parts_of(load_scenario(SCENARIO, {"methods": methods})) if part.is_learned]


class Steps:
    """Steps of one predictor on one batch.

    :param part: its training.
    :param num_sequences: of a step; fewer than one drop has are those of one drop.
    """

    def __init__(self, part: Part, num_sequences: int, precision: str, compiled: bool, device: str) -> None:
        self.training, self.device = part.training, device
        self.mixed = precision != "32"
        self.block = part.untrained(device).to(device).train()
        self.loss = torch.compile(self.block.training_loss) if compiled else self.block.training_loss
        parameters = [parameter for parameter in self.block.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(parameters, self.training)
        self.drops = part.drops(device)
        chunks = [chunk for chunk in self.drops.chunks if not chunk.validation]
        true = self.drops.draw(chunks[0])  # the first draw loads Sionna's models
        num_pairs = true.history.h.shape[2] * true.history.h.shape[3]
        taken = self.training.antenna_pairs if self.block.sees_antenna_pairs else 0
        per_drop = taken or num_pairs
        num_drops = max(1, num_sequences // per_drop)
        self.num_sequences = num_drops * per_drop
        with torch.no_grad():
            draw_s = self._seconds(lambda: self.drops.draw(chunks[1]))
            self.drops.observed(chunks[0], true, "warm", antenna_pairs=taken)
            noise_s = self._seconds(lambda: self.drops.observed(chunks[0], true, "noise", antenna_pairs=taken))
            seen = self.drops.observed(chunks[0], true, "noise", antenna_pairs=taken)
        num_held = len(seen.history.h)
        index = torch.arange(num_drops, device=device) % num_held
        self.batch = joined([selected(seen, part) for part in index.split(num_held)])
        self.data_s = (draw_s / self.training.num_epochs + noise_s) / num_held * num_drops

    def one(self) -> dict[str, float]:
        """Seconds of each stage of a step."""
        def forward() -> torch.Tensor:
            # weights are cast at every use, as in the trainer
            with torch.autocast(torch.device(self.device).type, torch.bfloat16, self.mixed, cache_enabled=False):
                return self.loss(self.batch)

        def step() -> None:
            torch.nn.utils.clip_grad_norm_(self.block.parameters(), self.training.gradient_clip)
            self.optimizer.step()
            self.optimizer.zero_grad()

        made: list[torch.Tensor] = []
        return {"data": self.data_s, "forward": self._seconds(lambda: made.append(forward())),
                "backward": self._seconds(lambda: made[0].backward()), "optimiser": self._seconds(step)}

    def _seconds(self, work: Callable[[], Any]) -> float:
        def now() -> float:
            if self.device != "cpu":
                torch.cuda.synchronize()
            return time.perf_counter()

        began = now()
        work()
        return now() - began


def measure(part: Part, num_sequences: int, precision: str, compiled: bool, device: str, repetitions: int
            ) -> tuple[float, dict[str, float]]:
    """Sequences a second, and the share of each stage."""
    torch.manual_seed(0)
    torch.compiler.reset()  # which else gives up silently after some blocks of the same code
    steps = Steps(part, num_sequences, precision, compiled, device)
    taken = [steps.one() for _ in range(repetitions + 2)][2:]
    middle = {stage: statistics.median(one[stage] for one in taken) for stage in STAGES}
    whole = sum(middle.values())
    return steps.num_sequences / whole, {stage: seconds / whole for stage, seconds in middle.items()}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--methods", nargs="+", help="all by default")
    options.add_argument("--sequences", type=int, nargs="+", default=[16, 64, 256], help="of a step")
    options.add_argument("--precision", nargs="+", choices=["32", "bf16-mixed"], default=["32", "bf16-mixed"])
    options.add_argument("--compile", action="store_true", help="with torch.compile, too")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--repetitions", type=int, default=7)
    options.add_argument("--device", default="cpu")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    where = f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads" if chosen.device == "cpu" \
        else torch.cuda.get_device_name()
    print(f"{chosen.device} ({where}), torch {versions()['torch']}; median of {chosen.repetitions}\n")

    learned = parts(chosen.methods)
    width = max(len(part.name) for part in learned)
    print(f"{'':{width + 23}}{'sequences/s in steps of':>{9 * len(chosen.sequences)}}"
          f"{f'shares of a step of {chosen.sequences[0]}':>{11 * len(STAGES)}}")
    print(f"{'':{width + 23}}" + "".join(f"{number:9d}" for number in chosen.sequences)
          + "".join(f"{stage:>11}" for stage in STAGES))
    for part in learned:
        for precision in chosen.precision:
            for compiled in (False, True)[:1 + chosen.compile]:
                row = f"{part.name:{width}}  {precision:11}{'compiled' if compiled else '':10}"
                try:
                    found = [measure(part, number, precision, compiled, chosen.device, chosen.repetitions)
                             for number in chosen.sequences]
                except Exception as error:  # what torch.compile cannot do has many names
                    if not compiled:
                        raise
                    print(f"{row}   not possible: {' '.join(str(error).split())[:60]}", flush=True)
                    continue
                print(row + "".join(f"{rate:9.1f}" for rate, _ in found)
                      + "".join(f"{share:11.0%}" for share in found[0][1].values()), flush=True)


def _processor() -> str:
    """The processor's name, where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "processor unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "processor unknown"


if __name__ == "__main__":
    main()
