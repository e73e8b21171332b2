"""`pimctl doctor` and `pimctl explain` at real routers: each check provoked, nothing found where nothing is wrong."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from pimpy.cli.doctor import firewall_checks

from .helpers import Ended, run_to_end
from .paths import PIMCTL
from .pimpyd import QUICK, Pimpyd
from .shell import wait_until
from .topology import Lab, Node
from .traffic import Receiver, Sender, ssm_group

pytestmark = pytest.mark.usefixtures("pimpyd")

QUERY = Path(__file__).parent / "tools" / "query.py"
FAR = "10.99.0.1"
"""Behind a next hop without PIM."""
NOWHERE = "10.98.0.1"
WANDERER = "10.97.0.1"
"""A source that sends from another link than the route to it leads to."""
STRANGER = "172.31.9.9"
"""A source to which there is no route, at a host that sends from it."""
SICK = (
    *("ttl_1", "link_scope_group", "no_rp", "no_route", "route_without_pim", "querier_address", "register_mtu"),
    *("forwarding_off", "rp_filter", "rp_filter_drops", "force_igmp_version", "membership_limit", "config"),
    *("no_multicast_flag", "duplicate_subnet", "snooping_without_querier", "bridge_port", "vif_limit", "other_daemon"),
    *("discovery", "wrong_interface", "force_mld_version", "snooping"),
)
BLOCKED = ("igmp_blocked", "mld_blocked", "pim_blocked", "data_blocked", "send_refused", "wifi")
"""What a firewall does, and a link table with Wi-Fi in it."""
ELSEWHERE = ("mc_forwarding", "daemon")
"""What is found where the kernel, or the daemon, is not the one that is asked."""
CONFIG = QUICK + f"rp-address {FAR} 239.7.0.0/16\n"


class Hospital:
    """src - r1 - h, and r2, which runs no PIM, beside r1."""

    def __init__(self, lab: Lab) -> None:
        self.src, self.r1, self.r2, self.h = lab.host("src"), lab.router("r1"), lab.router("r2"), lab.host("h")
        lab.link(self.src, self.r1)
        lab.link(self.r1, self.h)
        lab.link(self.r1, self.r2)
        lab.start()
        via = self.r2.port(self.r1)
        self.r1.ip("route", "add", "10.99.0.0/16", "via", via.ipv4)
        self.daemon = Pimpyd(self.r1, CONFIG).start()

    def ctl(self, *words: str, node: Node | None = None) -> Ended:
        """pimctl, run where the daemon is."""
        return run_to_end(node or self.r1, PIMCTL, "-u", self.daemon.socket, *words)

    def doctor(self, *words: str) -> dict[str, str]:
        """{check: evidence} of what is found."""
        done = self.ctl("doctor", "--json", *words)
        found = json.loads(done.out or "null")
        assert found is not None, done.said
        assert done.code == bool(found)
        assert all(one["remedy"] and one["evidence"] and one["subject"] for one in found)
        return {one["check"]: f"{one['subject']}: {one['evidence']}" for one in found}


def assert_found(found: dict[str, str], expected: Iterable[str]) -> None:
    assert set(expected) <= set(found), f"missing {sorted(set(expected) - set(found))} in {found}"


def test_a_healthy_host_is_found_healthy_and_a_sick_one_by_every_symptom(lab: Lab, tmp_path: Path) -> None:
    hospital = Hospital(lab)
    src, r1, h, daemon = hospital.src, hospital.r1, hospital.h, hospital.daemon
    group = ssm_group(4)
    source = src.port(r1).ipv4
    receiver = Receiver(h.port(r1), [(source, group)])
    good = Sender(src.port(r1), [group], rate=50)
    receiver.wait_for(20)
    assert hospital.doctor() == {}
    assert hospital.ctl("doctor").out == "nothing found\n"

    _streams(hospital)
    _settings(hospital)
    _links(hospital)
    other = _another_daemon(hospital, tmp_path)
    broken = daemon.config.with_suffix(".bad")
    broken.write_text(daemon.config.read_text())
    daemon.config.write_text(CONFIG + "phyint\nnonsense here\n")
    assert hospital.ctl("reload").code == 1
    daemon.wait_for(lambda one: any(row.get("bridge_warning") for row in one.show("igmp")), 30, "a look at bridges")
    found = hospital.doctor()
    assert_found(found, SICK)
    assert "TTL" not in found["link_scope_group"]
    daemon.config.write_text(broken.read_text())
    good.stop()
    other.stop()
    _firewall(hospital)
    links = tmp_path / "links.json"
    links.write_text(json.dumps([{"name": "src", "wireless": True, "addresses": ["10.0.1.2/24"]}]))
    found = hospital.doctor("--links", str(links))
    assert_found(found, BLOCKED)
    text = hospital.ctl("doctor").out
    assert "do:   nft insert rule inet bad inbound ip protocol igmp accept" in text
    _elsewhere(hospital)
    assert {*SICK, *BLOCKED, *ELSEWHERE} == _checks(), "each check there is, and no other"


def _elsewhere(hospital: Hospital) -> None:
    """Asked in a namespace whose kernel routes nothing on an interface of that name; and of a daemon that is not."""
    hospital.r2.ip("link", "add", "name", hospital.r1.port(hospital.h).name, "type", "bridge")
    done = hospital.ctl("doctor", "--json", "--seconds", "0.1", node=hospital.r2)
    assert "mc_forwarding" in {one["check"] for one in json.loads(done.out)}
    hospital.daemon.stop()
    assert "daemon" in hospital.doctor("--seconds", "0.1")


def _checks() -> set[str]:
    """The words that findings may have, read in the code."""
    found = {*firewall_checks.BLOCKED.values(), "force_igmp_version", "force_mld_version"}
    for path in Path(firewall_checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                word = node.args[0]
                assert isinstance(word, ast.Constant) or (isinstance(word, ast.Name) and word.id in ("check", "key"))
                if isinstance(word, ast.Constant):
                    found.add(str(word.value))
    return found


def _streams(hospital: Hospital) -> None:
    """What comes in and what is wanted."""
    src, r1, h = hospital.src, hospital.r1, hospital.h
    port = src.port(r1)
    src.ip("address", "add", f"{STRANGER}/32", "dev", port.name)
    Sender(port, ["239.1.1.1"], rate=20, ttl=1)
    Sender(port, ["224.0.0.99"], rate=20, ttl=1)
    Sender(port, ["239.7.0.1"], rate=20, size=1470)
    Sender(port, ["239.1.1.3"], rate=20, source=STRANGER)
    Sender(port, ["239.255.255.250"], rate=20)
    src.ip("address", "add", f"{WANDERER}/32", "dev", port.name)
    h.ip("address", "add", f"{WANDERER}/32", "dev", h.port(r1).name)
    r1.ip("route", "add", f"{WANDERER}/32", "dev", r1.port(src).name)
    Sender(h.port(r1), [ssm_group(4, 4)], rate=20, source=WANDERER)
    Receiver(
        h.port(r1),
        [(NOWHERE, ssm_group(4, 2)), (FAR, ssm_group(4, 3)), (WANDERER, ssm_group(4, 4)), (None, "239.5.5.5")],
    )
    h.run(sys.executable, str(QUERY), h.port(r1).name, "0.0.0.0")
    h.run(sys.executable, str(QUERY), h.port(r1).name, "1.2.3.4")
    daemon = hospital.daemon
    daemon.wait_for(lambda one: one.entry(FAR, ssm_group(4, 3)), 20)
    daemon.wait_for(lambda one: one.entry("*", "239.5.5.5"), 20)
    daemon.wait_for(lambda one: (one.entry(port.ipv4, "239.7.0.1") or {}).get("packets"), 20)
    daemon.wait_for(lambda one: (one.entry(WANDERER, ssm_group(4, 4)) or {}).get("packet_rate") == 0, 30)
    daemon.wait_for(lambda one: (one.entry(port.ipv4, "239.255.255.250") or {}).get("mode") == "negative", 20)


def _settings(hospital: Hospital) -> None:
    r1, name = hospital.r1, hospital.r1.port(hospital.src).name
    r1.set_sysctls(
        {
            "ipv4/ip_forward": 0,
            "ipv4/igmp_max_memberships": 5,
            f"ipv4/conf/{name}/rp_filter": 1,
            f"ipv4/conf/{name}/force_igmp_version": 2,
            f"ipv6/conf/{name}/force_mld_version": 1,
        }
    )


def _links(hospital: Hospital) -> None:
    """26 more interfaces, two of them in one subnet; a bridge that snoops with one of them; a tunnel."""
    lines = ["link add br9 type bridge mcast_snooping 1", "link set br9 up"]
    lines += ["link add br8 type bridge mcast_snooping 1 mcast_router 0", "address add 10.48.0.1/24 dev br8"]
    lines += ["link set br8 up"]
    for n in range(1, 14):
        lines.append(f"link add v{n} type veth peer name w{n}")
        for k, name in ((1, f"v{n}"), (2, f"w{n}")):
            net = 50 if n == 1 else 50 + 2 * n + k
            lines += [f"address add 10.{net}.0.{k}/24 dev {name}", f"link set {name} up"]
    lines += ["link set v2 master br9", "link add t9 type bridge", "link set t9 multicast off"]
    lines += ["address add 10.49.0.1/24 dev t9", "link set t9 up"]
    r1 = hospital.r1
    r1.run("sh", "-ec", "ip -batch - <<EOF\n" + "\n".join(lines) + "\nEOF")
    hospital.daemon.wait_for(lambda one: len(one.show("interfaces", 4)) > 28 and _used(one) >= 28, 30, "28 vifs")


def _used(daemon: Pimpyd) -> int:
    return sum(row["vif"] is not None for row in daemon.show("interfaces", 4))


def _another_daemon(hospital: Hospital, folder: Path):  # type: ignore[no-untyped-def]
    """Something with the name and the socket of one."""
    program = folder / "smcrouted"
    program.symlink_to(sys.executable)
    code = "import socket, time; s = socket.socket(2, 3, 2); print('up', flush=True); time.sleep(600)"
    process = hospital.r1.start("smcrouted", str(program), "-I", "-S", "-c", code)
    wait_until(lambda: "up" in process.output(), 10, "the other daemon is there")
    return process


def _firewall(hospital: Hospital) -> None:
    chains = "".join(
        f"chain {name} {{ type filter hook {hook} priority 0; policy drop; {rules} }}\n"
        for name, hook, rules in (
            ("inbound", "input", "iifname lo accept; ct state established,related accept;"),
            ("through", "forward", "ip protocol tcp accept;"),
            ("outbound", "output", "oifname lo accept;"),
        )
    )
    hospital.r1.run("nft", f"table inet bad {{ {chains} }}")

    def refused() -> bool:
        rows = hospital.daemon.show("counters")
        return any(row["type"] == "SendPacket" and row["reason"] == "EPERM" for row in rows)

    wait_until(refused, 30, "the daemon may not send")


def test_explain_at_a_real_router(lab: Lab) -> None:
    hospital = Hospital(lab)
    src, r1, h = hospital.src, hospital.r1, hospital.h
    source, group = src.port(r1).ipv4, ssm_group(4)

    def verdict(group: str = group) -> tuple[int, str]:
        done = hospital.ctl("--json", "explain", source, group)
        return done.code, json.loads(done.out)[-1]["reason"]

    assert verdict() == (1, "no_member")
    receiver = Receiver(h.port(r1), [(source, group)])
    hospital.daemon.wait_for(lambda one: one.entry(source, group))
    assert verdict() == (0, "source_silent")
    sender = Sender(src.port(r1), [group], rate=50)
    receiver.wait_for(10)
    assert verdict() == (0, "flows")
    text = hospital.ctl("explain", group, source).out
    assert text.startswith(f"({source},{group}) flows through this router\n")
    assert f"the kernel takes it from {r1.port(src).name} to {r1.port(h).name}" in text
    sender.stop()
    other = ssm_group(4, 5)
    receiver.join((source, other))
    hospital.daemon.wait_for(lambda one: one.entry(source, other))
    Sender(src.port(r1), [other], rate=50, ttl=1)
    hospital.daemon.wait_for(lambda one: (one.entry(source, other) or {}).get("packets"), 20)
    assert verdict(other) == (1, "ttl_1")
    r1.ip("mroute", "show")
    assert hospital.ctl("explain", "239.5.5.5").code in (0, 1)
    assert hospital.ctl("explain", "10.0.0.1").code == 2


def test_rates_and_events_of_a_real_stream(lab: Lab) -> None:
    hospital = Hospital(lab)
    src, r1, h = hospital.src, hospital.r1, hospital.h
    source, group = src.port(r1).ipv4, ssm_group(4)
    monitor = r1.start("monitor", str(PIMCTL), "-u", str(hospital.daemon.socket), "-j", "monitor")
    second = Receiver(h.port(r1), [(source, ssm_group(4, 100))])
    numbers = iter(range(101, 1000))

    def watching() -> bool:
        second.join((source, ssm_group(4, next(numbers))))
        return bool(monitor.output())

    wait_until(watching, 30, "the monitor listens")
    receiver = Receiver(h.port(r1), [(source, group)])
    Sender(src.port(r1), [group], rate=100, size=100)
    receiver.wait_for(50)
    hospital.daemon.show("mroute")

    def rate() -> float:
        return (hospital.daemon.entry(source, group) or {}).get("packet_rate") or 0.0

    wait_until(rate, 30, "a rate is known")
    receiver.wait_for(400)
    entry = hospital.daemon.entry(source, group)
    assert entry is not None
    assert 20 < entry["packet_rate"] < 500, "100 a second, on a busy machine"
    assert abs(entry["bit_rate"] / entry["packet_rate"] - 8 * (entry["bytes"] / entry["packets"])) < 100
    assert entry["last_packet"] < 5
    told = [json.loads(line) for line in monitor.output().splitlines()]
    told = [row for row in told if row["group"] == group]
    assert {"member_joined", "joined", "forwarding"} <= {row["event"] for row in told}, told
    text = hospital.daemon.pimctl("show", "mroute", "detail", group)
    assert "packets/s" in text and "members on the link" in text
