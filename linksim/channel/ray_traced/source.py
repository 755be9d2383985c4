"""Ray tracing as a source: users stand at positions of a scene, whose paths are traced once and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pydantic

from linksim.channel.ranges import Range, check_drawn, check_range
from linksim.channel.source import ChannelSource, Split
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.packages import installed_version
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import STORED_PATHS, RayTraced
from linksim.scenario.resolved import ResolvedScenario

if TYPE_CHECKING:
    import torch

    from linksim.channel.drops import Drops
    from linksim.channel.rays import Rays
    from linksim.core.places import Places


_CARRIERS_GHZ = Range(1, 100, "materials are known there, ITU-R P.2040")


def check_ranges(channel: Channel) -> None:
    """Whether a channel lies where materials are known.

    :raises ScenarioError: it does not; ``key: message``, the key within ``channel``.
    """
    check_drawn(channel, "ray_traced")
    check_range("carrier_frequency_ghz", channel.carrier_frequency_ghz, _CARRIERS_GHZ, "ray_traced")


def check_test_positions(channel: Channel) -> None:
    """Whether something is left to test on, as far as the scenario tells.

    :raises ScenarioError: ``key: message``.
    """
    options = channel.ray_traced
    dealt, what = (options.num_areas, "areas") if options.split == "areas" else (
        options.positions_per_area if options.split == "random" else None, "positions")
    if dealt is not None and dealt * options.test_share < 0.5:
        raise ScenarioError(f"channel.ray_traced.test_share: {options.test_share:g} of {dealt} {what} leaves none for "
                            "test: use a larger share")


def check_rays_stay(channel: Channel) -> None:
    """On ways paths are traced anew.

    :raises ScenarioError: users take ways.
    """
    if channel.ray_traced.track_spacing_m is not None:
        raise ScenarioError("needs rays that stay, and paths are traced anew along the way: leave it out, or "
                            "channel.ray_traced.track_spacing_m")


_BYTES_OF_PATH = 64


class RayTracedSource(ChannelSource):
    """Paths of Sionna RT, or that others traced."""

    has_rays = True
    has_places = True

    def title(self, channel: Channel) -> str:
        return f"ray-traced {channel.ray_traced.title} {channel.los_name}"

    def complete(self, section: dict[str, Any], swept: set[str]) -> dict[str, Any]:
        """With the digest of a scene of the user."""
        options = section.get("ray_traced")
        if not isinstance(options, dict):
            return section
        try:
            known = RayTraced.model_validate(options)
        except pydantic.ValidationError:
            return section  # the schema says what is wrong, and where
        if not known.of_user:
            return section
        from linksim.channel.ray_traced.digest import digest_of_scene  # start-up

        try:
            found = digest_of_scene(known)
        except ScenarioError as error:
            message = str(error).removeprefix("channel.ray_traced.").removeprefix("scene: ")
            raise ScenarioError(f"ray_traced.scene: {message}") from None
        if options.get("scene_sha256") not in (None, "", found):
            raise ScenarioError(f"ray_traced.scene_sha256: {known.scene} has another digest, {found}: it has changed")
        return {**section, "ray_traced": {**options, "scene_sha256": found}}

    def check_channel(self, channel: Channel) -> None:
        check_ranges(channel)

    def check(self, scenario: ResolvedScenario) -> None:
        check_test_positions(scenario.channel)

    def check_rays(self, channel: Channel) -> None:
        check_rays_stay(channel)

    def check_machine(self, channel: Channel) -> None:
        if channel.ray_traced.imported:
            return
        try:
            installed_version("sionna-rt")
        except LinksimError as error:
            raise LinksimError(f"only paths that have been traced before are at hand: {error}") from None

    def prepare(self, channel: Channel, split: Split, say: Callable[[str], None], with_places: bool) -> None:
        """Trace the scene, unless a table of it is kept, and see whether there are enough positions."""
        from linksim.channel.ray_traced.drops import chosen_positions  # start-up
        from linksim.channel.ray_traced.maps import maps_of  # start-up
        from linksim.channel.ray_traced.path_tables import path_table  # start-up
        from linksim.channel.ray_traced.tracks import chosen_tracks  # start-up

        if channel.ray_traced.track_spacing_m is not None:
            chosen_tracks(channel, split, say)
            return
        path_table(channel, say)
        chosen_positions(channel, split)
        if with_places:
            maps_of(channel.ray_traced)

    def memory(self, channel: Channel) -> Iterable[tuple[float, str, str]]:
        """Positions that are tried, those that are traced, and their paths."""
        options = channel.ray_traced
        given = options.terminal_positions_m
        tried = len(given) if given else (2 * options.radius_m / options.grid_spacing_m)**2
        if options.track_spacing_m is not None:
            traced, field = options.num_tracks * 50.0, "num_tracks"
        else:
            traced = min(tried, options.positions_per_area or tried) * options.num_areas
            field = "num_areas" if options.num_areas > 1000 else "grid_spacing_m" if options.grid_spacing_m < 1 \
                else "radius_m"
        yield (tried * 60 + traced * STORED_PATHS * _BYTES_OF_PATH + options.num_areas * 20_000,
               "positions and their paths", f"channel.ray_traced.{field}")

    def drops(self, channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
              split: Split = "test") -> Drops:
        from linksim.channel.ray_traced.drops import ray_traced_drops, table_note  # start-up

        drops = ray_traced_drops(channel, batch_size, seed, device, split)
        return replace(drops, notes=(*drops.notes, table_note(channel))) if split == "test" else drops

    def training_identity(self, channel: Channel, plugins: Sequence[str]) -> dict[str, Any]:
        return {}  # the channel's fields say all

    def places(self, channel: Channel, rays: Rays, area: torch.Tensor | None = None) -> Places:
        from linksim.channel.ray_traced.maps import places_of_rays  # start-up

        return places_of_rays(rays, channel, area)
