"""Recycled memory is never shared by two living tensors. The response computed from recorded rays is Sionna's own,
whatever is drawn, and never needs more than its budget.
"""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sionna.phy.channel import cir_to_ofdm_channel, gen_single_sector_topology
from sionna.phy.channel.tr38901 import CDL, HandheldUTArray, InF, InH, PanelArray, RMa, UMa, UMi
from torch.utils._python_dispatch import TorchDispatchMode

from linksim.channel.response import _LARGE_BYTES, _free, frequency_response, large_empty
from linksim.channel.statistical.drops import draw_rays
from linksim.channel.statistical.sionna_rays import sample_cdl_rays, sample_rays
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import BsArray, Channel, UeArray

CPU = torch.device("cpu")
COUNT = _LARGE_BYTES // 8 + 5


def fresh():
    return large_empty((5, COUNT), torch.complex64, CPU)


def test_memory_is_taken_again_once_it_is_gone():
    first = fresh()
    address = first.data_ptr()
    del first
    gc.collect()
    assert fresh().data_ptr() == address


def test_a_view_keeps_the_memory():
    tensor = fresh()
    view = tensor[1:, 3].real
    address = tensor.data_ptr()
    del tensor
    gc.collect()
    other = fresh()
    assert other.data_ptr() != address
    other.fill_(7)
    view.fill_(1)
    assert (view == 1).all()
    assert (other == 7).all()


def test_few_blocks_are_held_and_small_tensors_are_ordinary():
    tensors = [fresh() for _ in range(7)]
    del tensors
    gc.collect()
    assert len(_free) <= _free.maxlen
    assert large_empty((3, 4), torch.complex64, CPU).shape == (3, 4)


def test_threads_never_share_a_block():
    failures = []

    def work(number):
        for _ in range(20):
            tensor = large_empty((COUNT,), torch.complex64, CPU)
            tensor[::4096] = number
            if not (tensor[::4096] == number).all():
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


PERIOD_S = 0.5e-3
LIMIT = {"double": 1e-20, "single": 1e-9}


def relative_error(h, reference):
    return float((h - reference).abs().square().sum() / reference.abs().square().sum())


def offsets_hz(count):
    return (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * 180e3


def times_s(count):
    return torch.arange(count, dtype=torch.float64) * PERIOD_S


def panel(config, carrier_hz, precision):
    rows, columns, panels, polarization, kind, pattern = config
    return PanelArray(num_rows_per_panel=rows, num_cols_per_panel=columns, num_rows=panels, num_cols=panels,
                      polarization=polarization, polarization_type=kind, antenna_pattern=pattern,
                      carrier_frequency=carrier_hz, precision=precision, device="cpu")


def build(name, carrier_hz, bs, ue, uplink, precision, **extra):
    bs_array = panel(bs, carrier_hz, precision)
    ue_array = HandheldUTArray(carrier_frequency=carrier_hz, precision=precision, device="cpu") \
        if ue == "handheld" else panel(ue, carrier_hz, precision)
    kind = {"uma": UMa, "umi": UMi, "rma": RMa, "inh": InH, "inf": InF}[name[:3]]
    if kind in (UMa, UMi):
        extra["o2i_model"] = "low" if carrier_hz < 6e9 else "high"
    if kind is InH:
        extra["indoor_scenario"] = name[4:]
    if kind is InF:
        extra["factory_scenario"] = name[4:].upper()
    return kind(carrier_frequency=carrier_hz, ut_array=ue_array, bs_array=bs_array,
                direction="uplink" if uplink else "downlink", precision=precision, device="cpu", **extra)


def place(model, name, batch, users, stations, speed_m_s, indoor, los, precision):
    """Users in one sector, tilted and turned at random (Sionna's default), and several base stations around."""
    kind = name if name in ("uma", "umi", "rma") else "umi"
    ut_loc, bs_loc, ut_turn, bs_turn, velocity, indoors = gen_single_sector_topology(
        batch, users, kind, min_ut_velocity=speed_m_s, max_ut_velocity=speed_m_s, indoor_probability=indoor,
        precision=precision, device="cpu")
    steps = torch.arange(stations, dtype=bs_loc.dtype)[:, None] * torch.tensor([40.0, -25.0, 2.0])
    turns = torch.arange(stations, dtype=bs_loc.dtype)[:, None] * torch.tensor([2.0, 0.1, -0.2])
    if kind != name:
        indoors = torch.ones_like(indoors)
    model.set_topology(ut_loc, bs_loc + steps.to(bs_loc), ut_turn, bs_turn + turns.to(bs_loc), velocity, indoors,
                       {"random": "random", "los": True, "nlos": False}[los])


def both_responses(model, name, seed, times, tones, carrier_hz, precision, **topology):
    """Sionna's own response, unmodified, and ours from the same random state: ``[batch, bs, user, ...]``."""
    uplink = model._scenario.direction == "uplink"
    with sionna_seed(seed):
        place(model, name, precision=precision, **topology)
        coefficients, delays = model(times, 1 / PERIOD_S)
    reference = cir_to_ofdm_channel(offsets_hz(tones).to(delays), coefficients, delays)
    # [batch, rx, rx_ant, tx, tx_ant, time, tone]
    reference = reference.permute(0, 1, 3, 4, 2, 5, 6) if uplink else reference.permute(0, 3, 1, 2, 4, 5, 6)
    model.reset_topology()
    with sionna_seed(seed):
        place(model, name, precision=precision, **topology)
        rays = sample_rays(model)
    return frequency_response(rays, carrier_hz, times_s(times), offsets_hz(tones)), reference


panels = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.just("dual"),
                   st.sampled_from(["cross", "VH"]), st.sampled_from(["omni", "38.901"])) | \
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.just("single"), st.sampled_from(["V", "H"]),
              st.sampled_from(["omni", "38.901"]))
SCENARIOS = ["uma", "umi", "rma", "inh_open", "inh_mixed", "inf_SL", "inf_DL", "inf_SH", "inf_DH", "inf_HH"]


@pytest.mark.parametrize("name", SCENARIOS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_equals_sionna(name, data):
    precision = data.draw(st.sampled_from(["double", "single"]))
    highest = 7e9 if name == "rma" else 30e9
    carrier_hz = data.draw(st.sampled_from([0.7e9, 2.4e9, 6.5e9, 28e9]).filter(lambda value: value <= highest))
    uplink = data.draw(st.booleans())
    model = build(
        name, carrier_hz, data.draw(panels), data.draw(panels | st.just("handheld")), uplink, precision,
        enable_pathloss=data.draw(st.booleans()), enable_shadow_fading=data.draw(st.booleans()),
        enable_spatial_consistency=data.draw(st.booleans()),
    )
    states = ["random", "los"] if name == "inf_HH" else ["random", "los", "nlos"]  # HH is line of sight alone
    h, reference = both_responses(
        model, name, data.draw(st.integers(0, 1000)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 7)),
        carrier_hz, precision, batch=data.draw(st.integers(1, 2)), users=data.draw(st.integers(1, 3)),
        stations=data.draw(st.integers(1, 2)), speed_m_s=data.draw(st.sampled_from([0.0, 8.0, 30.0])),
        indoor=data.draw(st.sampled_from([0.0, 0.5, 1.0])), los=data.draw(st.sampled_from(states)),
    )
    assert h.shape == reference.shape
    assert relative_error(h, reference) < LIMIT[precision]


@pytest.mark.parametrize("uplink", [False, True])
def test_blockage_is_taken_along(uplink):
    model = build("uma", 6e9, (2, 2, 1, "dual", "cross", "38.901"), (1, 1, 1, "single", "V", "omni"), uplink, "double",
                  enable_blockage=True, blockage_self_blocking="portrait")
    topology = {"batch": 2, "users": 2, "stations": 1, "speed_m_s": 3.0, "indoor": 0.0, "los": "los"}
    h, reference = both_responses(model, "uma", 3, 2, 3, 6e9, "double", **topology)
    assert relative_error(h, reference) < 1e-20


def test_equals_sionna_in_single_precision_over_a_wide_band_and_a_long_time():
    model = build("uma", 2.4e9, (4, 4, 1, "dual", "cross", "38.901"), (1, 1, 1, "single", "V", "omni"), False, "single")
    h, reference = both_responses(model, "uma", 1, 64, 256, 2.4e9, "single", batch=2, users=2, stations=1,
                                  speed_m_s=8.0, indoor=0.0, los="random")
    assert relative_error(h, reference) < 1e-9


@pytest.mark.parametrize("profile", "ABCDE")
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("direction", ["downlink", "uplink"])
def test_cdl_equals_sionna(profile, precision, direction):
    arrays = {"ut_array": panel((1, 2, 1, "dual", "cross", "omni"), 2.4e9, precision),
              "bs_array": panel((2, 2, 1, "dual", "cross", "38.901"), 2.4e9, precision)}

    def draw(use):
        with sionna_seed(5):
            model = CDL(profile, 300e-9, 2.4e9, direction=direction, min_speed=10.0, max_speed=20.0,
                        precision=precision, device="cpu", **arrays)
            return use(model)

    coefficients, delays = draw(lambda model: model(3, 4, 1 / PERIOD_S))
    reference = cir_to_ofdm_channel(offsets_hz(6).to(delays), coefficients, delays)[:, 0, :, 0]
    rays = draw(lambda model: sample_cdl_rays(model, 3))
    h = frequency_response(rays, 2.4e9, times_s(4), offsets_hz(6))[:, 0, 0]
    assert relative_error(h, reference.transpose(1, 2) if direction == "uplink" else reference) < LIMIT[precision]


def drawn(channel, batch=2, precision="double"):
    with sionna_seed(4):
        return draw_rays(channel, batch, "cpu", precision)


SMALL = Channel(num_users=2, bs_array=BsArray(rows=2, columns=3), ue_array=UeArray(num_antennas=2))


@pytest.mark.parametrize("budget", [1, 20_000, 200_000, 2**30])
def test_blocks_change_nothing(budget):
    rays = drawn(SMALL)
    whole = frequency_response(rays, 2.4e9, times_s(7), offsets_hz(5))
    torch.testing.assert_close(frequency_response(rays, 2.4e9, times_s(7), offsets_hz(5), budget), whole)


def test_any_times_and_tones_in_any_order():
    rays = drawn(SMALL)
    times, tones = times_s(6), offsets_hz(6)
    whole = frequency_response(rays, 2.4e9, times, offsets_hz(6))
    picked, chosen = torch.tensor([4, 0, 3, 3]), torch.tensor([5, 2, 0])
    torch.testing.assert_close(frequency_response(rays, 2.4e9, times[picked], tones[chosen]),
                               whole[..., picked, :][..., chosen])


class Largest(TorchDispatchMode):
    """Notes the largest storage that any operation makes."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


def test_nothing_of_rays_times_antennas_times_times_is_stored():
    channel = Channel(num_users=1, bs_array=BsArray(rows=8, columns=8))
    rays = drawn(channel, 2, "single")
    with Largest() as largest:
        frequency_response(rays, 2.4e9, times_s(16), offsets_hz(4))
    assert largest.bytes < 8 * rays.amplitude.numel() * 128 * 16 / 10


def test_a_long_time_stays_within_the_memory_budget():
    channel = Channel(num_users=1, bs_array=BsArray(rows=4, columns=4))
    rays = drawn(channel, 1, "single")
    budget = 2**20
    with Largest() as largest:
        h = frequency_response(rays, 2.4e9, times_s(20_000), offsets_hz(1), budget)
    assert largest.bytes == h.untyped_storage().nbytes() > 4 * budget  # the result alone is larger
    with Largest() as largest:
        frequency_response(rays, 2.4e9, times_s(200), offsets_hz(1), budget)
    assert largest.bytes <= budget
