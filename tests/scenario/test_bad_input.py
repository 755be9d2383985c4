"""Whatever is wrong with a scenario: exit code 2, one line with file, line, key and fix, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ARRAY = "channel.bs_array"


def entry(**fields):
    return {"methods": ["hold", {"name": "x", **fields}]}


def line_of(path: Path, text: str) -> int:
    """Number of the first line that holds a text; keys are told from longer ones that end the same."""
    lines = path.read_text(encoding="utf-8").splitlines()
    exact = [number for number, line in enumerate(lines, 1) if line.strip("- ").startswith(text)]
    within = [number for number, line in enumerate(lines, 1) if text in line]
    return (exact or within)[0]


FAULTS = [
    # changes, words that the line must hold, the text that stands in the line it names
    ({"chanel": {}}, ["chanel", "did you mean 'channel'"], "chanel"),
    ({"channel.num_user": 2}, ["channel.num_user", "did you mean 'num_users'"], "num_user: 2"),
    ({f"{ARRAY}.row": 2}, [f"{ARRAY}.row", "did you mean 'rows'"], "row: 2"),
    ({"run.stopping.min_drop": 2}, ["run.stopping.min_drop", "'min_drops'"], "min_drop: 2"),
    ({"channel.snr_db": 2}, ["unknown key 'snr_db'", "'link.snr_db'"], "snr_db"),
    (entry(predicter="ar"), ["methods.1.predicter", "did you mean 'predictor'"], "predicter"),
    ({"channel.num_users": "four"}, ["channel.num_users", "a whole number needed", "'four'"], "num_users"),
    ({"channel.num_users": 1.5}, ["channel.num_users", "a whole number needed", "1.5"], "num_users"),
    ({"channel.speed_kmh": True}, ["channel.speed_kmh", "a number needed"], "speed_kmh"),
    ({"channel": [1]}, ["channel", "keys and values needed"], "channel"),
    ({"methods": "hold"}, ["methods", "a list needed"], "methods"),
    ({"methods": []}, ["methods", "at least 1 item"], "methods"),
    ({"methods": [3]}, ["methods.0", "keys and values needed"], "- 3"),
    ({"methods": ["hold", "hold"]}, ["methods", "'hold'"], "methods"),
    ({"methods": None}, ["methods", "missing"], None),
    ({"channel.speed_kmh": 900}, ["channel.speed_kmh", "at most 500", "900"], "speed_kmh"),
    ({"channel.speed_kmh": -1}, ["channel.speed_kmh", "at least 0", "-1"], "speed_kmh"),
    ({f"{ARRAY}.rows": 0}, [f"{ARRAY}.rows", "at least 1"], "rows"),
    ({"channel.csi_period_ms": 0}, ["channel.csi_period_ms", "above 0"], "csi_period_ms"),
    ({"link.snr_db": float("nan")}, ["link.snr_db", "finite"], "snr_db"),
    ({"channel.model": "umaa"}, ["channel.model", "'uma'", "'umaa'"], "model"),
    ({"run.device": "gpu"}, ["run.device", "cpu, cuda"], "device"),
    ({"name": "../elsewhere"}, ["name", "../elsewhere"], "name"),
    ({"name": ".."}, ["name", "letters, digits"], "name"),
    ({"sweep": {"link.snr_db": []}}, ["sweep.link.snr_db", "no values"], "link.snr_db"),
    ({"sweep": {"link.snr_db": 3}}, ["sweep.link.snr_db", "a list needed"], "link.snr_db"),
    ({"sweep": {"link.snr_db": [1, 1]}}, ["sweep.link.snr_db", "twice"], "link.snr_db"),
    ({"sweep": {"link.snr_db": [1, "a"]}}, ["sweep.link.snr_db", "a number needed", "'a'"], "link.snr_db"),
    ({"sweep": {"link.snr_bd": [1]}}, ["sweep.link.snr_bd", "did you mean 'snr_db'"], "link.snr_bd"),
    ({"sweep": {"lnk.snr_db": [1]}}, ["sweep.lnk.snr_db", "did you mean 'link'"], "lnk.snr_db"),
    ({"sweep": {"channel.path_loss": [0, 1]}}, ["sweep.channel.path_loss", "not a number"], "channel.path_loss"),
    ({"sweep": {"channel.bs_array": [0, 1]}}, ["sweep.channel.bs_array", "a section"], "channel.bs_array"),
    ({"sweep": {"training.folder": ["a", "b"]}}, ["sweep.training.folder", "but of where"], "training.folder"),
    ({"sweep": {"training.fraction": [0.1, 1]}}, ["sweep.training.fraction", "no method learns"], "training.fraction"),
    ({"sweep": {"run.chunk_size": [1, 2]}}, ["sweep.run.chunk_size", "only fields of"], "run.chunk_size"),
    ({"sweep": {"channel.speed_kmh": [3, 900]}}, ["sweep.channel.speed_kmh", "at most 500"], "channel.speed_kmh"),
    ({"sweep": {"channel.num_users": [1, 3]}}, ["sweep.channel.num_users", "3 users", "2 BS antennas"],
     "channel.num_users"),
    ({"sweep": {"acquisition.delay_spread_ns": [1, 2], "channel.delay_spread_ns": [1, 3]}},
     ["sweep", "share the column 'delay_spread_ns'"], "sweep"),
    ({"sweep": {"methods.hold.predictor.order": [1]}}, ["unknown key 'order'", "'band'"], "methods.hold"),
    ({"sweep": {"methods.hld.precoder": ["zf"]}}, ["'hld'", "did you mean 'hold'"], "methods.hld"),
    ({"methods": ["weiner"]}, ["methods.0", "did you mean 'wiener'"], "weiner"),
    (entry(predictor="weiner"), ["methods.1.predictor", "did you mean 'wiener'"], "weiner"),
    (entry(precoder="rfz"), ["methods.1.precoder", "did you mean 'rzf'"], "rfz"),
    ({"link.precoder": "rfz"}, ["link.precoder", "did you mean 'rzf'"], "rfz"),
    (entry(predictor={"type": "ar", "ordre": 2}), ["methods.1.predictor", "did you mean 'order'"], "predictor"),
    (entry(predictor={"type": "ar", "order": 0}), ["'order'", "at least 1"], "predictor"),
    (entry(predictor={"type": "ar", "order": True}), ["'order'", "a number needed"], "predictor"),
    (entry(predictor={"type": "ar", "order": "x"}), ["'order'", "a whole number needed"], "predictor"),
    (entry(predictor={"type": "hold", "band": "spase"}), ["'band'", "'sparse' or 'copy'"], "predictor"),
    (entry(predictor={"order": 2}), ["methods.1.predictor", "{type: name, option: value}"], "predictor"),
    (entry(predictor=[1]), ["methods.1.predictor", "{type: name, option: value}"], "predictor"),
    (entry(predictor={"type": "ar", "order": 6}), ["history of at least", "channel.num_history is 4"], "predictor"),
    ({"link.num_streams_per_user": 2}, ["link.num_streams_per_user", "num_antennas is 1"], "num_streams_per_user"),
    ({"channel.num_users": 3}, ["channel.num_users", "3 users", "2 BS antennas"], "num_users"),
    ({"acquisition.type": "pilots", "channel.num_users": 2, "channel.num_subcarriers": 7},
     ["channel.num_subcarriers", "pilots", "multiple of 2"], "num_subcarriers"),
    ({"bounds": ["genie_lmmse", "genie_lmmse"]}, ["bounds", "genie_lmmse is named twice"], "bounds"),
    ({"metrics": ["sgcs", "nmse_db", "sgcs"]}, ["metrics", "sgcs is named twice"], "metrics"),
    ({"metrics": ["feedback_bits"]}, ["metrics.0", "no method has feedback"], "- feedback_bits"),
    ({"metrics": ["nmse"]}, ["metrics.0", "did you mean 'nmse_db'"], "- nmse"),
    ({"run.stopping.metric": "nmse"}, ["run.stopping.metric", "did you mean 'nmse_db'"], "metric"),
    ({"run.stopping.max_drops": 2}, ["run.stopping", "max_drops (2)", "min_drops (4)", "change both"], "stopping"),
    ({"run.seed": 2}, ["run.seed", "unknown key 'seed'", "no section"], "seed: 2"),
    ({"sweep": {"link.snr_db": [n / 10 for n in range(1001)]}}, ["sweep", "1001 points", "at most 1000"], "sweep"),
    ({"sweep": {"link.snr_db": list(range(40)), "channel.speed_kmh": list(range(40))}}, ["sweep", "1600 points"],
     "sweep"),
    ({"methods": [{"name": str(n)} for n in range(201)]}, ["methods", "at most 200"], "methods"),
    ({"plugins": ["nope.py"]}, ["plugins.0", "nope.py", "no such file"], "nope.py"),
    ({"plugins": "nope.py"}, ["plugins", "a list needed"], "plugins"),
]

TEXTS = [
    ("channel: [1,\nmethods: x: y", ":2: expected"),
    ("methods:\n\t- hold\n", ":2: found character"),
    ("methods: [hold]\nchannel:\n  speed_kmh: 3\n  speed_kmh: 4\n",
     ":4: channel.speed_kmh: given twice (first in line 3)"),
    ("", ": a scenario is a mapping"),
    ("- hold\n", ": a scenario is a mapping"),
    ("methods: [hold]\n---\nmethods: [hold]\n", ":2: but found another document"),
    ("methods: !!python/object/apply:os.system ['true']\n", ":1: unknown tag !!python/object/apply:os.system"),
    ("? [1, 2]\n: 3\nmethods: [hold]\n", ":1: a key is a plain text"),
    ("methods: [hold]\nchannel: &a {x: *a}\n", ":2: channel.x contains itself"),
    ("methods: [hold]\ndescription: \"\0\"\n", ":2: special characters are not allowed"),
    ("3: x\nmethods: [hold]\n", "a text as key needed"),
]


@pytest.mark.parametrize(("changes", "words", "text"), FAULTS, ids=[str(fault[0])[:60] for fault in FAULTS])
def test_a_fault_in_a_scenario_is_one_line_with_file_line_key_and_fix(changes, words, text, scenario_file, command,
                                                                      tmp_path):
    path = scenario_file(changes)
    outcome = command("run", path, "--output", tmp_path / "out" / "deeper")
    assert outcome.code == 2
    for word in words:
        assert word in outcome.line
    place = f"{path}:{line_of(path, text)}: " if text else f"{path}: "
    assert outcome.line.startswith(f"error: {place}")
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=[text[1] for text in TEXTS])
def test_a_file_that_is_no_scenario_is_one_line_with_the_place(text, words, scenario_file, command, tmp_path):
    path = scenario_file(text)
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.line.startswith(f"error: {path}")
    assert words in outcome.line
    assert not (tmp_path / "out").exists()


def test_a_missing_file_names_the_nearest_one(scenario_file, command):
    path = scenario_file()
    outcome = command("run", path.with_name("smal.yaml"))
    assert outcome.code == 2
    assert f"did you mean {path}?" in outcome.line
    assert command("run", path.parent).code == 2


@pytest.mark.parametrize(("pair", "words"), [
    ("channel.speed_kmh=900", ["--set: channel.speed_kmh", "at most 500"]),
    ("channel.sped_kmh=9", ["--set: channel.sped_kmh", "did you mean 'speed_kmh'"]),
    ("chanel.speed_kmh=9", ["--set: chanel", "did you mean 'channel'"]),
    ("methods.hld.predictor=ar", ["--set methods.hld.predictor", "did you mean 'hold'"]),
    ("methods.hold.predictor.order=9", ["--set: methods.1.predictor", "no option 'order'"]),
    ("channel.model.x=9", ["--set channel.model.x", "nothing can be set below 'uma'"]),
    ("channel.speed_kmh", ["--set channel.speed_kmh", "key.path=value"]),
    ("channel.speed_kmh=[", ["--set channel.speed_kmh", "not YAML"]),
    ("sweep.link.snr_db=[0,900]", ["--set: sweep.link.snr_db", "at most 100"]),
    ("sweep.link.snr_bd=[0]", ["--set: sweep.link.snr_bd", "did you mean 'snr_db'"]),
    ("sweep.link.snr_db=5", ["--set: sweep.link.snr_db", "a list needed"]),
    ("sweep={link.snr_db: [0, x]}", ["--set: sweep.link.snr_db", "a number needed", "'x'"]),
    ("sweep=[1]", ["--set: sweep", "keys and values needed"]),
    ("methods.²=hold", ["--set methods.²", "no '²' in this list"]),
    ("methods.99999999999999999999=hold", ["--set methods.9", "in this list"]),
    (".".join(["a"] * 20_000) + "=1", ["--set a.a.a", "more than 50 keys deep"]),
    ("channel.speed_kmh=" + "[" * 20_000, ["--set channel.speed_kmh", "nested more than 50 deep"]),
    ("run.device=cuda:99", ["--set: run.device", "GPU"]),
])
def test_a_fault_in_an_override_names_the_option(pair, words, scenario_file, command, tmp_path):
    path = scenario_file({"channel.model": "uma"})
    outcome = command("run", path, "--output", tmp_path / "out", "--set", pair)
    assert outcome.code == 2
    for word in words:
        assert word in outcome.line
    assert not (tmp_path / "out").exists()


def test_a_name_from_a_file_name_is_fit_for_a_folder(scenario_file):
    from linksim import load_scenario

    assert load_scenario(scenario_file(name="my first run.yaml")).name == "my_first_run"


def test_every_shipped_scenario_is_valid(command):
    for path in sorted(Path(__file__).parents[2].glob("scenarios/**/*.yaml")):
        outcome = command("validate", path)
        assert outcome.code == 0, outcome.err
        assert yaml.safe_load(path.read_text(encoding="utf-8"))
