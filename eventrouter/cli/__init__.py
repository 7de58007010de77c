"""The command line: reads arguments and prints. Needs the extra `cli`."""

from eventrouter.cli._app import app

__all__ = ["app"]
