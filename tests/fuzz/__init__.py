"""The package against the oracle, on random pairs: `python -m tests.fuzz --pairs 1000000`."""
