"""Group membership protocols: IGMP (RFC 9776) and MLD (RFC 9777), one machine for both."""

from pimpy.core.gmp.interface import Membership
from pimpy.core.gmp.settings import GmpSettings, Totals

__all__ = ["GmpSettings", "Membership", "Totals"]
