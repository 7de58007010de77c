"""From an accepted event to the one end of each of its deliveries."""
