"""The section ``semantic``: captions that are sent over the downlink to retrieve items from the receiver's gallery."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from linksim.core.types import PositiveInt
from linksim.scenario.section import Section


class Semantic(Section):
    """What is sent by methods that have a semantic codec, and how.

    Every drop sends `captions_per_drop` captions of the test split to one user, each in `channel_uses` complex symbols
    over ``link.num_streams_per_user`` streams; the receiver ranks the whole gallery of the test split for each.
    """

    data: str | dict[str, Any] = Field(
        "emoji", description="A retrieval data set's name, or {type: name, option: …}; `linksim blocks` lists them."
    )
    channel_uses: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        16, description="Complex symbols of a caption, over all streams together; a multiple of the streams."
    )
    captions_per_drop: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        16, description="Captions sent over the channel of every drop, each drawn anew."
    )
    num_pilots: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        8, description="Precoded pilots of each stream, of the data's power, from which the receiver estimates its "
        "effective channel on every resource element."
    )
