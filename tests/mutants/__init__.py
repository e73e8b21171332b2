"""Do the tests bite? Change one thing in the core at a time, and see whether a test fails (`make mutants`).

The changes are Cosmic Ray's (`places.py` says which, and what is not changed because nothing promised hangs on it). All
changes to all modules are too many to try, so a sample is drawn: the same for the same seed. A change is judged by the
tests that reach its statement (`reach.py`), those that are likely to see it first; a change that all of them pass has
survived, and is printed.
"""
