"""Figures beside FRR, in the lab's namespaces: `make bench`. Not run by `make test`."""
