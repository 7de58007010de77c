"""Speed, as ratios to something else in the same run. Never collected by pytest."""
