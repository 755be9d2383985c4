"""Where a channel's paths come from: a scene or areas that are traced, or what others have traced."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import psutil

from linksim.channel.ray_traced.imported_tables import imported_table
from linksim.channel.ray_traced.runtime import import_sionna_rt
from linksim.channel.ray_traced.table import PathTable, table_name
from linksim.channel.ray_traced.tracing import kept_table
from linksim.core.errors import ScenarioError
from linksim.core.files import cache_folder
from linksim.core.printing import write
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import PROCEDURAL

_MEMORY_BYTES = 2e9
"""Memory of a process that traces."""

_SAID_EVERY_S = 10.0


def table_of_areas(channel: Channel, say: Callable[[str], None]) -> PathTable:
    """All areas of a channel; those that are not in the cache are traced, each in a process of its own.

    A kill loses the areas in flight. Areas without any path are left out.

    :param say: is told of the progress.
    :raises ScenarioError: tracing is not possible here, or no position of any area has a path.
    :raises StoreError: the cache folder cannot be written.
    """
    single = [channel.model_copy(update={"ray_traced": options}) for options in channel.ray_traced.areas]
    missing = [one for one in single if not (cache_folder() / table_name(one)).is_file()]
    if missing:
        import_sionna_rt()  # says what is wrong before any process is started
        _trace_all(missing, say)
    parts = [kept_table(one, say).in_area(one.ray_traced.first_area) for one in single]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise ScenarioError(f"channel.ray_traced: no position of {channel.ray_traced.title} is reached by a path: "
                            "allow more (max_depth, diffraction, radius_m)")
    return PathTable.joined(parts, {**parts[0].about, "options": channel.ray_traced.model_dump(mode="json"),
                                    "candidates": sum(part.about.get("candidates", 0) for part in parts)})


def num_processes(jobs: int) -> int:
    """How many processes trace: one a core, as memory allows."""
    return max(1, min(jobs, os.cpu_count() or 1, int(psutil.virtual_memory().available / _MEMORY_BYTES)))


def _trace_all(channels: list[Channel], say: Callable[[str], None]) -> None:
    title, began, said = channels[0].ray_traced.title, time.monotonic(), 0.0
    requests = [one.model_dump(mode="json") for one in channels]
    processes = num_processes(len(channels))
    if processes == 1:
        for request in requests:
            _trace_one(request)
        return
    # spawned: LLVM and torch do not survive a fork
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _one_thread) as pool:
        jobs = [pool.submit(_trace_one, request) for request in requests]
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                elapsed = time.monotonic() - began
                if elapsed - said > _SAID_EVERY_S or done == len(jobs):
                    said = elapsed
                    say(f"tracing {title} and on: {done} of {len(jobs)} areas, about "
                        f"{elapsed / done * (len(jobs) - done):.0f} s left")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    """Cores are shared by the processes, not by the threads of each."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import_sionna_rt()
    import drjit  # optional
    import torch  # start-up

    drjit.set_thread_count(1)
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    """A run that is killed leaves nobody waiting for its next area."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _trace_one(request: dict[str, Any]) -> None:
    kept_table(Channel.model_validate(request), lambda text: None)


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
