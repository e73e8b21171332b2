"""pimctl join, send and ping: receiver, source and answerer, to try a network with. They need no daemon."""

PORT = 4321
"""The UDP port of ssmping and asmping."""
