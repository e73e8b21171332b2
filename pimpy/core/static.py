"""Static multicast routes and joins: what the configuration or an operator forwards without any protocol.

A route of one source and one group stands in the kernel as soon as its interfaces are there. Any other is a rule
for streams to come: the kernel asks for each with its first packet, the first rule in the order of the file that
names the stream and its incoming interface decides, and the entry goes when the stream was silent for long enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pimpy.config.routes import WILDCARD, Static, StaticRoute, matches
from pimpy.core.engine.counters import Counters
from pimpy.core.engine.effects import Effect, Installed, Notice, ReadCounters
from pimpy.core.engine.timers import Timer, TimerHeap
from pimpy.core.forwarding import STATIC, Forwarding
from pimpy.core.interface import Interface
from pimpy.core.prefixes import PrefixTree
from pimpy.core.static_joins import StaticJoins
from pimpy.wire.family import Address, Family, Prefix, format_address
from pimpy.wire.record import define, field

MAX_FLOWS = 65536
"""Entries made for streams of rules; further streams get none, and are counted."""

Key = tuple[str, Prefix | None, Prefix]


@define
class Rule:
    """A static route with what follows from the interfaces that there are."""

    route: StaticRoute
    order: int
    iifs: int = 0
    """The vifs of its incoming interface; several for a wildcard."""
    oifs: int = 0
    flows: dict[bytes, Flow] = field(factory=dict)


@define
class Flow:
    """A stream that has an entry."""

    rule: Rule
    source: Address
    group: Address
    vif: int
    """Where it comes in."""
    counted: int = -1
    """The kernel's packets when idle streams were last looked for; -1: not yet."""


class StaticRoutes:
    """Static routes and joins of one family; `interfaces` are all of the host's, by ifindex, as they come and go."""

    def __init__(
        self,
        family: Family,
        heap: TimerHeap,
        forwarding: Forwarding,
        interfaces: Mapping[int, Interface],
        counters: Counters,
        emit: Callable[[Effect], None],
    ) -> None:
        self.family = family
        self.heap = heap
        self.forwarding = forwarding
        self.interfaces = interfaces
        self.counters = counters
        self.emit = emit
        self.joins = StaticJoins(family, interfaces, emit)
        self.rules: dict[Key, Rule] = {}
        self.flows: dict[bytes, Flow] = {}
        """By `source + group`."""
        self.flush_interval = 0.0
        self._tree: PrefixTree[PrefixTree[list[Rule]]] = PrefixTree()
        """Rules by group, then by source."""
        self._users: dict[str, dict[Key, Rule]] = {}
        """Rules by the patterns of interfaces that they name."""
        self._masks: dict[str, int] = {}
        """The vifs of each pattern."""
        self._flush_timer = Timer(heap, self, _flush_due)
        self._sweeping = False
        self._order = 0

    # What the configuration or an operator says.

    def configure(self, static: Static) -> None:
        """Follow these from now on; what was there already is not touched."""
        wanted = {route.key: route for route in static.routes if self._is_ours(route.group)}
        gone = [rule for key, rule in self.rules.items() if key not in wanted]
        for rule in gone:
            self._remove(rule)
        came = []
        for self._order, (key, route) in enumerate(wanted.items()):
            known = self.rules.get(key)
            if known is None:
                came.append(self._insert(route, self._order))
            else:
                known.order = self._order
                self._redirect(known, route)
        self.joins.configure(join for join in static.joins if self._is_ours(join.group))
        self.flush_interval = float(static.flush_interval)
        self._settle(gone, came)

    def edit(self, change: Static, *, add: bool) -> None:
        """Routes and joins come, or go, until the configuration is read again."""
        gone, came = [], []
        for route in change.routes:
            known = self.rules.get(route.key)
            if not self._is_ours(route.group):
                continue
            if add and known is not None:
                self._redirect(known, route)
            elif add:
                self._order += 1
                came.append(self._insert(route, self._order))
            elif known is not None:
                self._remove(known)
                gone.append(known)
        for join in change.joins:
            if self._is_ours(join.group):
                (self.joins.add if add else self.joins.remove)(join)
        self._settle(gone, came)

    def _is_ours(self, group: Prefix) -> bool:
        return len(group.network) == self.family.size

    def _settle(self, gone: list[Rule], came: list[Rule]) -> None:
        """Give streams whose rule went to the next one, and streams that nobody wanted to a rule that came."""
        for rule in gone:
            for flow in list(rule.flows.values()):
                self._reassign(flow)
        for rule in came:
            self._install(rule)
        if came:
            for negative in self.forwarding.negatives():
                if self._find(negative.vif, negative.source, negative.group) is not None:
                    self.forwarding.forget_negative(negative.source, negative.group)

    def _insert(self, route: StaticRoute, order: int) -> Rule:
        rule = self.rules[route.key] = Rule(route, order)
        by_source = self._tree.get(route.group)
        if by_source is None:
            by_source = PrefixTree()
            self._tree.set(route.group, by_source)
        source = self._source(route)
        rules = by_source.get(source)
        if rules is None:
            by_source.set(source, [rule])
        else:
            rules.append(rule)
        self._name(rule)
        return rule

    def _remove(self, rule: Rule) -> None:
        route = rule.route
        del self.rules[route.key]
        by_source = self._tree.get(route.group)
        assert by_source is not None, "a rule is in the tree as long as it is in the table"
        rules = by_source.get(self._source(route))
        assert rules is not None
        rules.remove(rule)
        if not rules:
            by_source.remove(self._source(route))
            if not len(by_source):
                self._tree.remove(route.group)
        self._unname(rule)

    def _source(self, route: StaticRoute) -> Prefix:
        return route.source if route.source is not None else Prefix(self.family.any, 0)

    def _redirect(self, rule: Rule, route: StaticRoute) -> None:
        """The rule's outgoing interfaces are those of `route` now."""
        if rule.route.outgoing == route.outgoing:
            return
        self._unname(rule)
        rule.route = route
        self._name(rule)
        for flow in rule.flows.values():
            self._claim(flow)

    # The interfaces that rules name.

    def _name(self, rule: Rule) -> None:
        route = rule.route
        for pattern in {route.interface, *route.outgoing}:
            users = self._users.get(pattern)
            if users is None:
                users = self._users[pattern] = {}
                self._masks[pattern] = self._mask(pattern)
            users[route.key] = rule
        self._work_out(rule)

    def _unname(self, rule: Rule) -> None:
        for pattern in {rule.route.interface, *rule.route.outgoing}:
            users = self._users[pattern]
            del users[rule.route.key]
            if not users:
                del self._users[pattern], self._masks[pattern]

    def _work_out(self, rule: Rule) -> None:
        masks = self._masks
        rule.iifs = masks[rule.route.interface]
        rule.oifs = 0
        for pattern in rule.route.outgoing:
            rule.oifs |= masks[pattern]

    def _mask(self, pattern: str) -> int:
        mask = 0
        for interface in self.interfaces.values():
            if matches(pattern, interface.name):
                mask |= interface.mask
        return mask

    def names(self, name: str) -> bool:
        """Whether some rule names the interface `name`: it needs a vif."""
        if name in self._users:
            return True
        return any(pattern.endswith(WILDCARD) and matches(pattern, name) for pattern in self._users)

    def interfaces_changed(self) -> None:
        """An interface came or went, has another name, or got or lost its vif."""
        self.joins.interfaces_changed()
        touched: dict[Key, Rule] = {}
        for pattern, users in self._users.items():
            mask = self._mask(pattern)
            if mask != self._masks[pattern]:
                self._masks[pattern] = mask
                touched.update(users)
        for rule in touched.values():
            self._work_out(rule)
        for rule in touched.values():
            for flow in list(rule.flows.values()):
                if rule.iifs >> flow.vif & 1:
                    self._claim(flow)
                else:
                    self._reassign(flow)
        for rule in touched.values():
            self._install(rule)

    # Streams.

    def no_cache(self, vif: int, source: Address, group: Address) -> bool:
        """The kernel asks for a stream that came in by `vif`; whether a rule answers."""
        if not self.rules:
            return False  # nor is there any stream of one
        if source + group in self.flows:
            self.forwarding.tell_again(source, group)
            return True
        rule = self._find(vif, source, group)
        if rule is None or not self.family.is_unicast(source):
            return False
        if len(self.flows) >= MAX_FLOWS:
            self.counters.add("-", "static", "rx", "data", "flow_limit")
            return False
        self._begin(rule, source, group, vif)
        if not rule.route.exact:
            self.emit(Installed(source, group))
        return True

    def wrong_vif(self, vif: int, source: Address, group: Address) -> bool:
        """A stream came in by another interface than its entry's; whether the entry is ours.

        If a rule names the stream there, it moves.
        """
        flow = self.flows.get(source + group)
        if flow is None:
            return False
        rule = self._find(vif, source, group)
        if rule is not None and vif != flow.vif:
            self._give(flow, rule, vif)
            channel = f"({format_address(source)},{format_address(group)})"
            name = next((i.name for i in self.interfaces.values() if i.vif == vif), "-")
            self.emit(Notice("notice", "static_moved", f"Moved {channel} inbound to {name} after WRONGVIF"))
        return True

    def _find(self, vif: int, source: Address, group: Address) -> Rule | None:
        """The rule for a stream: one of exactly this stream before all others, then the first of the file."""
        best: Rule | None = None
        bit = 1 << vif
        for by_source in self._tree.covering(group):
            for rules in by_source.covering(source):
                for rule in rules:
                    if rule.iifs & bit:
                        if rule.route.exact:
                            return rule
                        if best is None or rule.order < best.order:
                            best = rule
        return best

    def _install(self, rule: Rule) -> None:
        """A rule of one stream needs no packet: its entry stands as soon as its interface has a vif."""
        route = rule.route
        if not route.exact or rule.flows or rule.iifs.bit_count() != 1:
            return
        assert route.source is not None, "an exact route has a source"
        source, group = route.source.network, route.group.network
        if not self.family.is_unicast(source):
            return
        vif = rule.iifs.bit_length() - 1
        flow = self.flows.get(source + group)
        if flow is None:
            self._begin(rule, source, group, vif)
        elif not flow.rule.route.exact or rule.order < flow.rule.order:
            self._give(flow, rule, vif)

    def _begin(self, rule: Rule, source: Address, group: Address, vif: int) -> None:
        key = source + group
        self.flows[key] = rule.flows[key] = Flow(rule, source, group, vif)
        self.forwarding.claim(STATIC, source, group, vif, rule.oifs)
        if not self._flush_timer.running:
            self._arm()

    def _give(self, flow: Flow, rule: Rule, vif: int) -> None:
        """The stream belongs to `rule` from now on, and comes in by `vif`."""
        key = flow.source + flow.group
        flow.rule.flows.pop(key, None)
        flow.rule, flow.vif = rule, vif
        rule.flows[key] = flow
        self._claim(flow)

    def _claim(self, flow: Flow) -> None:
        self.forwarding.claim(STATIC, flow.source, flow.group, flow.vif, flow.rule.oifs)

    def _reassign(self, flow: Flow) -> None:
        """The stream's rule is no more, or not on its interface: another rule takes it, or nobody does."""
        rule = self._find(flow.vif, flow.source, flow.group)
        if rule is not None:
            self._give(flow, rule, flow.vif)
            return
        self._end(flow)
        for exact in self._exact_rules(flow):
            self._install(exact)

    def _exact_rules(self, flow: Flow) -> Iterable[Rule]:
        """The rules of exactly this stream, by whatever interface, in the order of the file."""
        by_source = self._tree.get(self.family.host(flow.group))
        rules = by_source.get(self.family.host(flow.source)) if by_source is not None else None
        return sorted(rules or (), key=lambda rule: rule.order)

    def _end(self, flow: Flow) -> None:
        key = flow.source + flow.group
        flow.rule.flows.pop(key, None)
        del self.flows[key]
        self.forwarding.release(STATIC, flow.source, flow.group)

    # Streams that fell silent.

    def flush(self) -> None:
        """Look for streams that were silent since this was last called: the answer to ReadCounters tells."""
        self._sweeping = True
        self.emit(ReadCounters())

    def counted(self, entries: Iterable[tuple[Address, Address, int, int]]) -> None:
        """The kernel's packet and byte counters: entries that counted nothing since `flush` was last called go."""
        if not self._sweeping:
            return
        self._sweeping = False
        for source, group, packets, _ in entries:
            flow = self.flows.get(source + group)
            if flow is None or flow.rule.route.exact:
                continue
            if packets == flow.counted:
                self._end(flow)
                for exact in self._exact_rules(flow):
                    self._install(exact)
            else:
                flow.counted = packets
        self._arm()

    def _arm(self) -> None:
        if not self._flush_timer.running and self.flush_interval and self.flows:
            self._flush_timer.at(self.heap.now + self.flush_interval)

    def clear(self) -> None:
        """All of it goes; the entries are taken back by whoever clears the forwarding table."""
        self.joins.configure(())
        self._flush_timer.cancel()
        self.flows.clear()
        self.rules.clear()
        self._users.clear()
        self._masks.clear()
        self._tree = PrefixTree()


def _flush_due(static: StaticRoutes) -> None:
    if static.flows and static.flush_interval:
        static.flush()
        static._flush_timer.at(static.heap.now + static.flush_interval)
