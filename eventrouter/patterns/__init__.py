"""The pattern language, pure: what an event pattern means, one pattern at a time."""
