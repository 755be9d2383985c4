"""Sionna RT, imported so that it does not bring the process down.

On a CPU it compiles through LLVM. With a system library older than version 19 the import succeeds and the first
tracing aborts the process, so the library is looked for and asked for its version first.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path
from typing import Any

from linksim.errors import ScenarioError

RELEASE = "2.2"
"""Of sionna-rt. Tables are named by it, so that they are found where it is not installed."""

_LEAST_LLVM = 19
_VARIABLE = "DRJIT_LIBLLVM_PATH"
_FIX = "install what tracing needs: pip install 'linksim[rt]' (uv sync --extra rt)"


def import_sionna_rt() -> Any:
    """The module ``sionna.rt``, ready to trace.

    :raises ScenarioError: sionna-rt or LLVM is missing or of another version.
    """
    version = installed_version()
    if version is None:
        raise ScenarioError(f"channel.source: ray_traced has to trace this scene first, and sionna-rt is not "
                            f"installed: {_FIX}")
    if version.split(".")[:2] != RELEASE.split("."):
        raise ScenarioError(f"channel.source: ray_traced needs sionna-rt {RELEASE}, but {version} is installed: {_FIX}")
    if "mitsuba" not in sys.modules:
        _choose_backend()
    try:
        from sionna import rt
    except ImportError as error:
        raise ScenarioError(f"channel.source: sionna-rt cannot be imported ({error}): {_FIX}") from None
    return rt


def installed_version() -> str | None:
    """Of sionna-rt; None where it is not installed."""
    try:
        return metadata.version("sionna-rt") if util.find_spec("sionna.rt") else None
    except (metadata.PackageNotFoundError, ModuleNotFoundError):
        return None


def _choose_backend() -> None:
    """The CPU where there is an LLVM, also beside a GPU: the same table on every machine. Else the GPU."""
    library, version = newest_llvm()
    if version >= _LEAST_LLVM:
        os.environ[_VARIABLE] = library
        variant = "llvm_ad_mono_polarized"
    else:
        import torch

        if not torch.cuda.is_available():
            found = f"{library} is version {version or 'below 16'}" if library else "none was found"
            raise ScenarioError(f"channel.source: ray_traced traces through LLVM {_LEAST_LLVM} or newer, but {found}: "
                                f"{_FIX}, or name a library in {_VARIABLE}")
        variant = "cuda_ad_mono_polarized"
    try:
        import mitsuba

        mitsuba.set_variant(variant)
    except ImportError as error:
        raise ScenarioError(f"channel.source: sionna-rt cannot be used ({error}): {_FIX}") from None


def newest_llvm() -> tuple[str, int]:
    """Path and major version of the LLVM library to use: the one named in the environment, else the newest found.

    :returns: an empty path where there is none; version 0 for one too old to tell.
    """
    if given := os.environ.get(_VARIABLE):
        return given, llvm_version(given)
    found = [(path, llvm_version(path)) for path in _candidates()]
    return max(found, key=lambda pair: pair[1], default=("", 0))


def _candidates() -> Iterator[str]:
    # where karellen-llvm-core puts it, then the system's
    for folder in (Path(sys.prefix) / "lib", *sorted(Path("/usr/lib").glob("llvm-*/lib"))):
        for pattern in ("libLLVM.so*", "libLLVM-*.so*", "libLLVM.dylib"):
            yield from map(str, sorted(folder.glob(pattern)))
    if name := ctypes.util.find_library("LLVM"):
        yield name


def llvm_version(path: str) -> int:
    """Major version of an LLVM library; 0 where it cannot be loaded or is older than 16, which cannot tell."""
    try:
        ask = ctypes.CDLL(path).LLVMGetVersion
    except (OSError, AttributeError):
        return 0
    major = ctypes.c_uint()
    ask(ctypes.byref(major), None, None)
    return major.value
