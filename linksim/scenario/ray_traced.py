"""What a scenario file may say of ray-traced channels: the scene, the base station, the terminals and the tracing."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from linksim.core.messages import suggestion
from linksim.core.types import FiniteFloat, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section, Seed

Metres = Annotated[FiniteFloat, Field(ge=-1_000_000, le=1_000_000)]
"""A coordinate of a scene."""

STORED_PATHS = 64
"""Strongest paths of a position that a table keeps."""


class Site(NamedTuple):
    """Where a base station stands by default.

    :param position_m: x, y, z in the scene's own axes.
    :param azimuth_deg: direction the panel faces, counterclockwise from the x axis.
    """

    position_m: tuple[float, float, float]
    azimuth_deg: float


SITES = {
    "munich": Site((8.5, 21.0, 32.0), 45.0),
    "etoile": Site((75.0, 40.0, 31.0), 180.0),
    "florence": Site((-75.0, 0.0, 27.0), 30.0),
    "san_francisco": Site((216.0, -6.0, 49.0), 180.0),
    "simple_street_canyon": Site((-33.0, 11.0, 32.0), 0.0),
    "simple_street_canyon_with_cars": Site((-33.0, 11.0, 32.0), 0.0),
}
"""Scenes with buildings that sionna-rt brings along, each with a roof-top site."""

PROCEDURAL = "procedural"
"""Areas that linksim draws itself, as many as wanted."""

TRACED = ("scene", "scene_sha256", "position_m", "terminal_height_m", "grid_spacing_m", "radius_m", "min_distance_m",
          "azimuth_deg", "sector_deg", "max_depth", "diffuse_reflection", "refraction", "diffraction",
          "edge_diffraction", "rays_launched", "trace_seed", "terminal_positions_m")
"""Options that the path table depends on. The others choose from it."""

_FILES = (".npz", ".mat", ".h5", ".hdf5")
"""Files of DeepMIMO; another path than these and .xml is a folder of WAIR-D."""

_OF_GRID = ("grid_spacing_m", "radius_m", "min_distance_m", "sector_deg", "positions_per_area")


def is_path(scene: str) -> bool:
    """Whether a scene is named by where its files lie."""
    return "/" in scene or scene.endswith((".xml", *_FILES))


class RayTraced(Section):
    """Paths traced through a scene by Sionna RT (docs/ray_traced.md)."""

    scene: str = Field(
        "munich", description=f"A scene of sionna-rt ({', '.join(SITES)}), {PROCEDURAL} for areas that linksim draws, "
        "a Mitsuba .xml file; or paths that others traced: a DeepMIMO file (.npz, .mat, .h5), a folder of WAIR-D (with "
        "a / in it). Files are named relative to the scenario file."
    )
    scene_sha256: str = Field(
        "", pattern=r"^([0-9a-f]{64})?$", description="Digest of the files (the .xml file and the meshes it names), "
        "filled in on loading; given, it must agree."
    )
    base_station: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="Which base station of a WAIR-D area, from 0."
    )
    first_area: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="Number of the first area, procedural (each number is another one) or of WAIR-D."
    )
    num_areas: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        1, description="How many areas, procedural or of WAIR-D, from the first on."
    )
    positions_per_area: Annotated[PositiveInt, Field(le=10_000_000)] | None = Field(
        None, description="Positions of each area, chosen at random from the grid or among WAIR-D's; all if empty."
    )
    position_m: tuple[Metres, Metres, Metres] | None = Field(
        None, description="Base station in the scene's axes, m; the scene's own roof-top site if empty."
    )
    azimuth_deg: Annotated[float, Field(ge=-360, le=360)] | None = Field(
        None, description="Direction the panel faces, degrees counterclockwise from the x axis; the site's own if "
        "empty. Its downtilt is bs_array.downtilt_deg."
    )
    sector_deg: Annotated[float, Field(gt=0, le=360)] = Field(
        120.0, description="Width of the sector around that direction in which terminals stand, degrees."
    )
    terminal_height_m: Annotated[PositiveFloat, Field(le=100_000)] = Field(
        1.5, description="Height of the terminals above the ground, m."
    )
    terminal_positions_m: Annotated[tuple[tuple[Metres, Metres], ...], Field(min_length=1)] | None = Field(
        None, description="Where terminals stand, [[x, y], ...] in the scene's axes, m, on open ground; on a grid if "
        "empty."
    )
    grid_spacing_m: Annotated[PositiveFloat, Field(ge=0.01, le=100_000)] = Field(
        3.0, description="Spacing of the grid of terminal positions, m."
    )
    radius_m: Annotated[PositiveFloat, Field(le=100_000)] = Field(
        300.0, description="Terminals stand within this horizontal distance, m."
    )
    min_distance_m: Annotated[NonNegativeFloat, Field(le=100_000)] = Field(
        10.0, description="And not within this one, m."
    )
    max_depth: Annotated[int, Field(ge=0, le=10)] = Field(4, description="Most interactions of a path, 0 to 10.")
    diffuse_reflection: bool = Field(False, description="Scatter at rough surfaces.")
    refraction: bool = Field(False, description="Go through walls.")
    diffraction: bool = Field(True, description="Bend around edges of buildings, once a path.")
    edge_diffraction: bool = Field(False, description="And around free edges, which belong to one surface alone.")
    rays_launched: Annotated[int, Field(ge=1000, le=10_000_000)] = Field(
        100_000, description="Directions tried from the base station in the search for paths."
    )
    trace_seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(1, description="Seed of these directions.")
    max_paths: Annotated[int, Field(ge=1, le=STORED_PATHS)] = Field(
        10, description=f"Strongest paths of a position that are used, 1 to {STORED_PATHS}."
    )
    path_range_db: Annotated[PositiveFloat, Field(le=1000)] = Field(
        40.0, description="Paths further below the strongest one of their position are left out, dB."
    )
    min_path_gain_db: Annotated[FiniteFloat, Field(ge=-1000, le=0)] = Field(
        -140.0, description="Positions with less gain over all paths (isotropic antennas) are left out, dB."
    )
    synchronized: bool = Field(
        True, description="Delays count from the first path of each user, as in the models, or from departure."
    )
    track_spacing_m: Annotated[PositiveFloat, Field(ge=0.001, le=1000)] | None = Field(
        None, description="Terminals walk along streets, and paths are traced anew every so many metres of their way; "
        "empty: paths stay as they are where the history begins, and only their phases turn."
    )
    num_tracks: Annotated[PositiveInt, Field(le=10_000_000)] = Field(
        200, description="Ways that are traced, over all sets."
    )
    split: Literal["blocks", "random", "areas"] = Field(
        "blocks", description="What is dealt to test, validation and training: square blocks of the ground, single "
        "positions (whose neighbours may then be in another set), or whole procedural areas."
    )
    block_m: Annotated[PositiveFloat, Field(ge=0.01, le=100_000)] = Field(
        20.0, description="Side of the square blocks that are dealt to test, validation and training, m."
    )
    guard_m: Annotated[NonNegativeFloat, Field(le=100_000)] = Field(
        5.0, description="Positions for training this close to one for validation or test are left out, and those "
        "for validation this close to one for test, m."
    )
    test_share: Fraction = Field(0.25, description="Share of what is dealt for test.")
    validation_share: Fraction = Field(0.1, description="Share of what is dealt for validation.")
    split_seed: Seed = Field(1, description="Seed by which it is dealt.")

    @model_validator(mode="after")
    def _consistent(self) -> RayTraced:
        if not self.of_user and self.scene not in (*SITES, PROCEDURAL):
            raise ValueError(f"scene: none is called {self.scene!r} (your own is the path of an .xml file): "
                             + suggestion(self.scene, [*SITES, PROCEDURAL]))
        if self.track_spacing_m is not None and (self.num_areas > 1 or self.split == "areas"):
            raise ValueError("track_spacing_m: ways are traced in one scene or area at a time: write num_areas: 1 and "
                             "split: blocks")
        if self.imported and self.position_m is not None:
            raise ValueError(f"position_m: {self.scene} says where its base stations stand: leave it out")
        if self.imported and self.track_spacing_m is not None:
            raise ValueError(f"track_spacing_m: {self.scene} has been traced, at its own positions: leave it out")
        if self.base_station and not self.of_folder:
            raise ValueError(f"base_station: {self.scene} is not of WAIR-D: leave it out")
        if self.terminal_positions_m is not None:
            self._check_positions_given()
        if self.scene != PROCEDURAL and not self.of_folder:
            for name in ("first_area", "num_areas", "positions_per_area"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name}: {self.scene} is one area: write scene: {PROCEDURAL}, or leave it out")
            if self.split == "areas":
                raise ValueError(f"split: {self.scene} is one area: use blocks or random")
        elif self.position_m is not None and self.num_areas > 1:
            raise ValueError("position_m: every area has a roof of its own to stand on: leave it out, or write "
                             "num_areas: 1")
        if self.of_user and not self.imported and self.position_m is None:
            raise ValueError(f"position_m: where the base station stands in {self.scene} must be said: write "
                             "position_m: [x, y, z]")
        if self.min_distance_m >= self.radius_m:
            raise ValueError(f"min_distance_m ({self.min_distance_m:g}) must be below radius_m ({self.radius_m:g})")
        if self.test_share + self.validation_share > 1:
            raise ValueError("test_share and validation_share together exceed 1")
        if self.edge_diffraction and not self.diffraction:
            raise ValueError("edge_diffraction needs diffraction: true")
        return self

    def _check_positions_given(self) -> None:
        if self.imported:
            raise ValueError(f"terminal_positions_m: {self.scene} has been traced, at its own positions: leave it out")
        if self.num_areas > 1:
            raise ValueError("terminal_positions_m: every area has streets of its own: leave it out, or write "
                             "num_areas: 1")
        for name in _OF_GRID:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: terminal_positions_m says where terminals stand: leave one of them out")

    @property
    def of_user(self) -> bool:
        """Whether the scene is the user's own file or folder."""
        return is_path(self.scene)

    @property
    def imported(self) -> bool:
        """Whether somebody else traced it."""
        return self.scene.endswith(_FILES) or self.of_folder

    @property
    def of_folder(self) -> bool:
        """Whether it is a folder of WAIR-D."""
        return is_path(self.scene) and not self.scene.endswith((".xml", *_FILES))

    @property
    def areas(self) -> list[RayTraced]:
        """The same for each area by itself."""
        if self.num_areas == 1:
            return [self]
        return [self.model_copy(update={"first_area": number, "num_areas": 1})
                for number in range(self.first_area, self.first_area + self.num_areas)]

    @property
    def title(self) -> str:
        """The scene's name, or that of the user's file."""
        if self.scene == PROCEDURAL:
            last = self.first_area + self.num_areas - 1
            return f"area {last}" if self.num_areas == 1 else f"areas {self.first_area} to {last}"
        return PurePath(self.scene).stem if self.of_user else self.scene
