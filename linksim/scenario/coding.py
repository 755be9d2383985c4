"""The section `link.coding`: transport blocks, their slots, link adaptation, and what a downlink is charged with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from linksim.core.types import NonNegativeInt, PositiveInt, Section

NUM_SYMBOLS = 14
"""OFDM symbols of a slot (normal cyclic prefix)."""


class Coding(Section):
    """NR transport blocks on this grid, one for each user and slot; PDSCH it is not (docs/coded_link.md)."""

    scs_khz: Literal[15, 30, 60, 120] = Field(
        30, description="Subcarrier spacing of the data; channel.subcarrier_spacing_khz is a whole multiple: a tone of "
        "the channel stands for so many subcarriers. A slot is 14 symbols, 1 ms at 15 kHz, 0.5 ms at 30 kHz."
    )
    pilot_symbols: Annotated[int, Field(ge=1, le=4)] = Field(
        2, description="Symbols of a slot that carry precoded pilots instead of data, spread over it."
    )
    mcs_table: Literal[1, 2, 3, 4] = Field(
        1, description="Table of TS 38.214, 5.1.3.1: 1 (up to 64QAM), 2 (256QAM), 3 (low rates), 4 (1024QAM)."
    )
    mcs: Annotated[NonNegativeInt, Field(le=100)] | None = Field(
        None, description="The MCS of every block; by link adaptation if empty."
    )
    bler_target: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="That link adaptation aims at.")
    outer_loop_passes: Annotated[NonNegativeInt, Field(le=100_000)] = Field(
        20, description="How often the outer loop goes through a drop's slots before blocks are counted, so that its "
        "offset has settled; 0: no outer loop, the base station believes its CSI."
    )
    outer_loop_step_db: Annotated[float, Field(gt=0, le=10)] = Field(
        0.5, description="By which the offset grows after a lost block; after others it shrinks by target / (1 - "
        "target) of it."
    )
    transmissions: Annotated[int, Field(ge=1, le=4)] = Field(
        1, description="Of a block at most, each another redundancy version in the next slot (coded mode)."
    )
    receiver: Literal["perfect", "ls", "lmmse"] = Field(
        "lmmse", description="What the terminal knows of its effective channels (coded mode): all, or what precoded "
        "pilots tell: joined by lines between pilot symbols, or by the linear estimate that knows its Doppler and "
        "noise."
    )
    decoder_iterations: Annotated[PositiveInt, Field(le=1000)] = Field(
        20, description="Of belief propagation in the LDPC decoder."
    )
    charge_overhead: bool = Field(
        True, description="Charge the downlink with CSI-RS of every antenna port, once a report, and with the bits of "
        "reports, for methods that have them."
    )

    @property
    def slot_s(self) -> float:
        """Duration of a slot."""
        return 15e-3 / self.scs_khz

    @property
    def data_symbols(self) -> int:
        """Data symbols of a slot."""
        return NUM_SYMBOLS - self.pilot_symbols
