"""Table 7.5-6 as typed by us: equal to Sionna's files, and to what Sionna draws."""

import json
from importlib import resources

import pytest

from studies.calibration.large_scale_check import Column, check_columns, columns, draw_parameters
from studies.calibration.large_scale_table import correlations, expected, sources

SIONNA_NAMES = {"uma": "UMa", "umi": "UMi", "los": "LoS", "nlos": "NLoS", "o2i": "O2I"}
VERSIONS = {"16.1": "v16_1", "19.2": "v19_2"}
STATES = [(scenario, state) for scenario in ("uma", "umi") for state in ("los", "nlos", "o2i")]


def sionna_file(version, scenario, state):
    name = f"models/{VERSIONS[version]}/{SIONNA_NAMES[scenario]}_{SIONNA_NAMES[state]}.json"
    return json.loads(resources.files("sionna.phy.channel.tr38901").joinpath(name).read_text())


@pytest.mark.parametrize(("scenario", "state"), STATES)
@pytest.mark.parametrize("version", VERSIONS)
def test_equals_sionnas_files(version, scenario, state):
    theirs = sionna_file(version, scenario, state)
    for carrier_ghz in (6.0, 30.0):
        ours = expected(version, scenario, state, carrier_ghz * 1e9, 50.0, 1.5, 25.0)
        for name in ("ds", "asd", "asa", "zsa"):
            for part, prefix in (("mean", "mu"), ("deviation", "sigma")):
                a, b, c = (theirs[f"{prefix}{name.upper()}{letter}"] for letter in "abc")
                assert getattr(ours[name], part) == pytest.approx(a * log10(carrier_ghz + b) + c, abs=1e-12)
        assert ours["sf"].deviation == theirs["sigmaSF"]
        assert ("k" in ours) == (state == "los")
        if state == "los":
            assert (ours["k"].mean, ours["k"].deviation) == (theirs["muK"], theirs["sigmaK"])
    for (first, second), value in correlations(scenario, state).items():
        assert theirs[f"corr{first.upper()}vs{second.upper()}"] == value


def log10(value):
    from math import log10

    return log10(value)


def test_known_values():
    uma = expected("16.1", "uma", "los", 30e9, 50.0, 1.5, 25.0)
    assert uma["ds"].mean == pytest.approx(-6.955 - 0.0963 * log10(30))
    assert uma["ds"].deviation == 0.66
    assert uma["zsd"].mean == pytest.approx(-2.1 * 0.05 + 0.75)
    umi = expected("19.2", "umi", "nlos", 30e9, 300.0, 22.5, 10.0)
    assert umi["zsd"].mean == pytest.approx(-0.5)  # the floor of Table 7.5-8
    assert all(sources().values())


def test_low_carriers_use_the_tables_floor():
    place = (50.0, 1.5, 25.0)
    assert expected("19.2", "uma", "los", 2.4e9, *place) == expected("19.2", "uma", "los", 6e9, *place)
    assert expected("19.2", "umi", "los", 1e9, *place) == expected("19.2", "umi", "los", 2e9, *place)
    assert expected("19.2", "umi", "los", 2.4e9, *place) != expected("19.2", "umi", "los", 2e9, *place)


def test_sionna_draws_the_table():
    picked = [Column("uma", "nlos", 2.4e9), Column("umi", "los", 30e9), Column("uma", "o2i", 6e9, "16.1")]
    findings = [finding for found in check_columns(picked, 3000, 1) for finding in found]
    assert [finding.quantity for finding in findings if not finding.check.passed] == []
    # 12 % of this column's ASA lie at the limit
    assert draw_parameters(picked[0], 100, 1)["asa"].max() == pytest.approx(log10(104))


def test_another_versions_numbers_are_found():
    column = Column("uma", "los", 6e9, "16.1")

    class Mistaken(Column):
        def expected(self):
            return expected("19.2", self.scenario, self.state, self.carrier_hz, 50.0, 1.5, 25.0)

    findings = next(check_columns([Mistaken(**vars(column))], 3000, 1))
    failed = {finding.quantity for finding in findings if not finding.check.passed}
    assert {"mean of asd", "deviation of ds", "mean of asa"} <= failed
    assert not any("sf" in quantity or "of k" in quantity for quantity in failed)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_sionna_draws_every_column(version):
    findings = [finding for found in check_columns(columns(version), 10_000, 2) for finding in found]
    assert [(finding.column.name, finding.quantity) for finding in findings if not finding.check.passed] == []
