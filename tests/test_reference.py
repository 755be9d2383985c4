"""Released results are those of the scenarios and the code as they are, and README quotes them."""

import re
from pathlib import Path

import pandas as pd
import pytest

from linksim.core.registry import catalogue
from linksim.experiment.run import run
from linksim.loading.load import load_scenario
from linksim.scenario.identity import scenario_hash

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
NAMES = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_released_results_of_its_present_form(name):
    manifest = pd.read_json(REFERENCE / name / "manifest.json", typ="series")
    assert manifest["status"] == "done"
    scenario = load_scenario(ROOT / "scenarios" / f"{name}.yaml")
    assert manifest["hash"] == scenario_hash(scenario)
    assert list((REFERENCE / name / "figures").glob("*.png"))


@pytest.mark.parametrize("name", NAMES)
def test_released_results_make_physical_sense(name):
    table = pd.read_csv(REFERENCE / name / "metrics.csv")
    axes = list(table.columns[6:])

    def limit(method, metric):
        rows = table[(table.method == method) & (table.metric == metric)]
        return rows.set_index(axes)

    scenario = load_scenario(ROOT / "scenarios" / f"{name}.yaml")
    reporting = {method.name for method in scenario.methods if method.feedback}
    for metric, bound, sign in (("nmse_db", "genie LMMSE bound", 1), ("nmse_db", "genie LMMSE reports bound", 1),
                                ("sum_rate_bps_hz", "sum capacity", -1), ("rate_bps_hz", "perfect CSI", -1)):
        best = limit(bound, metric)
        for method, rows in table[(table.metric == metric) & (table.method != bound)].groupby("method"):
            rows = rows.set_index(axes)
            if bound.startswith("genie") and (method in reporting) != bound.endswith("reports bound"):
                continue  # one sees the uplink, the other the downlink
            if not best.empty and method not in [spec.facts["title"] for spec in catalogue("bound")]:
                margin = sign * (rows["value"] - best["value"].reindex(rows.index))
                slack = (rows["ci_high"] - rows["ci_low"]) / 2
                assert (margin >= -slack - 1e-9).all(), (metric, method)


def test_the_table_of_the_readme_quotes_the_main_job():
    table = pd.read_csv(REFERENCE / "fdd_uma_30kmh" / "metrics.csv")
    table = table[table.snr_db == 20].pivot(index="method", columns="metric", values="value")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Reading the output")[2].partition("## ")[0]
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.M)[1:]
    quoted = {name.strip(): [re.match(r"[-−]?[\d.]+|–", cell.strip())[0].replace("−", "-") for cell in cells]
              for name, *cells in lines if not name.startswith("-")}
    assert len(quoted) >= 8
    for method, cells in quoted.items():
        for metric, digits, cell in zip(("nmse_db", "sgcs", "rate_bps_hz"), (1, 2, 2), cells):
            value = table.loc[method].get(metric)
            assert cell == ("–" if pd.isna(value) else f"{value:.{digits}f}"), (method, metric)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_shorter_run_agrees_with_the_released_results(name, tmp_path):
    scenario = load_scenario(ROOT / "scenarios" / f"{name}.yaml", {
        "run.stopping.min_drops": 100, "run.stopping.adaptive": False,
        "training.folder": str(tmp_path / "checkpoints"),
    })
    short = run(scenario, output=tmp_path / "run", report=False).to_pandas()
    released = pd.read_csv(REFERENCE / name / "metrics.csv")
    keys = ["method", "metric", *released.columns[6:]]
    both = short.merge(released, on=keys, suffixes=("", "_released"))
    assert len(both) == len(released)
    half = (both.ci_high - both.ci_low) / 2 + (both.ci_high_released - both.ci_low_released) / 2
    assert ((both.value - both.value_released).abs() <= half + 1e-3).all()
