"""Parameters of blocks: put in out of a file once they fit, and low-rank additions folded into what they add to."""

from __future__ import annotations

import sys

import torch

from linksim.core.errors import LinksimError

_REAL = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def matched(expected: dict[str, torch.Tensor], state: dict[str, torch.Tensor], block: str) -> dict[str, torch.Tensor]:
    """The tensors in the precision of the block's own: released ones are in half.

    :param expected: the block's own, by name; an axis of length 0 has as many entries as were learned, the same number
        for all of a block's tensors.
    :param state: what a file holds.
    :param block: its name, for messages.
    :raises LinksimError: other names, sizes or types, or a number that is none; says which.
    """
    faults = [f"missing {name}" for name in expected if name not in state]
    faults += [f"unknown {name}" for name in state if name not in expected]
    both = [name for name in expected if name in state]
    for name in both:
        faults += _faults(name, expected[name], state[name])
    if not faults and len(counts := _learned_counts(expected, state)) > 1:
        faults.append(f"as many as were learned are {' and '.join(map(str, sorted(counts)))}")
    if faults:
        raise LinksimError(f"does not fit {block}: {', '.join(faults[:4])}"
                           + f" and {len(faults) - 4} more" * (len(faults) > 4))
    return {name: state[name].to(expected[name].dtype) for name in both}


def fill(block: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Put what a file holds into a block; only a frozen language model has its own already.

    :raises LinksimError: names, sizes or types are not the block's.
    """
    expected = block.saved_state() if hasattr(block, "saved_state") else block.state_dict()
    block.load_state_dict(matched(expected, state, block.block_name), strict=False)


def _faults(name: str, expected: torch.Tensor, given: torch.Tensor) -> list[str]:
    sizes, own = list(given.shape), list(expected.shape)
    if len(sizes) != len(own) or any(size != wanted for size, wanted in zip(sizes, own) if wanted):
        return [f"{name} is {sizes}, not {own}"]
    if given.dtype != expected.dtype and not {given.dtype, expected.dtype} <= _REAL:
        return [f"{name} is of type {_word(given)}, not {_word(expected)}"]
    if given.dtype.is_floating_point or given.dtype.is_complex:
        bad = int((~given.isfinite()).sum())
        return [f"{name} holds {bad} values that are not finite"] if bad else []
    return []


def _learned_counts(expected: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> set[int]:
    return {size for name, tensor in expected.items() for size, own in zip(state[name].shape, tensor.shape) if not own}


def _word(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


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
