"""Faults that a person could well make, planted one at a time: `python -m tests.mutation` proves that tests find each."""
