"""The keeper: the process that holds the sockets, so that the worker, which does everything else, may end at any time.

Modules here are imported by a process that is to be small and to start at once: nothing of the core, no event loop,
no logging.
"""
