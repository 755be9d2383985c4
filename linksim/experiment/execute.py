"""Run work units here, or on Ray: the same units with the same seeds, so the same numbers."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linksim.core.errors import LinksimError
from linksim.core.heartbeat import doing
from linksim.core.interruption import handlers_kept
from linksim.core.packages import import_optional
from linksim.experiment.failure import BlockError, RemoteTraceback, sendable
from linksim.experiment.work_unit import UnitResult, UnitRunner
from linksim.scenario.schema import Scenario

Unit = tuple[int, int]
"""(channel point, chunk)."""

_RAY_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning at every start otherwise
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, Ray would build the environment anew for each worker
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_ANSWER_S = 5.0
"""How long a cluster's port may take to answer."""


class LocalExecutor:
    """Runs units one after another in this process."""

    def __init__(self, scenario: Scenario, device: str) -> None:
        self._scenario = scenario
        self._device = device
        self._runner: UnitRunner | None = None
        threads = scenario.run.threads_per_worker
        self.description = f"this process, {threads} thread{'s' * (threads > 1)}"

    def run(self, units: list[Unit]) -> Iterator[UnitResult]:
        """Yield the results of the units."""
        for number, (channel_point, chunk) in enumerate(units, 1):
            if self._runner is None:  # on first use: checkpoints are trained after the executor is made
                with doing("loading what was trained"):
                    self._runner = UnitRunner(self._scenario, self._device)
            with doing(f"unit {number} of {len(units)}"):
                result = self._runner.run(channel_point, chunk)
            yield result

    def close(self) -> None:
        """Nothing to release."""


class RayExecutor:
    """Runs units as Ray tasks on this machine or a cluster; a unit of a lost worker is run again elsewhere.

    :param workers: units in flight at a time; None: as many as the cluster's CPUs (and GPUs) allow.
    :param address: of a running cluster; None starts one on this machine.
    :raises LinksimError: Ray is not installed, no cluster answers, or it has no GPU where one is asked for.
    """

    def __init__(self, scenario: Scenario, device: str, workers: int | None, address: str | None) -> None:
        self._ray = ray = _ray()
        threads = scenario.run.threads_per_worker
        self._connected_before = ray.is_initialized()
        if not self._connected_before:
            _connect(ray, address, (workers or 1) * threads)
        resources = ray.cluster_resources()
        capacity = max(1, int(resources.get("CPU", 1)) // threads)
        gpus = 0.0
        if device.startswith("cuda"):
            found = resources.get("GPU", 0)
            if not found:
                self.close()
                raise LinksimError(f"run.device: {device} asked for, but the Ray cluster has no GPU; use cpu")
            # on this machine the workers share its GPUs; on a cluster each has its own unless told how many
            gpus = min(1.0, found / workers) if workers else 1.0
        self._in_flight = min(workers or capacity, capacity)
        # relative to here, not to where the cluster was started
        training = scenario.training.model_copy(update={"folder": str(Path(scenario.training.folder).resolve())})
        text = scenario.model_copy(update={"training": training}).model_dump_json()
        # Ray shows each task its own GPU alone, whatever its number on the machine
        worker_device = "cuda:0" if gpus else device

        def simulate(channel_point: int, chunk: int) -> UnitResult:
            try:
                return _runner(text, worker_device).run(channel_point, chunk)
            except Exception as error:
                raise sendable(error) from None

        self._simulate = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=5)(simulate)
        nodes = sum(1 for node in ray.nodes() if node["Alive"])
        self.description = (f"Ray, {nodes} node{'s' * (nodes > 1)}, {self._in_flight} workers of "
                            f"{threads} thread{'s' * (threads > 1)}")

    def run(self, units: list[Unit]) -> Iterator[UnitResult]:
        """Yield the results of the units as they arrive, in any order.

        :raises LinksimError: the cluster is gone, or a worker died again and again.
        :raises Exception: a block's own exception as itself, the worker's traceback as its cause.
        """
        exceptions = self._ray.exceptions
        waiting = list(reversed(units))
        running: list[Any] = []
        try:
            while waiting or running:
                while waiting and len(running) < self._in_flight:
                    running.append(self._simulate.remote(*waiting.pop()))
                left = f"{len(units) - len(waiting) - len(running)} of {len(units)} units are back"
                with doing(f"{len(running)} units at work on Ray; {left}"):
                    done, running = self._ray.wait(running, num_returns=1)
                try:
                    result = self._ray.get(done[0])
                except exceptions.RayTaskError as error:
                    text = _COLOURS.sub("", str(error))
                    raise _own_exception(error, exceptions.RayError, text) from RemoteTraceback(text)
                except exceptions.RayError as error:
                    reason = " ".join(str(error).split("\n")[0].split())
                    raise LinksimError(f"Ray lost a unit for good: {reason}; run again to go on") from None
                yield result
        finally:
            for task in running:
                with contextlib.suppress(exceptions.RayError):
                    self._ray.cancel(task, force=False)

    def close(self) -> None:
        """Leave the cluster (and stop it if it was started here)."""
        if not self._connected_before:
            self._ray.shutdown()


def check_executor(workers: int, address: str | None) -> None:
    """Whether `make_executor` will find what it needs, before anything is traced or trained.

    :raises LinksimError: Ray is asked for and not installed.
    """
    if address is not None or workers > 1:
        _ray()


def _ray() -> Any:
    """Ray, imported with its settings."""
    for name, value in _RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        return import_optional("ray", "ray")
    except LinksimError as error:
        raise LinksimError(f"--workers and --ray need Ray: {error}") from None


def _connect(ray: Any, address: str | None, logical_cpus: int) -> None:
    """Start a cluster here, or join one.

    :raises LinksimError: no cluster answers.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():  # Ray itself would try for minutes, and log it
        try:
            socket.create_connection((host, int(port)), _ANSWER_S).close()
        except (OSError, OverflowError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise LinksimError(f"--ray {address}: no cluster answers there: {reason}") from None
    # logical CPUs: on this machine N workers are N workers, whatever its cores; "local" never joins a cluster
    # that happens to run here
    local = {} if address else {"num_cpus": logical_cpus, "include_dashboard": False}
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with handlers_kept():
            ray.init(address=address or "local", configure_logging=False, log_to_driver=False, **local)
    except SystemExit as stop:  # what Ray makes of SIGTERM as long as it starts
        raise KeyboardInterrupt from stop
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, OSError, AssertionError) as error:
        reason = " ".join(str(error).split())
        where = f"--ray {address}: no cluster answers there" if address else "--workers: Ray does not start here"
        raise LinksimError(f"{where}: {reason}") from None


def _own_exception(error: Any, ray_error: type[Exception], text: str) -> Exception:
    """What a task raised, without Ray's wrapping."""
    if isinstance(error.cause, Exception) and not isinstance(error.cause, ray_error):
        return error.cause
    return BlockError(text.strip().rpartition("\n")[2])


_runners: dict[tuple[str, str], UnitRunner] = {}


def _runner(scenario_text: str, device: str) -> UnitRunner:
    """The worker process's runner of a scenario, made on its first unit."""
    key = (scenario_text, device)
    if key not in _runners:
        _runners.clear()
        _runners[key] = UnitRunner(Scenario.model_validate_json(scenario_text), device)
    return _runners[key]


def make_executor(scenario: Scenario, device: str, workers: int, address: str | None
                  ) -> LocalExecutor | RayExecutor:
    """In this process unless several workers or a cluster are asked for."""
    if address is None and workers <= 1:
        return LocalExecutor(scenario, device)
    return RayExecutor(scenario, device, workers if workers > 1 else None, address)
