"""What a text says is what YAML 1.2's core schema says, the same in files, sweeps and overrides, and is bounded."""

from __future__ import annotations

import itertools
import math
import os
import time

import pytest

from linksim.loading.load import load_scenario, parse_value
from linksim.scenario import yaml_text
from linksim.scenario.yaml_text import YamlFault, data_of

CORE = [  # YAML 1.2.2, section 10.3.2
    ("030", 30), ("0o17", 15), ("0x1F", 31), ("+3", 3), ("-0", 0), ("1e3", 1000.0), ("5e-1", 0.5), (".5", 0.5),
    ("1.", 1.0), ("+1.5E+2", 150.0), ("-.inf", -math.inf), (".Inf", math.inf), ("true", True), ("False", False),
    ("~", None), ("null", None), ("", None), ("'30'", "30"), ("!!str 30", "30"), ("!!int '030'", 30),
]
TEXTS = ["1:30", "1_000", "0b11", "2024-01-01", "2024-13-45", "yes", "no", "on", "off", "y", "n", "=", "1e", ".", "0o8",
         "12:30:45", "1.5.2", "e5", "0x", "nan", "inf", "+.nan"]


@pytest.mark.parametrize(("text", "value"), [*CORE, *((text, text) for text in TEXTS)])
def test_a_scalar_is_what_the_core_schema_says(text, value):
    found, _ = data_of(f"x: {text}")
    assert found["x"] == value
    assert type(found["x"]) is type(value)
    assert parse_value(text) == value


def test_nan_is_a_number():
    assert math.isnan(parse_value(".nan"))


@pytest.mark.parametrize("text", ["030", "5e-1", ".5", "0x1F", "1e1", "+3", "1."])
def test_a_number_is_the_same_in_a_field_a_sweep_and_an_override(text, scenario_file):
    field = load_scenario(scenario_file(f"methods: [hold]\nlink: {{snr_db: {text}}}\n")).link.snr_db
    swept = load_scenario(scenario_file(f"methods: [hold]\nsweep: {{link.snr_db: [{text}]}}\n")).sweep["link.snr_db"]
    path = scenario_file("methods: [hold]\n")
    override = load_scenario(path, {"link.snr_db": parse_value(text)}).link.snr_db
    swept_by_override = load_scenario(path, {"sweep.link.snr_db": parse_value(f"[{text}]")}).sweep["link.snr_db"]
    assert [field] == swept == [override] == swept_by_override


@pytest.mark.parametrize("text", ["1:30", "1_000", "yes", "'30'", "true"])
def test_what_is_no_number_is_none_in_a_field_a_sweep_and_an_override(text, scenario_file, command):
    for line in (f"link: {{snr_db: {text}}}", f"sweep: {{link.snr_db: [{text}]}}",
                 f"methods: [{{name: x, predictor: {{type: ar, order: {text}}}}}]"):
        path = scenario_file(line if line.startswith("methods") else f"{line}\nmethods: [hold]\n")
        assert ":1: " in command("validate", path).line
        assert " number needed" in command("validate", path).line
    outcome = command("validate", scenario_file("methods: [hold]\n"), "--set", f"link.snr_db={text}")
    assert outcome.line.startswith("error: --set: link.snr_db: a number needed")


@pytest.mark.parametrize("text", ["yes", "on", "1", "'true'", "0.0"])
def test_only_true_and_false_are_true_and_false(text, scenario_file, command):
    path = scenario_file(f"methods: [hold]\nchannel: {{path_loss: {text}}}\n")
    assert f"{path}:2: channel.path_loss: true or false needed" in command("validate", path).line


def test_merged_keys_stand_behind_a_mappings_own_and_have_their_own_lines():
    data, lines = data_of("a: &a {x: 1, y: 2}\nb: &b {y: 3,\n z: 4}\nc:\n  <<: [*a, *b]\n  x: 5\n")
    assert data["c"] == {"x": 5, "y": 2, "z": 4}
    assert [lines["c", key] for key in ("x", "y", "z")] == [6, 1, 3]


FAULTS = [
    ("a: 1\nb: 2\na: 3\n", 3, "given twice"), ("a: {x: 1,\n x: 2}\n", 2, "a.x: given twice"),
    ("x: &x [*x]", 1, "contains itself"), ("x: &x {<<: *x}", 1, "contains itself"),
    ("a: 1\n---\nb: 2\n", 2, "another document"), ("x: *a", 1, "undefined alias"),
    ("\n1: x", 2, "a text as key needed"), ("true: x", 1, "a text as key needed"), ("[a]: x", 1, "a plain text"),
    ("x: !!python/name:os.system", 1, "unknown tag"), ("x: !mine {}", 1, "unknown tag"),
    ("x: !!float y", 1, "a number needed"), ("x: {<<: 3}", 1, "a mapping"),
    ("x: " + "9" * 5000, 1, "too large"), ("x: 0x" + "f" * 5000, 1, "too large"), ("x: 1e999", 1, "too large"),
    ("%YAML " + "9" * 5000 + ".1\n---\nx: 1", None, "too large"), ('x: "\\UFFFFFFFF"', None, "too large"),
    ("x: \x07", 1, "special"),
    ("x: " + "[" * 20_000, 1, "nested more"), ("- " * 20_000, 1, "nested more"), ("{a: " * 20_000, 1, "nested more"),
    ("#" * (yaml_text.MAX_CHARACTERS + 1), None, "characters"),
]


@pytest.mark.parametrize(("text", "line", "words"), FAULTS, ids=[fault[0][:20] for fault in FAULTS])
def test_a_fault_has_its_line(text, line, words):
    with pytest.raises(YamlFault, match=words.replace("+", r"\+")) as caught:
        data_of(text)
    assert caught.value.line == line
    assert len(str(caught.value)) < 200


def _laughs(levels: int, form: str) -> str:
    names = [f"a{level}" for level in range(levels)]
    lines = [f"{names[0]}: &{names[0]} {{x: 1}}"]
    for before, name in itertools.pairwise(names):
        lines.append(f"{name}: &{name} " + form.format(", ".join([f"*{before}"] * 9)))
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_are_counted_before_they_are_followed(form):
    began = time.monotonic()
    with pytest.raises(YamlFault, match="more than 20000 values"):
        data_of(_laughs(30, form))
    assert time.monotonic() - began < 10
    assert data_of(_laughs(4, form))[0]


def test_aliases_nest_no_deeper_than_texts():
    chain = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))
    with pytest.raises(YamlFault, match="nested more than 50"):
        data_of(chain)


def test_a_text_of_many_values_is_refused_before_it_is_read_to_its_end():
    began = time.monotonic()
    with pytest.raises(YamlFault, match="more than 20000 values"):
        data_of("x: [" + "1," * 400_000 + "]")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(("content", "words"), [
    (b"methods: [hold]\n".decode().encode("utf-16"), "save it as UTF-8"), (bytes(range(128, 256)), "not UTF-8"),
    (b"\0" * 1000, "special characters"), (b"\x7fELF\x02" * 10, "special characters"), (b"", "a mapping"),
    (b" " * (5 * yaml_text.MAX_CHARACTERS), "characters"),
])
def test_what_is_no_text_is_one_line(content, words, tmp_path, command):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    outcome = command("validate", path)
    assert outcome.code == 2
    assert outcome.line.startswith(f"error: {path}")
    assert words in outcome.line


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_read_over(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfmethods: [hold]\r\nlink:\r\n  snr_db: 3\r\n")
    assert load_scenario(path).link.snr_db == 3


def test_what_is_no_file_is_one_line_at_once(tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero", tmp_path / ("n" * 300)):
        outcome = command("validate", path)
        assert outcome.code == 2
        assert outcome.line.startswith(f"error: {path}: ")
