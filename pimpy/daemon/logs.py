"""The daemon's log: one line an event with a stable reason word, limited in rate, never waiting for its reader.

Everything goes through the standard library's `logging`, below the logger `pimpy`. A line is

    pimpyd: 12:34:56.789 notice neighbor_down: eth1: neighbour 10.0.12.2 down: holdtime passed

Of one reason on one interface, warnings come once in 60 s and other lines 20 times; what was held back
is counted, and told when the time is over. A line that nobody takes (a terminal that is stopped, a full pipe, a
syslog that is not there) is dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from pimpy.core.engine.effects import Notice
from pimpy.daemon.commands import USAGE, RefusedError
from pimpy.daemon.levels import LEVEL_WORDS, LEVELS, NOTICE, SUBSYSTEMS, level_name, subsystems
from pimpy.daemon.options import Options

logging.addLevelName(NOTICE, "NOTICE")

WINDOW = 60.0
"""Seconds that a limit holds."""
BURST = 20
"""Lines of one reason and interface in a window; of warnings, one."""
MAX_KEYS = 4096
"""Reasons and interfaces that are told apart; beyond them the limits begin anew."""

_DEV_NULL = os.makedev(1, 3)
_SEVERITY = {logging.ERROR: 3, logging.WARNING: 4, NOTICE: 5, logging.INFO: 6, logging.DEBUG: 7}
_NAMES = {number: word for word, number in LEVELS.items()}


def event(severity: str, reason: str, text: str, interface: str | None = None) -> None:
    """Log one event: `severity` one of LEVEL_WORDS, `reason` a stable word, `text` for people, the remedy included."""
    extra = {"reason": reason, "interface": interface}
    logging.getLogger("pimpy").log(LEVELS[level_name(severity)], "%s", text, extra=extra)


def notice(family: str, said: Notice) -> None:
    """Log what the core of a family says. A text that begins with a name and a colon speaks of that interface."""
    name, colon, _ = said.text.partition(": ")
    where = f"{family} {name}" if colon and " " not in name else family
    event(said.level, said.reason, f"{family} {said.text}", where)


def debug(subsystem: str, text: str, *values: object) -> None:
    """Log details of one subsystem, if `-d` asks for it; `text` with `%s` for the values. Not limited in rate."""
    logging.getLogger(f"pimpy.debug.{subsystem}").debug(text, *values, extra={"reason": subsystem})


def debugging(subsystem: str) -> bool:
    """Whether the details of a subsystem are asked for: to be asked before something costly is put into words."""
    return logging.getLogger(f"pimpy.debug.{subsystem}").isEnabledFor(logging.DEBUG)


class Sink(Protocol):
    """Where lines go. None of the methods waits."""

    def send(self, severity: int, line: str) -> bool:
        """Take one line; False if it could not be."""

    def close(self) -> None:
        """Nothing more comes."""


class Stderr:
    """Standard error, of which nothing is assumed: it may be a file, a pipe, a terminal or journald's socket.

    It is shared with other programs, so it cannot be made non-blocking: a terminal or pipe is opened a second time.
    """

    def __init__(self, ident: str, descriptor: int = 2, borrowed: bool = False) -> None:
        """`borrowed`: it is given back when the daemon is ready, and leads nowhere from then on."""
        self._ident = ident
        self._shared = descriptor
        self._borrowed = borrowed
        self._journal = _is_journal(descriptor)
        self._torn = False
        self._own: int | None = None
        mode = os.fstat(descriptor).st_mode
        self._is_socket = stat.S_ISSOCK(mode)
        if not borrowed and (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):  # the caller waits for the end of its pipe
            with contextlib.suppress(OSError):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._own = os.open(f"/proc/self/fd/{descriptor}", flags)

    def send(self, severity: int, line: str) -> bool:
        """Write the line if that does not block; at most 4096 bytes of it, which a pipe takes in one piece."""
        if self._borrowed and os.fstat(self._shared).st_rdev == _DEV_NULL:
            return False
        if self._journal:
            text = f"<{severity}>{line}"
        else:
            now = time.time()
            stamp = time.strftime("%H:%M:%S", time.localtime(now))
            text = f"{self._ident}: {stamp}.{int(now * 1000) % 1000:03} {line}"
        data = b"\n" * self._torn + text.encode("utf-8", errors="replace")[:4094] + b"\n"
        try:
            written = self._write(data)
        except OSError:
            return False
        self._torn = written < len(data)
        return True

    def _write(self, data: bytes) -> int:
        if self._own is not None:
            return os.write(self._own, data)
        if self._is_socket:
            with socket.socket(fileno=os.dup(self._shared)) as shared:
                return shared.send(data, socket.MSG_DONTWAIT)
        poll = select.poll()
        poll.register(self._shared, select.POLLOUT)
        if not any(state & select.POLLOUT for _, state in poll.poll(0)):
            raise BlockingIOError
        return os.write(self._shared, data)

    def close(self) -> None:
        """Standard error itself stays open."""
        if self._own is not None:
            os.close(self._own)
            self._own = None


class Syslog:
    """The local syslog (or journald), by datagrams to /dev/log."""

    def __init__(self, ident: str, path: str = "/dev/log") -> None:
        self._ident = ident
        self._path = path
        self._socket: socket.socket | None = None
        self._again = 0.0

    def send(self, severity: int, line: str) -> bool:
        """Send the line; a syslog that is away is tried again every second."""
        if self._socket is None and not self._connect():
            return False
        assert self._socket is not None
        stamp = time.strftime("%b %e %H:%M:%S")
        data = f"<{3 << 3 | severity}>{stamp} {self._ident}[{os.getpid()}]: {line}".encode("utf-8", errors="replace")
        try:
            self._socket.send(data[:8192])
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return False
        return True

    def _connect(self) -> bool:
        if time.monotonic() < self._again:
            return False
        self._again = time.monotonic() + 1.0
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.connect(self._path)
        except OSError:
            made.close()
            return False
        self._socket = made
        return True

    def close(self) -> None:
        """Close the socket; the next line opens another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Limit:
    """How often each reason may come. `suppressed` counts all that was held back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.suppressed = 0
        self._clock = clock
        self._windows: dict[tuple[str, str], list[float]] = {}
        """By reason and interface: when the window ends, lines let through, lines held back."""
        self._looked = 0.0

    def allows(self, reason: str, interface: str, burst: int) -> bool:
        """Whether a line may go out now; counts it either way."""
        now = self._clock()
        key = (reason, interface)
        window = self._windows.get(key)
        if window is None or window[0] <= now:
            if len(self._windows) >= MAX_KEYS:
                self._windows.clear()
            self._windows[key] = [now + WINDOW, 1, 0]
            return True
        if window[1] < burst:
            window[1] += 1
            return True
        window[2] += 1
        self.suppressed += 1
        return False

    def over(self, everything: bool = False) -> list[tuple[str, str, int]]:
        """(reason, interface, lines held back) of the windows that ended; looks at most once a second."""
        now = self._clock()
        if not everything and now < self._looked + 1.0:
            return []
        self._looked = now
        ended = [key for key, window in self._windows.items() if everything or window[0] <= now]
        return [(*key, int(held)) for key in ended if (held := self._windows.pop(key)[2])]


class Handler(logging.Handler):
    """Formats, limits and sends. `lost` counts the lines that no sink took."""

    def __init__(self, sinks: Sequence[Sink], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.sinks = tuple(sinks)
        self.limit = Limit(clock)
        self.lost = 0
        self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, and first what there is to say of others that were not sent."""
        self.tell()
        reason = getattr(record, "reason", None) or ("internal_error" if record.exc_info else "log")
        if record.levelno > logging.DEBUG:
            interface = getattr(record, "interface", None) or ""
            burst = 1 if record.levelno == logging.WARNING else BURST
            if not self.limit.allows(reason, interface, burst):
                return
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {_brief(record.exc_info[1])}"
        self._send(record.levelno, reason, text)

    def tell(self, everything: bool = False) -> None:
        """Say how many lines were held back or lost, if it is time to."""
        for reason, interface, held in self.limit.over(everything):
            where = f"{interface}: " if interface else ""
            self._send(NOTICE, reason, f"{where}{held} more like this in {WINDOW:.0f} s")
        if self._untold:
            untold, self._untold = self._untold, 0
            if not self._send(logging.WARNING, "log_lost", f"{untold} lines of the log found no taker"):
                self._untold += untold - 1
                self.lost -= 1

    def _send(self, level: int, reason: str, text: str) -> bool:
        line = f"{_NAMES.get(level, 'err')} {reason}: {_one_line(text)}"
        taken = [sink.send(_SEVERITY.get(level, 3), line) for sink in self.sinks]
        if any(taken):
            return True
        self.lost += 1
        self._untold += 1
        return False


def setup(options: Options) -> Handler:
    """The log of this process, as the command line has it.

    In the foreground it goes to standard error, or to syslog alone; in the background to both, since standard error
    is the caller's until the daemon is ready, and nobody's from then on.
    """
    sinks: list[Sink] = []
    if options.syslog or not options.foreground:
        sinks.append(Syslog(options.ident))
    if not (options.syslog and options.foreground):
        sinks.append(Stderr(options.ident, borrowed=not options.foreground))
    return install(Handler(sinks), options.log_level, options.debug)


def install(handler: Handler, level: str, debugged: Iterable[str] = ()) -> Handler:
    """Let everything below the logger `pimpy` go to `handler`, and to no other."""
    logger = logging.getLogger("pimpy")
    logger.propagate = False
    logger.handlers[:] = [handler]
    set_level(level)
    set_debug(debugged)
    return handler


def debugged(words: str | None = None) -> str:
    """Debug these subsystems from now on (`none`: no one), and say which are. RefusedError for one there is not."""
    if words is not None:
        try:
            set_debug(() if words.lower() == "none" else subsystems(words))
        except ValueError as error:
            raise RefusedError(f"{error}; known are {', '.join(SUBSYSTEMS)}", USAGE) from None
    wanted = [n for n in SUBSYSTEMS if logging.getLogger(f"pimpy.debug.{n}").level == logging.DEBUG]
    return "all" if "all" in wanted or len(wanted) == len(SUBSYSTEMS) else ", ".join(wanted) or "none"


def level() -> str:
    """The level that is logged, one of LEVEL_WORDS."""
    return _NAMES.get(logging.getLogger("pimpy").level, "notice")


def set_level(word: str) -> str:
    """Log this level and what is graver from now on; its usual name. RefusedError if there is no such level."""
    try:
        name = level_name(word)
    except ValueError as error:
        raise RefusedError(f"{error}; known are {', '.join(LEVEL_WORDS)}", USAGE) from None
    logging.getLogger("pimpy").setLevel(LEVELS[name])
    return name


def set_debug(names: Iterable[str]) -> None:
    """Log the details of these subsystems (`all`: of each) from now on, whatever the level."""
    wanted = set(names)
    for name in SUBSYSTEMS:
        on = name in wanted or "all" in wanted
        logging.getLogger(f"pimpy.debug.{name}").setLevel(logging.DEBUG if on else logging.NOTSET)


def close() -> None:
    """Tell what was held back, and let go of the sinks."""
    logger = logging.getLogger("pimpy")
    for handler in logger.handlers:
        if isinstance(handler, Handler):
            handler.tell(everything=True)
            for sink in handler.sinks:
                sink.close()
    logger.handlers[:] = []


def _is_journal(descriptor: int) -> bool:
    """Whether systemd connected it to the journal, which takes the severity in front of a line, and keeps the time."""
    with contextlib.suppress(OSError):
        found = os.fstat(descriptor)
        return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return False


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def _brief(error: BaseException) -> str:
    """An exception in one line: what it says, and the path to where it was raised, innermost first."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{os.path.basename(code.co_filename)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} ({' < '.join(frames[:-9:-1])})"
