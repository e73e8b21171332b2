"""What was asked on pimpyd's command line, as one frozen value. `cli/pimpyd.py` makes it, `app.run` follows it."""

from __future__ import annotations

from pimpy.daemon.background import run_path
from pimpy.wire.record import frozen
from pimpy.wire.value import Value


@frozen
class Options(Value):
    """The command line of the daemon. None means that it did not say."""

    config: str | None = None
    """`-f FILE`: the configuration; None looks for it, see `configfile.find`."""
    foreground: bool = False
    """`-n`: stay attached to the terminal, log to stderr unless `syslog`."""
    ident: str = "pimpyd"
    """`-i IDENT`: names the configuration, the socket, the PID file and the tag in the log."""
    pidfile: str | None = None
    """`-p FILE` as it was given; see `pidfile_path`."""
    socket: str | None = None
    """`-u FILE` as it was given; see `socket_path`."""
    log_level: str = "notice"
    """`-l LEVEL`: one of `levels.LEVELS`."""
    debug: tuple[str, ...] = ()
    """`-d SYS[,SYS]`: subsystems to debug, words of `levels.SUBSYSTEMS`."""
    syslog: bool = False
    """`-s`: log to syslog in the foreground too."""
    table: int = 0
    """`-t TABLE`: the multicast routing table of the kernel; 0 is the main one."""
    startup_delay: float = 0.0
    """`-w SEC`: wait so long before anything is opened."""
    retry: bool = False
    """`-r`: wait for the interfaces that the configuration enables, instead of ending when none is there."""
    disable_vifs: bool = False
    """`--disable-vifs`: as the line `no phyint` in the configuration."""
    check: bool = False
    """`--check`: only read the configuration and print what is to be said of it."""
    wait: bool = False
    """`--wait`: try a table that another daemon holds again every 10 s instead of ending."""
    dialect: str | None = None
    """`--dialect NAME`: the grammar of the configuration, one of `config.dialects.DIALECTS`; None: see `detect`."""
    script: str | None = None
    """smcrouted's `-e CMD`: the keeper runs it after a reload, and for each stream that got an entry by a rule."""
    flush_interval: int | None = None
    """smcrouted's `-c SEC`: wins over the configuration."""
    mrdisc_interval: int | None = None
    """smcrouted's `-m SEC`: wins over the configuration."""
    metrics: tuple[str, int] | None = None
    """`--metrics ADDR:PORT`: where to serve /metrics; wins over the configuration."""
    record: str | None = None
    """`--record FILE`: write the stream of events there."""
    user: str | None = None
    """`--user NAME`: whom the worker runs as; None is `keeper.privileges.USERS`."""

    @property
    def socket_path(self) -> str:
        """Where the control socket is: `-u`, or /run/IDENT.sock. A name without a slash is under /run."""
        return run_path(self.socket or f"{self.ident}.sock")

    @property
    def pidfile_path(self) -> str:
        """Where the PID file is: `-p`, or /run/IDENT.pid. A name without a slash is under /run."""
        return run_path(self.pidfile or f"{self.ident}.pid")
