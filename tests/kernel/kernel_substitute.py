"""A pytest plugin that puts another build of the extension in the place of the installed one.

`PIMPY_EXTENSION` names the shared object; loaded with `-p kernel_substitute`, before anything imports pimpy.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

_NAME = "pimpy.kernel._mroute"
_loader = ExtensionFileLoader(_NAME, os.environ["PIMPY_EXTENSION"])
_spec = spec_from_loader(_NAME, _loader)
assert _spec is not None
_module = module_from_spec(_spec)
_loader.exec_module(_module)
sys.modules[_NAME] = _module
# What this process starts (`ip`, above all) is not what is watched, and would begin by setting up its sanitizers.
os.environ.pop("LD_PRELOAD", None)
