"""Proxies of IGMP and MLD (RFC 4605): what members behind the downstream interfaces want is asked for upstream."""

from __future__ import annotations

from pimpy.core.proxy.proxies import Proxies as Proxies
