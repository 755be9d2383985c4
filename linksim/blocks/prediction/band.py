from linksim.csi import Csi
def to_target_band(p, history, frequency_hz, method):
    return p
