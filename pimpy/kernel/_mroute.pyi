"""The C extension: what runs per packet or per forwarding entry (`native/mroute.h` says how it is divided).

Every function takes its arguments by position, checks each of them before it does anything, and raises
TypeError or ValueError for what it cannot take and OSError for what the kernel refuses. `family` is AF_INET
or AF_INET6, addresses have its length. Batched system calls run without the GIL.
"""

# Kinds of received packets: IP protocol numbers.
IGMP: int
MLD: int
PIM: int

# Kinds of upcalls of the kernel.
NOCACHE: int
WRONGVIF: int
WHOLEPKT: int
WRVIFWHOLE: int

# Virtual interfaces of a table, the register tunnel included.
VIFS: int

# What to flush.
FLUSH_MFC: int
FLUSH_MFC_STATIC: int
FLUSH_VIFS: int
FLUSH_VIFS_STATIC: int

_Message = tuple[int, int, bytes, bytes, int, bool, bytes]
_Entry = tuple[bytes, bytes, int, tuple[int, ...], int, int, int]

def init(fd: int, family: int, table: int, /) -> None:
    """Take routing table `table` (0: the default one) for the raw socket `fd`: EADDRINUSE if it is held."""

def set_pim(fd: int, family: int, mode: int, /) -> None:
    """Report packets from a wrong interface: 0 no, 1 (to 3) yes, 4 together with the packet itself."""

def done(fd: int, family: int, /) -> None:
    """Give the table back; the kernel empties it, but for static entries."""

def flush(fd: int, family: int, what: int, /) -> None:
    """Empty the table of what the sum of FLUSH_* names."""

def add_vif(fd: int, family: int, vif: int, ifindex: int, threshold: int, register: bool, /) -> None:
    """Make an interface, or with `register` the register tunnel, virtual interface `vif`.

    EADDRINUSE if the index is taken, ENFILE beyond 31, EOVERFLOW for an IPv6 ifindex above 65535. IPv6
    does not heed thresholds.
    """

def del_vif(fd: int, family: int, vif: int, /) -> None:
    """Remove a virtual interface: EADDRNOTAVAIL if there is none."""

def change_mfc(
    fd: int,
    family: int,
    changes: list[tuple[bytes, bytes] | tuple[bytes, bytes, int, int]],
    thresholds: bytes,
    /,
) -> list[int]:
    """Write entries; an errno for each change, 0 where it was made.

    `(source, group, iif, oifs)` sets an entry (`oifs` is a mask), `(source, group)` deletes it. `thresholds`
    has a TTL for each of the 32 virtual interfaces, heeded by IPv4.
    """

def dump_mfc(fd: int, family: int, table: int, /) -> list[_Entry]:
    """All entries, by a dump on the NETLINK_ROUTE socket `fd`: (source, group, iif, oifs, packets, bytes, wrong_if).

    `table` is the kernel's number (0: all tables). `iif` and `oifs` are interface indexes; `iif` is 0 where
    the interface is gone and -1 where the entry is unresolved. EAGAIN if changes interrupted it 8 times.
    """

def count_mfc(fd: int, family: int, table: int, /) -> dict[tuple[bytes, bytes], tuple[int, int, int, int]]:
    """The same as {(source, group): (packets, bytes, wrong_if, idle)}, without unresolved entries.

    `idle` is the time since the last packet in hundredths of a second; it means nothing while there was none.
    """

def decode_mfc(family: int, table: int, data: bytes, /) -> tuple[list[_Entry], bool, bool]:
    """What `dump_mfc` makes of one datagram: entries, whether the dump ends with it, whether it was interrupted."""

def receive(fd: int, family: int, protocol: int, limit: int, /) -> tuple[list[_Message], int, int]:
    """Up to `limit` messages that wait on a raw socket, and how many were truncated or malformed and dropped.

    A message is (kind, index, source, destination, ttl, router_alert, data). Of a packet, `index` is the
    ifindex and `data` begins behind the IP header. Of an upcall, `index` is the virtual interface and `data`
    the whole packet, empty with NOCACHE and WRONGVIF.
    """

def decode(
    family: int,
    protocol: int,
    data: bytes,
    ifindex: int,
    source: bytes,
    destination: bytes,
    hop_limit: int,
    hop_options: bytes,
    /,
) -> _Message | None:
    """What `receive` makes of one datagram, None if it is malformed. IPv4 finds all but `ifindex` in `data`."""

def send(
    fd: int,
    family: int,
    packets: list[tuple[int, bytes, bytes, bytes]] | list[tuple[int, bytes, bytes, bytes, int]],
    /,
) -> list[int]:
    """Send `(ifindex, source, destination, data)`, or that and a TTL, each; an errno for each, 0 where it was sent.

    With ifindex 0 the routes decide by which interface it leaves, with TTL 0 (0 to 255) the socket has the TTL.
    """

class Registers:
    """The register table, and a thread that alone reads `mroute`, the raw socket that owns the routing table.

    What the kernel hands up for the register tunnel (WHOLEPKT) of an (S,G) in the table leaves by the raw socket `pim`
    in Registers, without the GIL. All else waits for `receive`. `raw` sends Packet Too Big. The descriptors stay the
    caller's, and must stay open until `close` or until the object goes.
    """

    def __new__(
        cls, mroute: int, pim: int, raw: int, family: int, protocol: int, limit: int, paused: bool = False, /
    ) -> Registers:
        """A table of at most `limit` entries (1 to 2**24). `protocol` is IGMP or MLD.

        Its thread runs at once, or if it is made `paused` from `begin` on: what waits in `mroute` waits until then.
        """

    def begin(self) -> None:
        """Start the thread of a table that was made paused; nothing if it runs."""

    def set(self, source: bytes, group: bytes, address: bytes, rps: bytes, stopped: bool, /) -> None:
        """Register (source, group) from our `address` with each of `rps`, or while `stopped` let it go nowhere.

        `rps` is one address, or up to 16, one behind the other.

        OSError with ENOSPC if the table is full. Counters of an entry that is there go on.
        """

    def delete(self, source: bytes, group: bytes, /) -> bool:
        """Forget an entry; whether it was there."""

    def counters(self) -> dict[tuple[bytes, bytes], tuple[int, int]]:
        """{(source, group): (packets, bytes)} that left in Registers."""

    def totals(self) -> dict[str, int]:
        """Packets that were sent in Registers (`sent`), and what was not sent on, by reason.

        `stopped`, `ttl`, `too_big`, `refused` (by the kernel) are of packets for the tunnel, `held_full` of streams
        that are held; `queue_full`, `truncated` and `malformed` of messages.
        """

    def hold(self, vif: int, /) -> None:
        """Keep packets of streams that the kernel has no entry for, `vif` being the register tunnel's; -1: no longer.

        The kernel keeps four of each. With NOCACHE the thread writes an entry that leads to the tunnel alone, and keeps
        what comes of it (1,024 streams, 1 MiB of each, 8 MiB in all, 10 s) until `release`.
        """

    def holding(self) -> int:
        """How many streams are held. Comes before entries are written of which `release` is to be told."""

    def release(self, changes: list[tuple[bytes, bytes] | tuple[bytes, bytes, int, int]], /) -> None:
        """These changes, as `change_mfc` has them, were made: what was kept of their streams goes where they say.

        So does what the thread has yet to read of them. Streams that came to be held since `holding` was asked are left
        out: their entry may be the thread's again.
        """

    def vifs(self, devices: bytes, thresholds: bytes, /) -> None:
        """The virtual interfaces by which packets may leave, for `release` and `follow`.

        `devices` has the ifindex of each, 32 numbers of 32 bits in the host's order, 0 for none; `thresholds` a byte
        for each, the TTL that a packet must have, at least, as it leaves.
        """

    def follow(self, source: bytes, group: bytes, oifs: int, /) -> bool:
        """Send each packet of an entry out by these vifs as well, behind its Register, or while stopped without one.

        0: no longer, but for what the kernel has handed up by now. Whether there is such an entry.
        """

    def receive(self, limit: int, /) -> list[_Message]:
        """Up to `limit` (1 to 65536) of the messages that wait, as `_mroute.receive` has them.

        OSError if the thread ended because `mroute` is not (any more) a socket.
        """

    def fileno(self) -> int:
        """A descriptor that is readable while messages wait."""

    def close(self) -> None:
        """End the thread and forget everything; whatever is called then but this raises ValueError."""

def encapsulate(family: int, source: bytes, rp: bytes, mtu: int, packet: bytes, /) -> list[bytes] | int | None:
    """What `Registers` makes of one whole IP packet, the path to `rp` having this MTU: the Registers, one or, for the
    fragments of an IPv4 packet, several (64 at most; ValueError beyond). None if its TTL is spent; for an IPv6 packet
    that does not fit, the MTU that its source is told.
    """

def timer_open() -> int:
    """A descriptor that becomes readable when its timer fires; not armed."""

def timer_set(fd: int, milliseconds: int, /) -> None:
    """Fire once, so many milliseconds from now; 0 disarms."""

def keep_capabilities(mask: int, /) -> None:
    """Give up all capabilities but those in `mask` (bit n: capability n), for good and for what is executed later."""

def die_with_parent(signal: int, /) -> None:
    """Get `signal` (0: none) when the parent ends. A change of the user takes it back, so this comes after."""

def set_name(name: str, /) -> None:
    """The name of the process in /proc; 15 bytes of it count."""

def lock_down() -> None:
    """No new privileges, and only the system calls that routing needs: any other fails with EPERM.

    Files can be read and neither written nor made, programs not executed, signals sent to the process itself only.
    For good; ENOSYS on a processor that the filter was not written for.
    """
