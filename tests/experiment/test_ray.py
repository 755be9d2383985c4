"""Ray changes who computes a unit and nothing else, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import psutil
import pytest

ray = pytest.importorskip("ray")

import linksim.experiment.run as run_module  # noqa: E402
from linksim.experiment.execute import RayExecutor  # noqa: E402
from linksim.experiment.failure import RemoteTraceback, failure_line  # noqa: E402
from linksim.experiment.run import run  # noqa: E402
from linksim.loading.load import load_scenario, scenario_from_dict  # noqa: E402

PLUGIN = """
import time, pathlib
import linksim
from linksim.blocks.prediction.base import Predictor


class Unlucky(Exception):
    pass


@linksim.register("predictor", "PREFIX_slow_hold")
class SlowHold(Predictor):
    '''Hold that takes its time, so that a test can strike meanwhile.'''

    def __init__(self, delay_s: float = 0.3):
        super().__init__()
        self.delay_s = delay_s

    def predict(self, history, time_s, frequency_hz):
        time.sleep(self.delay_s)
        last = history.h[..., -1:, :].expand(*history.h.shape[:4], len(time_s), -1)
        return history.with_h(last, time_s, frequency_hz)


@linksim.register("predictor", "PREFIX_raises")
class Raises(Predictor):
    '''Raises.'''

    def predict(self, history, time_s, frequency_hz):
        raise Unlucky("no luck")
"""


@pytest.fixture
def plugin(tmp_path):
    """A plugin file and the prefix of its blocks' names."""
    prefix = f"p{abs(hash(str(tmp_path)))}"
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN.replace("PREFIX", prefix))
    return str(path), prefix


@pytest.fixture(scope="module")
def cluster():
    """Two nodes on this machine, two logical CPUs each."""
    from ray.cluster_utils import Cluster

    # workers find linksim as this process does, and do not starve the machine
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def results_of(folder):
    files = sorted((folder / "drops").glob("*.parquet"))
    assert len(files) == 8
    return (folder / "metrics.csv").read_bytes(), {path.name: path.read_bytes() for path in files}


def unit_processes():
    """Worker processes of Ray that run a unit now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any("simulate" in part for part in process.info["cmdline"] or ()) \
                and process.info["cmdline"][0].startswith("ray::"):
            found.append(process)
    return found


@pytest.mark.slow
def test_workers_nodes_order_and_kills_change_no_byte(cluster, plugin, tiny, tmp_path, monkeypatch):
    path, prefix = plugin
    scenario = scenario_from_dict(tiny({
        "plugins": [path], "channel.num_history": 8, "training.num_drops": 50,
        "training.folder": str(tmp_path / "checkpoints"),
        "methods": ["perfect CSI", {"name": "slow", "predictor": f"{prefix}_slow_hold"},
                    {"name": "ridge", "predictor": {"type": "ridge", "num_snr_classes": 2}}],
        "sweep": {"channel.speed_kmh": [3, 30], "link.snr_db": [0, 10]},
        "run.stopping.min_drops": 8, "run.stopping.max_drops": 8,
    }))

    def go(name, **options):
        run(scenario, output=tmp_path / name, report=False, **options)
        return results_of(tmp_path / name)

    expected = go("alone")
    for workers in (1, 4):
        # one worker too goes through Ray here, as the address is given
        with monkeypatch.context() as patch:
            seen = []
            original = RayExecutor.__init__

            def init(self, *arguments, original=original, seen=seen):
                original(self, *arguments)
                seen.append(self.description)

            patch.setattr(RayExecutor, "__init__", init)
            assert go(f"workers {workers}", workers=workers, ray_address=cluster.address) == expected
            assert "2 nodes" in seen[0]

    killed = []

    def strike():
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            for process in unit_processes()[:1]:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
            time.sleep(0.02)

    thread = threading.Thread(target=strike)
    thread.start()
    assert go("killed", workers=2, ray_address=cluster.address) == expected
    thread.join()
    assert killed

    class Reversed(RayExecutor):
        def run(self, units):
            return super().run(units[::-1])

    monkeypatch.setattr(run_module, "make_executor",
                        lambda scenario, device, workers, address: Reversed(scenario, device, 2, cluster.address))
    assert go("reversed") == expected


@pytest.mark.slow
def test_a_users_exception_comes_back_from_a_worker_as_itself(cluster, plugin, tiny, tmp_path):
    path, prefix = plugin
    scenario = scenario_from_dict(tiny({
        "plugins": [path], "methods": [{"name": "mine", "predictor": f"{prefix}_raises"}]}))
    with pytest.raises(Exception, match="no luck") as caught:
        run(scenario, output=tmp_path / "out", report=False, ray_address=cluster.address)
    assert type(caught.value).__name__ == "Unlucky"
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert f'File "{path}"' in str(caught.value.__cause__)
    line = failure_line(caught.value)
    assert line.startswith(f"{path}:")
    assert "(method 'mine')" in line
    assert line.endswith("Unlucky: no luck")


@pytest.mark.parametrize(("address", "words"), [
    ("nonsense", "Invalid address"), ("127.0.0.1:1", "connection refused"), ("127.0.0.1:99999", "no cluster"),
])
def test_an_address_without_a_cluster_is_one_line_at_once(address, words, scenario_file, command, tmp_path):
    began = time.monotonic()
    outcome = command("run", scenario_file(), "--output", tmp_path / "out", "--ray", address)
    assert outcome.code == 2
    assert f"--ray {address}: no cluster answers there" in outcome.line
    assert words in outcome.line
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - began < 15


@pytest.mark.slow
def test_more_workers_than_cores_start_here_and_stay_quiet(scenario_file, tmp_path):
    import subprocess

    path = scenario_file({"run.stopping.min_drops": 8})
    load_scenario(path)
    workers = (os.cpu_count() or 1) + 2
    process = subprocess.run(
        [sys.executable, "-m", "linksim.cli", "run", path, "--output", tmp_path / "out", "--workers", str(workers)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert f"{workers} workers of 1 thread" in process.stdout
    assert process.stderr == ""
    assert len(list((tmp_path / "out" / "drops").iterdir())) == 4
