"""`pimctl config convert FILE`: another daemon's file as pimpyd.conf, with a comment where something differs."""

from __future__ import annotations

from pimpy.config.builder import Expand, Read
from pimpy.config.dialects import LOADERS, NATIVE, detect
from pimpy.config.native import Result
from pimpy.config.printer import print_config

_DIFFERENCES = {
    "smcroute": ("smcroute: PIM, IGMP and MLD queriers run nowhere: `no phyint` says so.",),
    "igmpproxy": (
        "igmpproxy: queries are IGMPv3 here; source lists and BLOCK records of IGMPv3 count.",
        "igmpproxy: sources behind downstream interfaces are sent upstream too.",
        "igmpproxy: on a link with another querier it forwards, this proxy does not (always-forward).",
    ),
    "mcproxy": (
        "mcproxy: `first` holds for groups wanted from any source too, and `mutex` counts its own time.",
        "mcproxy: only the querier of a downstream link forwards to it (always-forward changes that).",
        "mcproxy: instances without a table number share the kernel's main table.",
    ),
    "pim6sd": (
        "pim6sd: MLDv2 is the default here, MLDv1 there (`phyint IF mldv1`).",
        "pim6sd: RFC 7761's timers hold where pim6sd has RFC 2362's.",
    ),
}
"""What means something a little different, whatever the file says."""


def convert(path: str, read: Read, expand: Expand | None, dialect: str | None = None) -> tuple[str, Result]:
    """The native text, which is empty if the file has errors, and what was read."""
    try:
        named = dialect or detect(read(path), path).dialect
    except OSError:
        named = dialect or NATIVE
    result = LOADERS[named](path, read, expand)
    if result.model is None:
        return "", result
    lines = [f"# converted from {path if path.isprintable() else repr(path)} ({named})"]
    lines += [f"# {text}" for text in _DIFFERENCES.get(named, ())]
    for remark in result.diagnostics:
        lines.append(f"# line {remark.line}: {remark.text}")
    return "".join(f"{line}\n" for line in lines) + print_config(result.model), result
