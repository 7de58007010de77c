"""Where rules can send: functions, logs and files, other buses."""
