"""Every metric by name: what is stored per drop, how drops are averaged, what it means. No torch here."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.core.messages import suggestion

Reduction = Literal["mean", "root_of_mean", "db_of_mean", "mean_of_db", "db_of_ratio_of_sums", "percentile",
                    "binomial"]


@dataclass(frozen=True)
class Metric:
    """A column of results.

    :param measure: the per-drop column it is made of (see `linksim.link.measures`); two columns, numerator
        and denominator, for a ratio of sums.
    :param reduction: how the drops become one number. ``db_of_mean`` is the default for errors: the mean over
        drops of the linear per-drop ratio, in dB at the end.
    :param needs_link: depends on the precoder and the link SNR (not only on the CSI).
    :param plugged: computed by a plugin's function of that name.
    """

    name: str
    label: str
    unit: str
    definition: str
    measure: str | tuple[str, str]
    reduction: Reduction
    higher_is_better: bool
    needs_link: bool = False
    percentile: float | None = None
    plugged: bool = False

    @property
    def share(self) -> float:
        """Share of the values that lie below a percentile."""
        if self.percentile is None:
            raise ValueError(f"{self.name} is no percentile")
        return self.percentile / 100


_NMSE = "|h_hat - h|^2 / |h|^2 of one drop and user, over antennas, predicted times and subcarriers"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in [
        Metric("nmse_db", "NMSE", "dB", f"{_NMSE}; mean over users and drops of the linear ratio, then dB",
               "nmse", "db_of_mean", False),
        Metric("nmse_full_band_db", "NMSE (full band)", "dB", f"{_NMSE}, over every subcarrier with nothing truncated; "
               "differs from nmse_db only where a codec reports a truncated delay window",
               "nmse", "db_of_mean", False),
        Metric("nmse_window_db", "NMSE (delay window)", "dB", "|h_hat - h|^2 / |h|^2 over the first 32 delay rows of "
               "the angle-delay channel alone, as the CsiNet line of papers reports it; mean over users and drops of "
               "the linear ratio, then dB", "nmse_window", "db_of_mean", False),
        Metric("nmse_mean_of_db", "NMSE (mean of dB)", "dB", f"{_NMSE}; dB of each drop, then the mean: "
               "always at or below nmse_db", "nmse", "mean_of_db", False),
        Metric("nmse_ratio_of_sums_db", "NMSE (ratio of sums)", "dB",
               "sum over drops of |h_hat - h|^2 over sum over drops of |h|^2, then dB: strong drops dominate",
               ("squared_error", "squared_norm"), "db_of_ratio_of_sums", False),
        Metric("nmse_median_db", "NMSE (median)", "dB", f"{_NMSE}; median over drops and users, in dB",
               "nmse", "percentile", False, percentile=50.0),
        Metric("nmse_p95_db", "NMSE (95th percentile)", "dB",
               f"{_NMSE}; 95th percentile over drops and users, in dB", "nmse", "percentile", False,
               percentile=95.0),
        Metric("sgcs", "SGCS", "", "squared generalised cosine similarity in eigenvector form (TR 38.843): mean "
               "over times and subcarriers of |v^H v_hat|^2 / (|v|^2 |v_hat|^2), v the dominant right singular "
               "vector of the subcarrier's channel", "sgcs", "mean", True),
        Metric("sgcs_trace", "SGCS (trace form)", "", "|<h_hat, h>|^2 / (|h_hat|^2 |h|^2) over all entries of a "
               "drop and user: 1 - the smallest NMSE over a complex gain", "sgcs_trace", "mean", True),
        Metric("rho", "cosine similarity ρ", "", "CsiNet's ρ: mean over times and subcarriers of "
               "|h^H h_hat| / (|h| |h_hat|), not squared", "rho", "mean", True),
        Metric("nmse_reported_db", "NMSE of the report", "dB", "|h_hat - h|^2 / |h|^2 of the last report that has "
               "arrived, against the channel at its own time: neither delay nor prediction; mean over users and drops "
               "of the linear ratio, then dB",
               "nmse_reported", "db_of_mean", False),
        Metric("feedback_bits", "feedback bits", "bit", "bits of one report of one user, mean over the reports sent: "
               "positions, scales, ranks and all that is signalled included; methods without reports have none",
               "feedback_bits", "mean", False),
        Metric("rate_bps_hz", "achievable rate per user", "bit/s/Hz", "mean over streams' sums, times and "
               "subcarriers of log2(1 + SINR), SINR on the true channel at the future time, interference "
               "included, per user", "rate_bps_hz", "mean", True, needs_link=True),
        Metric("sum_rate_bps_hz", "achievable sum rate", "bit/s/Hz", "rate_bps_hz summed over the users of a "
               "drop", "sum_rate_bps_hz", "mean", True, needs_link=True),
        Metric("bler", "block error rate", "", "share of transport blocks that did not arrive, after the last "
               "transmission; exact binomial (Clopper-Pearson) interval over blocks", ("block_errors", "num_blocks"),
               "binomial", False, needs_link=True),
        Metric("throughput_bps_hz", "throughput per user", "bit/s/Hz", "bits of blocks that arrived over time and "
               "bandwidth of the slots they took, cyclic prefixes and pilots included, less CSI-RS and the bits of "
               "reports for methods that have them", "throughput_bps_hz", "mean", True, needs_link=True),
        Metric("gross_throughput_bps_hz", "gross throughput per user", "bit/s/Hz", "bits of blocks that arrived over "
               "the resource elements that carry data: what rate_bps_hz bounds", "gross_throughput_bps_hz", "mean",
               True, needs_link=True),
        Metric("mcs", "MCS index", "", "mean over slots of the MCS that link adaptation chose", "mcs", "mean", True,
               needs_link=True),
        Metric("num_transmissions", "transmissions of a block", "", "mean over blocks, 1 without retransmissions",
               "num_transmissions", "mean", False, needs_link=True),
        Metric("map", "mAP", "", "mean average precision of the gallery's ranking for the captions of a drop: mean "
               "over the items of the identity asked for of the precision down to each of them", "map", "mean", True,
               needs_link=True),
        *(Metric(f"rank{rank}", f"Rank@{rank}", "", "share of a drop's captions with an item of the identity asked "
                 f"for among the first {rank} of the gallery", f"rank{rank}", "mean", True, needs_link=True)
          for rank in (1, 5, 10)),
        Metric("position_error_cdf90_m", "position error (90 %)", "m", "distance between true and told position over "
               "the ground; 90th percentile over drops and users", "position_error_m", "percentile", False,
               percentile=90.0),
        Metric("position_error_m", "mean position error", "m", "distance between true and told position over the "
               "ground, mean over users and drops", "position_error_m", "mean", False),
        Metric("los_accuracy", "LOS accuracy", "", "share of terminals whose line of sight, or want of it, is told "
               "rightly", "los_correct", "mean", True),
        Metric("precoding_sgcs", "precoder SGCS", "", "|w^H w_hat|^2 / (|w|^2 |w_hat|^2), w the precoder of the whole "
               "band that gets most power across: the dominant eigenvector of the band's covariance",
               "precoding_sgcs", "mean", True),
        Metric("beam_top1", "beam accuracy", "", "share of terminals whose strongest beam of the DFT codebook comes "
               "first in the answer", "beam_top1", "mean", True),
        Metric("beam_top3", "beam accuracy (top 3)", "", "share of terminals whose strongest beam is among the first "
               "three of the answer", "beam_top3", "mean", True),
        Metric("beam_rate_loss_bps_hz", "rate lost by the beam", "bit/s/Hz", "rate with the strongest beam of the DFT "
               "codebook less that with the beam that is told", "beam_rate_loss_bps_hz", "mean", False,
               needs_link=True),
        Metric("path_loss_rmse_db", "path loss RMSE", "dB", "root of the mean over users and drops of the squared "
               "error of the path loss in dB", "path_loss_squared_db", "root_of_mean", False),
        Metric("rate_p05_bps_hz", "5th-percentile user rate", "bit/s/Hz", "5th percentile of rate_bps_hz over "
               "drops and users", "rate_bps_hz", "percentile", True, needs_link=True, percentile=5.0),
    ]
}

_TOLD: dict[str, Metric] = {}
"""Plugged-in metrics of results that were read, whose plugins may not be here."""

_STEP = re.compile(r"nmse_step_(\d+)_db")


def metric(name: str) -> Metric:
    """The metric of that name; ``nmse_step_<l>_db`` is the NMSE of the l-th predicted step alone.

    :raises KeyError: unknown name.
    :raises ScenarioError: a plugin's, which says of itself what no metric has.
    """
    step = _STEP.fullmatch(name)
    if step:
        return replace(
            METRICS["nmse_db"], name=name, label=f"NMSE at step {step[1]}", measure=f"nmse_step_{step[1]}",
            definition=f"nmse_db of predicted step {step[1]} alone",
        )
    if name in METRICS:
        return METRICS[name]
    found = next((spec for spec in registry.catalogue("metric") if spec.name == name), None)
    return _TOLD[name] if found is None else _of_plugin(found)


def metric_specs() -> list[registry.BlockSpec]:
    """Every metric as the registry describes what plugins bring."""
    own = [registry.BlockSpec("metric", one.name, one.definition, "linksim.metrics.catalogue:METRICS", {})
           for one in METRICS.values()]
    return [*own, *registry.catalogue("metric")]


def metric_names(can_be_computed: bool = False) -> list[str]:
    """All that `metric` knows, but for steps.

    :param can_be_computed: without those whose plugins are not here.
    """
    here = [*METRICS, *(spec.name for spec in registry.catalogue("metric"))]
    return list(dict.fromkeys(here if can_be_computed else [*here, *_TOLD]))


def _of_plugin(spec: registry.BlockSpec) -> Metric:
    """A plugin's function, whose docstring is the definition, with the facts it was registered with."""
    known = {field.name for field in fields(Metric)} - {"name", "definition", "measure", "plugged"}
    facts = {"label": spec.name.replace("_", " "), "unit": "", "reduction": "mean", "higher_is_better": True,
             **spec.facts}
    for fact in spec.facts:
        if fact not in known:
            raise ScenarioError(f"metric {spec.name!r} cannot be registered with {fact}: {suggestion(fact, known)}")
    if facts["reduction"] not in (possible := get_args(Reduction)):
        raise ScenarioError(f"metric {spec.name!r}: reduction {facts['reduction']!r} is none of {', '.join(possible)}")
    if (facts["reduction"] == "percentile") != isinstance(facts.get("percentile"), int | float):
        raise ScenarioError(f"metric {spec.name!r}: a percentile is registered with reduction=\"percentile\" and, say, "
                            "percentile=95")
    return Metric(spec.name, definition=" ".join(spec.doc.split()), measure=spec.name, plugged=True, **facts)


def plugged_facts(names: list[str]) -> list[dict[str, Any]]:
    """What results keep of those metrics that are a plugin's, to be told to readers without it, see `tell`."""
    return [asdict(one) for one in map(metric, names) if one.plugged]


def tell(facts: Any) -> None:
    """Make known what results keep of their plugged-in metrics; what is damaged is left out."""
    for one in facts if isinstance(facts, list) else []:
        try:
            found = TypeAdapter(Metric).validate_python(one)
        except ValidationError:
            continue
        if found.name not in METRICS:
            _TOLD[found.name] = found
