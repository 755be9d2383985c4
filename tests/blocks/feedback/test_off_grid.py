"""Reports of plane waves, where channels have fewer of them than the codec is fitted with."""

from __future__ import annotations

import torch

from linksim.blocks.feedback import off_grid
from linksim.blocks.feedback.learned import FeedbackShape


def test_gains_of_twins_beyond_what_can_be_written_do_not_end_a_fit(plane_waves, monkeypatch):
    """A channel of few waves leaves rounding errors, in steps of which the gains of two equal waves are enormous."""
    def enormous(gram, correlation, *others):
        return torch.full((*correlation.shape, 2), 4_402_922_348_209)

    csi = plane_waves(num_paths=1)
    codec = off_grid.OffGridCodec(bits=128, delay_oversampling=3, num_table_drops=4)
    codec.prepare(FeedbackShape.of(csi))
    codec.observe(csi, validation=False)
    with monkeypatch.context() as patch:
        patch.setattr(off_grid, "quantized_gains", enormous)
        codec.solve()
    assert (codec.gain >= 1).all()
