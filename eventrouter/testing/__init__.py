"""For tests of code that is driven by events. Nothing of it is imported by the rest of the package."""
