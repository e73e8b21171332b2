"""Group membership protocols: IGMP (RFC 9776) and MLD (RFC 9777), one machine for both."""

from pimpy.core.gmp.interface import Membership
from pimpy.core.gmp.link import GmpSettings

__all__ = ["GmpSettings", "Membership"]
