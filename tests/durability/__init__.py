"""What a store in a file survives: kills, power cuts, full disks, damaged files, clocks that jump.

The short runs are tests; the long ones are a command: `python -m tests.durability --help`.
"""
