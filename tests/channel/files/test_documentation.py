"""docs/channel_files.md says what is true: its keys, its commands, its scenarios."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from linksim import cli
from linksim.channel.files.opened import manifest_path
from linksim.core import registry
from linksim.loading.json_schema import scenario_json_schema

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "channel_files.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_table_lists_the_keys_that_are_written(exported):
    section = PAGE.partition("## Keys")[2].partition("## Import")[0]
    listed = {key for cell in re.findall(r"^\| (`[^|]+) \|", section, re.M) for key in re.findall(r"`([^`]+)`", cell)}
    written = {"header"}
    for name, options in {"a.h5": {}, "b.h5": {"with_rays": False}}.items():
        path = exported(name, {"sweep": {"channel.speed_kmh": [3]}, "channel.duplex": "fdd_gapped_independent"},
                        **options)
        keys = json.loads(manifest_path(path).read_text())["keys"]
        written |= {re.sub(r"^(swept|rays|downlink_rays)/.*", r"\1/<name>", key) for key in keys}
    assert listed == written


def test_commands_can_be_given():
    lines = [line for text in blocks("bash") for line in text.splitlines()]
    assert len(lines) == 3
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["uv", "run", "linksim", "dataset"]
        assert (ROOT / cli._parser().parse_args(words[3:]).scenario).is_file()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_scenarios_fit_the_schema(text):
    import jsonschema

    jsonschema.Draft202012Validator(scenario_json_schema()).validate(yaml.safe_load(text))


def test_the_first_example_runs_as_it_stands(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = shlex.split(blocks("bash")[0].splitlines()[0])[3:]
    first[1] = str(ROOT / first[1])  # the scenario
    assert command(*first, "--num-drops", 25).code == 0  # fewer, for time
    (tmp_path / "stored.yaml").write_text(blocks("yaml")[0])
    few = ["--set", "run.stopping.min_drops=25", "--set", "run.stopping.max_drops=25", "--set", "bounds=[sum_capacity]"]
    outcome = command("run", "stored.yaml", "--output", "out", *few)
    assert outcome.code == 0, outcome.err


def test_the_live_source_runs_as_it_stands(command, tmp_path):
    (tmp_path / "two_rays.py").write_text(blocks("python")[0])
    (tmp_path / "live.yaml").write_text(blocks("yaml")[-1])
    try:
        outcome = command("run", tmp_path / "live.yaml", "--output", tmp_path / "out",
                          "--set", "run.stopping.min_drops=50", "--set", "run.stopping.max_drops=50")
        assert outcome.code == 0, outcome.err
    finally:
        registry._registered.pop(("cir_source", "two_rays"), None)
