"""``python -m studies.calibration``."""

import sys

from studies.calibration.run import main

sys.exit(main())
