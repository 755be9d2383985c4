"""How models are written for people."""

from __future__ import annotations

from linksim.scenario.channel import Channel


def model_name(model: str) -> str:
    """How a channel model is written: UMa, CDL-A, InH (open office), InF-SH."""
    family, _, variant = model.partition("_")
    if family == "cdl":
        return f"CDL-{variant.upper()}"
    name = family[:-1].upper() + family[-1] if family in ("uma", "umi", "rma") else f"In{family[-1].upper()}"
    if family == "inh":
        return f"{name} ({variant} office)"
    return f"{name}-{variant.upper()}" if variant else name


def model_title(channel: Channel) -> str:
    """A model with its line of sight, and what is lost into buildings."""
    title = model_name(channel.model) + ("" if channel.model.startswith("cdl") else f" {channel.los_name}")
    if not channel.has_floors:
        return title
    loss = f" ({channel.penetration_loss} O2I loss)" if channel.path_loss else ""
    return f"{title}, {100 * channel.indoor_share:g} % indoors{loss}"
