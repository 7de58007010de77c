"""The parts of the HTTP target; its public face is `eventrouter.targets.http`."""
