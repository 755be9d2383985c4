"""What the README and the examples say runs, as they stand."""

import re
from pathlib import Path

import pytest
import yaml

from linksim.loading.load import load_scenario, scenario_from_dict

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCENARIOS = sorted((ROOT / "scenarios").rglob("*.yaml"))


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    predictor, session = blocks("python")
    monkeypatch.chdir(ROOT)
    exec(compile(predictor, "README.md", "exec"), {"__name__": "readme"})
    plugged = scenario_from_dict({"methods": ["damped_hold"], "channel": {"num_history": 1}})
    assert plugged.methods[0].predictor == "damped_hold"
    session = session.replace("results/example", str(tmp_path / "example"))
    exec(compile(session, "README.md", "exec"), {"__name__": "readme"})
    printed = capsys.readouterr().out
    assert "mine" in printed
    assert "genie LMMSE bound" in printed
    assert (tmp_path / "example" / "report.html").is_file()


def test_scenario_of_the_readme_is_valid():
    (text,) = blocks("yaml")
    scenario_from_dict(yaml.safe_load(text))


def test_files_that_the_readme_names_exist():
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_scenario_is_valid_and_says_what_it_shows(path):
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    head = path.read_text(encoding="utf-8").partition("description:")[0]
    for word in ("# Shows", "# Time", "# Expect"):
        assert word in head, word
    assert (path.stem if path.parent.name == "scenarios" else f"scenarios/{path.parent.name}") in README


def test_the_example_plugin_fits_on_a_page():
    assert len((ROOT / "docs/examples/my_predictor.py").read_text(encoding="utf-8").splitlines()) <= 30


def test_python_of_the_engine_page_runs(capsys):
    text = (ROOT / "docs" / "channel_engine.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(compile(example, "channel_engine.md", "exec"), {"__name__": "engine_page"})
    assert capsys.readouterr().out.count("(16, 1, 1, 32, 16, 48) (16, 1, 1, 32, 4, 48)") == 3
