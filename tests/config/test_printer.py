"""parse(print(model)) == model, for every model."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pimpy.config.model import (
    AddressRange,
    Altnet,
    AnycastRp,
    BsrCandidate,
    Config,
    ExpectedNeighbor,
    Filter,
    FilterRule,
    Phyint,
    Proxy,
    ProxyInterface,
    RpCandidate,
    RpfRoute,
    SsmMapping,
    Static,
    StaticJoin,
    StaticMember,
    StaticRoute,
    StaticRp,
    Watch,
)
from pimpy.config.native import parse
from pimpy.config.policy import MAX_RATE, MESSAGES, STATE_LIMITS
from pimpy.config.printer import print_config
from pimpy.config.proxies import MATCHINGS
from pimpy.config.routes import MAX_RANGE, merge
from pimpy.wire.family import FAMILIES, Family, Prefix, format_address, parse_address, parse_prefix
from pimpy.wire.record import evolve

NAMES = st.text(string.ascii_letters + string.digits + "-_.@", min_size=1, max_size=15).filter(
    lambda name: name not in (".", "..") and not name.replace(".", "").isdigit()
)


def addresses(family: Family) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=family.size, max_size=family.size)


UNICAST = st.one_of(*(addresses(family).filter(family.is_unicast) for family in FAMILIES)).map(format_address)


@st.composite
def ranges(draw: st.DrawFn, family: Family) -> Prefix:
    length = draw(st.integers(family.multicast.length, family.bits))
    rest = draw(st.integers(0, 2**length - 1)) << (family.bits - length)
    mask = (1 << (family.bits - family.multicast.length)) - 1
    network = int.from_bytes(family.multicast.network, "big") | rest & mask
    return Prefix(network.to_bytes(family.size, "big"), length)


def maybe(strategy: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.none() | strategy


@st.composite
def any_range(draw: st.DrawFn, family: Family) -> Prefix:
    """A range of any addresses."""
    length = draw(st.integers(0, family.bits))
    bits = draw(st.integers(0, 2**length - 1)) << (family.bits - length)
    return Prefix(bits.to_bytes(family.size, "big"), length)


def filters(*, of_hosts: bool) -> st.SearchStrategy[tuple[Prefix, ...]]:
    """What a filter may hold."""
    either = st.one_of(*map(any_range, FAMILIES))
    if of_hosts:
        either = either.filter(lambda p: not any(f.multicast.covers(p.network) for f in FAMILIES))
    return st.lists(either, max_size=4, unique=True).map(tuple)


def scopes(family: Family) -> st.SearchStrategy[Prefix]:
    return ranges(family).filter(lambda prefix: family.size == 4 or prefix.length >= 16)


PHYINTS = st.builds(
    Phyint,
    name=NAMES | UNICAST,
    enabled=st.none() | st.booleans(),
    passive=st.booleans(),
    igmp_version=maybe(st.integers(1, 3)),
    mld_version=maybe(st.integers(1, 2)),
    dr_priority=maybe(st.integers(0, 2**32 - 1)),
    ttl_threshold=maybe(st.integers(1, 255)),
    hello_interval=maybe(st.integers(1, 18724)),
    distance=maybe(st.integers(0, 2**31 - 2)),
    metric=maybe(st.integers(0, 2**32 - 1)),
    oldest_igmp=maybe(st.integers(1, 3)),
    oldest_mld=maybe(st.integers(1, 2)),
    max_groups=maybe(st.integers(1, 1_000_000)),
    max_sources=maybe(st.integers(1, 1_000_000)),
    query_interval=maybe(st.integers(1, 31744)),
    robustness=maybe(st.integers(1, 7)),
    query_response_interval=maybe(st.integers(1, 3174400)),
    last_member_interval=maybe(st.integers(1, 3174400)),
    immediate_leave=st.sampled_from([None, "tracked", "forced"]),
    explicit_tracking=st.booleans(),
    on_link_reports_only=st.booleans(),
    require_router_alert=st.booleans(),
    mrdisc=st.booleans(),
    groups=st.lists(st.one_of(*map(ranges, FAMILIES)), max_size=3).map(tuple),
    querier_addresses=st.sampled_from(
        [(), (parse_address("10.0.0.1"),), (parse_address("fe80::1"), parse_address("10.0.0.1"))]
    ),
    neighbor_filter=filters(of_hosts=True),
    join_filter=filters(of_hosts=False),
    bsr_border=st.booleans(),
    hello_optional=st.booleans(),
    require_ttl_1=st.booleans(),
    scoped=st.lists(st.one_of(*map(scopes, FAMILIES)), max_size=2, unique=True).map(tuple),
    altnets=st.lists(
        st.sampled_from([parse_prefix("10.9.0.0/16"), parse_prefix("2001:db8:9::/64"), Altnet("e2"), Altnet("e2", 24)]),
        max_size=2,
        unique=True,
    ).map(tuple),
)


def static_members(family: Family) -> st.SearchStrategy[StaticMember]:
    groups = addresses(family).map(lambda a: family.multicast.network[:2] + a[2:]).filter(family.is_routable_group)
    return st.builds(StaticMember, NAMES, groups, st.none() | addresses(family).filter(family.is_unicast))


def watches(family: Family) -> st.SearchStrategy[Watch]:
    groups = addresses(family).map(lambda a: family.multicast.network[:2] + a[2:]).filter(family.is_routable_group)
    sources = st.none() | addresses(family).filter(family.is_unicast)
    return st.builds(Watch, NAMES, groups, sources, st.integers(1, 2**32 - 1), st.integers(1, 86_400))


def expected_neighbors(family: Family) -> st.SearchStrategy[ExpectedNeighbor]:
    return st.builds(ExpectedNeighbor, addresses(family).filter(family.is_unicast), NAMES)


def ssm_mappings(family: Family) -> st.SearchStrategy[SsmMapping]:
    return st.builds(SsmMapping, ranges(family), addresses(family).filter(family.is_unicast))


def range_lists(family: Family) -> st.SearchStrategy[tuple[Prefix, ...]]:
    return st.just(family.ssm_ranges) | st.lists(ranges(family), max_size=4, unique=True).map(tuple)


def static_rps(family: Family) -> st.SearchStrategy[StaticRp]:
    reachable = addresses(family).filter(lambda a: family.is_unicast(a) and not family.is_link_local(a))
    return st.builds(StaticRp, reachable, ranges(family), st.integers(0, 255), st.booleans())


def routers(family: Family) -> st.SearchStrategy[bytes]:
    return addresses(family).filter(lambda a: family.is_unicast(a) and not family.is_link_local(a))


PLACES = st.one_of(
    st.just((None, None)),
    *(routers(family).map(lambda address: (address, None)) for family in FAMILIES),
    st.sampled_from(["lo", "eth0", "br-lan.7"]).map(lambda name: (None, name)),
)
BSRS = st.builds(
    lambda place, *rest: BsrCandidate(*place, *rest),
    PLACES,
    st.integers(0, 255),
    maybe(st.integers(0, 128)),
    st.none() | st.one_of(*map(scopes, FAMILIES)),
)
RPS = st.builds(lambda place, *rest: RpCandidate(*place, *rest), PLACES, st.integers(0, 255), st.integers(1, 26214))


@st.composite
def rpf_routes(draw: st.DrawFn, family: Family) -> RpfRoute:
    """A route for RPF; no range of groups."""
    prefix = draw(any_range(family).filter(lambda p: not family.is_multicast(p.network)))
    via = draw(st.none() | addresses(family).filter(family.is_unicast))
    return RpfRoute(prefix, draw(NAMES), via)


def anycasts(family: Family) -> st.SearchStrategy[AnycastRp]:
    found = st.lists(routers(family), min_size=2, max_size=4, unique=True)
    return found.map(lambda each: AnycastRp(each[0], tuple(each[1:])))


THRESHOLDS = st.one_of(
    st.sampled_from([("immediate", 0, 100), ("infinity", 0, 100)]),
    st.tuples(st.sampled_from(["packets", "bytes", "rate"]), st.integers(1, 2**32 - 1), st.integers(5, 86400)),
)


def configured(threshold: tuple[str, int, int], at_rp: tuple[str | None, int, int], **values: Any) -> Config:
    names = ("", "_number", "_interval")
    values |= {f"spt_threshold{name}": value for name, value in zip(names, threshold, strict=True)}
    values |= {f"rp_spt_threshold{name}": value for name, value in zip(names, at_rp, strict=True)}
    return Config(**values)


def limits(kinds: dict[str, int], least: int) -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    """Some of the kinds, each with a number in its range."""
    one = st.sampled_from(sorted(kinds)).flatmap(lambda kind: st.tuples(st.just(kind), st.integers(least, kinds[kind])))
    return st.lists(one, max_size=4, unique_by=lambda pair: pair[0]).map(tuple)


SOURCES = st.one_of(
    NAMES,
    *(addresses(f).filter(lambda a, f=f: f.is_unicast(a) and not f.is_link_local(a)) for f in FAMILIES),  # type: ignore[misc]
).map(lambda word: word if isinstance(word, str) else format_address(word))

CONFIGS = st.builds(
    configured,
    phyints=st.lists(PHYINTS, max_size=2).map(tuple),  # each is drawn from 40 strategies, and takes its time
    phyints_enabled=st.booleans(),
    bsr_candidates=st.lists(BSRS, max_size=2).map(tuple),
    rp_candidates=st.lists(RPS, max_size=2).map(tuple),
    group_prefixes=st.lists(st.one_of(*map(ranges, FAMILIES)), max_size=3, unique=True).map(tuple),
    anycast_rps=st.lists(st.one_of(*map(anycasts, FAMILIES)), max_size=2, unique_by=lambda a: a.address).map(tuple),
    bsr_interval=st.integers(1, 26214),
    bsr_filter=filters(of_hosts=True),
    rp_candidate_filter=filters(of_hosts=True),
    embedded_rp=st.booleans(),
    unicast_bsm=st.booleans(),
    hello_interval=st.integers(1, 18724),
    triggered_hello_delay=st.floats(0, 60) | st.integers(0, 60).map(float),
    join_prune_interval=st.integers(1, 18724),
    keepalive_timer=st.integers(60, 65535),
    igmp_query_interval=st.integers(1, 31744),
    igmp_robustness=st.integers(1, 7),
    igmp_querier_timeout=st.none() | st.integers(31_745, 255_000),
    mld_query_interval=maybe(st.integers(1, 31744)),
    mld_robustness=maybe(st.integers(1, 7)),
    static_members=st.lists(st.one_of(*map(static_members, FAMILIES)), max_size=4, unique=True).map(tuple),
    watches=st.lists(st.one_of(*map(watches, FAMILIES)), max_size=3, unique_by=lambda w: w.name).map(tuple),
    expected_neighbors=st.lists(st.one_of(*map(expected_neighbors, FAMILIES)), max_size=3, unique=True).map(tuple),
    ssm_map=st.lists(st.one_of(*map(ssm_mappings, FAMILIES)), max_size=4, unique=True).map(tuple),
    ssm_ranges4=range_lists(FAMILIES[0]),
    ssm_ranges6=range_lists(FAMILIES[1]),
    rp_addresses=st.lists(st.one_of(*map(static_rps, FAMILIES)), max_size=4, unique=True).map(tuple),
    threshold=THRESHOLDS,
    at_rp=st.just((None, 0, 100)) | THRESHOLDS,
    route_distance=st.none() | st.integers(0, 2**31 - 2),
    route_metric=st.none() | st.integers(0, 2**32 - 1),
    neighbor_filter=filters(of_hosts=True),
    join_filter=filters(of_hosts=False),
    register_sources=st.lists(SOURCES, max_size=3, unique=True).map(tuple),
    register_accept=filters(of_hosts=True),
    register_accept_from=filters(of_hosts=True),
    register_guard=st.booleans(),
    register_limit=st.integers(0, MAX_RATE),
    state_limits=limits(STATE_LIMITS, 1),
    message_limits=limits(dict.fromkeys(MESSAGES, MAX_RATE), 0),
    mrdisc_interval=st.integers(4, 180),
    rpf_routes=st.lists(st.one_of(*map(rpf_routes, FAMILIES)), max_size=3, unique_by=lambda route: route.prefix).map(
        tuple
    ),
    metrics=st.none() | st.tuples(st.one_of(*map(addresses, FAMILIES)).map(format_address), st.integers(1, 65535)),
)


@settings(max_examples=60)
@given(CONFIGS)
def test_what_is_printed_reads_back_as_the_same(config: Config) -> None:
    text = print_config(config)
    result = parse(text)
    assert result.errors == (), text
    assert result.model == config, text
    assert print_config(result.model) == text


def test_the_defaults_need_no_line() -> None:
    assert print_config(Config()) == ""


def test_a_model_in_full() -> None:
    text = (
        "no phyint\n"
        "phyint eth0 enable passive igmpv2 mldv1 dr-priority 0 ttl-threshold 2 hello-interval 3\n"
        "phyint eth1 disable\n"
        "hello-interval 10\n"
        "triggered-hello-delay 0.5\n"
        "join-prune-interval 20\n"
        "igmp-query-interval 60\n"
        "igmp-robustness 3\n"
        "ssm-range none\n"
        "ssm-range ff3e::/32\n"
        "metrics [::1]:9353\n"
    )
    result = parse(text)
    assert result.model is not None
    assert print_config(result.model) == text


def within(family: Family) -> st.SearchStrategy[Prefix]:
    """Any range of a family."""

    def cut(number: int, length: int) -> Prefix:
        mask = (1 << family.bits) - (1 << family.bits - length)
        return Prefix((number & mask).to_bytes(family.size, "big"), length)

    return st.builds(cut, st.integers(0, 2**family.bits - 1), st.integers(1, family.bits))


def static_routes(family: Family) -> st.SearchStrategy[StaticRoute]:
    to = st.lists(PATTERNS, max_size=3, unique=True).map(tuple)
    return st.builds(StaticRoute, PATTERNS, sources(family), ranges(family), to)


def sources(family: Family) -> st.SearchStrategy[Prefix | None]:
    return st.none() | within(family).filter(lambda prefix: any(prefix.network) or prefix.length < family.bits)


def static_joins(family: Family) -> st.SearchStrategy[StaticJoin]:
    return st.builds(StaticJoin, PATTERNS, sources(family), ranges(family)).filter(lambda join: join.size <= MAX_RANGE)


def address_ranges(family: Family) -> st.SearchStrategy[AddressRange]:
    return st.lists(addresses(family), min_size=2, max_size=2).map(lambda pair: AddressRange(*sorted(pair)))


RANGES = st.none() | st.one_of(*map(address_ranges, FAMILIES))
PATTERNS = st.builds(lambda name, plus: name[:14] + plus, NAMES, st.sampled_from(("", "+")))
FILTERS = st.none() | st.builds(
    Filter,
    st.lists(st.builds(FilterRule, st.booleans(), st.none() | NAMES, RANGES, RANGES), max_size=3).map(tuple),
    st.booleans(),
)
SIDES = st.lists(
    st.builds(ProxyInterface, NAMES | st.sampled_from(("upstream", "table", "ALL")), FILTERS, FILTERS),
    max_size=3,
    unique_by=lambda interface: interface.name,
).map(tuple)


@st.composite
def proxies(draw: st.DrawFn) -> Proxy:
    ups = draw(SIDES)
    altnets = draw(st.lists(st.one_of(*map(within, FAMILIES)), max_size=2).map(tuple))
    if ups:
        ups = (evolve(ups[0], altnets=altnets), *ups[1:])
    matching = draw(st.sampled_from(MATCHINGS))
    return Proxy(
        draw(NAMES),
        ups,
        draw(SIDES),
        draw(st.lists(NAMES, max_size=2, unique=True).map(tuple)),
        draw(st.sampled_from((("ipv4", "ipv6"), ("ipv4",), ("ipv6",)))),
        matching,
        draw(st.integers(0, 3_600_000)) if matching == "mutex" else 0,
        *(draw(st.booleans()) for _ in range(4)),
        draw(st.none() | st.integers(0, 999_999_999)),
    )


STATICS = st.builds(
    Static,
    st.lists(st.one_of(*map(static_routes, FAMILIES)), max_size=5).map(merge),
    st.lists(st.one_of(*map(static_joins, FAMILIES)), max_size=3, unique=True).map(tuple),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=150)
@given(STATICS, st.lists(proxies(), max_size=2, unique_by=lambda proxy: proxy.name), st.booleans())
def test_static_routes_and_proxies_come_back(static: Static, found: list[Proxy], four: bool) -> None:
    config = Config(static=static, proxies=tuple(found), families=("ipv4",) if four else ("ipv6",))
    again = parse(print_config(config))
    assert again.model == config, again.diagnostics


def test_a_proxy_that_lacks_a_side_is_kept_and_told() -> None:
    result = parse("proxy tv upstream wan\nproxy idle\n")
    assert result.model is not None and [proxy.name for proxy in result.model.proxies] == ["tv", "idle"]
    assert [(note.line, note.text) for note in result.notes] == [
        (1, "proxy 'tv' has no downstream interface: nothing is forwarded by it"),
        (2, "proxy 'idle' has no upstream interface: nothing is forwarded by it"),
        (2, "proxy 'idle' has no downstream interface: nothing is forwarded by it"),
    ]
