"""Short ways to write a section, put into the one form that everything else knows."""

from __future__ import annotations

from typing import Any


def spelled_out(data: dict[str, Any]) -> dict[str, Any]:
    """A scenario's data with ``channel: {source: ray_tracing, scene: munich}`` as ``{source: ray_traced, ray_traced:
    {scene: munich}}``.

    A scene given in both ways stays as it is: the schema names the key that is too many.
    """
    channel = data.get("channel")
    if not isinstance(channel, dict) or channel.get("source") != "ray_tracing":
        return data
    options = channel.get("ray_traced", {})
    channel = {**channel, "source": "ray_traced"}
    if isinstance(options, dict) and "scene" in channel and "scene" not in options:
        channel["ray_traced"] = {**options, "scene": channel.pop("scene")}
    return {**data, "channel": channel}
