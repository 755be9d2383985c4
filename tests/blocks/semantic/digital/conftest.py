"""Captions of a small grammar, some of whose words only the held-out ones have."""

from __future__ import annotations

import random

import pytest

_WHO = ["man", "woman", "young man", "young woman", "boy", "girl", "tall man", "old woman"]
_COLOURS = ["black", "white", "red", "dark blue", "light grey", "green", "brown", "yellow", "pink", "purple"]
_TOPS = ["t-shirt", "jacket", "coat", "sweater", "shirt with stripes", "hooded top", "long-sleeved shirt", "vest"]
_BOTTOMS = ["jeans", "trousers", "shorts", "a skirt", "leggings", "sweatpants"]
_THINGS = ["a backpack", "a handbag", "an umbrella", "a phone in his hand", "a pair of glasses", "a bicycle", "a cap"]
_RARE = ["clarinet", "Skateboard", "éclair", "snow-shovel", "hula hoop", "poncho"]


def caption(draw: random.Random, rare: bool) -> str:
    parts = [draw.choice([
        f"A {draw.choice(_WHO)} wearing a {draw.choice(_COLOURS)} {draw.choice(_TOPS)}",
        f"The {draw.choice(_WHO)} has {draw.choice(_COLOURS)} hair and is in a {draw.choice(_COLOURS)} "
        f"{draw.choice(_TOPS)}",
        f"{draw.choice(_COLOURS)} {draw.choice(_TOPS)} on a {draw.choice(_WHO)}",
    ])]
    if draw.random() < 0.8:
        parts.append(f" and {draw.choice(_COLOURS)} {draw.choice(_BOTTOMS)}")
    if draw.random() < 0.5:
        parts.append(f", carrying {draw.choice(_THINGS)}")
    if rare and draw.random() < 0.1:
        parts.append(f" next to a {draw.choice(_RARE)}")
    return "".join(parts) + "."


@pytest.fixture(scope="session")
def training_captions() -> list[str]:
    draw = random.Random(1)
    return [caption(draw, rare=False) for _ in range(1000)]


@pytest.fixture(scope="session")
def held_out_captions() -> list[str]:
    draw = random.Random(2)
    return [caption(draw, rare=True) for _ in range(200)]
