"""What a scenario leaves out comes from the file; what it says must agree; drops are as many as the file holds."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from linksim.channel.files import opened
from linksim.channel.source import chunk_of_drops
from linksim.experiment.plan import channel_identity, make_plan
from linksim.experiment.run import run
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.scenario.identity import scenario_hash
from linksim.scenario.schema import Scenario
from linksim.training.data import problem_shape

EXPORTED = {"channel.num_users": 2, "channel.speed_kmh": 60, "channel.carrier_frequency_ghz": 3.5, "channel.los": "los",
            "channel.csi_period_ms": 1, "channel.ue_array": {"num_antennas": 2, "pattern": "38.901"}}


def test_every_channel_field_is_the_one_the_file_was_written_with(exported, reading, tiny):
    scenario = reading(exported(changes=EXPORTED))
    drawn = scenario_from_dict(tiny(EXPORTED)).channel
    assert scenario.channel.model_copy(update={"source": "model", "files": drawn.files}) == drawn


@pytest.mark.parametrize(("channel", "words"), [
    ({"num_users": 1}, ["channel.num_users: 1 here, but linksim file", "has 2: leave it out"]),
    ({"speed_kmh": 30}, ["channel.speed_kmh: 30.0 here", "has 60"]),
    ({"los": "mixed"}, ["channel.los: mixed here", "has los"]),
    ({"model": "umi"}, ["channel.model: umi here", "has uma"]),
    ({"num_subcarriers": 7}, ["channel.num_subcarriers: 7 here", "has 8"]),
    ({"num_history": 5}, ["channel.num_history: 5 here", "has 4 samples"]),
    ({"num_future": 3}, ["channel.num_future: 3 here", "has 2 samples"]),
    ({"bs_array": {"rows": 2}}, ["channel.bs_array.rows: 2 here", "has 1"]),
    ({"normalization": "none"}, ["channel.normalization: none here", "has user"]),
    ({"duplex": "fdd_adjacent"}, ["channel.duplex: fdd_adjacent here", "has tdd"]),
    ({"ue_array": {"num_antennas": 1}}, ["channel.ue_array.num_antennas: 1 here", "has 2"]),
])
def test_what_contradicts_the_file_is_one_line_that_names_both_sides(channel, words, exported, refused):
    line = refused(exported(changes=EXPORTED), channel)
    for word in words:
        assert word in line
    assert line.endswith("leave it out") or "samples" in line


def test_what_agrees_may_be_said(exported, reading):
    reading(exported(changes=EXPORTED), {"num_users": 2, "speed_kmh": 60.0, "los": "los", "num_history": 3})


def test_a_swept_field_of_the_file_must_be_named_or_swept(exported, reading, refused):
    path = exported(changes={"sweep": {"channel.speed_kmh": [3, 60]}})
    assert "holds several values of channel.speed_kmh (3.0, 60.0): write one of them, or sweep it" in refused(path)
    assert reading(path, {"speed_kmh": 3}).channel.speed_kmh == 3
    assert len(make_plan(reading(path, sweep={"channel.speed_kmh": [60, 3]})).channel_points) == 2
    line = refused(path, {"speed_kmh": 30})
    assert "channel.speed_kmh: linksim file" in line
    assert "has no drops with speed_kmh 30.0; it holds speed_kmh 3.0; speed_kmh 60.0" in line
    line = refused(path, sweep={"channel.speed_kmh": [3, 30]})
    assert line.startswith("scenario: sweep.channel.speed_kmh: ")
    line = refused(path, {"speed_kmh": 3}, sweep={"channel.num_users": [1, 2]})
    assert "sweep.channel.num_users" in line
    assert "2 here" in line


def test_other_axes_sweep_as_ever_on_the_same_drops(exported, reading):
    scenario = reading(exported(), sweep={"link.snr_db": [0, 10], "channel.num_history": [2, 4]})
    assert len(make_plan(scenario).channel_points) == 2


@pytest.mark.parametrize("key", ["channel.source", "channel.files.path", "channel.files.tones"])
def test_where_channels_come_from_cannot_be_swept(key, exported, refused):
    assert f"sweep.{key}: one run takes its channels from one place" in refused(exported(), sweep={key: [1, 2]})


def test_the_run_ends_with_the_files_whole_chunks(exported, reading, tmp_path, refused):
    path = exported(num_drops=9)
    stopping = {"min_drops": 4, "max_drops": 1000, "half_width": 1e-9}
    scenario = reading(path, run={"chunk_size": 2, "units_per_round": 3, "threads_per_worker": 1, "stopping": stopping})
    assert (make_plan(scenario).min_units(), make_plan(scenario).max_units()) == (2, 4)
    results = run(scenario, output=tmp_path / "out", report=False)
    assert set(results.to_pandas().num_drops) == {8}
    line = refused(path, run={"chunk_size": 4, "stopping": {"min_drops": 20}})
    assert line == (f"scenario: run.stopping.min_drops: 20 drops wanted, but linksim file {path} has 9 (2 whole chunks "
                    "of 4): --set run.stopping.min_drops=8")
    assert "--set run.chunk_size=9" in refused(path, run={"chunk_size": 25})


def test_maps_need_to_know_where_the_base_station_stands(exported, refused):
    line = refused(exported("small.h5"), run={"chunk_size": 3, "maps": True})
    assert line.startswith("scenario: run.maps: drops of channel files do not say where the base station stands")


def test_bounds_and_training_say_what_they_need(exported, refused):
    path = exported("small.h5", with_rays=False)
    line = refused(path, bounds=["genie_lmmse"])
    assert line.startswith("scenario: bounds: genie_lmmse: needs the rays of every drop, which linksim file")
    line = refused(path, methods=["hold", "ridge"])
    assert line.startswith("scenario: channel.files.training_path: method 'ridge' is trained")
    klt = {"name": "KLT", "feedback": {"type": "klt", "bits": 60}}
    line = refused(path, methods=["hold", klt])
    assert line.startswith("scenario: channel.files.training_path: method 'KLT' is trained")
    training = {"training_path": str(exported("training.h5", num_drops=10, split="training"))}
    line = refused(path, files=training, methods=["ridge"])
    assert "channel.files.training_path" in line
    assert "holds 10 drops, but training takes 400" in line
    assert "holds 10 drops, but training takes 400" in refused(path, files=training, methods=["hold", klt])
    other = {"training_path": str(exported("other.h5", {"channel.num_subcarriers": 4}, 10, split="training"))}
    line = refused(path, files=other, methods=["ridge"])
    assert "channel.files.training_path: num_subcarriers: 8 here, but linksim file" in line


def test_training_may_have_other_speeds_and_propagation_but_not_other_sizes(exported, reading):
    path = exported(changes={"channel.speed_kmh": 30})
    training = exported("training.h5", {"channel.speed_kmh": 90, "channel.los": "nlos"}, 250, split="training")
    scenario = reading(path, files={"training_path": str(training)}, methods=["ridge"], training={"num_drops": 250})
    cycles = 90 / 3.6 * 2.4e9 / 299792458 * 0.5e-3
    assert problem_shape(scenario).max_doppler_cycles == pytest.approx(cycles)


def test_a_worker_gets_the_scenario_whole(exported, reading):
    scenario = reading(exported(), {"num_history": 2})
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario


def test_paths_are_relative_to_the_scenario_file(exported, scenario_file, tmp_path, monkeypatch):
    exported("deeper.h5")
    monkeypatch.chdir("/")
    path = scenario_file({"channel": {"source": "files", "files": {"path": "deeper.h5"}}})
    assert load_scenario(path).channel.files.path == str(tmp_path / "deeper.h5")


def test_a_fault_names_file_line_and_key(exported, scenario_file, command, tmp_path):
    exported("drops.h5")
    text = {"source": "files", "files": {"path": "drops.h5"}, "num_users": 3}
    path = scenario_file({"channel": text})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    number = next(n for n, line in enumerate(path.read_text().splitlines(), 1) if "num_users" in line)
    assert outcome.line.startswith(f"error: {path}:{number}: channel.num_users: 3 here, but linksim file")
    assert not (tmp_path / "out").exists()
    for changes, words in [
        ({"source": "files"}, "write files.path or files.generator"),
        ({"files": {"path": "drops.h5"}}, "source is model: write source: files"),
        ({"source": "files", "files": {"path": "drops.h5", "generator": "x"}}, "not both"),
        ({"source": "files", "files": {"path": "drops.h5", "fromat": "auto"}}, "did you mean 'format'"),
        ({"source": "files", "files": {"path": "drops.h5", "antenna_order": ["row"]}}, "once each"),
        ({"source": "files", "files": {"path": 3}}, "a text needed"),
        ({"source": "files", "files": 3}, "keys and values needed"),
        ({"source": "file", "files": {"path": "drops.h5"}}, "unknown source 'file': did you mean 'files'?"),
        ({"carrier_frequency_ghz": 0.3}, "at least 0.5 for uma"),
    ]:
        outcome = command("validate", scenario_file({"channel": changes}))
        assert outcome.code == 2
        assert words in outcome.line, outcome.line


def test_a_file_counts_by_its_content_not_by_its_name(exported, reading, refused, tmp_path):
    path, other = exported("one.h5", {"seed": 1}), exported("two.h5", {"seed": 2})
    moved = tmp_path / "moved.h5"
    shutil.copy(path, moved)
    one, two, three = (reading(file) for file in (path, other, moved))
    assert one.channel.files.sha256 == three.channel.files.sha256 != two.channel.files.sha256
    assert scenario_hash(one) == scenario_hash(three) != scenario_hash(two)
    assert channel_identity(one) == channel_identity(three) != channel_identity(two)
    reading(path, files={"sha256": one.channel.files.sha256})
    assert "not the file that was meant" in refused(path, files={"sha256": two.channel.files.sha256})


def test_a_digest_is_taken_once_and_anew_once_the_file_changes(exported, monkeypatch, tmp_path):
    path = exported()
    calls = []
    original = opened.file_digest
    monkeypatch.setattr(opened, "file_digest", lambda file: calls.append(file) or original(file))
    opened._digests.clear()
    noted = json.loads(opened.manifest_path(path).read_text())["file"]["sha256"]
    assert opened.digest(path) == noted
    assert not calls  # noted in the manifest beside it
    opened.manifest_path(path).unlink()
    opened._digests.clear()
    assert opened.digest(path) == opened.digest(path) == noted
    assert len(calls) == 1
    path.write_bytes(path.read_bytes() + b"x")
    assert opened.digest(path) != noted


def test_a_file_that_changes_under_a_run_stops_it(exported, reading):
    path = exported("drops.npz")
    channel = reading(path).channel
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["future/h"] = arrays["future/h"] * 2
    np.savez(path, **arrays)
    with pytest.raises(Exception, match="has changed since this run was planned"):
        chunk_of_drops(channel, 2, 0, 0)


def test_the_manifest_of_a_run_names_the_file(exported, scenario_file, command, tmp_path):
    exported("drops.h5")
    path = scenario_file({"channel": {"source": "files", "files": {"path": "drops.h5"}}})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "drops.h5, 2.4 GHz" in outcome.out
    saved = json.loads((tmp_path / "out" / "manifest.json").read_text())["scenario"]
    assert saved["channel"]["files"]["path"] == str(tmp_path / "drops.h5")
    assert yaml.safe_load(path.read_text())["channel"]["source"] == "files"


def test_beam_squint_is_the_files(exported, reading, refused):
    narrow, wide = (exported(name, {"channel.beam_squint": squint, "bounds": []})
                    for name, squint in (("a.h5", False), ("b.h5", True)))
    assert reading(narrow).channel.beam_squint is None
    assert reading(wide).channel.beam_squint
    assert "channel.beam_squint: the channels of" in refused(narrow, {"beam_squint": True})
    assert "channel.beam_squint: False here" in refused(wide, {"beam_squint": False})
    drops = chunk_of_drops(reading(wide).channel, 2, 0, 0)
    torch.testing.assert_close(drops.response(drops.history.time_s).h, drops.history.h)
