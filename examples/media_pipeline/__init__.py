"""A media site as a running service: uploads become renditions, made by workers that come and go with the backlog."""
