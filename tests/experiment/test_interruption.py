"""Signals to a running process: partial results are kept, and a resumed run ends with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

LONG = {
    "run.stopping.min_drops": 40, "run.stopping.max_drops": 40, "run.units_per_round": 4,
    "sweep": {"link.snr_db": [0, 10]},
}

SLOW = """
import sys, time, types
quiet = types.ModuleType("linksim.report.build")
quiet.build_report = lambda folders, output=None, say=None: []
sys.modules[quiet.__name__] = quiet  # figures take seconds
from linksim.results.store import Store
write = Store.write_unit
def slow(self, *arguments):
    path = write(self, *arguments)
    time.sleep(0.05)
    return path
Store.write_unit = slow
from linksim.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments):
    return subprocess.Popen([sys.executable, "-c", SLOW, *map(str, arguments)], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                            # what is started in the background, or under nohup, has them ignored
                            preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL)
                                                for number in (signal.SIGINT, signal.SIGHUP)])


def wait_for_units(process, folder, count):
    for _ in range(3000):
        if len(list((folder / "drops").glob("*.parquet"))) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no unit was finished")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny):
    """metrics.csv of the long run, undisturbed."""
    from linksim.experiment.run import run
    from linksim.loading.load import scenario_from_dict

    folder = tmp_path_factory.mktemp("whole") / "out"
    run(scenario_from_dict(tiny(LONG)), output=folder, report=False)
    return (folder / "metrics.csv").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_results_and_resumes_to_the_same_bytes(number, scenario_file, command, tmp_path,
                                                                            uninterrupted):
    path, folder = scenario_file(LONG), tmp_path / "out"
    process = start("run", path, "--output", folder)
    wait_for_units(process, folder, 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "run the same command to go on" in out.replace("\n", " ")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    assert b"nmse_db" in (folder / "metrics.csv").read_bytes()
    assert not list(folder.rglob("*.tmp"))
    assert len(list((folder / "drops").iterdir())) < 20
    assert command("run", path, "--output", folder).code == 0
    assert (folder / "metrics.csv").read_bytes() == uninterrupted


def test_a_killed_run_resumes_to_the_same_bytes_and_a_second_run_is_refused_meanwhile(scenario_file, command,
                                                                                      tmp_path, uninterrupted):
    path, folder = scenario_file(LONG), tmp_path / "out"
    process = start("run", path, "--output", folder)
    wait_for_units(process, folder, 3)
    began = time.monotonic()
    outcome = command("run", path, "--output", folder)
    assert outcome.code == 2
    assert "another run is writing here" in outcome.line
    assert time.monotonic() - began < 5
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert command("run", path, "--output", folder).code == 0
    assert (folder / "metrics.csv").read_bytes() == uninterrupted
