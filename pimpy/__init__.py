"""pimpy: a multicast routing daemon for Linux (PIM-SM, PIM-SSM, IGMP, MLD; IPv4 and IPv6)."""

__version__ = "0.1.0"
