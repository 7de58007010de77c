"""The command `eventrouter`."""

from __future__ import annotations

import sys

from eventrouter.errors import MissingExtraError


def main() -> None:
    """Run the command line; without its extra, say how to get it."""
    try:
        import rich  # noqa: F401, PLC0415 - an extra
        import typer  # noqa: F401, PLC0415
    except ImportError:
        print(MissingExtraError("The command line", "cli"), file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None
    from eventrouter.cli import app  # noqa: PLC0415 - needs the extra

    app()


if __name__ == "__main__":
    main()
