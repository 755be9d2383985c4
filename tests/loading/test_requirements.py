"""What blocks need is known when a scenario is validated: at every sweep point, with place and fix, for plugins too."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import linksim
from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.loading.load import scenario_from_dict
from linksim.metrics import catalogue

PANEL = {"rows": 2, "columns": 2, "polarization": "dual"}
CHANNEL = {"num_subcarriers": 8, "num_history": 8, "num_future": 2, "bs_array": PANEL}
TRACED = {"source": "ray_traced", "carrier_frequency_ghz": 3.5, "num_subcarriers": 8, "num_history": 1, "num_future": 1}


def scenario(method, channel=None, **fields):
    return {"channel": {**CHANNEL, **(channel or {})}, "methods": [{"name": "m", **method}], "bounds": [],
            "metrics": ["nmse_db"], **fields}


def predictor(name, channel=None, **options):
    return scenario({"predictor": {"type": name, **options}}, channel)


def codec(name, **options):
    return scenario({"feedback": {"type": name, **options}}, {"num_subcarriers": 16})


def semantic(name, data="emoji", uses=16, **options):
    return scenario({"semantic": {"type": name, **options}}, metrics=["map"], semantic={"data": data,
                                                                                       "channel_uses": uses})


def universal(name, delays=False, teacher="", **options):
    other = {"name": "t", "universal": {"type": "alignment", "num_features": options.pop("features", 128)}}
    given = scenario({"universal": {"type": name, **options}}, metrics=["beam_top1"])
    return {**given, "channel": {**TRACED, "ray_traced": {"synchronized": delays}},
            "methods": [{**given["methods"][0], "universal_training": {"teacher": teacher}}, other]}


TAUGHT = {"methods": [{"name": "m", "predictor": "csi_alm_light", "training": {"teacher": "t"}},
                      {"name": "t", "predictor": "csi_alm"}]}

REFUSED = [
    (scenario({"precoder": "svd"}, {"num_users": 6, "ue_array": {"num_antennas": 2}}), "methods.0.precoder",
     "6 users x 2 antennas needs 11 antennas"),
    (predictor("wiener", {"num_subcarriers": 1, "duplex": "fdd_adjacent"}), "methods.0.predictor", "band: copy"),
    (predictor("ridge", {"num_subcarriers": 1, "duplex": "fdd_adjacent"}), "methods.0.predictor", "two subcarriers"),
    (predictor("sparse_bayesian", {"num_subcarriers": 1, "duplex": "fdd_adjacent"}), "methods.0.predictor",
     "two subcarriers"),
    (predictor("transformer", width=10), "methods.0.predictor", "8 heads do not divide width 10"),
    (predictor("csi_alm_light", num_heads=3), "methods.0.predictor", "3 heads do not divide width 128"),
    (predictor("csi_alm", num_heads=7), "methods.0.predictor", "7 heads do not divide the language model's width 576"),
    (predictor("csi_alm", num_layers=31), "methods.0.predictor", "'smollm2' has 30 layers, but num_layers is 31"),
    (predictor("csi_alm", num_words=576), "methods.0.predictor", "575 principal words can be had"),
    (predictor("csi_alm", num_anchors=100), "methods.0.predictor", "fewer anchors than words"),
    (predictor("csi_llm", {"num_history": 1024}, backbone="gpt2"), "methods.0.predictor", "takes 1024 tokens"),
    (predictor("llm4cp", {"num_history": 1025}, backbone="gpt2"), "methods.0.predictor", "here are 1025"),
    (predictor("cdg", num_tokens=49_153), "methods.0.predictor", "has 49152 words"),
    (predictor("cdg", stride=3), "methods.0.predictor", "channel.num_future = 2"),
    ({**predictor("hold"), **TAUGHT, "methods": [TAUGHT["methods"][0], {"name": "t", "predictor": "gru"}]},
     "methods.0.predictor", "learns from csi_alm alone"),
    ({**predictor("hold"), "methods": [TAUGHT["methods"][0], {"name": "t", "predictor": {
        "type": "csi_alm", "num_prompts": 5}}]}, "methods.0.predictor", "attention relations need as many tokens"),
    ({**predictor("hold"), "methods": [{**TAUGHT["methods"][0], "predictor": {
        "type": "csi_alm_light", "num_relation_heads": 128}}, TAUGHT["methods"][1]]}, "methods.0.predictor",
     "128 heads do not divide its teacher's width 576"),
    (codec("idasnet", several_values=[]), "methods.0.feedback", "at least one number"),
    (codec("idasnet", several_values=[8], num_values=8, selection="random"), "methods.0.feedback", "random places"),
    (codec("llmcsinet", num_values=8, num_layers=31), "methods.0.feedback", "has 30 layers"),
    (semantic("sc_lmkb", num_heads=3), "methods.0.semantic", "3 heads do not divide width 128"),
    (semantic("sc_lmkb", snr_low_db=30), "methods.0.semantic", "above snr_high_db"),
    (semantic("separate_text", target_error_rate=0.6), "methods.0.semantic", "at most 0.5"),
    (semantic("separate_embedding", allocation="equal", value_bits=9), "methods.0.semantic", "1 to 8 bits"),
    (semantic("sscc", order=3), "methods.0.semantic", "one of 1, 2, 4, 6, 8"),
    (semantic("sscc", uses=2), "methods.0.semantic", "hold no Reed-Solomon code word"),
    (semantic("sc_lmkb", {"type": "motions", "num_motions": 5}), "semantic.data", "at least 6"),
    (semantic("sc_lmkb", {"type": "emoji", "min_keywords": 20}), "semantic.data", "at most 19"),
    (universal("ai2mmum"), "methods.0.universal", "write encoders: scratch"),
    (universal("ai2mmum", teacher="t", features=64), "methods.0.universal", "num_features 64"),
    (universal("ai2mmum", teacher="t", encoders="scratch"), "methods.0.universal", "takes no teacher"),
    (universal("ai2mmum", teacher="t", num_layers=31), "methods.0.universal", "has 30 layers"),
    (universal("first_path", delays=True), "methods.0.universal", "synchronized: false"),
]


@pytest.mark.parametrize(("given", "place", "words"), REFUSED, ids=[words for _, _, words in REFUSED])
def test_a_need_that_is_not_met_is_named_with_its_place(given, place, words):
    with pytest.raises(ScenarioError) as refused:
        scenario_from_dict(given)
    assert f"{place}: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize("given", [
    scenario({"precoder": "svd"}, {"num_users": 6, "ue_array": {"num_antennas": 2},
                                   "bs_array": {"rows": 11, "columns": 1, "polarization": "single"}}),
    scenario({"precoder": "svd"}, {"ue_array": {"num_antennas": 4}}),
    predictor("wiener", {"num_subcarriers": 1, "duplex": "fdd_adjacent"}, band="copy"),
    predictor("wiener", {"num_subcarriers": 1}), predictor("ridge", {"num_subcarriers": 1}),
    predictor("sparse_bayesian", {"num_subcarriers": 1}),
    predictor("ridge", {"num_subcarriers": 1, "duplex": "fdd_adjacent"}, domain="antenna"),
    {**predictor("hold"), **TAUGHT}, semantic("sc_lmkb"), semantic("sscc"), universal("ai2mmum", teacher="t"),
    universal("ai2mmum", encoders="scratch"), universal("first_path"), predictor("csi_llm", {"num_history": 9}),
])
def test_what_is_enough_is_enough(given):
    scenario_from_dict(given)


def test_every_sweep_point_is_looked_at():
    with pytest.raises(ScenarioError, match=r"methods.0.precoder: svd: block diag.* \(at channel.num_users = 6\)"):
        scenario_from_dict(scenario({"precoder": "svd"}, {"ue_array": {"num_antennas": 2}},
                                    sweep={"channel.num_users": [2, 4, 6]}))


def test_a_block_of_the_user_says_what_it_needs_in_the_same_way():
    def even_tones(options, scenario, method):
        if scenario.channel.num_subcarriers % options["step"]:
            raise ScenarioError(f"channel.num_subcarriers: a multiple of {options['step']} is needed")

    @linksim.register("predictor", "picky", requires=even_tones)
    class Picky(torch.nn.Module):
        """Needs a step that divides the tones."""

        def __init__(self, step: int = 2) -> None:
            super().__init__()
            self.step = step

    try:
        scenario_from_dict(predictor("picky"))
        with pytest.raises(ScenarioError, match=r"methods.0.predictor: picky: .* a multiple of 3"):
            scenario_from_dict(predictor("picky", step=3))
    finally:
        del registry._registered["predictor", "picky"]


def test_needs_are_known_without_torch():
    code = ("import sys; from linksim.core import registry\n"
            "for spec in registry.catalogue():\n"
            "    if spec.requires:\n"
            "        module, _, name = spec.requires.partition(':')\n"
            "        assert callable(getattr(__import__(module, fromlist=[name]), name)), spec\n"
            "assert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_metric_that_only_results_tell_of_cannot_be_asked_for(monkeypatch):
    monkeypatch.setattr(catalogue, "_TOLD", {})
    catalogue.tell([{"name": "of_a_plugin", "label": "its own", "unit": "", "definition": "Its own.", "measure":
                     "of_a_plugin", "reduction": "mean", "higher_is_better": True, "plugged": True}])
    assert catalogue.metric("of_a_plugin").label == "its own"  # in reports
    for key in ("metrics", "run.stopping.metric"):
        with pytest.raises(ScenarioError, match="unknown metric 'of_a_plugin'"):
            scenario_from_dict({"methods": ["hold"]}, {key: ["of_a_plugin"] if key == "metrics" else "of_a_plugin"})
