"""mcproxy's command line: `mcproxy [-h] [-c] [-r] [-d] [-s] [-v [-v]] [-f FILE]`, in front of the one daemon.

It stays in the foreground. Where mcproxy ended with 0 whatever happened, errors have pimpyd's exit codes here.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

from pimpy.cli.names import run_as
from pimpy.config.model import Config

_HELP = """\
Usage: mcproxy [-h] [-c] [-r] [-d] [-s] [-v [-v]] [-f FILE]

   -h   Display this help screen
   -r   Reset the reverse path filter of the interfaces while it runs
   -d   Log debug messages
   -s   Print the status every 2 seconds
   -v   Be verbose. Give twice to see even debug messages
   -f   The configuration, default mcproxy.conf in this folder
   -c   Check what the kernel can do, and end
"""


def check() -> int:
    """`-c`: what of the kernel is there; 0, or 1 if something is missing."""
    needed = {
        "IPv4 multicast routing": "/proc/net/ip_mr_vif",
        "IPv6 multicast routing": "/proc/net/ip6_mr_vif",
        "IPv4 memberships (IGMP)": "/proc/net/igmp",
        "IPv6 memberships (MLD)": "/proc/net/igmp6",
        "IPv4 source filters": "/proc/net/mcfilter",
        "IPv6 source filters": "/proc/net/mcfilter6",
    }
    missing = [what for what, path in needed.items() if not os.path.exists(path)]
    for what in needed:
        print(f"{what}: {'MISSING' if what in missing else 'ok'}")
    for key in ("igmp_max_memberships", "igmp_max_msf"):
        with suppress(OSError):
            value = Path("/proc/sys/net/ipv4", key).read_text(encoding="ascii").strip()
            print(f"{key}: {value} (a socket has no more, of which any number is opened)")
    return 1 if missing else 0


@contextmanager
def reverse_path_filter_off(names: list[str]) -> Iterator[None]:
    """`-r`: off on these interfaces as long as this lasts, then as before. What cannot be written is told."""
    before: dict[Path, str] = {}
    for name in ("all", *names):
        path = Path("/proc/sys/net/ipv4/conf", name, "rp_filter")
        try:
            before[path] = path.read_text(encoding="ascii")
            path.write_text("0", encoding="ascii")
        except OSError as error:
            print(f"mcproxy: {path}: {error.strerror}", file=sys.stderr)
    try:
        yield
    finally:
        for path, value in before.items():
            with suppress(OSError):
                path.write_text(value, encoding="ascii")


def _model(file: str) -> Config | None:
    from pimpy.config.mcproxy import load
    from pimpy.daemon.configfile import Disk
    from pimpy.daemon.options import Options

    return load(file, Disk(Options()).read).model


def _families(file: str) -> tuple[str, ...]:
    model = _model(file)
    return model.families if model is not None else ("ipv4",)


def _interfaces(file: str) -> list[str]:
    model = _model(file)
    proxies = model.proxies if model is not None else ()
    sides = [side for proxy in proxies for side in (*proxy.upstreams, *proxy.downstreams)]
    return list(dict.fromkeys(side.name for side in sides))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line. Never returns."""
    try:
        options, words = getopt.getopt(list(sys.argv[1:] if argv is None else argv), "hrdsvcf:")
    except getopt.GetoptError as error:
        print(f"mcproxy: {error.msg}\n{_HELP}", end="", file=sys.stderr)
        sys.exit(2)
    flags = [flag for flag, _ in options]
    file = dict(options).get("-f", "mcproxy.conf")
    if "-h" in flags or words:
        print(_HELP, end="")
        sys.exit(0 if "-h" in flags else 2)
    if "-c" in flags:
        sys.exit(check())
    level = "debug" if "-d" in flags else ("notice", "info", "debug")[min(flags.count("-v"), 2)]
    if "-s" in flags:
        from pimpy.cli.mcproxy_status import follow

        follow("/run/mcproxy.sock", file)
    with reverse_path_filter_off(_interfaces(file) if "-r" in flags else []) if "-r" in flags else nullcontext():
        families = _families(file)
        code = run_as("mcproxy", file, foreground=True, log_level=level, syslog=False, families=families)
    sys.exit(code)


if __name__ == "__main__":
    main()
