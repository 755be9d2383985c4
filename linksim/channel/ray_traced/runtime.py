"""Sionna RT, imported so that it does not bring the process down.

On a CPU it compiles through LLVM. With a library older than version 19 the import succeeds and the first tracing
aborts the process, so the one that `linksim.core.llvm` named, or the user, is asked for its version first.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.llvm import LEAST, VARIABLE, named_too_late
from linksim.core.packages import import_optional, installed_version, to_install

RELEASE = "2.2"
"""Release of sionna-rt. Tables are named by it, so that they are found where it is not installed."""


def import_sionna_rt() -> Any:
    """The module ``sionna.rt``, ready to trace.

    :raises ScenarioError: sionna-rt or LLVM is missing or of another version.
    """
    try:
        installed_version("sionna-rt")  # before LLVM is looked for
        _choose_backend()
        return import_optional("sionna.rt", "sionna-rt")
    except ScenarioError:
        raise
    except LinksimError as error:
        raise ScenarioError(f"channel.source: ray_traced has to trace this scene first: {error}") from None


def _choose_backend() -> None:
    """The CPU where there is an LLVM, also beside a GPU: the same table on every machine. Else the GPU."""
    library = os.environ.get(VARIABLE, "")
    version = llvm_version(library) if library else 0
    if version >= LEAST:
        if named_too_late():
            raise ScenarioError(f"channel.source: sionna-rt was imported before linksim: import linksim first, or set "
                                f"{VARIABLE}={library} in the environment")
        variant = "llvm_ad_mono_polarized"
    else:
        import torch  # start-up

        if not torch.cuda.is_available():
            found = f"{VARIABLE} names {library}, " + (f"version {version}" if version else "which is none or older") \
                if library else "none was found"
            raise ScenarioError(f"channel.source: ray_traced traces through LLVM {LEAST} or newer, but {found}: "
                                f"{to_install('karellen-llvm-core')}, or name a library in {VARIABLE}")
        variant = "cuda_ad_mono_polarized"
    mitsuba = import_optional("mitsuba", "sionna-rt")
    if mitsuba.variant() is None:  # sionna-rt has not chosen yet
        mitsuba.set_variant(variant)


def llvm_version(path: str) -> int:
    """Major version of an LLVM library; 0 where it cannot be loaded or is older than 16, which cannot tell."""
    try:
        ask = ctypes.CDLL(path).LLVMGetVersion
    except (OSError, AttributeError):
        return 0
    major = ctypes.c_uint()
    ask(ctypes.byref(major), None, None)
    return major.value
