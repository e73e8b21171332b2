"""The querier election and the General Queries of one interface (RFC 9776 6.1 and 6.6.2, RFC 9777 7.1 and 7.6.2)."""

from __future__ import annotations

from pimpy.core.engine.timers import Timer
from pimpy.core.gmp.link import Link
from pimpy.core.gmp.settings import GmpSettings, Variables
from pimpy.wire.family import Address, format_address
from pimpy.wire.membership import Query
from pimpy.wire.record import define, field


@define
class Querier:
    """Who asks on this link: we, from the beginning on, unless somebody with a lower address does."""

    link: Link
    address: Address
    """Ours."""
    other: Address | None = field(init=False, default=None)
    """The querier, if it is not us."""
    other_until: float = field(init=False, default=0.0)
    """When the other one counts as gone, if it is not heard again."""
    told: tuple[int, float] = field(init=False, default=(0, 0.0))
    """The robustness and the query interval that the other one told last; 0: it told none."""
    startup: int = field(init=False, default=0)
    """Startup queries still to be sent."""
    general_timer: Timer = field(init=False)
    """When our next General Query is due."""
    present_timer: Timer = field(init=False)
    """The other querier present timer."""

    def __post_init__(self) -> None:
        self.general_timer = Timer(self.link.heap, self, general_query)
        self.present_timer = Timer(self.link.heap, self, take_over)

    def start(self) -> None:
        """Ask, the startup queries first (8.6, 8.7)."""
        self.startup = self.link.settings.startup_query_count or self.link.settings.robustness
        self.link.is_querier = True
        general_query(self)

    def stop(self) -> None:
        """Be silent."""
        self.general_timer.cancel()
        self.present_timer.cancel()
        self.other = None
        self.told = (0, 0.0)
        self.link.is_querier = False
        self.link.variables = Variables.of(self.link.settings)

    def readdress(self, address: Address) -> None:
        """We have another address: ask from it, or take over from an other querier that is beaten now."""
        if address == self.address:
            return
        self.address = address
        if self.other is None:
            general_query(self)
        elif not self.is_lower(self.other):
            take_over(self)

    def reconfigure(self, settings: GmpSettings) -> None:
        """Follow `settings`; if what our queries say has changed, say so at once."""
        link = self.link
        before = (link.version, link.variables, link.settings.query_response_interval)
        link.settle(settings)
        link.variables = Variables.of(settings, *self.told)
        if link.is_querier and before != (link.version, link.variables, settings.query_response_interval):
            general_query(self)

    def is_lower(self, source: Address) -> bool:
        """Whether `source` beats us: its last 64 bits (IPv4: all) are lower (RFC 9777 7.6.2), but never 0.0.0.0."""
        return source != self.link.family.any and source[-8:] < self.address[-8:]

    def heard(self, source: Address, query: Query, general: bool) -> None:
        """A valid query of another router (6.6.2); what the winner tells of itself is adopted (4.1.6, 4.1.7).

        Whoever beats us keeps us quiet. Of several such the lowest is the querier; the others will hear it and be
        quiet too, so what they tell is adopted only once the querier has not been heard for as long as it may.
        """
        if not self.is_lower(source):
            return
        link = self.link
        elects = general or not link.traits.election_by_general
        if elects and source != self.other and self._succeeds(source):
            self._yield_to(source)
        if link.is_querier:
            return
        if source == self.other:
            self.told = (query.robustness, query.interval)
            link.variables = Variables.of(link.settings, *self.told)
        if elects:
            until = link.heap.now + link.variables.other_querier_present_interval
            self.present_timer.at(until)
            if source == self.other:
                self.other_until = until

    def _succeeds(self, source: Address) -> bool:
        """Whether `source`, which beats us, takes the place of the other querier: there is none, or it is beaten."""
        return self.other is None or source[-8:] < self.other[-8:] or self.link.heap.now >= self.other_until

    def _yield_to(self, source: Address) -> None:
        link = self.link
        link.notice(
            "notice",
            "querier_change",
            f"{format_address(source)} is the {link.traits.name} querier now, "
            f"instead of {'us' if self.other is None else format_address(self.other)}",
        )
        self.other = source
        link.is_querier = False
        self.general_timer.cancel()


def general_query(querier: Querier) -> None:
    """Send a General Query and schedule the next one (8.2, 8.6)."""
    link = querier.link
    settings = link.settings
    link.query(link.family.any, settings.query_response_interval)
    querier.startup = max(0, querier.startup - 1)
    interval = settings.query_interval
    if querier.startup:
        interval = settings.startup_query_interval or settings.query_interval / 4
    querier.general_timer.at(link.heap.now + interval)


def take_over(querier: Querier) -> None:
    """The other querier is gone, or beaten: we ask, with our own values (6.6.2)."""
    link = querier.link
    if querier.other is not None:
        link.notice(
            "notice",
            "querier_change",
            f"we are the {link.traits.name} querier now, instead of {format_address(querier.other)}",
        )
    querier.present_timer.cancel()
    querier.other = None
    querier.told = (0, 0.0)
    querier.startup = 0
    link.is_querier = True
    link.variables = Variables.of(link.settings)
    general_query(querier)
