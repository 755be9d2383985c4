"""What data sets for retrieval need: enough identities for three splits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linksim.core.errors import ScenarioError

if TYPE_CHECKING:
    from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario

LEAST_IDENTITIES = 6
"""With which each of the splits of 70, 10 and 20 % has one."""

_EMOJI_KEYWORDS = 19
"""With so many keywords there are 7 emoji, with one more 2."""


def identities(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Each split has an identity."""
    name = next(name for name in ("num_identities", "num_motions", "num_clips") if name in options)
    if options[name] < LEAST_IDENTITIES:
        raise ScenarioError(f"{name}: {options[name]} are too few for splits of 70, 10 and 20 %: at least "
                            f"{LEAST_IDENTITIES}")


def keywords(options: dict[str, Any], scenario: ResolvedScenario, method: ResolvedMethod | None) -> None:
    """Enough emoji have so many keywords, and two halves of them are captions."""
    if not 2 <= options["min_keywords"] <= _EMOJI_KEYWORDS:
        raise ScenarioError(f"min_keywords: 2 at least, as two captions have half of them each, and at most "
                            f"{_EMOJI_KEYWORDS}, as fewer emoji have more than three splits need (given "
                            f"{options['min_keywords']})")
