"""Where a channel's paths come from: a scene or areas that are traced, or what others have traced."""

from __future__ import annotations

from collections.abc import Callable

from linksim.channel.ray_traced.areas import table_of_areas
from linksim.channel.ray_traced.imported_tables import imported_table
from linksim.channel.ray_traced.table import PathTable, table_name
from linksim.channel.ray_traced.tracing import kept_table
from linksim.core.files import cache_folder
from linksim.core.printing import write
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import PROCEDURAL

_TABLES: dict[tuple[str, str], PathTable] = {}
"""Read before, by cache folder and name."""


def path_table(channel: Channel, say: Callable[[str], None] | None = None) -> PathTable:
    """The table of a channel: from the cache, traced at first.

    :param say: is told of the progress of tracing; by default it is written to stderr.
    :raises ScenarioError: it has to be traced, and cannot be.
    :raises StoreError: the cache folder cannot be written.
    """
    key = (str(cache_folder()), table_name(channel))
    if key not in _TABLES:
        if channel.ray_traced.imported:
            _TABLES[key] = imported_table(channel)
        elif channel.ray_traced.scene == PROCEDURAL:
            _TABLES[key] = table_of_areas(channel, say or _to_stderr)
        else:
            _TABLES[key] = kept_table(channel, say or _to_stderr)
    return _TABLES[key]


def _to_stderr(text: str) -> None:
    write(text, to_stderr=True)
