"""Maps of the cell: a dot for every user, its colour the value there, a panel for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from linksim.core.errors import LinksimError
from linksim.report import style
from linksim.report.canvas import wrapped
from linksim.scenario.channel import SOURCE_SECTIONS
from linksim.scenario.identity import NOT_DRAWN

_ACROSS = 3
_COLOURS = "viridis"
_BUILT_UP_M = 2.5
_MARGIN_M = 20.0
_TITLE_PER_IN = 11
"""Characters of a panel's title."""

Ground = tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]
"""East and north of the corners of cells, m, and which cells are built up."""


def footprint(manifest: Mapping[str, Any]) -> Ground | None:
    """What stands around the base station of a run, if it was ray-traced in one scene and its map is at hand."""
    try:
        channel = manifest["scenario"]["channel"]
        section = SOURCE_SECTIONS.get(channel["source"])
        if section is None or section in NOT_DRAWN:
            return None
        from linksim.channel.ray_traced.maps import corners, height_map  # start-up
        from linksim.scenario.ray_traced import RayTraced  # start-up

        options = RayTraced.model_validate(channel[section])
        return (*corners(options), height_map(options).numpy() > _BUILT_UP_M) if options.num_areas == 1 else None
    except (KeyError, TypeError, ValueError, LinksimError):
        return None


def draw_maps(places: Mapping[str, numpy.ndarray], heading: str, label: str, ground: Ground | None = None, *,
              logarithmic: bool = False) -> Figure:
    """One panel for each series; all have the same colours and the same scale of length on both axes.

    :param places: by series, east and north of the base station in metres and the value, ``[user, 3]``.
    :param heading: above all panels.
    :param label: of the colours.
    :param ground: drawn below the dots.
    :param logarithmic: colours by decades; what is not positive has the colour of the least.
    """
    across = min(_ACROSS, len(places))
    rows = math.ceil(len(places) / across)
    everywhere = numpy.concatenate(list(places.values()))
    spans = numpy.ptp(numpy.vstack([everywhere[:, :2], numpy.zeros((1, 2))]), axis=0)
    width_in = style.PAGE_WIDTH_IN if across > 1 else style.COLUMN_WIDTH_IN
    height_in = min(max((width_in - 1.2) / across * spans[1] / max(spans[0], 1e-9), 1.0), 4.0)
    figure = Figure(figsize=(width_in, rows * (height_in + 0.35) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    panels = grid.flatten().tolist()
    colours = _colours(everywhere[:, 2], logarithmic)
    for panel, (name, dots) in zip(panels, places.items()):
        if ground is not None:
            panel.pcolormesh(*ground[:2], numpy.ma.masked_equal(ground[2].astype(float), 0), cmap="Greys", vmin=0,
                             vmax=4, rasterized=True)
        values = numpy.maximum(dots[:, 2], colours.vmin or 0.0) if logarithmic else dots[:, 2]
        shown = panel.scatter(dots[:, 0], dots[:, 1], c=values, norm=colours, cmap=_COLOURS, s=14, linewidths=0)
        panel.plot(0, 0, "^", color="black", markersize=6)
        panel.set_aspect("equal")
        if ground is not None:  # the ground reaches farther than anybody stands
            panel.set_xlim(*_around(everywhere[:, 0]))
            panel.set_ylim(*_around(everywhere[:, 1]))
        panel.set_title(wrapped(name, max(8, int(_TITLE_PER_IN * (width_in - 1.2) / across))))
    for panel in panels[len(places):]:
        panel.set_visible(False)
    for panel in grid[:, 0]:
        panel.set_ylabel("north (m)")
    for number in range(max(0, len(places) - across), len(places)):
        panels[number].set_xlabel("east (m)")
        panels[number].tick_params(labelbottom=True)
    bar = figure.colorbar(shown, ax=panels[:len(places)], label=label, extend="both")
    if isinstance(colours, LogNorm):
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if heading:
        figure.suptitle(heading)
    return figure


def _colours(values: numpy.ndarray, logarithmic: bool) -> Normalize:
    """All but the outermost values, of which a few must not decide how the others look."""
    positive = values[values > 0]
    if logarithmic and len(positive):
        return LogNorm(*numpy.percentile(positive, [2, 98]))
    return Normalize(*numpy.percentile(values, [2, 98]))


def _around(values: numpy.ndarray) -> tuple[float, float]:
    """From the lowest to the highest, the base station included."""
    return min(values.min(), 0.0) - _MARGIN_M, max(values.max(), 0.0) + _MARGIN_M
