"""Group membership protocols: IGMP (RFC 9776) and MLD (RFC 9777), one machine for both."""
