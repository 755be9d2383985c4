"""How things are written for people. No torch here."""

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


def channel_details(channel: Channel) -> list[str]:
    """What else a header should say of the propagation: what is lost into buildings, beam squint."""
    details = []
    if channel.source == "model" and channel.indoor_share:
        loss = f" ({channel.penetration_loss} O2I loss)" if channel.path_loss else ""
        details.append(f"{100 * channel.indoor_share:g} % indoors{loss}")
    if channel.beam_squint:
        details.append("beam squint")
    return details


def channel_name(channel: Channel) -> str:
    """How the propagation of a channel section is written: a model, or a ray-traced scene."""
    if channel.source != "ray_traced":
        return model_name(channel.model)
    return f"ray-traced {channel.ray_traced.title}"
