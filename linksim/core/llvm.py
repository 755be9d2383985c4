"""The LLVM library that Sionna RT compiles through on a CPU, named before Sionna is imported.

Dr.Jit looks for it when it is imported, which ``import sionna`` may do where sionna-rt is installed, and takes the
system's default. With one older than version 19 the first tracing aborts the process.
"""

from __future__ import annotations

import os
import re
import sys
from glob import glob

VARIABLE = "DRJIT_LIBLLVM_PATH"
LEAST = 19

_named_too_late = False


def name_llvm() -> None:
    """Set ``DRJIT_LIBLLVM_PATH`` to the newest library at hand, unless it is set or none is new enough."""
    global _named_too_late
    if VARIABLE in os.environ:
        return
    _named_too_late = "drjit" in sys.modules
    version, path = max(((_version(path), path) for path in _candidates()), default=(0, ""))
    if version >= LEAST:
        os.environ[VARIABLE] = path


def named_too_late() -> bool:
    """Whether Dr.Jit had chosen a library by itself before."""
    return _named_too_late


def import_failure(error: BaseException) -> str | None:
    """Why ``import sionna`` failed, where that was for want of LLVM; None for any other exception.

    Where sionna-rt is installed, Sionna imports it whatever is simulated, and without a GPU its import needs LLVM.
    """
    if not isinstance(error, ImportError) or "LLVM" not in str(error):
        return None
    named = os.environ.get(VARIABLE)
    found = f"{VARIABLE} names {named}, which cannot be loaded" if named else f"no LLVM {LEAST} or newer was found"
    from linksim.core.packages import to_install  # start-up

    return (f"sionna-rt is installed and cannot be imported: {found}: {to_install('karellen-llvm-core')}; "
            f"leave {VARIABLE} unset then, or name a library there")


def _candidates() -> list[str]:
    # where karellen-llvm-core puts it, then where Debian and macOS do
    folders = (os.path.join(sys.prefix, "lib"), "/usr/lib/llvm-*/lib", "/usr/lib/*-linux-gnu", "/usr/lib64",
               "/opt/homebrew/opt/llvm/lib")
    return [path for folder in folders for path in glob(os.path.join(folder, "libLLVM*"))]


def _version(path: str) -> int:
    """Major version, as the file's name tells it."""
    found = re.match(r"libLLVM(?:-|\.so\.|\.)(\d+)", os.path.basename(os.path.realpath(path)))
    return int(found[1]) if found else 0
