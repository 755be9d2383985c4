"""The rays behind a drop, as Sionna drew them, in the form that responses, bounds and figures are computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.mimo.phasor import unit_phasor


@dataclass(frozen=True)
class ArrayLayout:
    """Antenna positions of one end as a sum over three indices: ``port[p] + column[c] + row[r]``.

    A panel is ports (its polarisations, at one place) x columns x rows; a handset's scattered antennas are ports
    alone. Phases therefore cost ports + columns + rows exponentials per ray, not their product.

    :param port_m: ``[port, 3]``, in the array's own axes.
    :param column_m: ``[column, 3]``.
    :param row_m: ``[row, 3]``.
    :param order: ``[antenna]``, place of each antenna in (port, column, row) order.
    """

    port_m: torch.Tensor
    column_m: torch.Tensor
    row_m: torch.Tensor
    order: torch.Tensor

    @property
    def num_antennas(self) -> int:
        return len(self.order)

    @property
    def in_order(self) -> bool:
        """Whether antennas are numbered by port, then column, then row."""
        return torch.equal(self.order, torch.arange(len(self.order), device=self.order.device))


@dataclass(frozen=True)
class ArrayEnd:
    """What one end of every link sees of the rays.

    :param direction: ``[*links, ray, 3]``, unit vector towards the ray (departure at the BS, arrival at the UE) in
        the ground's axes.
    :param field: ``[*links, ray, port, 2]``, real field pattern (theta, phi) in the ground's axes.
    :param rotation: ``[*links, 3, 3]``, from the array's axes to the ground's.
    :param layout: antenna positions.
    """

    direction: torch.Tensor
    field: torch.Tensor
    rotation: torch.Tensor
    layout: ArrayLayout

    def factors(self, carrier_hz: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Array phases ``[*links, port, ray]``, ``[*links, column, ray]`` and ``[*links, row, ray]``, complex."""
        to_phase = 2 * torch.pi * carrier_hz / SPEED_OF_LIGHT * self.rotation.mT
        toward = self.direction.mT

        def phase(position_m: torch.Tensor) -> torch.Tensor:
            if not position_m.any():  # the ports of a panel, or the only column: exponentials of nothing
                one = torch.ones(1, dtype=toward.dtype.to_complex(), device=toward.device)
                return one.expand(*toward.shape[:-2], len(position_m), toward.shape[-1])
            return unit_phasor((position_m @ to_phase) @ toward)

        return phase(self.layout.port_m), phase(self.layout.column_m), phase(self.layout.row_m)

    def steering(self, carrier_hz: float) -> torch.Tensor:
        """Array phase times field pattern of every antenna: ``[*links, ray, antenna, 2]``, complex."""
        port, column, row = (part.mT for part in self.factors(carrier_hz))
        phase = port[..., :, None, None] * (column[..., :, None] * row[..., None, :]).unsqueeze(-3)
        pattern = self.field[..., :, None, None, :] * phase.unsqueeze(-1)
        return pattern.flatten(-4, -2).index_select(-2, self.layout.order)


@dataclass(frozen=True)
class Rays:
    """Every ray of every link of a batch; unused rays have amplitude 0.

    ``*links`` is ``batch, user`` in a drop of the chain, ``batch, bs, user`` where several base stations are drawn.
    The response of ray r between UE antenna n and BS antenna m is (TR 38.901 eq. 7.5-28 and 7.5-29)

    ``amplitude * field_ue[n]^T M field_bs[m] * array phases * exp(j 2 pi doppler t) * exp(-j 2 pi delay f)``,
    ``M[i, j] = coupling[i, j] * exp(j phase[i, j])``.

    Rays of equal delay are neighbours and make a path: (sub-)clusters, and the line of sight as the last path. Paths
    may be filled up with unused rays.

    :param amplitude: ``[*links, ray]``, square root of the ray's power, large-scale gain included.
    :param path_delay_s: ``[*links, path]``.
    :param velocity_projection_m_s: ``[*links, ray]``, speed towards the ray; over the wavelength, Doppler.
    :param coupling: ``[*links, ray, 2, 2]``, real, from BS to UE polarisation component (theta, phi).
    :param phase: ``[*links, ray, 2, 2]``, radian, initial phases.
    :param ue: the terminals' end; ``bs`` the base stations'.
    :param large_scale_gain: ``[*links]``, path loss and shadowing where they are enabled, linear; kept when the
        amplitudes are normalised.
    :param line_of_sight: ``[*links]``, bool.
    :param speed_m_s: ``[*links]``.
    :param position_user_m: ``[*links, 3]``; ``position_bs_m`` likewise.
    :param is_specular: ``[ray]``, the line-of-sight ray: its components share one phase.
    :param path_lengths: rays of each path.
    """

    amplitude: torch.Tensor
    path_delay_s: torch.Tensor
    velocity_projection_m_s: torch.Tensor
    coupling: torch.Tensor
    phase: torch.Tensor
    ue: ArrayEnd
    bs: ArrayEnd
    large_scale_gain: torch.Tensor
    line_of_sight: torch.Tensor
    speed_m_s: torch.Tensor
    position_user_m: torch.Tensor
    position_bs_m: torch.Tensor
    is_specular: torch.Tensor
    path_lengths: tuple[int, ...]

    SHARED = frozenset({
        "is_specular", "path_lengths",
        *(f"{end}.{name}" for end in ("ue", "bs") for name in ("port_m", "column_m", "row_m", "order")),
    })
    """Names in `to_dict` that are the same for all links."""

    @property
    def links(self) -> torch.Size:
        return self.amplitude.shape[:-1]

    @property
    def delay_s(self) -> torch.Tensor:
        """``[*links, ray]``."""
        lengths = torch.tensor(self.path_lengths, device=self.path_delay_s.device)
        return self.path_delay_s.repeat_interleave(lengths, -1, output_size=self.amplitude.shape[-1])

    @property
    def departure_angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Azimuth and zenith at the base station, radian, ``[*links, ray]`` each."""
        return _angles(self.bs.direction)

    @property
    def arrival_angles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Azimuth and zenith at the terminal, radian, ``[*links, ray]`` each."""
        return _angles(self.ue.direction)

    def doppler_hz(self, carrier_hz: float) -> torch.Tensor:
        """``[*links, ray]``."""
        return self.velocity_projection_m_s * (carrier_hz / SPEED_OF_LIGHT)

    def mean_gain(self) -> torch.Tensor:
        """Gain averaged over the random phases and over antennas, ``[*links]``: no fading in it."""
        # every port carries equally many antennas
        bs, ue = (end.field.square().mean(-2) for end in (self.bs, self.ue))
        gain = 0.0
        for i in (0, 1):
            for j in (0, 1):
                gain = gain + self.coupling[..., i, j].square() * ue[..., i] * bs[..., j]
        return (self.amplitude.square() * gain).sum(-1)

    def scaled(self, gain: torch.Tensor) -> Rays:
        """The same rays with power multiplied by ``gain`` ``[*links]``."""
        return replace(self, amplitude=self.amplitude * gain.sqrt().unsqueeze(-1))

    def with_fresh_phases(self, generator: torch.Generator) -> Rays:
        """Same geometry and powers, new independent phases (one common phase for the specular ray)."""
        fresh = 2 * torch.pi * torch.rand(self.phase.shape, generator=generator).to(self.phase)
        common = fresh[..., :1, :1] + self.phase
        return replace(self, phase=torch.where(self.is_specular[:, None, None], common, fresh))

    def steering(self, carrier_hz: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Array phases times patterns: ``[*links, ray, ue_ant, 2]`` and ``[*links, ray, bs_ant, 2]``, complex."""
        return self.ue.steering(carrier_hz), self.bs.steering(carrier_hz)

    def map_links(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Rays:
        """Apply ``function`` to every tensor that starts with the link dimensions."""
        tensors = self.to_dict()
        return Rays.from_dict({name: tensor if name in self.SHARED else function(tensor)
                               for name, tensor in tensors.items()})

    def drops(self, part: slice) -> Rays:
        """Some drops of the batch (the first link dimension)."""
        return self.map_links(lambda tensor: tensor[part])

    def to_dict(self) -> dict[str, torch.Tensor]:
        """All tensors under flat names, ``bs.direction`` for those of an end: what files store."""
        found: dict[str, torch.Tensor] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ArrayEnd):
                named = {"direction": value.direction, "field": value.field, "rotation": value.rotation,
                         **vars(value.layout)}
                found |= {f"{field.name}.{name}": tensor for name, tensor in named.items()}
            else:
                found[field.name] = torch.tensor(value) if field.name == "path_lengths" else value
        return found

    @classmethod
    def from_dict(cls, tensors: dict[str, torch.Tensor]) -> Rays:
        """Inverse of `to_dict`.

        :raises KeyError: a tensor is missing.
        """
        def end(name: str) -> ArrayEnd:
            layout = ArrayLayout(*(tensors[f"{name}.{part}"] for part in ("port_m", "column_m", "row_m", "order")))
            return ArrayEnd(*(tensors[f"{name}.{part}"] for part in ("direction", "field", "rotation")), layout)

        return cls(ue=end("ue"), bs=end("bs"), path_lengths=tuple(tensors["path_lengths"].tolist()),
                   **{field.name: tensors[field.name] for field in fields(cls)
                      if field.name not in ("ue", "bs", "path_lengths")})


def _angles(direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, y, z = direction.unbind(-1)
    return torch.atan2(y, x), z.clamp(-1, 1).acos()
