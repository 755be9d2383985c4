"""What a scenario file may say of ray-traced channels: the scene, the base station, the terminals and the tracing."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, NamedTuple

from pydantic import Field, model_validator

from linksim.faults import suggestion
from linksim.scenario.section import Section
from linksim.types import FiniteFloat, Fraction, PositiveFloat

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

TRACED = ("scene", "scene_sha256", "position_m", "terminal_height_m", "grid_spacing_m", "radius_m", "min_distance_m",
          "azimuth_deg", "sector_deg", "max_depth", "diffuse_reflection", "refraction", "diffraction",
          "edge_diffraction", "rays_launched", "trace_seed")
"""Options that the path table depends on. The others choose from it."""


class RayTraced(Section):
    """Paths traced through a scene by Sionna RT (docs/ray_traced.md)."""

    scene: str = Field(
        "munich", description=f"A scene of sionna-rt ({', '.join(SITES)}), or a Mitsuba .xml file, relative to the "
        "scenario file."
    )
    scene_sha256: str = Field(
        "", pattern=r"^([0-9a-f]{64})?$", description="Digest of the .xml file and the meshes it names, filled in on "
        "loading; given, it must agree."
    )
    position_m: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        None, description="Base station in the scene's axes, m; the scene's own roof-top site if empty."
    )
    azimuth_deg: Annotated[float, Field(ge=-360, le=360)] | None = Field(
        None, description="Direction the panel faces, degrees counterclockwise from the x axis; the site's own if "
        "empty. Its downtilt is bs_array.downtilt_deg."
    )
    sector_deg: Annotated[float, Field(gt=0, le=360)] = Field(
        120.0, description="Width of the sector around that direction in which terminals stand, degrees."
    )
    terminal_height_m: PositiveFloat = Field(1.5, description="Height of the terminals above the ground, m.")
    grid_spacing_m: PositiveFloat = Field(3.0, description="Spacing of the grid of terminal positions, m.")
    radius_m: PositiveFloat = Field(300.0, description="Terminals stand within this horizontal distance, m.")
    min_distance_m: Annotated[float, Field(ge=0)] = Field(10.0, description="And not within this one, m.")
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
    path_range_db: PositiveFloat = Field(
        40.0, description="Paths further below the strongest one of their position are left out, dB."
    )
    min_path_gain_db: FiniteFloat = Field(
        -140.0, description="Positions with less gain over all paths (isotropic antennas) are left out, dB."
    )
    synchronized: bool = Field(
        True, description="Delays count from the first path of each user, as in the models, or from departure."
    )
    block_m: PositiveFloat = Field(
        20.0, description="Side of the square blocks that are dealt to test, validation and training, m."
    )
    guard_m: Annotated[float, Field(ge=0)] = Field(
        5.0, description="Positions for training this close to one for validation or test are left out, and those "
        "for validation this close to one for test, m."
    )
    test_share: Fraction = Field(0.25, description="Share of the blocks for test.")
    validation_share: Fraction = Field(0.1, description="Share of the blocks for validation.")
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(1, description="Seed by which blocks are dealt.")

    @model_validator(mode="after")
    def _consistent(self) -> RayTraced:
        if not self.of_user and self.scene not in SITES:
            raise ValueError(f"scene: none is called {self.scene!r}: {suggestion(self.scene, SITES)} Your own is the "
                             "path of an .xml file")
        if self.of_user and self.position_m is None:
            raise ValueError(f"position_m: where the base station stands in {self.scene} must be said")
        if self.min_distance_m >= self.radius_m:
            raise ValueError(f"min_distance_m ({self.min_distance_m:g}) must be below radius_m ({self.radius_m:g})")
        if self.test_share + self.validation_share > 1:
            raise ValueError("test_share and validation_share together exceed 1")
        if self.edge_diffraction and not self.diffraction:
            raise ValueError("edge_diffraction needs diffraction: true")
        return self

    @property
    def of_user(self) -> bool:
        """Whether the scene is the user's own file."""
        return self.scene.endswith(".xml")

    @property
    def title(self) -> str:
        """The scene's name, or that of the user's file."""
        return PurePath(self.scene).stem if self.of_user else self.scene

    @property
    def site(self) -> Site:
        """Where the base station stands and faces."""
        given = SITES.get(self.scene, Site((0.0, 0.0, 0.0), 0.0))
        return Site(given.position_m if self.position_m is None else self.position_m,
                    given.azimuth_deg if self.azimuth_deg is None else self.azimuth_deg)
