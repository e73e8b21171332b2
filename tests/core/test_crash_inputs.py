"""What crashed or confused other routers (reliability.md 1.1), as regression inputs: each in both families.

Each input is dropped whole (the state as it was, digest by digest), or in part (the state that the rest makes), or is
no harm at all; it is counted under its reason word; and a decent message behind it does what it should. Inputs that
end at the socket (a lying IP header, an oversize datagram: pim-ihl6-21bytes, pim-iplen-gt-recv) are tried against the
extension in tests/kernel; advisories without a published input (pim-iosxe-2024 and their like) are what the fuzzer in
test_fuzz.py is for. Floods are in test_limits.py and test_threats.py, jp-flood in test_threats_join_prune.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from asm_stand import AsmStand
from crafting import HELLO, raw, raw_hello, sealed
from datagrams import Datagram
from digest import digest
from speakers import Channel, group_sets
from stand import Stand

from pimpy.core.engine.events import PacketReceived
from pimpy.wire import pim
from pimpy.wire.family import FAMILIES, Family
from pimpy.wire.join_prune import SG, STAR_G, GroupSet, JoinPrune
from pimpy.wire.record import evolve, frozen
from pimpy.wire.value import Value

Bytes = Callable[[AsmStand], bytes]


def to_all(stand: AsmStand, data: bytes) -> None:
    """Number 2 sends this on `down`, its checksum made right."""
    stand.peer("down", 2).send_bytes(sealed(stand, data) if len(data) >= 4 else data)
    stand.run(0)


def to_us(stand: AsmStand, data: bytes) -> None:
    """10.7.7.7 sends this to the RP, which we are, its checksum made right."""
    whole = pim.seal(stand.family, stand.dr, stand.rp, data) if len(data) >= 8 or data[:1] == b"\x22" else data
    port = stand.r1.ports["rpt"]
    stand.r1.handle(PacketReceived("pim", port.ifindex, stand.dr, stand.rp, 60, False, whole))
    stand.run(0)


def at_rp(family: Family) -> tuple[AsmStand, Channel]:
    """An RP with a joined neighbour, and a source."""
    stand = AsmStand(family, rp="me", down=(2, 3))
    source = stand.far()
    stand.say("Join(*,G)", holdtime=0xFFFF)
    stand.mark()
    return stand, source


def joined(stand: AsmStand, channel: Channel) -> bool:
    """Whether a Join(S,G) was taken."""
    entry = stand.entry(channel)
    return entry is not None and bool(entry.joins)


# What is dropped whole.


@frozen
class Input(Value):
    """A message that must change nothing but a counter."""

    slug: str
    kind: str
    reason: str
    data: Bytes
    unicast: bool = False


def joins(stand: AsmStand) -> bytearray:
    """Join(S,G)."""
    return raw(stand, JoinPrune(stand.us(), 210, group_sets(joins=(stand.far(),))))


def patch(message: Callable[[AsmStand], bytearray], place: Callable[[int], int], value: int) -> Bytes:
    """A message with one byte changed; `place` is worked out from the size of an address."""

    def patched(stand: AsmStand) -> bytes:
        data = message(stand)
        data[place(stand.family.size)] = value
        return bytes(data)

    return patched


def assertion(stand: AsmStand) -> bytearray:
    return raw(stand, pim.Assert(stand.group(), stand.far()[0], False, 1, 1))


def stop(stand: AsmStand) -> bytearray:
    source, group = stand.far()
    return bytearray(pim.encode(stand.family, stand.dr, stand.rp, pim.RegisterStop(group, source)))


def register(stand: AsmStand, inner: bytes, *, null: bool = False, border: bool = False) -> bytes:
    return pim.encode(stand.family, stand.dr, stand.rp, pim.Register(border, null, inner))


def inner(stand: AsmStand) -> bytearray:
    """A sound packet of the source."""
    return bytearray(Datagram(*stand.far(), 1).to_bytes())


def spoiled(change: Callable[[bytearray], bytes | bytearray]) -> Bytes:
    """A Register whose packet was spoiled."""
    return lambda stand: register(stand, bytes(change(inner(stand))))


def wrong_version(packet: bytearray) -> bytearray:
    packet[0] ^= 0x50  # 4 becomes 1, 6 becomes 3
    return packet


def other_version(packet: bytearray) -> bytearray:
    packet[0] = 0x65 if packet[0] >> 4 == 4 else 0x45
    return packet


def claims_more(packet: bytearray) -> bytearray:
    at = 2 if packet[0] >> 4 == 4 else 4
    packet[at : at + 2] = (2000).to_bytes(2, "big")
    return with_checksum(packet)


def claims_nothing(packet: bytearray) -> bytearray:
    at = 2 if packet[0] >> 4 == 4 else 4
    packet[at : at + 2] = bytes(2)
    return with_checksum(packet)


def with_checksum(packet: bytearray) -> bytearray:
    """Its IPv4 header checksum is not looked at."""
    if packet[0] >> 4 == 4:
        packet[10:12] = bytes(2)
    return packet


def null_with_wrong_checksum(stand: AsmStand) -> bytes:
    packet = bytearray(pim.dummy_header(stand.family, *stand.far()))
    packet[11 if stand.family.size == 4 else 43] ^= 1
    return register(stand, bytes(packet), null=True)


def first_bytes(count: int) -> Bytes:
    return lambda stand: bytes(joins(stand))[:count]


def encoded_source(size: int) -> int:
    """Where the encoded source of Join(S,G) begins."""
    return 4 + 2 + size + 4 + 4 + size + 4


DROPPED = [
    *(Input(f"pim-hdr-asan-{n}", "join_prune", "truncated", first_bytes(n)) for n in (1, 2, 3)),
    *(Input(f"pim-checks-removed-{n}", "join_prune", "jp_malformed", first_bytes(n)) for n in (4, 8, 15)),
    *(
        Input(f"pim-encsrc-lt8-{n}", "join_prune", "jp_malformed", lambda stand, n=n: bytes(joins(stand))[:-n])  # type: ignore[misc]
        for n in (1, 4, 5)
    ),
    Input("pim-encsrc-af", "join_prune", "bad_address_family", patch(joins, encoded_source, 3)),
    Input("pim-encsrc-encoding", "join_prune", "bad_encoding", patch(joins, lambda n: encoded_source(n) + 1, 1)),
    Input("pim-af-of-upstream", "join_prune", "bad_address_family", patch(joins, lambda n: 4, 9)),
    Input("pim-encoding-of-upstream", "join_prune", "bad_encoding", patch(joins, lambda n: 5, 1)),
    *(
        Input(f"pim-version-{n}", "join_prune", "bad_version", patch(joins, lambda _: 0, n << 4 | 3))
        for n in (0, 1, 3, 15)
    ),
    Input("hello-truncated-opt", "hello", "hello_bad_option", lambda stand: bytes(raw(stand, HELLO))[:-1]),
    Input("hello-odd-length-1", "hello", "hello_bad_option", lambda stand: bytes.fromhex("20000000 00010002 00")),
    Input("hello-option-past-end", "hello", "hello_bad_option", lambda stand: bytes.fromhex("20000000 ffff ffff 00")),
    Input("jp-no-length", "join_prune", "jp_malformed", patch(lambda s: joins(s)[:-1], lambda n: 4 + 2 + n + 1, 255)),
    Input("jp-count-overflow", "join_prune", "jp_malformed", lambda stand: overflowing(stand)),
    *(
        Input(f"assert-masklen-{n}", "assert", "bad_mask", patch(assertion, lambda _: 7, n))
        for n in (0, 31, 33, 127, 129, 200, 255)
    ),
    Input("assert-short", "assert", "truncated", lambda stand: bytes(assertion(stand))[:-1]),
    *(
        Input(f"regstop-unbounded-{n}", "register_stop", "truncated", lambda stand, n=n: bytes(stop(stand))[:n], True)  # type: ignore[misc]
        for n in range(4, 12)
    ),
    *(
        Input(f"regstop-masklen-{n}", "register_stop", "bad_mask", patch(stop, lambda _: 7, n), True)
        for n in (0, 8, 31, 33, 127, 129, 255)
    ),
    *(
        Input(f"reg-lt8-{n}", "register", "truncated", lambda stand, n=n: bytes.fromhex("21000000 00000000")[:n], True)  # type: ignore[misc]
        for n in (4, 5, 6, 7)
    ),
    Input("reg-inner-none", "register", "reg_inner_malformed", spoiled(lambda packet: b""), True),
    Input("reg-inner-cut", "register", "reg_inner_malformed", spoiled(lambda packet: packet[:19]), True),
    Input("reg-inner-version", "register", "reg_inner_malformed", spoiled(wrong_version), True),
    Input("reg-inner-other-family", "register", "reg_inner_malformed", spoiled(other_version), True),
    Input("reg-inner-empty", "register", "reg_inner_malformed", spoiled(claims_nothing), True),
    Input("reg-inner-len", "register", "reg_inner_len", spoiled(claims_more), True),
    Input("reg-null-dummy-checksum", "register", "nullreg_csum", null_with_wrong_checksum, True),
]


def overflowing(stand: AsmStand) -> bytes:
    """A group that claims 65,535 joined and as many pruned sources."""
    data = joins(stand)
    at = encoded_source(stand.family.size) - 4
    data[at : at + 4] = b"\xff" * 4
    return bytes(data)


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def standing(request: pytest.FixtureRequest) -> tuple[AsmStand, Channel]:
    """One RP for all inputs: each leaves it as it was."""
    return at_rp(request.param)


@pytest.mark.parametrize("bad", DROPPED, ids=lambda bad: bad.slug)
def test_dropped_whole(standing: tuple[AsmStand, Channel], bad: Input) -> None:
    stand, source = standing
    stand.say("Prune(S,G)")
    stand.run(4)
    assert not joined(stand, source)
    stand.mark()
    send = to_us if bad.unicast else to_all
    data = bad.data(stand)
    before, counted = digest(stand.router), stand.counted(bad.reason, bad.kind)
    for count in (1, 2):
        send(stand, data)
        assert digest(stand.router) == before
        assert stand.counted(bad.reason, bad.kind) == counted + count
    assert not stand.stops() and not stand.asserts() and not stand.told("up"), "no answer"
    to_all(stand, bytes(joins(stand)))
    assert joined(stand, source), "a sound one is taken"
    taken = stand.router.counters.total("pim", "rx", "register")
    stand.register(source)
    assert stand.router.counters.total("pim", "rx", "register") == taken + 1


def test_pim6_leak_an_endless_stream_of_bad_messages_leaves_nothing_behind(family: Family) -> None:
    stand, _ = at_rp(family)
    before = digest(stand.router)
    inputs = [(to_us if bad.unicast else to_all, bad.data(stand)) for bad in DROPPED]
    for _ in range(5):
        for send, data in inputs:
            send(stand, data)
    assert digest(stand.router) == before
    assert len(stand.router.counters.values) < 100, "counters are named by us, not by who sends"


# What is taken without a part, or without harm.


def masklens(family: Family) -> Iterator[int]:
    yield from (33, 64, 127, 255) if family.size == 4 else (129, 200, 255)


def test_pim_masklen_gt32_a_group_set_with_an_impossible_mask_is_skipped(family: Family) -> None:
    for length in masklens(family):
        stand, source = at_rp(family)
        good = (stand.far(2)[0], source[1])
        bad_set = raw(stand, JoinPrune(stand.us(), 210, group_sets(joins=(source,))))
        at = 4 + 2 + family.size + 4 + 3
        bad_set[at] = length
        second = raw(stand, JoinPrune(stand.us(), 210, group_sets(joins=(good,))))[4 + 2 + family.size + 4 :]
        bad_set[4 + 2 + family.size + 1] = 2
        to_all(stand, bytes(bad_set + second))
        assert stand.entry(source) is None and joined(stand, good)
        assert stand.counted("jp_bad_group") == 1


def test_jp_rpt_wc_without_rpt_only_that_entry_is_ignored(family: Family) -> None:
    stand, source = at_rp(family)
    other = stand.far(2)
    groups = (GroupSet(stand.group(), ((source[0], SG), (other[0], SG)), ()),)
    data = raw(stand, JoinPrune(stand.us(), 210, groups))
    data[encoded_source(family.size) + 2] = 0x06  # S and WC
    to_all(stand, bytes(data))
    assert stand.entry(source) is None and joined(stand, other) and stand.counted("jp_bad_flags") == 1


@pytest.mark.parametrize("holdtime", [0, 1, 0xFFFF])
def test_jp_holdtime_0_1_ffff(family: Family, holdtime: int) -> None:
    stand, source = at_rp(family)
    stand.say("Join(S,G)", holdtime=holdtime)
    assert joined(stand, source) == bool(holdtime)
    stand.run(0.99)
    assert (stand.entry(source) is not None) == bool(holdtime)
    stand.run(0.02)
    assert (stand.entry(source) is not None) == (holdtime == 0xFFFF)
    stand.run(1000 if holdtime == 0xFFFF else 0)
    assert (stand.entry(source) is not None) == (holdtime == 0xFFFF)


@pytest.mark.parametrize(
    ("options", "expires"),
    [
        ("fde90003ffffff 00010002 0064", 100),  # 65001 first: hello-unknown-first
        ("", 105),  # hello-no-holdtime, and no option at all
        ("fde90000", 105),
        ("00010002 ffff", None),  # hello-holdtime-ffff
        ("00010000 00010002 0064", 100),  # option 1 with length 0, 1 and 4
        ("00010001 00 00010002 0064", 100),
        ("00010004 00000001 00010002 0064", 100),
        ("00010004 00000001", 105),
    ],
)
def test_hello_options_that_others_fell_over(family: Family, options: str, expires: int | None) -> None:
    stand = Stand(family, down=())
    raw_hello(stand.peer("down", 2), bytes.fromhex(options.replace(" ", "")))
    stand.run(0)
    assert stand.neighbors() == {2}
    assert stand.row("neighbors", interface="down").expiration == expires
    stand.run(104.9 if expires != 100 else 99.9)
    assert stand.neighbors() == {2}
    stand.run(0.2 if expires is not None else 1000)
    assert stand.neighbors() == (set() if expires is not None else {2})


def test_hello_addrlist_huge_is_capped(family: Family) -> None:
    stand = Stand(family)
    base = stand.net.address("down", 1)[:-2]
    many = tuple(base + (0x100 + number).to_bytes(2, "big") for number in range(2000))
    stand.peer("down", 2).hello(addresses=many)
    stand.run(0)
    interface = stand.pim_interface()
    assert len(interface.secondary_of) == stand.router.pim.settings.max_secondary == 64
    stand.peer("down", 2).hello(addresses=many[:1])
    stand.run(0)
    assert list(interface.secondary_of) == [many[0]]


def test_assert_uaf_the_winner_that_everything_hangs_on_goes(family: Family) -> None:
    stand = AsmStand(family, up=(9, 8), down=(2,))
    source = stand.far()
    stand.say("Join(S,G)")
    stand.peer("up", 8).send(pim.Assert(source[1], source[0], False, 0, 0))
    stand.run(0)
    entry = stand.sg(source)
    assert entry.rpf is not None and entry.rpf.address == stand.peer("up", 8).address
    stand.mark()
    stand.peer("up", 8).hello(holdtime=0)
    stand.run(0)
    assert entry.rpf is not None and entry.rpf.address == stand.nine
    assert (0.0, "Join(S,G)") in stand.told("up", to=stand.nine) or stand.told("up", to=stand.nine) == []
    stand.run(3)
    assert "Join(S,G)" in [said for _, said in stand.told("up", to=stand.nine)], "within t_override"


def test_regstop_src0_stops_all_sources_of_the_group(family: Family) -> None:
    stand = AsmStand(family)
    one, two = stand.near(number=200), stand.near(number=201)
    for source in (one, two):
        stand.data(source)
    assert len(stand.registers()) == 2
    stand.register_stop((family.any, one[1]))
    for source in (one, two):
        stand.data(source)
    assert len(stand.registers()) == 2


def test_reg_unknown_rp_is_answered_with_a_stop(family: Family) -> None:
    stand = AsmStand(family, rp="none")
    source = stand.far()
    before = digest(stand.router)
    stand.register(source, null=True, to=stand.net.address("rpt", 5))
    assert stand.stops() == [0.0] and digest(stand.router) == before and stand.counted("reg_not_rp", "register") == 1


def test_reg_before_iamrp_another_routers_group_makes_no_state(family: Family) -> None:
    stand = AsmStand(family, down=(2,))
    source = stand.far()
    before = digest(stand.router)
    stand.register(source, null=True, to=stand.net.address("rpt", 5))
    assert stand.stops() == [0.0] and digest(stand.router) == before and stand.entry(source) is None


def test_reg_border_is_ignored(family: Family) -> None:
    one, source = at_rp(family)
    other, _ = at_rp(family)
    to_us(one, register(one, bytes(inner(one)), border=True))
    to_us(other, register(other, bytes(inner(other))))
    assert digest(one.router) == digest(other.router) and one.entry(source) is not None


def test_reg_null_dummy_with_any_other_field_wrong_is_taken(family: Family) -> None:
    for place, value in ((8, 17), (9, 17), (1, 0xFF)) if family.size == 4 else ((0, 0x40), (6, 17), (7, 255)):
        stand, source = at_rp(family)
        packet = bytearray(pim.dummy_header(family, *source))
        packet[place] = value
        if family.size == 4:
            packet[10:12] = bytes(2)  # a checksum of zero is none
        to_us(stand, register(stand, bytes(packet), null=True))
        assert stand.entry(source) is not None, f"byte {place}"


def test_reg_inner_ext_headers_are_of_no_interest(family: Family) -> None:
    if family.size == 4:
        pytest.skip("IPv4 has no extension headers")
    stand, source = at_rp(family)
    packet = inner(stand)
    packet[6] = 0  # hop-by-hop options follow, that run past the end
    packet[40:48] = b"\x3c\xff" + bytes(6)
    to_us(stand, register(stand, bytes(packet)))
    assert stand.entry(source) is not None


def test_assert_bad_addr(family: Family) -> None:
    stand, source = at_rp(family)
    size = family.size
    loopback = bytes((127, 0, 0, 1)) if size == 4 else bytes(15) + b"\1"
    unicast = source[0]
    before = digest(stand.router)
    cases = [(8, unicast), (8 + size + 2, loopback), (8 + size + 2, family.any), (8 + size + 2, stand.group())]
    for count, (place, address) in enumerate(cases, 1):
        data = assertion(stand)
        data[place : place + size] = address
        to_all(stand, bytes(data))
        assert digest(stand.router) == before and stand.counted("assert_bad_addr", "assert") == count
    to_all(stand, bytes(assertion(stand)))
    assert stand.assert_state(source) == "loser" or digest(stand.router) != before


def test_jp_nonneighbour_and_assert(family: Family) -> None:
    stand, source = at_rp(family)
    stranger = stand.net.peer("down", 66)
    before = digest(stand.router)
    stranger.send(JoinPrune(stand.us(), 210, group_sets(joins=(source,))))
    stranger.send(JoinPrune(stand.us(), 210, (GroupSet(stand.group(), (), ((stand.rp, STAR_G),)),)))
    stranger.send(pim.Assert(source[1], source[0], False, 0, 0))
    stand.run(0)
    assert digest(stand.router) == before
    assert stand.counted("jp_non_nbr") == 2 and stand.counted("assert_non_nbr", "assert") == 1
    stranger.send(evolve(HELLO, generation_id=5))
    stranger.send(JoinPrune(stand.us(), 210, group_sets(joins=(source,))))
    stand.run(0)
    assert joined(stand, source)


def test_pim_version_dest_a_link_message_to_one_router_or_another_group(family: Family) -> None:
    stand, source = at_rp(family)
    two = stand.peer("down", 2)
    other = family.all_routers
    before = digest(stand.router)
    join, assertion = JoinPrune(stand.us(), 210, group_sets(joins=(source,))), pim.Assert(*source[::-1], False, 1, 1)
    for message in (HELLO, join, assertion):
        for to in (stand.us(), other):
            data = pim.encode(family, two.address, to, message)
            port = stand.r1.ports["down"]
            stand.r1.handle(PacketReceived("pim", port.ifindex, two.address, to, 1, False, data))
            stand.run(0)
            assert digest(stand.router) == before
    assert sum(stand.counted("bad_dest", kind) for kind in ("hello", "join_prune", "assert")) == 6
