"""Run work units here, or on Ray: the same units with the same seeds, so the same numbers."""

from __future__ import annotations

from collections.abc import Iterator

from linksim.errors import LinksimError
from linksim.experiment.unit import UnitResult, UnitRunner
from linksim.scenario.schema import Scenario

Unit = tuple[int, int]
"""(channel point, chunk)."""


class LocalExecutor:
    """Runs units one after another in this process."""

    def __init__(self, scenario: Scenario, device: str) -> None:
        self._runner = UnitRunner(scenario, device)
        self.description = f"this process, {scenario.run.threads_per_worker} threads"

    def run(self, units: list[Unit]) -> Iterator[UnitResult]:
        """Yield the results of the units."""
        for channel_point, chunk in units:
            yield self._runner.run(channel_point, chunk)

    def close(self) -> None:
        """Nothing to release."""


class RayExecutor:
    """Runs units as Ray tasks on this machine or a cluster; a unit of a lost worker is run again elsewhere.

    :param workers: units in flight at a time; None: as many as the cluster's CPUs allow.
    :param address: of a running cluster; None starts one on this machine.
    :raises LinksimError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, scenario: Scenario, device: str, workers: int | None, address: str | None) -> None:
        try:
            import ray
        except ImportError:
            raise LinksimError(
                "--workers and --ray need Ray: pip install 'linksim[ray]' (or uv run --extra ray …)"
            ) from None
        self._ray = ray
        threads = scenario.run.threads_per_worker
        try:
            # logical CPUs: on this machine N workers are N workers, whatever its cores
            local = {} if address else {"num_cpus": (workers or 1) * threads, "include_dashboard": False}
            ray.init(address=address, configure_logging=False, log_to_driver=False, **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise LinksimError(f"--ray {address}: no cluster answers there: {error}") from None
        capacity = max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
        self._in_flight = min(workers or capacity, capacity)
        text = scenario.model_dump_json()
        gpus = 1 if device.startswith("cuda") else 0

        @ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=5)
        def simulate(channel_point: int, chunk: int) -> UnitResult:
            return _runner(text, device).run(channel_point, chunk)

        self._simulate = simulate
        nodes = sum(1 for node in ray.nodes() if node["Alive"])
        self.description = f"Ray, {nodes} node{'s' * (nodes > 1)}, {self._in_flight} workers"

    def run(self, units: list[Unit]) -> Iterator[UnitResult]:
        """Yield the results of the units as they arrive, in any order; a block's own exception is raised as is."""
        waiting = list(reversed(units))
        running = []
        try:
            while waiting or running:
                while waiting and len(running) < self._in_flight:
                    running.append(self._simulate.remote(*waiting.pop()))
                done, running = self._ray.wait(running, num_returns=1)
                try:
                    yield self._ray.get(done[0])
                except self._ray.exceptions.RayTaskError as error:
                    raise error.cause if error.cause is not None else error from None
        finally:
            for task in running:
                self._ray.cancel(task, force=False)

    def close(self) -> None:
        """Leave the cluster (and stop it if it was started here)."""
        self._ray.shutdown()


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
