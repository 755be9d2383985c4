"""NR's physical layer on this project's grid: slots, MCS tables, LDPC codes, link adaptation, the coded links."""
