"""The numbers of the RFCs, the wire and the manual, typed a second time: group T of the conformance list, and limits.

What is named here is told to the network or promised to people. Tests that let time pass show that they are used.
"""

from __future__ import annotations

import pytest

from pimpy.core import adoption, drift, forwarding, interface, rpf, static_joins, traffic, upcalls
from pimpy.core import static as static_routes
from pimpy.core.engine.events import RouteResolved
from pimpy.core.explain import kernel as explain_kernel
from pimpy.core.gmp import GmpSettings, host, link, mrdisc
from pimpy.core.gmp.settings import Totals, Variables
from pimpy.core.pim import (
    anycast,
    asserts,
    bootstrap,
    bsm,
    bsr,
    candidate_rp,
    embedded,
    instance,
    limits,
    metric,
    neighbor,
    policy,
    receipt,
    register,
    rp_set,
    scope,
    upstream,
)
from pimpy.core.proxy import merge, streams
from pimpy.wire import address, igmp, join_prune, membership, mld, pim
from pimpy.wire import bootstrap as wire_bootstrap
from pimpy.wire.family import IPV4, IPV6, format_address


def values(holder: object, *names: str) -> list[object]:
    return [getattr(holder, name) for name in names]


def test_T2_to_T8_hello_and_join_prune() -> None:
    assert (instance.DEFAULT_HELLO_HOLDTIME, instance.HOLDTIME_FACTOR, instance.HOLDTIME_FOREVER) == (105, 3.5, 65535)
    settings = instance.PimSettings()
    names = ("triggered_hello_delay", "propagation_delay", "override_interval", "t_bit", "distance", "metric")
    assert values(settings, *names) == [5, 0.5, 2.5, False, None, None]


def test_T9_T16_suppression_and_dr_priority() -> None:
    assert upstream.T_SUPPRESSED_FACTORS == (1.1, 1.4)
    assert neighbor.DEFAULT_DR_PRIORITY == 1


def test_T10_T11_asserts() -> None:
    assert values(asserts, "ASSERT_TIME", "ASSERT_OVERRIDE_INTERVAL") == [180, 3]
    assert values(metric, "INFINITE_PREFERENCE", "INFINITE_METRIC") == [2**31 - 1, 2**32 - 1]


def test_T12_T13_T14_T15_keepalive_and_registers() -> None:
    assert policy.KEEPALIVE_PERIOD == 210
    names = ("REGISTER_SUPPRESSION_TIME", "REGISTER_PROBE_TIME", "RP_KEEPALIVE_PERIOD", "OLD_RP_TIME")
    assert values(register, *names) == [60, 5, 185, 60]


def test_T22_T23_candidates_and_hash_masks() -> None:
    names = ("C_RP_ADV_BACKOFF", "TRIGGERED", "HOLDTIME_FACTOR")
    assert values(candidate_rp, *names) == [3, 3, 2.5]
    assert rp_set.DEFAULT_HASH_MASK == {4: 30, 16: 126}
    times = bsr.BsrTimes()
    assert (times.period, times.timeout, times.min_interval, times.zone_timeout) == (60, 130, 10, 1300)
    assert (bsr.LOWEST_PRIORITY, scope.IPV6_SCOPE_BITS, bsm.MAX_RPS) == (0, 16, 255)


def test_T24_to_T31_membership() -> None:
    settings = GmpSettings()
    names = ("query_interval", "query_response_interval", "robustness", "last_member_query_interval", "mtu")
    assert values(settings, *names) == [125, 10, 2, 1, 1500]
    names = ("last_member_query_count", "startup_query_interval", "startup_query_count", "version", "querier_address")
    assert values(settings, *names) == [None] * 5
    names = ("on_link_only", "require_router_alert", "tracking", "immediate_leave", "forced_leave", "mrdisc")
    assert values(settings, *names) == [False] * 6
    assert settings.oldest_version == 1
    assert Variables.of(settings) == Variables(2, 125, 270, 255, 260, 2, 2)
    assert Variables.of(settings, 3, 100) == Variables(3, 100, 320, 305, 310, 3, 3), "I21: as the querier has them"
    odd = GmpSettings(last_member_query_count=5, last_member_query_interval=0.5)
    assert Variables.of(odd) == Variables(2, 125, 270, 255, 260, 5, 2.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"robustness": 0},
        {"last_member_query_count": 0},
        {"startup_query_count": 0},
        {"query_interval": 0},
        {"last_member_query_interval": 0},
        {"startup_query_interval": 0},
        {"query_response_interval": 0},
        {"query_interval": 10},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_T24_T26_what_no_interface_could_run_with(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        GmpSettings(**wrong)  # type: ignore[arg-type]


def test_T24_T26_the_least_that_an_interface_can_run_with() -> None:
    least = GmpSettings(robustness=1, last_member_query_count=1, startup_query_count=1, query_interval=10.5)
    assert (least.robustness, least.query_interval) == (1, 10.5)


def test_T31_T33_a_host() -> None:
    assert host.UNSOLICITED_REPORT_INTERVAL == 1


def test_rfc_4286_3_1_router_discovery() -> None:
    names = ("ADVERTISEMENT_INTERVAL", "JITTER", "MAX_INITIAL_ADVERTISEMENT_INTERVAL", "MAX_INITIAL_ADVERTISEMENTS")
    assert values(mrdisc, *names, "MAX_RESPONSE_DELAY") == [20, 0.025, 2, 3, 2]
    assert GmpSettings().mrdisc_interval == 20


def test_V2_numbers_of_pim_on_the_wire() -> None:
    assert (pim.VERSION, pim.PROTOCOL, pim.HEADER, pim.REGISTER_HEADER) == (2, 103, 4, 8)
    flags = values(address, "BIDIR", "ZONE", "SPARSE", "WILDCARD", "RPT")
    assert flags == [0x80, 0x01, 0x04, 0x02, 0x01], "V15 (RFC 9436), U24"
    assert (join_prune.SG, join_prune.SG_RPT, join_prune.STAR_G) == (4, 5, 7), "U24"
    assert (join_prune.MAX_GROUPS, wire_bootstrap.NO_FORWARD) == (255, 0x80)


def test_I5_numbers_of_the_record_types() -> None:
    kinds = membership.RecordType
    assert values(kinds, "MODE_IS_INCLUDE", "MODE_IS_EXCLUDE") == [1, 2]
    assert values(kinds, "CHANGE_TO_INCLUDE_MODE", "CHANGE_TO_EXCLUDE_MODE") == [3, 4]
    assert values(kinds, "ALLOW_NEW_SOURCES", "BLOCK_OLD_SOURCES") == [5, 6]
    assert list(membership.RECORD_TYPES) == [1, 2, 3, 4, 5, 6]


def test_I14_M4_numbers_of_igmp_and_mld_on_the_wire() -> None:
    names = ("QUERY", "REPORT_V1", "REPORT_V2", "LEAVE", "REPORT_V3", "ADVERTISEMENT", "SOLICITATION", "TERMINATION")
    assert values(igmp, *names) == [0x11, 0x12, 0x16, 0x17, 0x22, 0x30, 0x31, 0x32]
    names = ("QUERY", "REPORT_V1", "DONE", "REPORT_V2", "ADVERTISEMENT", "SOLICITATION", "TERMINATION")
    assert values(mld, *names) == [130, 131, 132, 143, 151, 152, 153]


def test_P10_the_range_of_embedded_rps() -> None:
    assert (str(embedded.EMBEDDED_RANGE), embedded.MAX_PREFIX) == ("ff70::/12", 64)


def test_A4_the_table_of_preferences() -> None:
    """Administrative distances as everybody has them; linux/rtnetlink.h has the numbers of the protocols."""
    kernel, boot, static, bgp, isis, ospf, rip, eigrp, zebra_static = 2, 3, 4, 186, 187, 188, 189, 192, 196
    assert {
        kernel: 0,
        boot: 1,
        static: 1,
        zebra_static: 1,
        bgp: 20,
        eigrp: 90,
        ospf: 110,
        isis: 115,
        rip: 120,
    } == metric.PREFERENCES
    assert (101, static) == (metric.DEFAULT_PREFERENCE, rpf.RTPROT_STATIC)
    unknown = RouteResolved(b"\x0a\0\0\1", 1, None)
    assert (unknown.protocol, unknown.metric) == (0, 0)


def test_Y2_limits_that_the_manual_tells() -> None:
    settings = instance.PimSettings()
    names = ("max_neighbors", "max_secondary", "max_sg", "max_groups", "max_zones", "max_rp_mappings")
    assert values(settings, *names) == [1024, 64, 65536, 65536, 64, 4096]
    gmp = GmpSettings()
    assert (gmp.max_groups, gmp.max_sources) == (65536, 8192)
    totals = Totals()
    assert values(totals, "max_groups", "max_sources", "max_hosts") == [262_144, 1_048_576, 1_048_576]
    assert values(totals, "groups", "sources", "hosts") == [0, 0, 0]
    assert (static_joins.MAX_JOINS, static_routes.MAX_FLOWS, streams.MAX_STREAMS) == (131_072, 65536, 65536)
    assert (forwarding.MAX_NEGATIVE, limits.MAX_SHARES, merge.LONGEST) == (8192, 1024, 4096)
    assert (bootstrap.MAX_HELD, bsm.MAX_FRAGMENTS, host.MAX_RECORDED_SOURCES) == (64, 128, 4096)
    assert (anycast.MAX_STOPS, anycast.MAX_OTHERS) == (100_000, 15)


def test_Y4_message_rates_that_the_manual_tells() -> None:
    assert receipt.MESSAGE_RATES == {
        "hello": 1000,
        "join_prune": 10_000,
        "assert": 20_000,
        "register": 100_000,
        "register_stop": 20_000,
    }
    assert (receipt.OTHER_RATE, bootstrap.RATE) == (1000, 100)


def test_F13_F21_what_the_kernel_is_asked_and_how_often() -> None:
    assert (interface.MAXVIFS, interface.USABLE_VIFS, interface.REGISTER_VIF) == (32, 31, 31), "linux/mroute.h"
    assert (forwarding.WRONG_VIF_PACE, forwarding.NEGATIVE_LIFE, policy.POLL) == (3, 30, 30)
    assert (traffic.INTERVAL, traffic.SHORTEST, drift.INTERVAL, drift.GATHER) == (10, 2, 60, 0.1)
    assert (upcalls.REGISTER_PATIENCE, register.BEHIND_TIME, instance.RETRY, streams.IDLE) == (1, 3, 10, 60)
    assert (adoption.MARGIN, adoption.REPEATS, adoption.LOOK) == (3.75, 1.1, 15)
    assert (explain_kernel.LIVELY, anycast.STOP_TIME, anycast.TELL_INTERVAL) == (5, 60, 60)


def test_TH19_how_often_others_make_us_speak_or_warn() -> None:
    assert (instance.GENID_PACE, instance.WARNING_PACE, link.NOTICE_INTERVAL) == (5, 60, 60)


def test_N1_I1_M1_what_the_families_are_made_of() -> None:
    fields = ("number", "pim_number", "size", "ip_header", "gmp", "bits", "name")
    assert values(IPV4, *fields) == [2, 1, 4, 20, "igmp", 32, "ipv4"], "AF_INET; RFC 7761 4.9.1"
    assert values(IPV6, *fields) == [10, 2, 16, 40, "mld", 128, "ipv6"], "AF_INET6"
    groups = ("all_pim_routers", "all_hosts", "all_routers", "all_reports")
    four, six = ([format_address(getattr(family, name)) for name in groups] for family in (IPV4, IPV6))
    assert four == ["224.0.0.13", "224.0.0.1", "224.0.0.2", "224.0.0.22"]
    assert six == ["ff02::d", "ff02::1", "ff02::2", "ff02::16"]
    assert (str(IPV4.multicast), str(IPV6.multicast)) == ("224.0.0.0/4", "ff00::/8")


def test_S1_S9_ranges_of_source_specific_multicast() -> None:
    assert [str(prefix) for prefix in IPV4.ssm_ranges] == ["232.0.0.0/8"]
    assert [str(prefix) for prefix in IPV6.ssm_ranges] == [f"ff3{scope:x}::/32" for scope in range(16)]
