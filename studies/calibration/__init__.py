"""Calibration after TR 38.901 clause 7.8: linksim's channels against unmodified Sionna, 3GPP's curves and tables."""
