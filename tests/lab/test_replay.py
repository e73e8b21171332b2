"""A run in the lab is recorded, and played again on a desk: the same effects, the same state.

             r1
            /  \\
    src - field  r3 - h        field is a LAN; r3 is recorded
            \\  /
             r2
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .paths import PIMPYD
from .scenes import FAMILIES, Flow, Net, Tree
from .topology import Lab, Node
from .traffic import ssm_group

pytestmark = FAMILIES

NAMES = {4: "ipv4", 6: "ipv6"}
ABSENT = {4: "10.77.0.1", 6: "fd00:77::1"}
"""A source that is not there; its groups fill a Join with more than one entry."""
FURTHER = 20
"""How many groups of it are joined."""


@dataclass
class Recording:
    path: Path
    folder: Path

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def with_other_event(self, name: str, kind: str) -> Path:
        """A copy in which one event is another: the route that moved leads nowhere, or a report has a wrong bit."""
        lines = self.lines()
        events = [line["event"] for line in lines if line.get("af") == name and "event" in line]
        if kind == "RouteResolved":
            event = next(one for one in reversed(events) if one["c"] == kind and one["next_hop"])
            event["ifindex"] = event["next_hop"] = None
        else:
            group = ipaddress.ip_address(ssm_group(4 if name == "ipv4" else 6)).packed.hex()
            event = next(one for one in events if one["c"] == kind and group in one["data"]["x"])
            data = bytearray.fromhex(event["data"]["x"])
            data[-1] ^= 1
            event["data"]["x"] = data.hex()
        path = self.folder / f"other-{name}-{kind}"
        path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        return path


def replay(path: Path, seed: int = 0) -> tuple[int, dict[str, str]]:
    """The exit code of `pimpyd --replay`, and what it says of each family. `seed` is that of Python's hashes."""
    argv = [str(PIMPYD), "--replay", str(path)]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONHASHSEED": str(seed)}
    )
    assert not done.stderr, done.stderr
    said = (line.partition(": ") for line in done.stdout.splitlines() if " events, " in line)
    return done.returncode, {family: rest for family, _, rest in said}


@pytest.fixture(scope="module")
def recording(standing_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("replay")
    path = folder / "recording"
    live(Scene(standing_lab, path))
    return Recording(path, folder)


class Scene:
    def __init__(self, lab: Lab, path: Path) -> None:
        self.src, self.host = lab.host("src"), lab.host("h")
        self.r1, self.r2, self.r3 = r1, r2, r3 = [lab.router(f"r{number}") for number in (1, 2, 3)]
        self.field = lab.lan("field", self.src, r1, r2)
        for one, other in ((r1, r3), (r2, r3), (r3, self.host)):
            lab.link(one, other)
        self.net = Net(lab, args={r3: ["--record", str(path)]})
        self.lay_absent()
        self.flows = [Flow(self.net, family, self.src) for family in (4, 6)]

    def lay_absent(self) -> None:
        """The way from r3 to a source that is not there leads over further addresses of r1."""
        port = self.r1.port("r3")
        further = str(ipaddress.ip_address(port.ipv4) + 100)
        self.r1.ip("address", "add", f"{further}/24", "dev", port.name)
        for family, hop in ((4, further), (6, port.ipv6)):
            self.r3.ip(f"-{family}", "route", "add", ABSENT[family], "via", hop, "dev", "r1")

    def served_by(self, router: Node) -> Tree:
        return {router: ("field", {"r3"}), self.r3: (router.name, {"h"})}

    def wait_trees(self, tree: Tree) -> None:
        for flow in self.flows:
            flow.wait_tree(tree)

    def absent(self, family: int) -> list[tuple[str | None, str]]:
        return [(ABSENT[family], ssm_group(family, 100 + number)) for number in range(FURTHER)]


def live(scene: Scene) -> None:
    """Join, route change, restarts of both neighbours, leave, join again, and an end in good order."""
    r1, r2, r3, daemons = scene.r1, scene.r2, scene.r3, scene.net.daemons
    receivers = [flow.join(scene.host) for flow in scene.flows]
    for flow, receiver in zip(scene.flows, receivers, strict=True):
        receiver.join(*scene.absent(flow.family))
        flow.send()
    scene.wait_trees(scene.served_by(r1))
    for family in (4, 6):
        daemons[r1].wait_for(lambda one, family=family: len(one.joined(family)) > FURTHER)  # type: ignore[misc]
        r3.route(family, scene.field.prefix(family), r2.port("r3"))
    scene.wait_trees(scene.served_by(r2))
    daemons[r1].stop()
    daemons[r2].kill()
    for router in (r1, r2):
        daemons[router].start()
    scene.net.wait_neighbors()
    scene.wait_trees(scene.served_by(r2))
    for receiver in receivers:
        receiver.leave()
    scene.wait_trees({})
    for flow, receiver in zip(scene.flows, receivers, strict=True):
        receiver.join(flow.key)
    scene.wait_trees(scene.served_by(r2))
    assert daemons[r3].stop() == 0
    for flow in scene.flows:
        flow.stop()
    scene.net.assert_clean()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_recording_is_played_again(recording: Recording, family: int, seed: int) -> None:
    """Whatever order Python's sets have in that process: the seed of its hashes is not the daemon's."""
    code, said = replay(recording.path, seed)
    assert code == 0 and set(said) == {"ipv4", "ipv6"}, said
    events, _, verdict = said[NAMES[family]].partition(" events, ")
    assert int(events) == sum("event" in line for line in recording.lines() if line.get("af") == NAMES[family])
    assert verdict.endswith(" drains: the same effects and state")


def test_a_recording_tells_the_state_before_the_end(recording: Recording, family: int) -> None:
    """After the end there is no state left to compare."""
    lines = [line for line in recording.lines() if line.get("af") == NAMES[family]]
    end = next(number for number, line in enumerate(lines) if line.get("event", {}).get("c") == "Shutdown")
    before, after = ([line["state"] for line in some if "state" in line] for some in (lines[:end], lines[end:]))
    assert before and after and before[-1] != after[-1]


@pytest.mark.parametrize("kind", ["RouteResolved", "PacketReceived"])
def test_a_changed_event_is_noticed(recording: Recording, family: int, kind: str) -> None:
    other = NAMES[10 - family]
    code, said = replay(recording.with_other_event(NAMES[family], kind))
    assert code == 1
    assert said[NAMES[family]].endswith(" drains: DIFFERENT")
    assert said[other].endswith(" drains: the same effects and state")
