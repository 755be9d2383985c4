"""Maps of the cell: a dot for every user, its colour the value there, a panel for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from linksim.report import style
from linksim.report.canvas import wrapped

_ACROSS = 3
_COLOURS = "viridis"


def draw_maps(places: Mapping[str, numpy.ndarray], heading: str, label: str) -> Figure:
    """One panel for each series; all have the same colours and the same scale of length on both axes.

    :param places: by series, east and north of the base station in metres and the value, ``[user, 3]``.
    :param heading: above all panels.
    :param label: of the colours.
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
    low, high = numpy.percentile(everywhere[:, 2], [2, 98])
    for panel, (name, dots) in zip(panels, places.items()):
        shown = panel.scatter(dots[:, 0], dots[:, 1], c=dots[:, 2], vmin=low, vmax=high, cmap=_COLOURS, s=14,
                              linewidths=0)
        panel.plot(0, 0, "^", color="black", markersize=6)
        panel.set_aspect("equal")
        panel.set_title(wrapped(name))
    for panel in panels[len(places):]:
        panel.set_visible(False)
    for panel in grid[:, 0]:
        panel.set_ylabel("north (m)")
    for number in range(max(0, len(places) - across), len(places)):
        panels[number].set_xlabel("east (m)")
        panels[number].tick_params(labelbottom=True)
    figure.colorbar(shown, ax=panels[:len(places)], label=label, extend="both")
    if heading:
        figure.suptitle(heading)
    return figure
