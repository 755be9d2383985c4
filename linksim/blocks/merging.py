"""What training added to a language model's linear maps, folded into them: a trained block is used at less cost."""

from __future__ import annotations

import sys

import torch


def merge_low_rank(block: torch.nn.Module) -> None:
    """Add every W + (alpha / rank) B A inside a block once and for all, for use after training: the same output, with
    nothing but the maps the language model came with. The block must not be trained any more.
    """
    if "peft" not in sys.modules:  # a second to import, and without it no block has such maps
        return
    from peft.tuners.tuners_utils import BaseTunerLayer  # start-up

    for module in block.modules():
        if isinstance(module, BaseTunerLayer) and not module.merged:
            module.merge()
