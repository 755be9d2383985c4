"""The report of a calibration: Markdown around the numbers, and the numbers as CSV."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

from linksim.core.files import write_atomically
from linksim.experiment.run import versions
from studies.calibration.draw import METRICS
from studies.calibration.figures import EARLIER, LINKSIM, PLAIN, Picture
from studies.calibration.large_scale_check import FAMILY_LEVEL, Finding
from studies.calibration.large_scale_table import sources
from studies.calibration.reference import reference_curve
from studies.calibration.statistics import PERCENTILES, curve_distance
from studies.calibration.study import Comparison, Outcome, Study


def write_report(study: Study, pictures: Sequence[Picture], folder: Path) -> list[Path]:
    """Write ``README.md`` and the CSV files.

    :raises StoreError: a file cannot be written.
    """
    tables = {"comparisons.csv": comparison_table(study), "quantiles.csv": quantile_table(study),
              "large_scale_parameters.csv": finding_table(study.findings)}
    written = [write_atomically(folder / name, _csv(table)) for name, table in tables.items()]
    return [*written, write_atomically(folder / "README.md", report_text(study, pictures).encode())]


def comparison_table(study: Study) -> pd.DataFrame:
    """One row for each metric of each set-up."""
    return pd.DataFrame([_comparison_row(study, one) for one in study.comparisons])


def _comparison_row(study: Study, one: Comparison) -> dict[str, object]:
    outcome = _outcome(study, one)
    curve = reference_curve(one.setup, one.metric)
    row: dict[str, object] = {
        "set_up": one.setup.name, "metric": one.metric, "terminals_both": one.num_paired,
        "terminals_linksim": one.num_independent, "largest_difference": one.deviation,
        "rounding_accepted": METRICS[one.metric].rounding, "largest_difference_line_of_sight": one.specular_deviation,
        "attached_elsewhere": one.num_handovers, "same_numbers": one.same_numbers,
        "ks_distance": one.distance, "ks_critical_95": one.critical, "ks_critical_family": one.family_critical,
        "same_distribution": one.same_distribution,
    }
    for name, values in (("sionna", outcome.plain), ("linksim", outcome.independent)):
        for percent in (5, 50, 95):
            row[f"{name}_p{percent:02}"] = np.percentile(values[one.metric], percent)
    row["3gpp_p50"] = None if curve is None else float(np.interp(50, *curve))
    row["distance_to_3gpp"] = one.reference_distance
    row["distance_to_3gpp_v16_1"] = _earlier_distance(study, one)
    return row


def _earlier_distance(study: Study, one: Comparison) -> float | None:
    curve = reference_curve(one.setup, one.metric)
    if curve is None or one.setup.name not in study.earlier:
        return None
    return curve_distance(study.earlier[one.setup.name][one.metric], *curve)


def quantile_table(study: Study) -> pd.DataFrame:
    """One row for each curve of the figures, but for 3GPP's."""
    rows = []
    for one in study.comparisons:
        outcome = _outcome(study, one)
        curves = {PLAIN: outcome.plain, LINKSIM: outcome.independent}
        if one.setup.name in study.earlier:
            curves[EARLIER] = study.earlier[one.setup.name]
        for source, values in curves.items():
            quantiles = np.percentile(values[one.metric], PERCENTILES)
            rows.append({"set_up": one.setup.name, "metric": one.metric, "source": source,
                         "terminals": len(values[one.metric]),
                         **{f"p{percent:02}": value for percent, value in zip(PERCENTILES, quantiles)}})
    return pd.DataFrame(rows)


def finding_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row for each check of Table 7.5-6."""
    return pd.DataFrame([{
        "column": finding.column.name, "version": finding.column.version, "quantity": finding.quantity,
        "links": finding.number, "value": finding.check.value, "table": finding.check.expected,
        "low": finding.check.low, "high": finding.check.high, "passed": finding.check.passed,
    } for finding in findings])


@dataclass(frozen=True)
class _Section:
    heading: str
    text: str
    pictures: list[Picture]


_HEADINGS = {
    "large scale": "Large scale (Table 7.8-1)", "configuration 1": "Full calibration, configuration 1 (Table 7.8-2)",
    "configuration 2": "Full calibration, configuration 2 (Table 7.8-2)",
    "single sector": "linksim's own set-ups: one sector", "pairs": "The same random numbers", "table": "Table 7.5-6",
}


def report_text(study: Study, pictures: Sequence[Picture]) -> str:
    """The report in Markdown."""
    texts = {phase: _phase_table(study, phase)
             for phase in dict.fromkeys(one.setup.phase for one in study.comparisons)}
    texts |= {"pairs": _pairs_text(study), "table": _table_text(study.findings)}
    sections = [_Section(_HEADINGS[name], text, [picture for picture in pictures if picture.section == name])
                for name, text in texts.items()]
    source = resources.files(__package__).joinpath("report.md.j2").read_text("utf-8")
    template = jinja2.Template(source, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return template.render(
        verdict=_verdict(study), sections=sections,
        command=f"python -m studies.calibration --drops {study.drops} --seed {study.seed}",
        provenance=", ".join(f"{name} {version}" for name, version in versions().items())
        + f"; {os.cpu_count()} cores, {study.seconds / 60:.0f} min.",
    )


def _verdict(study: Study) -> str:
    comparisons, findings = study.comparisons, study.findings
    same = sum(one.same_numbers for one in comparisons)
    above = sum(one.distance > one.critical for one in comparisons)
    beyond = sum(not one.same_distribution for one in comparisons)
    failed = [finding for finding in findings if not finding.check.passed]
    lines = [
        f"- **Same random numbers:** {same} of {len(comparisons)} comparisons of linksim with unmodified Sionna agree "
        "to rounding, terminal by terminal. This says most.",
        f"- **Other random numbers:** {above} of {len(comparisons)} Kolmogorov-Smirnov distances exceed their own 95 % "
        f"critical value, where {0.05 * len(comparisons):.0f} are expected of equal engines; {beyond} exceed that of "
        "all comparisons together.",
        f"- **Table 7.5-6:** {len(findings) - len(failed)} of {len(findings)} means, deviations and correlations lie "
        f"within sampling error at {100 * (1 - FAMILY_LEVEL):.0f} % for all together.",
        "- **3GPP's curves:** shown where public; they come from a 2016 version of the tables, so they are a "
        "plausibility check and give no verdict.",
    ]
    lines += [f"- **Failed:** {finding.column.name}, {finding.quantity}: {finding.check.value:.4g} instead of "
              f"{finding.check.expected:.4g}" for finding in failed]
    return "\n".join(lines)


def _phase_table(study: Study, phase: str) -> str:
    rows = []
    for one in study.comparisons:
        if one.setup.phase == phase:
            row = _comparison_row(study, one)
            distances = [_number(row[name], 2) for name in ("distance_to_3gpp", "distance_to_3gpp_v16_1")
                         if row[name] is not None]
            rows.append([
                one.setup.place, f"{METRICS[one.metric].label}, {METRICS[one.metric].unit}",
                f"{one.num_paired} / {one.num_independent}", f"{one.distance:.3f} / {one.critical:.3f}",
                "same" if one.distance <= one.critical else "same (family)" if one.same_distribution else "DIFFERENT",
                *(" / ".join(_number(row[f"{name}_p{percent:02}"]) for name in ("sionna", "linksim"))
                  for percent in (5, 50, 95)),
                _number(row["3gpp_p50"]), " / ".join(distances) or "–",
            ])
    columns = ["set-up", "metric", "N", "KS / critical", "verdict", "5 %", "median", "95 %", "3GPP median",
               "distance to 3GPP"]
    note = ("N, percentiles: plain Sionna / linksim with other random numbers. Critical: 95 %, for this comparison "
            "alone.")
    if phase in ("configuration 1", "configuration 2"):
        note += " Distance to 3GPP: with the tables of V19.2 / of V16.1."
    return f"{_markdown(columns, rows)}\n\n{note}"


def _pairs_text(study: Study) -> str:
    rows = []
    for metric in METRICS:
        found = [one for one in study.comparisons if one.metric == metric]
        if found:
            worst = max(found, key=lambda one: one.deviation)
            specular = [one.specular_deviation for one in found if one.specular_deviation is not None]
            rows.append([
                f"{METRICS[metric].label}, {METRICS[metric].unit}", str(sum(one.num_paired for one in found)),
                f"{worst.deviation:.1e}", worst.setup.name, f"{METRICS[metric].rounding:g}",
                f"{max(specular):.2f}" if specular else "–", str(sum(one.num_handovers for one in found)),
                "same" if all(one.same_numbers for one in found) else "DIFFERENT",
            ])
    return _markdown(["metric", "N", "largest difference", "where", "accepted", "with line of sight",
                      "attached elsewhere", "verdict"], rows)


def _table_text(findings: Sequence[Finding]) -> str:
    rows = []
    for name in dict.fromkeys(finding.column.name for finding in findings):
        mine = [finding for finding in findings if finding.column.name == name]
        worst = max(mine, key=lambda finding: abs(finding.check.score))
        rows.append([name, str(mine[0].number), str(len(mine)), str(sum(not finding.check.passed for finding in mine)),
                     worst.quantity, f"{worst.check.value:.4g}", f"{worst.check.expected:.4g}",
                     f"{worst.check.low:.4g} … {worst.check.high:.4g}"])
    named = "\n".join(f"- {name}: {text}" for name, text in sources().items())
    return (f"{_markdown(['column', 'links', 'checks', 'failed', 'farthest', 'drawn', 'table', 'interval'], rows)}\n\n"
            "Means by a z-interval, deviations by a chi-square interval (by the fourth moment where a limit cuts the "
            "distribution), correlations by their asymptotic variance. Where the numbers were typed from:\n\n"
            f"{named}\n\nEvery mean, deviation and correlation above has such a source beside Sionna's parameter "
            "files, and equals them (tests). Delay scaling, cluster numbers and spreads, XPR and correlation distances "
            "are Sionna's files alone.")


def _outcome(study: Study, one: Comparison) -> Outcome:
    return next(outcome for outcome in study.outcomes if outcome.setup.name == one.setup.name)


def _number(value: object, digits: int = 1) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if abs(value) >= 1 or digits > 1 else f"{value:.2f}"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
