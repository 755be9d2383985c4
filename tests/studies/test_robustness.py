"""The study of bad input tries every field and option; a small share of it finds nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_no_input_kill_or_damage_ends_as_it_should_not(tmp_path):
    page = tmp_path / "robustness.md"
    done = subprocess.run([sys.executable, "-m", "studies.robustness", "--runs", "40", "--mixtures", "50",
                           "--kills", "5", "--damage", "4", "--out", str(page)],
                          cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    assert not _faults(page)


def test_inputs_cover_every_field_and_every_option():
    from linksim.core.registry import catalogue
    from linksim.scenario.schema import Scenario
    from studies.robustness.inputs import attempts

    tried = {attempt.field for attempt in attempts()}
    assert set(Scenario.model_fields) <= {field.partition(".")[0] for field in tried}
    assert {"channel.bs_array.rows", "run.stopping.min_drops", "link.coding.mcs"} <= tried
    for spec in catalogue():
        if spec.kind in ("predictor", "precoder", "feedback", "semantic", "universal"):
            assert {f"{spec.name}.{option}" for option in spec.options.model_fields} <= tried


def test_what_is_changed_is_valid_before_it_is_changed():
    from linksim.loading.load import scenario_from_dict
    from studies.robustness.inputs import SMALL, attempts

    whole = [attempt for attempt in attempts() if attempt.value == SMALL]
    assert len(whole) > 50
    for attempt in whole:
        scenario_from_dict(attempt.scenario)


def test_the_page_that_is_kept_shows_no_fault():
    assert not _faults(ROOT / "docs" / "robustness.md")


def _faults(page: Path) -> list[str]:
    """Cells of the last columns that are above 0."""
    found = []
    for table in re.split(r"\n\n", page.read_text(encoding="utf-8")):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
                if line.startswith("| ")]
        if len(rows) < 2:
            continue
        first = next(number for number, name in enumerate(rows[0]) if name in ("traceback", "units lost",
                                                                               "believed: other results"))
        found += [f"{row[0]}, {name}: {cell}" for row in rows[1:] for name, cell in
                  list(zip(rows[0], row))[first:] if cell != "0"]
    return found
