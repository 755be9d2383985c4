"""Sizes of a scenario's tensors, and what of them to shrink."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from linksim.core.registry import BlockSpec
from linksim.scenario.resolved import ResolvedScenario

COMPLEX, DOUBLE = 8, 16
"""Bytes of a complex number, and of one in double precision."""

_USUAL = {
    "run.chunk_size": 25, "channel.num_users": 1, "channel.ue_array.num_antennas": 1, "channel.bs_array.rows": 4,
    "channel.bs_array.columns": 4, "channel.num_history": 16, "channel.num_future": 4, "channel.num_subcarriers": 48,
}
"""Sizes that fit anywhere."""


NO_SIZES = frozenset({
    "bits", "every_patch_weight", "cross_entropy_weight", "alignment_weight", "distillation_weight", "loading",
    "mismatch_factor", "next_sample_weight", "beam_sharing", "lora_alpha", "num_iterations", "num_heads"})
"""Options that take no memory."""


@dataclass(frozen=True)
class Need:
    """Memory that something takes.

    :param size: in bytes.
    :param what: in a few words.
    :param field: of the scenario that is to be smaller.
    :param splits: drops can go through it a few at a time, with the same results.
    """

    size: float
    what: str
    field: str
    splits: bool = False


def placed(need: Need, section: str) -> Need:
    """The same with an option's name completed to a field.

    :param section: where a block's options stand, such as ``methods.0.predictor``.
    """
    return need if "." in need.field else replace(need, field=f"{section}.{need.field}")


@dataclass(frozen=True)
class Sizes:
    """How large a work unit is.

    :param drops: of a unit; the others are those of `linksim.scenario.channel.Channel`.
    """

    drops: int
    users: int
    ue: int
    bs: int
    history: int
    future: int
    tones: int
    usual: dict[str, float]

    @classmethod
    def of(cls, scenario: ResolvedScenario) -> Sizes:
        channel = scenario.channel
        given = {
            "run.chunk_size": scenario.run.chunk_size, "channel.num_users": channel.num_users,
            "channel.ue_array.num_antennas": channel.ue_array.num_antennas,
            "channel.bs_array.rows": channel.bs_array.rows, "channel.bs_array.columns": channel.bs_array.columns,
            "channel.num_history": channel.num_history, "channel.num_future": channel.num_future,
            "channel.num_subcarriers": channel.num_subcarriers}
        return cls(scenario.run.chunk_size, channel.num_users, channel.ue_array.num_antennas,
                   channel.bs_array.num_antennas, channel.num_history, channel.num_future, channel.num_subcarriers,
                   {key: value / _USUAL[key] for key, value in given.items()})

    @property
    def links(self) -> int:
        """Users of all drops."""
        return self.drops * self.users

    @property
    def pairs(self) -> int:
        """Antenna pairs of all links."""
        return self.links * self.ue * self.bs

    @property
    def bins(self) -> int:
        """Sequences over time: antenna pairs and tones of all links."""
        return self.pairs * self.tones

    @property
    def past(self) -> int:
        """Numbers in a history; ``ahead`` in a future; ``resources`` at which a future is transmitted in."""
        return self.bins * self.history

    @property
    def ahead(self) -> int:
        return self.bins * self.future

    @property
    def resources(self) -> int:
        return self.drops * self.future * self.tones

    def largest(self, *fields: str) -> str:
        """The field, of some or of all, that is furthest above what is usual."""
        return max(fields or _USUAL, key=lambda field: self.usual[field])

    def largest_of(self, spec: BlockSpec, options: dict[str, Any], costless: frozenset[str] = NO_SIZES,
                   **others: float) -> str:
        """As `largest`, among a block's options as well.

        :param costless: options that do not count.
        :param others: further fields, dots as two underscores, over what is usual.
        """
        ratios = {name: options[name] / field.default for name, field in spec.options.model_fields.items()
                  if isinstance(field.default, int | float) and not isinstance(field.default, bool)
                  and isinstance(options[name], int | float) and field.default > 0 and name not in costless}
        ratios |= self.usual | {name.replace("__", "."): ratio for name, ratio in others.items()}
        return max(ratios, key=lambda name: ratios[name])
