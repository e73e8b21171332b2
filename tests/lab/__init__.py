"""A laboratory of network namespaces: topologies, traffic, captures, pimpyd, its peers. Begin with topology.py."""
