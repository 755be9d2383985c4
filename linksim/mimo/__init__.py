"""Tensor mathematics of a MIMO-OFDM link: receivers, precoders, angle-delay transforms, noise. No room of linksim but
the core is known here."""
