"""Ports and beams: the panel's order, the standard's layouts, orthonormal groups."""

from __future__ import annotations

import pytest
import torch

from linksim.blocks.feedback.ports import LAYOUTS, Ports, beam_grid, beam_groups, on_beams, strongest_beams
from linksim.core.csi import Panel
from linksim.core.errors import ScenarioError


@pytest.mark.parametrize("layout", LAYOUTS)
def test_beams_of_a_group_are_orthonormal(layout):
    ports = Ports(*layout)
    groups = beam_groups(ports)
    assert groups.shape == (4 * (4 if layout[1] > 1 else 1), ports.positions, ports.positions)
    identity = torch.eye(ports.positions, dtype=groups.dtype).expand_as(groups)
    torch.testing.assert_close(groups @ groups.mH, identity)


def test_a_group_has_the_beams_of_the_grid_that_the_standard_names():
    ports = Ports(4, 3)
    q1, q2, n1, n2 = 3, 1, 2, 1
    beam = beam_groups(ports)[ports.o2 * q1 + q2, ports.n1 * n2 + n1]
    torch.testing.assert_close(beam, beam_grid(ports)[ports.o1 * n1 + q1, ports.o2 * n2 + q2])


def test_a_beam_is_a_plane_wave_over_columns_and_rows():
    ports = Ports(4, 2)
    wave = beam_grid(ports)[5, 3].unflatten(0, (4, 2)) * 8**0.5
    for column in range(4):
        for row in range(2):
            turns = torch.tensor(5 * column / 16 + 3 * row / 8)
            torch.testing.assert_close(wave[column, row], torch.exp(2j * torch.pi * turns.double()))


@pytest.mark.parametrize(("panel", "layout", "transposed"), [
    (Panel(rows=2, columns=8, polarizations=2), (8, 2), False),
    (Panel(rows=8, columns=2, polarizations=2), (8, 2), True),
    (Panel(rows=1, columns=4, polarizations=2), (4, 1), False),
    (Panel(rows=16, columns=1, polarizations=2), (16, 1), True),
])
def test_ports_of_a_panel_and_back(panel, layout, transposed):
    ports = Ports.of(panel, "etype2")
    assert (ports.n1, ports.n2) == layout
    assert ports.transposed is transposed
    antennas = torch.arange(panel.num_antennas)
    by_port = ports.from_antennas(antennas)
    torch.testing.assert_close(ports.to_antennas(by_port), antennas)
    # polarisation p, column c, row r is antenna (p * columns + c) * rows + r
    first, second = (1, 0) if transposed else (0, 1)
    p, c, r = 1, panel.columns - 1, 0
    place = (c, r)
    assert by_port[p].unflatten(0, layout)[place[first], place[second]] == (p * panel.columns + c) * panel.rows + r


@pytest.mark.parametrize(("panel", "text"), [
    (Panel(rows=4, columns=4, polarizations=1), "dual-polarised"),
    (Panel(rows=8, columns=8, polarizations=2), "8 columns x 8 rows"),
    (Panel(rows=1, columns=1, polarizations=2), "1 columns x 1 rows"),
])
def test_a_panel_outside_the_standard_is_refused_in_one_line(panel, text):
    with pytest.raises(ScenarioError, match=text) as error:
        Ports.of(panel, "type1")
    assert "\n" not in str(error.value)


def test_the_beams_that_a_vector_is_made_of_are_found():
    ports = Ports(4, 4)
    chosen = [2, 7, 9]
    gains = torch.tensor([1.0, 0.5j, -0.7], dtype=torch.complex128)
    v = (gains @ beam_groups(ports)[11, chosen]).expand(1, 3, 1, 2, 16)
    group, beams = strongest_beams(v, ports, 3)
    assert group.tolist() == [11]
    assert beams.tolist() == [chosen]
    torch.testing.assert_close(on_beams(v, ports, group, beams)[0, 0, :, 1], torch.cat([gains, gains]))
