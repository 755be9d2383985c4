"""What a language model backbone costs: loading, the dictionary, steps. ``uv run python benchmarks/backbone.py``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from linksim.backbone import Backbone


def seconds(action: Callable[[], object], repeats: int = 1) -> float:
    """Wall time of the quickest of some calls: this machine may be busy."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    began = time.perf_counter()
    import torch

    torch_s = time.perf_counter() - began
    from linksim.backbone import BackboneChoice, build_backbone

    print(f"import torch: {torch_s:.1f} s; transformers and the rest: {time.perf_counter() - began - torch_s:.1f} s; "
          f"{torch.get_num_threads()} threads")

    def build(**options: object) -> Backbone:
        return build_backbone(BackboneChoice(**options))

    with tempfile.TemporaryDirectory() as folder:
        os.environ["LINKSIM_CACHE"] = folder
        first = seconds(build)
        print(f"SmolLM2, 6 layers with LoRA: {first:.1f} s the first time, {seconds(build, 9):.3f} s after that")
        backbone = build()
        first = seconds(lambda: backbone.principal_words(500))
        again = seconds(lambda: backbone.principal_words(500), 5)
        print(f"500 principal words: {first:.1f} s the first time, {again:.2f} s after that")
        x = backbone.embedding_std * torch.randn(64, 20, backbone.width)
        with torch.inference_mode():
            backbone(x)
            print(f"64 x 20 tokens: forward {seconds(lambda: backbone(x), 9):.2f} s, "
                  f"with attention {seconds(lambda: backbone.forward_with_attention(x), 9):.2f} s")
        for adaptation in ("frozen", "lora", "norms", "full"):
            step(x, build(adaptation=adaptation), adaptation)


def step(x: torch.Tensor, backbone: Backbone, adaptation: str) -> None:
    """Print the time of a training step, the optimiser left out."""
    inputs = x.clone().requires_grad_()

    def forward_and_backward() -> None:
        backbone(inputs).square().mean().backward()

    forward_and_backward()
    num_trained = sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)
    print(f"forward and backward, {adaptation} ({num_trained / 1e6:.2f} M trained): "
          f"{seconds(forward_and_backward, 9):.2f} s")


if __name__ == "__main__":
    main()
