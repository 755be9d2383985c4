"""NR's tables, without torch: what the rules of a scenario ask for, too."""

from __future__ import annotations

ORDERS = (1, 2, 4, 6, 8)
"""Bits of a symbol: BPSK, QPSK, 16-, 64- and 256-QAM (TS 38.211, 5.1; BPSK is on the real axis here)."""

NUM_MCS = 29
"""Most indices of a table."""

MCS_TABLES: dict[int, tuple[tuple[int, float], ...]] = {
    table: tuple((order, rate / 1024) for order, rates in parts for rate in rates)
    for table, parts in {
        1: ((2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)), (4, (340, 378, 434, 490, 553, 616, 658)),
            (6, (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948))),
        2: ((2, (120, 193, 308, 449, 602)), (4, (378, 434, 490, 553, 616, 658)),
            (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
            (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948))),
        3: ((2, (30, 40, 50, 64, 78, 99, 120, 157, 193, 251, 308, 379, 449, 526, 602)),
            (4, (340, 378, 434, 490, 553, 616)), (6, (438, 466, 517, 567, 616, 666, 719, 772))),
        4: ((2, (120, 193, 449)), (4, (378, 490, 616)), (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
            (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)), (10, (805.5, 853, 900.5, 948))),
    }.items()
}
"""Bits of a symbol and code rate of every MCS of PDSCH (TS 38.214, Tables 5.1.3.1-1 to -4)."""

EESM_TABLES = (1, 2)
"""MCS tables that Sionna has EESM parameters for."""

LEAST_RATE = 0.2
"""Least rate of the LDPC codes that Sionna has; lower ones repeat bits in NR."""

LEAST_BLOCK = 24
"""Bits of the smallest transport block (TS 38.214, Table 5.1.3.2-1)."""
