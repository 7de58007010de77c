"""Where accepted events live until they are delivered."""
