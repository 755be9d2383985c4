"""The delay window that codecs of the CsiNet line work on: angle-delay coefficients as real images, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from linksim.blocks.feedback.scale import scale_code, scale_of
from linksim.core.csi import Csi, Panel
from linksim.mimo.angle_delay import from_angle_delay, to_angle_delay


@dataclass(frozen=True)
class DelayWindow:
    """The first delay rows of an angle-delay channel; what lies beyond is never reported.

    :param rows: delay rows kept, N_c in the literature.

    Source: LLMCsiNet, eq. (2) and the text below it.
    """

    rows: int

    def images(self, csi: Csi) -> tuple[torch.Tensor, torch.Tensor]:
        """Every terminal antenna's window as an image, and each user's scale.

        :param csi: ``h`` ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``.
        :returns: ``[batch * user, ue_ant, 2, row, beam]``, real and imaginary part between -1 and 1; the code of the
            scale (see `scale_code`), ``[batch * user]``: the largest part's magnitude, rounded up.
        """
        image = self._parts(csi)
        code = scale_code(image.abs().flatten(1).amax(-1), upwards=True)
        return self._scaled(image, code), code

    def images_at(self, csi: Csi, code: torch.Tensor) -> torch.Tensor:
        """Images at scales that are given: ``[batch * user, ue_ant, 2, row, beam]``."""
        return self._scaled(self._parts(csi), code)

    def _parts(self, csi: Csi) -> torch.Tensor:
        g = to_angle_delay(csi.h, csi.panel)[..., 0, :self.rows].mT.flatten(0, 1)
        return torch.stack([g.real, g.imag], 2)

    @staticmethod
    def _scaled(image: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        # a channel of zeros stays one
        scale = torch.where(code > 0, scale_of(code), 1.0).to(image.dtype)
        return image / scale[:, None, None, None, None]

    def channel(self, image: torch.Tensor, code: torch.Tensor, shape: tuple[int, ...], panel: Panel) -> torch.Tensor:
        """The full band, zero beyond the window.

        :param image: ``[batch * user, ue_ant, 2, row, beam]``; ``code`` as `images` gives it.
        :param shape: of the result, ``[batch, user, ue_ant, bs_ant, 1, subcarrier]``.
        :returns: complex64.
        """
        image = image.float() * scale_of(code).float()[:, None, None, None, None]
        g = torch.complex(image[:, :, 0], image[:, :, 1]).mT
        g = torch.nn.functional.pad(torch.view_as_real(g), (0, 0, 0, shape[-1] - self.rows))
        g = torch.view_as_complex(g.contiguous()).unsqueeze(-2).unflatten(0, shape[:2])
        return from_angle_delay(g, panel).to(torch.complex64)

    def energy_beyond(self, csi: Csi) -> torch.Tensor:
        """Share of each user's energy outside the window, ``[batch, user]``: the least NMSE of any codec of it."""
        energy = to_angle_delay(csi.h, csi.panel).abs().square().sum((2, 3, 4))
        return energy[..., self.rows:].sum(-1) / energy.sum(-1).clamp_min(torch.finfo(energy.dtype).tiny)
