"""Release what was trained for the shipped scenarios; drop what none of them uses any more.

    uv run python checkpoints/released/update.py

Weights are kept in half precision, which moves predictions little (the GRU's by -74 dB); the blocks they are loaded
into compute in single precision as always. Ridge and some codecs are fitted anew in a minute and stay out, and so do
large codecs, whose scenarios say how long their training takes: those with a whole language model above all.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import safetensors.torch
import torch

from linksim.core.errors import LinksimError
from linksim.loading.load import load_scenario
from linksim.training.checkpoint import LEARNING_CURVE, write_checkpoint
from linksim.training.identity import digest
from linksim.training.part import Part
from linksim.training.preparation import parts_of

RELEASED = Path(__file__).parent
ROOT = RELEASED.parents[1]
LIMIT_MB = 80
FITTED_ANEW = ("klt", "context")
"""Codecs that are large and fitted in seconds."""

LARGEST_CODEC_MB = 1.2
"""Of a codec's weights in half precision."""

LARGEST_PREDICTOR_MB = 3.8
"""Of a predictor's that no scenario of the first folder has: others train it, which their heads say."""

SEMANTIC = ("emoji_short", "text_to_emoji_snr")
UNIVERSAL = ("five_tasks",)
"""Scenarios whose semantic codecs and universal models come along: others' are too many."""

STUDIES = ("seeds", "ablation", "ablation_llm4cp", "ablation_angle_delay", "learning_curves")
"""Scenarios whose predictors stay out where no other one uses them: seeds, controls and shorter trainings."""

MOST_NMSE = 0.95
"""Of the validation drops: what predicts or restores less has learned nothing worth keeping."""


def used() -> dict[str, bool]:
    """Names of the checkpoints that shipped scenarios use, and whether one of the first folder does."""
    found: dict[str, bool] = {}
    for path in sorted((ROOT / "scenarios").rglob("*.yaml")):
        for part in parts_of(load_scenario(path)):
            if _comes_along(part, path.stem):
                with contextlib.suppress(LinksimError):  # captions that are not there
                    name = f"{part.about['block']}-{digest(part.about)}"
                    found[name] = found.get(name, False) or path.parent.name == "scenarios"
    return found


def _comes_along(part: Part, scenario: str) -> bool:
    match part.kind:
        case "predictor":
            return part.is_learned and scenario not in STUDIES
        case "feedback":
            return part.block.name not in FITTED_ANEW
        case "semantic":
            return scenario in SEMANTIC
    return scenario in UNIVERSAL and part.block.name == "ai2mmum"


def release(source: Path, target: Path) -> None:
    """A checkpoint's weights, what it says of itself and its learning curve; no logs, and no state of a training."""
    state = safetensors.torch.load_file(source / "weights.safetensors")
    state = {name: tensor.half() if tensor.dtype == torch.float32 else tensor for name, tensor in state.items()}
    faults = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if faults:
        raise SystemExit(f"{source}: too large for half precision: {', '.join(faults)}")
    write_checkpoint(target, state, json.loads((source / "about.json").read_text(encoding="utf-8")))
    if (source / LEARNING_CURVE).is_file():  # not of those made before there were any, nor of what is fitted
        shutil.copyfile(source / LEARNING_CURVE, target / LEARNING_CURVE)


def stays_out(folder: Path, half_mb: float, in_first_folder: bool) -> bool:
    """Whether a checkpoint is too large to come with the repository, or has learned nothing.

    :param half_mb: of its weights in half precision.
    :param in_first_folder: whether a scenario there uses it.
    """
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if about["validation_nmse"] > MOST_NMSE:
        return True
    if about["kind"] == "predictor":
        return half_mb > LARGEST_PREDICTOR_MB and not in_first_folder
    return about["kind"] == "feedback" and half_mb > LARGEST_CODEC_MB


def main() -> None:
    names = used()
    for name, in_first_folder in names.items():
        source, target = ROOT / "checkpoints" / name, RELEASED / name
        weights = source / "weights.safetensors"
        if weights.is_file() and not target.is_dir() \
                and not stays_out(source, weights.stat().st_size / 2e6, in_first_folder):
            release(source, target)
            print(f"released {name}")
    for target in [path for path in RELEASED.iterdir() if path.is_dir()]:
        size_mb = (target / "weights.safetensors").stat().st_size / 1e6
        if target.name not in names:
            shutil.rmtree(target)
            print(f"dropped {target.name}: no scenario uses it")
        elif stays_out(target, size_mb, names[target.name]):
            shutil.rmtree(target)
            print(f"dropped {target.name}: too large for what uses it")
    held = [path for path in RELEASED.iterdir() if path.is_dir()]
    size_mb = sum(file.stat().st_size for path in held for file in path.iterdir()) / 1e6
    print(f"{len(held)} of {len(names)} checkpoints, {size_mb:.1f} of at most {LIMIT_MB} MB")
    if size_mb > LIMIT_MB:
        raise SystemExit("too large: release fewer")


if __name__ == "__main__":
    main()
