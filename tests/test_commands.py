"""Every command that a document, a scenario's head or a message prints exists, is valid, and brings what it needs."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from linksim import cli
from linksim.core.packages import EXTRAS, WEIGHTS
from linksim.loading.load import load_scenario
from linksim.scenario.resolved import resolve

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
HEADS = sorted([*(ROOT / "scenarios").rglob("*.yaml"), *(ROOT / "docs").rglob("*.yaml")])
SOURCES = sorted([*(ROOT / "linksim").rglob("*.py"), *(ROOT / "linksim").rglob("*.j2"), *ROOT.glob("*.py"),
                  *(ROOT / "benchmarks").rglob("*.py"), ROOT / "pyproject.toml"])
FILES_OF_YOURS = {"my.yaml", "docs/examples/cost2100.yaml"}
"""Scenarios that stand for the reader's, or need data of the reader's."""

_WORD = re.compile(r"""\s*('[^']*'|"[^"]*"|[^\s'"`]+)""")
_STRANGER = re.compile(r"""(install|add|uvx|pipx run)\s+(-\S+\s+)*['"]?linksim(?![\w-])|['"]linksim\[""")


def commands_of(path):
    """What stands behind each ``uv run`` or ``python`` in a text, as lists of words."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        text = "\n".join(re.findall(r"^#(.*)$", text, re.M))
        text = re.sub(r"\s*\\?\n\s+(?=--|scenarios/|\w+\.\w+=|run_sim)", " ", text)
    text = re.sub(r"\\\n", " ", text)
    for match in re.finditer(r"\b(?:uv run(?: --no-sync)? |python (?=run_sim))", text):
        words, at = [], match.end()
        line = text[:text.find("\n", at)] if "\n" in text[at:] else text
        while (found := _WORD.match(line, at)) and found[1] != "#":
            if words and not _goes_on(found[1], words):
                break
            words.append(found[1].strip("'\""))
            at = found.end()
        if words and words[-1] != "…":
            yield [*words[:-1], words[-1].rstrip(".,;:)")]


def _goes_on(word, words):
    opening = ("--extra", "linksim", "python", "-m", "run_sim.py", "pytest", "ruff")
    if words[-1] in opening or words[-1].startswith("--"):
        return True
    return word.startswith("-") or "/" in word or words[0] in ("linksim", "pytest") or words[-2:-1] == ["--extra"]


@cache
def traced(scenario, overrides):
    """Whether a scenario takes channels from Sionna RT."""
    loaded = load_scenario(scenario, cli._overrides(list(overrides)))
    trained_on = [block.training.channel.get("source") for method in resolve(loaded).methods for block in method.blocks
                  if block.learns]
    return "ray_traced" in (loaded.channel.source, *trained_on)


@pytest.mark.parametrize("path", [*PAGES, *HEADS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_exist_are_valid_and_bring_the_extras_that_they_need(path):
    for words in commands_of(path):
        extras = set()
        while words[0] == "--extra":
            extras.add(words[1])
            words = words[2:]
        tool, *arguments = words
        if tool in ("pytest", "ruff", "tensorboard") or not arguments:  # `uv run run_sim.py` alone is no command
            assert not extras
            continue
        if tool == "python":
            module = arguments[1:2] and arguments[1].replace(".", "/")
            files = [f"{module}/__main__.py", f"{module}.py"] if arguments[0] == "-m" else arguments[:1]
            assert any((ROOT / file).is_file() for file in files), words
            continue
        assert tool in ("run_sim.py", "linksim"), words
        options = cli._parser().parse_args(["run", *arguments] if tool == "run_sim.py" else arguments)
        needed = set()
        if getattr(options, "workers", 1) > 1 or getattr(options, "ray", None):
            needed.add("ray")
        scenario = getattr(options, "scenario", None)
        if scenario and str(scenario) not in FILES_OF_YOURS:
            assert (ROOT / scenario).is_file(), words
            if traced(ROOT / scenario, tuple(options.overrides)):
                needed.add("rt")
        if tool == "linksim" and arguments[0] == "ask":
            assert (ROOT / options.checkpoint).is_dir(), words
        assert extras == needed, words


@pytest.mark.parametrize("path", HEADS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_scenario_that_needs_an_extra_says_so_in_its_head(path):
    text = path.read_text(encoding="utf-8")
    told = f"uv run --extra rt run_sim.py {path.relative_to(ROOT).as_posix()}"
    assert ("source: ray_traced" in text) == (told in text.partition("description:")[0])


def test_nothing_says_to_install_the_stranger_of_this_name():
    for path in (*PAGES, *HEADS, *SOURCES):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not _STRANGER.search(line), f"{path}:{number}: {line}"
    for says_so in ("pip install linksim", "pip install 'linksim[rt]'", "uv add linksim", "uvx linksim",
                    "pip install -U linksim"):
        assert _STRANGER.search(says_so)


def test_what_is_said_to_be_installed_from_the_index_is_what_linksim_works_with():
    releases = {**{name: release for extra in EXTRAS.values() for name, release in extra.items()}, **WEIGHTS}
    found = set()
    for path in PAGES:
        for names in re.findall(r"pip install --no-deps ((?:[\w-]+==[\w.]+ ?)+)", path.read_text(encoding="utf-8")):
            for one in map(Requirement, names.split()):
                assert releases[one.name] == str(one.specifier), path
                found.add(one.name)
        for extra in re.findall(r"'\.\[(\w+)\]'", path.read_text(encoding="utf-8")):
            assert extra in (*EXTRAS, "all"), path
    assert found == set(WEIGHTS)


def test_what_the_readme_compares_shares_its_drops(command, scenario_file, tmp_path):
    commands = [words for words in commands_of(ROOT / "README.md") if words[:2] == ["linksim", "compare"]]
    ((_, _, first, second, *options),) = commands
    (changed,) = [words for words in commands_of(ROOT / "README.md") if second in words and words[0] == "run_sim.py"]
    overrides = [word for option, word in itertools.pairwise(changed) if option == "--set"]
    path = scenario_file({"sweep": {"link.snr_db": [0, 10]}})
    folders = [tmp_path / Path(name).name for name in (first, second)]
    for folder, sets in zip(folders, ([], overrides)):
        assert command("run", path, "--output", folder, *[f"--set={one}" for one in sets]).code == 0
    outcome = command("compare", *folders, *options)
    assert outcome.code == 0, outcome.err
    assert "hold" in outcome.out
