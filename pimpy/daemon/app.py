"""pimpyd put together: sockets, netlink, a router and its driver for each family, control socket, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pimpy import __version__
from pimpy.config.model import Config
from pimpy.config.tables import further
from pimpy.core import gmp_interfaces
from pimpy.core.engine.effects import Installed, Notice
from pimpy.core.engine.events import ClearMembership, Configured, EntryGone, Event, RouteResolved
from pimpy.core.router import Router
from pimpy.core.traffic import INTERVAL
from pimpy.daemon import configfile, later, logs, memory
from pimpy.daemon.backend import CounterKey
from pimpy.daemon.commands import RefusedError
from pimpy.daemon.control import ControlServer, Limits
from pimpy.daemon.keeper.privileges import become_worker, within_reach
from pimpy.daemon.keeping import Given, Keeping, RefusedByKeeper
from pimpy.daemon.monitor import Monitor
from pimpy.daemon.options import Options
from pimpy.daemon.serving import Served, serve
from pimpy.daemon.tables import Tables, fitting
from pimpy.kernel.sockets import EXIT_FAILED, advice
from pimpy.wire.family import FAMILIES, Address, Family, family_of, format_address, parse_address

if TYPE_CHECKING:
    from pimpy.core.explain import ExplainRow
    from pimpy.core.rows import MrouteRow, Row
    from pimpy.daemon.entries import Totals
    from pimpy.daemon.metrics import MetricsServer
    from pimpy.daemon.recorder import Recorder
    from pimpy.daemon.rows import StatusRow

log = logging.getLogger("pimpy")

EXIT_CONFIG = 78
BRIDGES = 10.0
"""Seconds between two looks at snooping bridges."""
ALIVE = 1.0
"""Seconds between two signs of life for the keeper."""
LATE = 2.0
"""Seconds by which the event loop may be late and still counts as alive."""


_DROPS = ("stopped", "ttl", "too_big", "refused", "held_full")
_TOTALS: Mapping[str, CounterKey] = {
    "sent": ("-", "pim", "tx", "register", ""),
    **{reason: ("-", "pim", "tx", "register", reason) for reason in _DROPS},
    **{reason: ("-", "kernel", "rx", "message", reason) for reason in ("queue_full", "truncated", "malformed")},
}
"""How the counters of the extension are told beside those of the core."""


def run(options: Options, keeping: Keeping, keeper: int) -> int:
    """Work for a keeper, whose process number is `keeper`, as the command line asks; the exit code."""
    logs.setup(options)
    path, result = configfile.load_options(options, keeping)
    for remark in result.diagnostics:
        print(remark, file=sys.stderr)
    if result.model is None and keeping.use_spare():
        log.error("the configuration has errors: what was in force stays", extra={"reason": "config"})
        path, result = configfile.load_options(options, keeping)
    if result.model is None:
        return EXIT_CONFIG
    sys.stderr.flush()
    if not within_reach(__file__):
        later.import_all()  # by the time that they are needed, their files are out of reach
    given = keeping.open(further(result.model))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.chdir("/")
    why = become_worker(keeper)
    for level, reason, text in (*given.remarks, *([("warning", "seccomp", why)] if why is not None else ())):
        log.log(logging.getLevelName(level.upper()), "%s", text, extra={"reason": reason})
    return asyncio.run(Daemon(options, path, fitting(result.model, given), keeping, given, keeper).run(null))


class Daemon:
    """One running daemon; to the control socket and the metrics it is their `Backend`."""

    def __init__(
        self, options: Options, path: str | None, config: Config, keeping: Keeping, given: Given, keeper: int
    ) -> None:
        self.options = options
        self.path = path
        self.config = config
        self.config_ok = True
        self.config_time = time.time()
        self.started = time.monotonic()
        self.keeping = keeping
        self.given = given
        self.keeper = keeper
        self.served: dict[Family, Served] = {}
        """The main table of each family."""
        self.monitor = Monitor()
        self.tables = Tables(given, keeping, self.monitor, config)
        self.recorder: Recorder | None = None
        self.control: ControlServer | None = None
        self.metrics: MetricsServer | None = None
        self._ended = asyncio.Event()
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    async def run(self, null: int) -> int:
        """Serve until somebody ends it; `null` is a descriptor to take the place of the terminal's."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, self._ended.set)
        loop.add_signal_handler(signal.SIGUSR1, self._leave)
        loop.add_signal_handler(signal.SIGHUP, self._reload_by_signal)
        loop.add_reader(self.keeping.line, _keeper_gone)
        self._open_recorder()
        for family in FAMILIES:
            if family.name in self.given.families and family.name in self.config.families:
                self._start_family(family)
        self.tables.start(self._notice_of, self.recorder)
        if self.config.register_guard:
            self._guard_registers()
        self.control = self._control_server()
        listener = socket.socket(fileno=self.given.kept["control"])
        listener.setblocking(False)
        await self.control.start(listener)
        self._ready(null)
        await self._start_metrics()
        loop.call_later(INTERVAL, self._now_and_then, INTERVAL, self._look_at_counters)
        loop.call_later(BRIDGES, self._now_and_then, BRIDGES, self._look_at_bridges)
        later.import_in_turn(memory.tune_collector, metrics=self.config.metrics is not None)
        await self._ended.wait()
        await self._stop()
        return 0

    def _control_server(self) -> ControlServer:
        """The control socket's; in smcroute's place it speaks smcroute's protocol too, for 128 clients."""
        if self.options.dialect != "smcroute":
            return ControlServer(self.options.socket_path, self)
        from pimpy.daemon import smcroute_ipc

        binary = smcroute_ipc.Server(self)
        return ControlServer(self.options.socket_path, self, Limits(clients=128), binary)

    def _ready(self, null: int) -> None:
        families = " and ".join(family.name for family in self.served)
        log.info("ready: pimpyd %s, %s", __version__, families, extra={"reason": "ready"})
        self.keeping.tell("ready")
        if not self.options.foreground:
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
        os.close(null)
        self._alive(asyncio.get_running_loop().time())

    def _alive(self, due: float) -> None:
        """Tell the keeper that the event loop turns, unless it is late."""
        loop = asyncio.get_running_loop()
        if loop.time() - due < LATE:
            self.keeping.tell("alive")
        loop.call_later(ALIVE, self._alive, loop.time() + ALIVE)

    def _leave(self) -> None:
        """End without a good-bye: another worker goes on with the sockets."""
        self._leaving = True
        self._ended.set()

    def _guard_registers(self) -> None:
        """Have the keeper keep the nftables table of `register-guard`, or none."""
        wanted = (self.config.register_accept, self.config.register_accept_from) if self.config.register_guard else None
        try:
            self.keeping.guard(wanted)
        except (OSError, RefusedByKeeper) as problem:
            log.error("register-guard: %s", problem, extra={"reason": "register_guard"})

    def _open_recorder(self) -> None:
        if "record" in self.given.kept:
            from pimpy.daemon.recorder import Recorder

            self.recorder = Recorder(open(self.given.kept["record"], "w", encoding="ascii"))  # noqa: SIM115

    def _start_family(self, family: Family) -> None:
        notice = self._notice_of(family)
        given = (self.given, self.keeping, self.monitor, notice, self.recorder)
        served = self.served[family] = serve(family, self.options.table, *given)
        if self.options.script is not None:
            served.driver.installed = self._installed
        served.start(self.config, adopts=self.given.adopts)
        interfaces = served.router.interfaces.values()
        for remark in advice(family, [i.name for i in interfaces if i.vif is not None]):
            log.warning("%s: %s", family.name, remark.text, extra={"reason": remark.reason})

    def _now_and_then(self, interval: float, look: Callable[[Served], None]) -> None:
        """Look at each family, and again after `interval` seconds; if it takes long, after 200 times as long."""
        began = time.monotonic()
        for served in self.served.values():
            with contextlib.suppress(OSError):
                look(served)
        if not self._ended.is_set():
            pause = max(interval, 200 * (time.monotonic() - began))
            asyncio.get_running_loop().call_later(pause, self._now_and_then, interval, look)

    def _look_at_counters(self, served: Served) -> None:
        """See how fast streams flow."""
        if served.router.forwarding.entries():
            served.look()
        self.tables.look(served.family)

    def _look_at_bridges(self, served: Served) -> None:
        """See who asks on the bridges below interfaces."""
        if events := served.adapter.look_at_bridges():
            served.driver.feed(events)

    def _notice_of(self, family: Family) -> Callable[[Notice], None]:
        def notice(effect: Notice) -> None:
            logs.notice(family.name, effect)
            self.monitor.notice(family.name, effect)

        return notice

    def _installed(self, effect: Installed) -> None:
        """Let the keeper run the script, which this process may not."""
        text = f"install {format_address(effect.source)} {format_address(effect.group)}"
        self.keeping.tell("script", text)

    async def _start_metrics(self) -> None:
        if self.config.metrics is not None:
            from pimpy.daemon.metrics import MetricsServer

            self.metrics = MetricsServer(self.config.metrics, self, self.control)
            try:
                await self.metrics.start()
            except OSError as problem:
                log.error("metrics: %s", problem, extra={"reason": "metrics"})

    async def _restart_metrics(self) -> None:
        if self.metrics is not None:
            await self.metrics.close()
            self.metrics = None
        await self._start_metrics()

    async def _stop(self) -> None:
        """Say good-bye, and leave the kernel as it was; or only leave."""
        if self._leaving:
            log.info("leaving: another worker takes over", extra={"reason": "leaving"})
            if self.recorder is not None:
                self.recorder.close()
            return
        log.info("exiting", extra={"reason": "exit"})
        self.tables.stop()
        for served in self.served.values():
            served.stop()
        if self.recorder is not None:
            self.recorder.close()
        if self.metrics is not None:
            await self.metrics.close()
        if self.control is not None:
            await self.control.close()

    # The Backend of the control socket and the metrics.

    def rows(self, kind: str) -> list[Row]:
        """All rows of a kind, of both families; `mroute` with the kernel's counters."""
        from pimpy.daemon import entries

        protocol, _, rest = kind.partition("_")
        found: list[Row] = []
        for family, served in self.served.items():
            router = served.router
            router.heap.now = max(router.heap.now, served.driver.now())
            if kind == "mroute":
                found.extend(entries.with_interfaces(served))
            elif protocol not in ("igmp", "mld"):
                found.extend(router.rows(kind))
            elif protocol == family.gmp:
                found.extend(router.rows(f"gmp_{rest}"))
        return self.tables.rows(kind, found)

    def entries(self) -> Iterator[list[MrouteRow]]:
        """The entries of both families, in slices, with the kernel's counters."""
        from pimpy.daemon import entries

        return entries.in_slices(list(self.served.values()))

    def totals(self) -> list[Totals]:
        """The entries of each family, counted."""
        from pimpy.daemon import entries

        return [entries.totals(one.router, one.adapter.counters(), one.meter) for one in self.served.values()]

    def look_up(self, what: str, address: Address) -> list[Row]:
        """`rp`: the RP of a group; `rpf`: how an address is reached."""
        served = self.served.get(family_of(address))
        if served is None:
            return []
        from pimpy.core.views.rp import rp_of, rpf

        if what == "rp":
            return list(rp_of(served.router, address))
        route = served.adapter.route(address)
        return [rpf(served.router, route)] if isinstance(route, RouteResolved) else []

    def explain(self, source: str | None, group: str, ttl: int | None) -> list[ExplainRow]:
        """Sentences on a stream, from the live state and the kernel's entry."""
        from pimpy.daemon.facts import explained

        key = parse_address(group)
        main = self.served.get(family_of(key))
        if main is None:
            raise RefusedError("the kernel routes no multicast of this family")
        origin = None if source is None else parse_address(source)
        served = self.tables.concerned(main.family, origin, key) or main
        return explained(served.driver, served.adapter, served.meter, origin, key, ttl)

    def status(self) -> StatusRow:
        """How the daemon fares."""
        from pimpy.daemon.rows import StatusRow

        routers = [served.router for served in self.served.values()]
        return StatusRow(
            version=__version__,
            ident=self.options.ident,
            pid=self.keeper,
            up_time=time.monotonic() - self.started,
            table=self.options.table,
            address_families=" ".join(family.name for family in self.served),
            config_file=self.path,
            config_ok=self.config_ok,
            config_time=self.config_time,
            restarts=self.given.restarts,
            adopted=sum(router.health.adopted for router in routers),
            swept=sum(router.health.swept for router in routers),
            drift=sum(router.health.drift for router in routers),
            log_level=logs.level(),
            interface_count=sum(len(router.pim.interfaces) for router in routers),
            neighbor_count=sum(len(i.neighbors) for router in routers for i in router.pim.interfaces.values()),
            mroute_count=sum(len(router.pim.tib.sg) for router in routers),
            group_count=sum(len(m.link.groups) for router in routers for m in router.memberships.values()),
            hello_interval=float(self.config.hello_interval),
            join_prune_interval=float(self.config.join_prune_interval),
            igmp_query_interval=float(self.config.igmp_query_interval),
            igmp_robustness=self.config.igmp_robustness,
            igmp_querier_timeout=float(self.config.querier_timeout()),
        )

    def counters(self) -> Mapping[str, Mapping[CounterKey, int]]:
        """What was counted, by family."""
        found: dict[str, Mapping[CounterKey, int]] = {}
        for family, served in self.served.items():
            extension = {_TOTALS[name]: count for name, count in served.adapter.totals().items() if count}
            found[family.name] = self.tables.add_counters(family, {**served.router.counters.values, **extension})
        return found

    def command(self, name: str, args: Sequence[str]) -> str:
        """`reload`, `restart [PROGRAM]`, `audit`, `kill`, `log [LEVEL]`."""
        if name == "kill":
            self.keeping.tell("ending")
            self._ended.set()
            return ""
        if name == "restart":
            return self.restart(args[0] if args else "")
        if name == "reload":
            return self.reload()
        if name == "audit":
            for served in self.served.values():
                served.driver.feed([EntryGone(None, None)])
            self.tables.audit()
            return "the kernel's table is compared with what it should be; differences are put right (show status)"
        if name == "clear":
            return self._clear(args[0], parse_address(args[1]))
        if name == "debug":
            return logs.debugged(args[0] if args else None)
        if name == "log":
            return logs.set_level(args[0]) if args else logs.level()
        raise RefusedError(f"{name!r} is not built")

    def _clear(self, protocol: str, group: Address) -> str:
        """Forget a group's records; RefusedError if there are none."""
        served = next((one for family, one in self.served.items() if family.gmp == protocol), None)
        names = [] if served is None else gmp_interfaces.holding(served.router, group)
        if served is None or not names:
            raise RefusedError(f"no interface has a member of {format_address(group)}")
        served.driver.feed([ClearMembership(group)])
        return f"{format_address(group)} forgotten on {', '.join(names)}"

    def restart(self, program: str) -> str:
        """Start again, as another program if one is named; RefusedError, and nothing done, if that cannot go well."""
        _, result = configfile.load_options(self.options, self.keeping)
        if result.model is None:
            raise RefusedError("; ".join(str(error) for error in result.errors) + "; nothing is restarted")
        try:
            self.keeping.restart(program)
        except RefusedByKeeper as refusal:
            raise RefusedError(str(refusal)) from None
        return "restarting: no stream is interrupted"

    def reload(self) -> str:
        """Read the configuration again and follow it; RefusedError, and nothing changed, if it has an error."""
        path, result = configfile.load_options(self.options, self.keeping)
        for remark in result.diagnostics:
            log.warning("%s", remark, extra={"reason": "config"})
        self.config_ok = result.model is not None
        if result.model is None:
            raise RefusedError("; ".join(str(error) for error in result.errors) + "; the old configuration stays")
        if set(further(result.model)) != set(self.given.asked):
            return self.restart("")  # the keeper opens other tables then
        model = fitting(result.model, self.given)
        old, self.path, self.config, self.config_time = self.config, path, model, time.time()
        if old.register_guard or self.config.register_guard:
            self._guard_registers()
        for served in self.served.values():
            served.driver.feed([Configured(self.config)])
        self.tables.follow(self.config)
        if old.metrics != self.config.metrics:
            self._task = asyncio.get_running_loop().create_task(self._restart_metrics())
        self.keeping.tell("reloaded")
        if self.options.script is not None:
            self.keeping.tell("script", "reload")
        return f"{path or 'the defaults'} read"

    def routers(self) -> Mapping[Family, Router]:
        """The router of each family that runs."""
        return {family: served.router for family, served in self.served.items()}

    def feed(self, family: Family, event: Event) -> None:
        """Let an event happen to the router of a family."""
        self.served[family].driver.feed([event])

    def counts(self) -> dict[str, dict[tuple[Address, Address], tuple[int, int, int]]]:
        """The kernel's counters of all entries, by the family's name."""
        return {
            family.name: {entry: counted[:3] for entry, counted in served.adapter.counters().items()}
            for family, served in self.served.items()
        }

    def _reload_by_signal(self) -> None:
        try:
            log.info("%s", self.reload(), extra={"reason": "reload"})
        except RefusedError as refusal:
            log.error("%s", refusal.text, extra={"reason": "config"})


def _keeper_gone() -> None:
    """The line to the keeper has something without our asking, its end: the next keeper needs the tables."""
    os._exit(EXIT_FAILED)
