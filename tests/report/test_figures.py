"""Which figures are drawn, and that each shows what it says."""

import matplotlib
import numpy
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.image import imread

from linksim.report import canvas
from linksim.report.comparison import compare
from linksim.report.figures import draw_figures
from linksim.report.load import load_run


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws a comparison; returns the records and the matplotlib figures by file stem."""
    kept = {}
    save = canvas.save

    def keep(figure, path):
        kept[path.stem] = figure
        return save(figure, path)

    monkeypatch.setattr(canvas, "save", keep)

    def run(*folders):
        records = draw_figures(compare([load_run(folder) for folder in folders]), tmp_path / "figures")
        return {record.path.stem: record for record in records}, kept

    return run


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def as_curves_end(figure):
    """Labels by the height of their curves at the right edge of the last panel, told by colour and dashes."""
    looks = {look_of(line): text.get_text()
             for line, text in zip(figure.legends[0].get_lines(), figure.legends[0].get_texts())}
    ends = {}
    for panel in figure.axes:
        for line in panel.lines:
            x, y = (numpy.asarray(values, dtype=float) for values in line.get_data())
            ends[looks[look_of(line)]] = y[x.argmax()]
    return sorted(ends, key=ends.get, reverse=True)


def look_of(line):
    return line.get_color(), str(line._dash_pattern), line.get_marker()


def test_two_axes_give_every_figure_and_none_against_an_axis_that_does_not_matter(write_run, draw, methods):
    folder = write_run(
        snr=(0.0, 10.0, 20.0),
        missing=lambda method, snr, speed: (method == "Kalman" and snr == 0) or (speed == 120 and snr == 20),
    )
    records, figures = draw(folder)
    assert set(records) == {
        "nmse_db_vs_speed_kmh", "sgcs_vs_speed_kmh", "rate_bps_hz_vs_snr_db", "rate_bps_hz_vs_speed_kmh",
        "sum_rate_bps_hz_vs_snr_db", "sum_rate_bps_hz_vs_speed_kmh", "nmse_vs_horizon", "rate_bps_hz_cdf",
        "nmse_cdf",
    }
    names = [name for name, _ in methods]
    for stem, record in records.items():
        image = imread(record.path)
        assert image[..., :3].std() > 0.05, f"{stem} is blank"
        assert record.path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        expected = [n for n in names if "nmse" not in stem or n not in ("perfect CSI", "sum capacity")]
        if stem == "sgcs_vs_speed_kmh":
            expected.remove("sum capacity")
        assert sorted(legend_of(figures[stem])) == sorted(expected)
        if not stem.endswith("cdf"):
            assert legend_of(figures[stem]) == as_curves_end(figures[stem])

    # Intervals are drawn, in each of the panels.
    rate = figures["rate_bps_hz_vs_snr_db"]
    assert [panel.get_title() for panel in rate.axes] == [f"UE speed = {v} km/h" for v in (3, 30, 60, 120)]
    bands = [sum(isinstance(c, PolyCollection) for c in panel.collections) for panel in rate.axes]
    assert bands == [14, 14, 14, 13], "one point of Kalman at 120 km/h: a bar, not a band"
    assert rate.axes[2].get_xlabel() == "SNR (dB)"
    assert rate.axes[0].get_ylabel() == "Achievable rate per user (bit/s/Hz)"

    # What could not be drawn is said.
    assert "perfect CSI" in records["nmse_db_vs_speed_kmh"].caption
    assert "sum capacity" not in records["nmse_cdf"].caption
    assert "SNR = 10 dB, UE speed = 30 km/h" in records["rate_bps_hz_cdf"].title
    assert "SNR" not in records["nmse_cdf"].title
    horizon = figures["nmse_vs_horizon"].axes[0].lines[0].get_xdata()
    assert horizon.tolist() == [5, 10, 15, 20]


def test_a_method_looks_the_same_in_every_figure(write_run, draw, methods):
    _, figures = draw(write_run(snr=(0.0, 10.0), speed=(3.0,), metrics=["nmse_db", "rate_bps_hz"]))
    looks = {}
    for figure in figures.values():
        for text, line in zip(legend_of(figure) if figure.legends else [], figure.legends and
                              figure.legends[0].get_lines()):
            looks.setdefault(text, set()).add((line.get_color(), line.get_marker(), line.get_linestyle()))
    assert {name for name, look in looks.items() if len(look) == 1} == {name for name, _ in methods}
    assert len({next(iter(look)) for look in looks.values()}) == len(methods)


def test_many_values_of_a_second_axis_are_fixed_at_the_middle_one_and_named(write_run, draw, methods):
    records, figures = draw(write_run(
        snr=(0.0, 10.0), speed=(3.0, 10.0, 30.0, 60.0, 120.0), methods=methods[:3], metrics=["rate_bps_hz"]
    ))
    assert records["rate_bps_hz_vs_snr_db"].title.endswith("at UE speed = 30 km/h")
    assert figures["rate_bps_hz_vs_snr_db"].get_suptitle() == "UE speed = 30 km/h"
    assert len(figures["rate_bps_hz_vs_snr_db"].axes) == 1
    assert len(figures["rate_bps_hz_vs_speed_kmh"].axes) == 2


def test_without_axes_dots_are_sorted_with_intervals(write_run, draw):
    records, figures = draw(write_run(snr=(10.0,), speed=(30.0,)))
    assert {"nmse_db_by_method", "sgcs_by_method", "rate_bps_hz_by_method"} <= set(records)
    panel = figures["nmse_db_by_method"].axes[0]
    values = [line.get_xdata()[0] for line in panel.lines]
    assert values == sorted(values, reverse=True), "the lowest error stands on top"
    assert sum(isinstance(c, LineCollection) for c in panel.collections) == 12
    assert panel.get_yticklabels()[-1].get_text() == "GRU"


def test_a_partial_run_with_one_value_of_an_axis_names_it(write_run, draw, methods):
    records, _ = draw(write_run(
        snr=(0.0, 10.0), methods=methods[:3], missing=lambda method, snr, speed: speed != 30.0
    ))
    assert records["nmse_db_by_method"].title == "NMSE by method at UE speed = 30 km/h"
    assert records["rate_bps_hz_vs_snr_db"].title.endswith("at UE speed = 30 km/h")
    assert "rate_bps_hz_vs_speed_kmh" not in records


def test_nothing_simulated_gives_no_figure(write_run, draw, methods):
    records, _ = draw(write_run(snr=(0.0, 10.0), methods=methods[:1], metrics=["nmse_db"], horizon_s=None))
    assert records == {}, "perfect CSI alone has no finite NMSE"


def test_the_users_matplotlib_is_left_alone(write_run, draw, methods):
    before = dict(matplotlib.rcParams)
    draw(write_run(snr=(0.0, 10.0), speed=(3.0,), methods=methods[:2], metrics=["rate_bps_hz"]))
    assert dict(matplotlib.rcParams) == before


def test_two_runs_share_figures(write_run, draw, methods):
    options = {"snr": (0.0, 10.0), "metrics": ["rate_bps_hz"]}
    full = write_run("full", methods=methods[:3], **options)
    other = write_run("other", speed=(120.0,), methods=[methods[1], ("mine", "method")], **options)
    records, figures = draw(full, other)
    labels = ["perfect CSI", "hold (full)", "hold (other)", "Wiener", "mine"]
    figure = figures["rate_bps_hz_vs_speed_kmh"]
    assert sorted(legend_of(figure)) == sorted(labels)
    # The second run fixes the speed in its scenario: a point at that speed.
    points = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 1}
    assert points == {120.0}
    lines = dict(zip(legend_of(figures["rate_bps_hz_vs_snr_db"]),
                     figures["rate_bps_hz_vs_snr_db"].legends[0].get_lines()))
    assert lines["hold (full)"].get_color() == lines["hold (other)"].get_color()
    assert lines["hold (full)"].get_linestyle() != lines["hold (other)"].get_linestyle()
    # A distribution at 30 km/h must not take in drops of the run at 120 km/h.
    speed = records["rate_bps_hz_cdf"].title.partition("UE speed = ")[2]
    assert ("mine" in legend_of(figures["rate_bps_hz_cdf"])) == speed.startswith("120")


def test_hostile_names_are_drawn_as_text(write_run, draw):
    names = ["$\\frac{", "_hidden", "x" * 120, "a\nb\tc", "<script>", "μ∑", "\x07\x1b", "%s #&~^{}", "a\u202eb"]
    records, figures = draw(write_run(
        snr=(0.0, 10.0), speed=(3.0,), methods=[(name, "method") for name in names],
        metrics=["rate_bps_hz", "../../../evil"],
    ))
    labels = legend_of(figures["rate_bps_hz_vs_snr_db"])
    assert len(labels) == 9
    assert {"$\\frac{", " _hidden", "<script>", "a\\nb\\tc", "\\x07\\x1b", "%s #&~^{}", "a\\u202eb"} <= set(labels)
    assert all(record.path.parent.name == "figures" for record in records.values())


def test_interval_ends_at_infinity_do_not_break_the_axes(write_run, draw, methods):
    folder = write_run(speed=(3.0, 30.0), snr=(0.0,), methods=methods[:3], metrics=["nmse_db"])
    text = (folder / "metrics.csv").read_text().splitlines()
    broken = [",".join([*line.split(",")[:3], "-inf", *line.split(",")[4:]]) if "Wiener,nmse_db" in line
              else line for line in text]
    (folder / "metrics.csv").write_text("\n".join(broken))
    _, figures = draw(folder)
    assert numpy.isfinite(figures["nmse_db_vs_speed_kmh"].axes[0].get_ylim()).all()


def test_names_on_the_x_axis_keep_their_order_and_are_not_joined(write_categories, draw, methods):
    records, figures = draw(write_categories())
    assert set(records) == {"nmse_db_vs_duplex", "rate_bps_hz_vs_duplex", "rate_bps_hz_cdf", "nmse_cdf"}
    figure = figures["rate_bps_hz_vs_duplex"]
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.get_xticklabels()] == ["tdd", "fdd gapped", "fdd adjacent"]
    assert all(line.get_linestyle() == "None" for line in panel.lines if len(line.get_xdata()) == 3)
    assert sorted(legend_of(figure)) == sorted(name for name, _ in methods)
    assert records["rate_bps_hz_cdf"].title.endswith("duplex = fdd_gapped")


def test_block_error_rates_stand_on_decades_and_zero_leaves_through_the_floor(write_run, draw):
    import json

    import pandas

    folder = write_run(snr=(0.0, 10.0, 20.0), speed=(3.0,), methods=[("hold", "method"), ("Wiener", "method")])
    table = pandas.read_csv(folder / "metrics.csv")
    rates = table["metric"] == "sgcs"
    table.loc[rates, "metric"] = "bler"
    table.loc[rates, "value"] = [0.9, 0.2, 0.0, 0.8, 0.1, 0.01]
    table.loc[rates, "ci_low"], table.loc[rates, "ci_high"] = 0.0, [0.95, 0.3, 0.02, 0.9, 0.2, 0.03]
    table.to_csv(folder / "metrics.csv", index=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["metrics"] = ["bler"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    _, figures = draw(folder)
    (panel,) = figures["bler_vs_snr_db"].axes
    assert panel.get_yscale() == "log"
    floor, top = panel.get_ylim()
    assert 0 < floor < 0.01
    assert top >= 1
    assert min(line.get_ydata().min() for line in panel.lines) < floor
    assert all(vertices[:, 1].min() > 0 for band in panel.collections for vertices in
               (path.vertices for path in band.get_paths()))
