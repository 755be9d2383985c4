"""What a number may not depend on: order, resuming, the other methods, the other sweep values."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from linksim.experiment import run as run_module
from linksim.experiment.execute import LocalExecutor
from linksim.experiment.run import Interrupted
from linksim.results.store import Store

SWEPT = {"sweep": {"channel.speed_kmh": [3, 60], "link.snr_db": [0, 10]}, "run.stopping.min_drops": 8}


def metrics_of(folder):
    return (folder / "metrics.csv").read_bytes()


def rows_of(folder, keys):
    return pd.read_csv(folder / "metrics.csv").set_index(["method", "metric", *keys]).sort_index()


def drops_of(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "drops").glob("*.parquet"))}


class ReversedExecutor(LocalExecutor):
    def run(self, units):
        return super().run(units[::-1])


def test_the_order_of_units_changes_nothing(simulate, monkeypatch):
    forward = simulate("forward", SWEPT)
    monkeypatch.setattr(run_module, "make_executor", lambda scenario, device, *_: ReversedExecutor(scenario, device))
    backward = simulate("backward", SWEPT)
    assert metrics_of(forward) == metrics_of(backward)
    assert drops_of(forward) == drops_of(backward)


@pytest.mark.parametrize("kept", [0, 1, 5])
def test_a_resumed_run_equals_an_uninterrupted_one(kept, simulate, monkeypatch):
    whole = simulate("whole", SWEPT)
    write, count = Store.write_unit, 0

    def interrupted(self, *arguments):
        nonlocal count
        if count == kept:
            raise KeyboardInterrupt
        count += 1
        return write(self, *arguments)

    monkeypatch.setattr(Store, "write_unit", interrupted)
    with pytest.raises(Interrupted) as interruption:
        simulate("resumed", SWEPT)
    results = interruption.value.results
    assert results.manifest["status"] == "partial"
    assert len(drops_of(results.folder)) == kept
    assert len(results.to_pandas()) > 0 or kept == 0
    monkeypatch.setattr(Store, "write_unit", write)
    resumed = simulate("resumed", SWEPT)
    assert metrics_of(resumed) == metrics_of(whole)
    assert drops_of(resumed) == drops_of(whole)
    assert '"status": "done"' in (resumed / "manifest.json").read_text()


def test_a_finished_run_is_not_simulated_again(simulate, monkeypatch):
    folder = simulate("once", SWEPT)
    before = metrics_of(folder)

    class Idle(LocalExecutor):
        def run(self, units):
            assert not units
            return iter(())

    monkeypatch.setattr(run_module, "make_executor", lambda scenario, device, *_: Idle(scenario, device))
    assert metrics_of(simulate("once", SWEPT)) == before


def test_adding_a_method_changes_no_other_value(simulate):
    few = rows_of(simulate("few", SWEPT), ["speed_kmh", "snr_db"])
    more = rows_of(simulate("more", {**SWEPT, "methods": [
        "zero", "perfect CSI", {"name": "other", "predictor": "hold", "precoder": "zf"}, "hold"]}),
        ["speed_kmh", "snr_db"])
    pd.testing.assert_frame_equal(few, more.loc[few.index], check_exact=True)
    assert len(more) > len(few)


def test_adding_a_sweep_value_changes_no_other_value(simulate):
    few = rows_of(simulate("few", SWEPT), ["speed_kmh", "snr_db"])
    more = rows_of(simulate("more", {**SWEPT, "sweep": {"channel.speed_kmh": [30, 60, 3], "link.snr_db": [10, 5, 0]}}),
                   ["speed_kmh", "snr_db"])
    pd.testing.assert_frame_equal(few, more.loc[few.index], check_exact=True)


def test_sweeping_a_predictor_option_leaves_the_drops_alone(simulate):
    methods = ["hold", {"name": "line", "predictor": "polynomial"}]
    one = rows_of(simulate("one", {"methods": methods}), [])
    swept = rows_of(simulate("swept", {"methods": methods, "sweep": {"methods.line.predictor.order": [1, 2]}}),
                    ["order"])
    others = one.drop("line")
    for order in (1, 2):
        pd.testing.assert_frame_equal(others, swept.xs(order, level="order").loc[others.index], check_exact=True)
    line = swept.loc[("line", "nmse_db")]["value"]
    assert line[1] != line[2]
    assert one.loc[("line", "nmse_db")]["value"] in list(line)


def test_the_rule_looks_at_whole_units_and_counts_no_drop_beyond_the_last_one_wanted(simulate):
    stopping = {"run.stopping.min_drops": 5, "run.stopping.max_drops": 13}
    fixed = simulate("fixed", stopping)  # rounds of 2 units of 2 drops
    assert set(pd.read_csv(fixed / "metrics.csv")["num_drops"]) == {5}
    longest = simulate("longest", {**stopping, "run.stopping.adaptive": True, "run.stopping.half_width": 1e-6})
    assert set(pd.read_csv(longest / "metrics.csv")["num_drops"]) == {13}
    content = simulate("content", {**stopping, "run.stopping.adaptive": True, "run.stopping.half_width": 1e6})
    assert set(pd.read_csv(content / "metrics.csv")["num_drops"]) == {6}


def test_blocks_are_sent_until_enough_of_them_are_lost(simulate):
    coded = {"link.mode": "abstraction", "link.coding": {"mcs": 16}, "metrics": ["bler"], "bounds": [],
             "run.stopping.metric": "bler", "run.stopping.adaptive": True, "run.stopping.min_drops": 4,
             "run.stopping.max_drops": 40}
    few, many = (simulate(str(errors), {**coded, "link.snr_db": 8, "run.stopping.block_errors": errors})
                 for errors in (1, 1000))
    lost = pd.read_csv(few / "metrics.csv")
    assert (lost["value"] > 0).all()
    assert set(lost["num_drops"]) < {*range(4, 40)}
    assert set(pd.read_csv(many / "metrics.csv")["num_drops"]) == {40}


def test_more_finished_units_than_needed_change_nothing(simulate, tmp_path):
    long = simulate("long", {"run.stopping.min_drops": 16, "run.stopping.max_drops": 16})
    short = simulate("short", {"run.stopping.min_drops": 8, "run.stopping.max_drops": 16})
    shutil.copytree(long, tmp_path / "both")
    both = simulate("both", {"run.stopping.min_drops": 8, "run.stopping.max_drops": 16})
    assert metrics_of(both) == metrics_of(short)
    assert len(drops_of(both)) == 8


def test_a_fresh_run_replaces_what_was_there(simulate):
    folder = simulate("same", {"seed": 1})
    before = metrics_of(folder)
    simulate("same", {"seed": 2}, fresh=True)
    assert metrics_of(folder) != before
    assert len(drops_of(folder)) == 2


def test_text_axes_keep_their_order_and_their_drops(simulate):
    swept = simulate("names", {"sweep": {"acquisition.type": ["perfect", "awgn"]}})
    frame = pd.read_csv(swept / "metrics.csv")
    assert list(frame[(frame.method == "hold") & (frame.metric == "nmse_db")]["type"]) == ["perfect", "awgn"]
    plain = rows_of(simulate("plain"), [])
    same = frame[frame["type"] == "awgn"].drop(columns="type").set_index(["method", "metric"])
    pd.testing.assert_frame_equal(plain, same.loc[plain.index], check_exact=True)
