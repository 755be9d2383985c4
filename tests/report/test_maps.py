"""Maps of the cell: every user where it stands, all panels by one scale."""

import numpy
import pyarrow
import pyarrow.parquet
import pytest

from linksim.report.canvas import save
from linksim.report.comparison import compare
from linksim.report.figures import draw_figures
from linksim.report.load import load_run, read_measures
from linksim.report.maps import draw_maps, footprint


def places(seed, level_db):
    random = numpy.random.default_rng(seed)
    return numpy.column_stack([random.uniform(0, 100, (20, 2)), level_db + random.normal(size=20)])


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_a_panel_for_each_method_with_the_same_colours(count):
    drawn = {f"method {number}": places(number, -5.0 * number) for number in range(count)}
    figure = draw_maps(drawn, "speed = 30 km/h", "NMSE (dB)")
    panels = [panel for panel in figure.axes if panel.get_visible() and panel.get_title()]
    assert [panel.get_title() for panel in panels] == list(drawn)
    for panel, dots in zip(panels, drawn.values()):
        (shown,) = panel.collections
        assert numpy.array_equal(shown.get_offsets(), dots[:, :2])
        assert shown.get_clim() == panels[0].collections[0].get_clim()
        assert panel.get_aspect() == 1
        assert panel.lines[0].get_xydata().tolist() == [[0, 0]], "the base station"


def test_users_that_stand_on_one_spot_are_drawn_all_the_same():
    draw_maps({"hold": numpy.array([[3.0, 4.0, -10.0]])}, "", "NMSE (dB)")


@pytest.mark.parametrize("errors_m", [[0.1, 1.0, 100.0], [0.0, 1.0, 100.0], [5.0], [0.0]])
def test_colours_by_decades_show_an_error_of_zero_as_the_least(errors_m, tmp_path):
    dots = numpy.column_stack([numpy.arange(len(errors_m)), numpy.zeros(len(errors_m)), errors_m])
    figure = draw_maps({"knn": dots}, "", "Position error (m)", logarithmic=True)
    save(figure, tmp_path / "map.png")
    (shown,) = figure.axes[0].collections
    colours = shown.to_rgba(shown.get_array())
    assert (colours[:, 3] == 1).all()
    least, most = (numpy.asarray(place(errors_m)) for place in (numpy.argmin, numpy.argmax))
    assert (colours[least] == shown.cmap(0)).all() or len(errors_m) == 1
    assert (colours[most] == shown.cmap(255)).all() or len(errors_m) == 1


def test_a_map_is_drawn_of_runs_that_know_where_users_stand(write_run, tmp_path):
    folder = write_run(snr=(0.0,), speed=(3.0,), metrics=["nmse_db"])
    run = load_run(folder)
    assert not any(figure.path.stem == "nmse_map" for figure in draw_figures(compare([run]), tmp_path / "without"))
    for path in (folder / "drops").glob("*.parquet"):
        table = pyarrow.parquet.read_table(path)
        spots = numpy.arange(table.num_rows, dtype=float)
        table = table.append_column("east_m", pyarrow.array(spots)).append_column("north_m", pyarrow.array(-spots))
        pyarrow.parquet.write_table(table, path)
    figures = draw_figures(compare([run]), tmp_path / "with")
    assert figures[-1].path.stem == "nmse_map"
    found = read_measures(run, ["east_m", "north_m"], {})["hold"]
    assert numpy.array_equal(found[:, 0], -found[:, 1])


def test_the_ground_of_a_ray_traced_run_lies_below_the_dots():
    traced = {"scene": "procedural", "first_area": 4}
    manifest = {"scenario": {"channel": {"source": "ray_traced", "ray_traced": traced}}}
    east, north, built = footprint(manifest)
    assert east.shape == north.shape == (built.shape[0] + 1, built.shape[1] + 1)
    assert 0.1 < built.mean() < 0.6
    row, column = (abs(part[:-1, :-1]).argmin() for part in (north[:, :1].repeat(2, 1), east[:1].repeat(2, 0)))
    assert built[row, column], "the base station stands on a roof"
    figure = draw_maps({"told": numpy.array([[30.0, 40.0, 5.0], [60.0, -10.0, 9.0]])}, "", "m", (east, north, built))
    panel = figure.axes[0]
    assert panel.get_xlim() == (-20, 80)


def test_runs_without_a_map_have_no_ground():
    assert footprint({}) is None
    assert footprint({"scenario": {"channel": {"source": "model"}}}) is None
    assert footprint({"scenario": {"channel": {"source": "ray_traced", "ray_traced": {"scene": "atlantis"}}}}) is None
