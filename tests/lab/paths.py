"""Where things lie: this project, and the cache that tests/prepare fills."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("PIMPY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "/var/cache") / "pimpy")
PIMD = CACHE / "pimd/usr/sbin/pimd"
SMCROUTED = CACHE / "smcroute/usr/sbin/smcrouted"
SMCROUTECTL = CACHE / "smcroute/usr/sbin/smcroutectl"
IGMPPROXY = CACHE / "igmpproxy/usr/sbin/igmpproxy"
PROMETHEUS = CACHE / "prometheus/usr/bin/prometheus"
PROMTOOL = CACHE / "prometheus/usr/bin/promtool"
FRR_ROOT = CACHE / "frr"
PLAIN_ROOT = CACHE / "bookworm"
PIMPYD = ROOT / ".venv/bin/pimpyd"
PIMCTL = ROOT / ".venv/bin/pimctl"

STATE = Path("/run/pimpy-lab")
"""A folder for each lab that stands; see `cleaning`."""
