"""The policy that a configuration holds, given to those who go by it; what stands is judged anew when it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pimpy.config.model import Config
from pimpy.core.pim.instance import PimSettings
from pimpy.core.pim.spt_threshold import threshold

if TYPE_CHECKING:
    from pimpy.core.router import Router


def follow(router: Router, config: Config) -> None:
    """Go by `config` from now on, but for what it says of single interfaces."""
    pim = router.pim
    pim.settings = PimSettings(
        triggered_hello_delay=config.triggered_hello_delay,
        distance=config.route_distance,
        metric=config.route_metric,
    )
    pim.spt_threshold = threshold(config.spt_threshold, config.spt_threshold_number, config.spt_threshold_interval)
    _metrics_may_have_changed(router)


def _metrics_may_have_changed(router: Router) -> None:
    """A loser whose own metric is better now than the winner's does not stay one (4.6.1, 4.6.2; A13)."""
    for interface in router.pim.interfaces.values():
        for state in interface.asserts:
            router.pim.touched.touch(state.entry)
