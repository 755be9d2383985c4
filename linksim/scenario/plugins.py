"""Files of the user whose code is executed: they register blocks."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path

from linksim.core.errors import ScenarioError


def load_plugins(paths: list[str]) -> None:
    """Execute the plugin files, which register their blocks; a file already executed only if it has changed.

    :raises ScenarioError: a missing file, or the plugin's own exception (its cause), with the plugin's line.
    """
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise ScenarioError(f"plugin {path}: {reason}") from None
        name = f"linksim_plugin_{hashlib.sha256(str(path).encode() + content).hexdigest()[:12]}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ScenarioError(f"plugin {path}: not a Python file (its name must end in .py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
            line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else 1
            said = error.msg if isinstance(error, SyntaxError) else error
            raise ScenarioError(f"plugin {path}:{line}: {type(error).__name__}: {said}") from error
