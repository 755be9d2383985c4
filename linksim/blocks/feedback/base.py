"""What every codec of CSI feedback is: a report of counted bits at the terminal, CSI again at the base station."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from linksim.blocks.feedback.bits import BitLedger, BitReader, BitWriter
from linksim.core.csi import Csi, Panel
from linksim.core.errors import ReportError, ScenarioError
from linksim.scenario.channel import Channel


@dataclass(frozen=True, eq=False)
class ReportGrid:
    """What both sides know without a bit: the grid, the arrays, and what slow signalling tells anyway.

    :param num_ue_antennas: of every terminal.
    :param time_s: ``[1]``, instant of the report, seconds.
    :param frequency_hz: ``[subcarrier]``, absolute, Hz.
    :param panel: of the base station.
    :param max_doppler_hz: ``[batch, user]``, what the terminal's speed tells.
    :param noise_variance: ``[batch, user]``, error of the terminal's estimate per complex entry; the quantisation's
        own error is not in it.
    """

    num_ue_antennas: int
    time_s: torch.Tensor
    frequency_hz: torch.Tensor
    panel: Panel
    max_doppler_hz: torch.Tensor
    noise_variance: torch.Tensor

    @classmethod
    def of(cls, csi: Csi) -> ReportGrid:
        return cls(csi.h.shape[2], csi.time_s, csi.frequency_hz, csi.panel, csi.max_doppler_hz, csi.noise_variance)

    @property
    def num_drops(self) -> int:
        """The batch size."""
        return self.max_doppler_hz.shape[0]

    @property
    def num_users(self) -> int:
        return self.max_doppler_hz.shape[1]

    @property
    def num_subcarriers(self) -> int:
        return len(self.frequency_hz)

    @property
    def shape(self) -> tuple[int, int, int, int, int, int]:
        """Shape of ``h``: ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``."""
        return (self.num_drops, self.num_users, self.num_ue_antennas, self.panel.num_antennas, 1,
                self.num_subcarriers)

    def one(self, drop: int, user: int) -> ReportGrid:
        """The grid of a single user's report."""
        part = slice(drop, drop + 1), slice(user, user + 1)
        return replace(self, max_doppler_hz=self.max_doppler_hz[part], noise_variance=self.noise_variance[part])


@dataclass(frozen=True, eq=False)
class Report:
    """The reports of all users at one instant.

    :param payload: one byte string a user, ``[batch, user]`` flattened in this order: most significant bit first,
        filled up to whole bytes with zeros.
    :param num_bits: int64, ``[batch, user]``, exact lengths.
    :param grid: known to both sides.
    :param ledgers: what each user's bits are spent on, in the order of ``payload``; for accounts, no decoder reads it.
    """

    payload: tuple[bytes, ...]
    num_bits: torch.Tensor
    grid: ReportGrid
    ledgers: tuple[BitLedger, ...] = field(default=())

    @classmethod
    def of(cls, writers: Sequence[BitWriter], grid: ReportGrid) -> Report:
        """:param writers: one a user, ``[batch, user]`` flattened."""
        num_bits = torch.tensor([writer.num_bits for writer in writers]).reshape(grid.num_drops, grid.num_users)
        return cls(tuple(writer.to_bytes() for writer in writers), num_bits, grid,
                   tuple(writer.ledger for writer in writers))

    def __post_init__(self) -> None:
        users = self.grid.num_drops, self.grid.num_users
        if tuple(self.num_bits.shape) != users or len(self.payload) != users[0] * users[1]:
            raise ValueError(f"Report of {users[0]} drops x {users[1]} users: {len(self.payload)} payloads and num_bits"
                             f" {tuple(self.num_bits.shape)} do not fit")


class FeedbackCodec(torch.nn.Module, ABC):
    """Encodes the CSI of every user into bits and decodes it from these bits alone.

    A report tells of one instant: ``h`` has one time sample (`instants` splits a history). What a user's report
    says never depends on batch neighbours. A codec implements `encode_users`, `decode_users` and `minimum_bits`.
    """

    block_name: str = ""

    version: int = 1
    """Changes whenever what was made with earlier ones (checkpoints, measured errors) must not be used any more."""

    kind: Literal["explicit", "implicit"] = "explicit"
    """An explicit codec returns the channel. An implicit one returns ``[batch, user, layer, bs_ant, 1, subcarrier]``
    with rows v^H of unit norm (zero for layers that are not reported), v the layer's precoding vector: as a
    channel, its dominant right singular vectors are those reported."""

    remembers: bool = False
    """Whether reports build on the ones before: then all of them are sent and decoded in their order, and a lost one
    takes those after it along."""

    @abstractmethod
    def encode_users(self, csi: Csi) -> list[BitWriter]:
        """One report a user, ``[batch, user]`` flattened.

        :param csi: ``h`` ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``, finite; a user's channel may be all zero.
        """

    @abstractmethod
    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        """The CSI that the reports tell, on the CPU.

        :param readers: one a user, ``[batch, user]`` flattened; every one must be read to its end.
        :returns: complex64, ``[batch, user, ue_ant or layer, bs_ant, 1, subcarrier]``.
        :raises ReportError: a report that this codec does not write.
        """

    @abstractmethod
    def minimum_bits(self, grid: ReportGrid) -> int:
        """Fewest bits a report of this grid can have.

        :raises ScenarioError: an array or a grid that the codec cannot serve.
        """

    def encode(self, csi: Csi) -> Report:
        """Report the CSI of one instant.

        :param csi: what the terminal knows, ``h`` ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``.
        :raises ValueError: more than one instant, or entries that are not finite.
        :raises ScenarioError: fewer bits than `minimum_bits`, or a grid that the codec cannot serve.
        """
        if csi.h.shape[-2] != 1:
            raise ValueError(f"a report tells of one instant, but h has {csi.h.shape[-2]} time samples: use instants()")
        grid = self._checked_grid(csi)
        return Report.of(self.encode_users(csi), grid)

    def encode_history(self, csi: Csi) -> Report:
        """Report every instant of a history.

        :param csi: ``h`` ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
        :returns: the reports of `instants`.
        :raises ValueError: entries that are not finite; otherwise as `encode`.
        """
        return self.encode(instants(csi))

    def decode_history(self, report: Report, num_times: int) -> tuple[Csi, torch.Tensor]:
        """What the base station knows from the reports of `encode_history`, with zeros for what cannot be decoded.

        :param num_times: reports of a user, one after the other.
        :returns: the CSI of `instants`, and which reports were concealed: bool, ``[batch * time, user]``.
        """
        return self.decode_concealing(report)

    def _checked_grid(self, csi: Csi) -> ReportGrid:
        if not torch.isfinite(csi.h).all():
            raise ValueError("entries of h are not finite: there is nothing to report")
        grid = ReportGrid.of(csi)
        self.check_budget(grid)
        return grid

    def decode(self, report: Report) -> Csi:
        """What the base station knows from the payload.

        :returns: ``h`` as `decode_users` gives it, on the device of ``grid.frequency_hz``.
        :raises ReportError: a truncated or corrupted report; names the user.
        """
        grid = report.grid
        readers = []
        for index, (payload, num_bits) in enumerate(zip(report.payload, report.num_bits.flatten().tolist())):
            with _naming(self.block_name, index, grid):
                readers.append(BitReader(payload, num_bits))
        try:
            h = self.decode_users(readers, grid)
            for reader in readers:
                reader.finish()
        except ReportError:
            if len(readers) == 1:
                with _naming(self.block_name, 0, grid):
                    raise
            for index in range(len(readers)):  # which user's it is
                with _naming(self.block_name, index, grid):
                    self._decode_one(report, index)
            raise
        return self._as_csi(h, grid)

    def decode_concealing(self, report: Report) -> tuple[Csi, torch.Tensor]:
        """Like `decode`, with zeros for the reports that cannot be decoded.

        :returns: the CSI, and which reports were concealed: bool, ``[batch, user]``.
        """
        concealed = torch.zeros_like(report.num_bits, dtype=torch.bool)
        try:
            return self.decode(report), concealed
        except ReportError:
            pass
        parts: list[torch.Tensor | None] = []
        for index in range(len(report.payload)):
            try:
                parts.append(self._decode_one(report, index))
            except ReportError:
                parts.append(None)
                concealed.view(-1)[index] = True
        rows = max((part.shape[2] for part in parts if part is not None), default=report.grid.num_ue_antennas)
        h = torch.zeros(len(parts), rows, *report.grid.shape[3:], dtype=torch.complex64)
        for target, part in zip(h, parts):
            if part is not None:
                target[:part.shape[2]] = part[0, 0]
        return self._as_csi(h.unflatten(0, report.grid.shape[:2]), report.grid), concealed

    def check_budget(self, grid: ReportGrid) -> None:
        """:raises ScenarioError: the option ``bits``, where the codec has one, is below `minimum_bits`."""
        needed, budget = self.minimum_bits(grid), getattr(self, "bits", None)
        if budget is not None and budget < needed:
            raise ScenarioError(f"feedback {self.block_name!r}, option 'bits': {budget} are too few for "
                                f"{grid.panel.num_antennas} antennas and {grid.num_subcarriers} subcarriers: at least "
                                f"{needed}")

    def _decode_one(self, report: Report, index: int) -> torch.Tensor:
        drop, user = divmod(index, report.grid.num_users)
        reader = BitReader(report.payload[index], int(report.num_bits[drop, user]))
        h = self.decode_users([reader], report.grid.one(drop, user))
        reader.finish()
        return h

    @staticmethod
    def _as_csi(h: torch.Tensor, grid: ReportGrid) -> Csi:
        return Csi(h.to(grid.frequency_hz.device), grid.time_s, grid.frequency_hz, grid.noise_variance, grid.panel,
                   grid.max_doppler_hz)


@contextlib.contextmanager
def _naming(codec: str, index: int, grid: ReportGrid) -> Iterator[None]:
    """Adds codec, drop and user to the text of a `ReportError`."""
    try:
        yield
    except ReportError as error:
        drop, user = divmod(index, grid.num_users)
        raise ReportError(f"feedback {codec!r}, drop {drop}, user {user}: {error}") from None


def instants(csi: Csi) -> Csi:
    """A history as reports see it: ``[batch * time, user, ..., 1, subcarrier]``, the times of a drop as neighbours.

    Its ``time_s`` is the first instant's; `history_of` puts the decoded instants together again.
    """
    times = csi.h.shape[-2]
    h = csi.h.movedim(-2, 1).flatten(0, 1).unsqueeze(-2)
    return replace(csi, h=h, time_s=csi.time_s[:1], noise_variance=csi.noise_variance.repeat_interleave(times, 0),
                   max_doppler_hz=csi.max_doppler_hz.repeat_interleave(times, 0))


def history_of(decoded: Csi, time_s: torch.Tensor) -> Csi:
    """Inverse of `instants`: ``[batch, user, ..., time, subcarrier]`` at ``time_s``, ``[time]``."""
    h = decoded.h.squeeze(-2).unflatten(0, (-1, len(time_s))).movedim(1, -2)
    every = slice(None, None, len(time_s))
    return replace(decoded, h=h, time_s=time_s, noise_variance=decoded.noise_variance[every],
                   max_doppler_hz=decoded.max_doppler_hz[every])


def check_grid(codec: FeedbackCodec, channel: Channel) -> None:
    """:raises ScenarioError: too few bits, or an array or a band that the codec cannot serve; says which."""
    array = channel.bs_array
    tones = torch.arange(channel.num_subcarriers, dtype=torch.float64) * channel.subcarrier_spacing_khz * 1e3
    one = torch.zeros(1, 1)
    codec.check_budget(ReportGrid(
        channel.ue_array.num_antennas, torch.zeros(1, dtype=torch.float64), channel.carrier_frequency_ghz * 1e9 + tones,
        Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1), one, one,
    ))
