"""Run the site.

python -m examples.media_pipeline
"""

import argparse
import logging
import socket
from datetime import timedelta
from pathlib import Path

import uvicorn

from examples.media_pipeline.app import create_app
from examples.media_pipeline.settings import Settings


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m examples.media_pipeline", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("media-data"), help="directory of what is kept")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; there is no TLS, so keep it local")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    parser.add_argument("--workers", type=int, default=4, help="how many renditions are made at once")
    parser.add_argument("--render-timeout", type=float, default=60.0, help="seconds that making one may take")
    parser.add_argument("--retry-delay", type=float, default=1.0, help="seconds before what failed is tried again")
    parser.add_argument("--heartbeat", type=float, default=2.0, help="seconds between a worker's signs of life")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings(
        data=given.data,
        most_workers=given.workers,
        render_timeout=timedelta(seconds=given.render_timeout),
        retry_delay=timedelta(seconds=given.retry_delay),
        heartbeat=timedelta(seconds=given.heartbeat),
    )
    app = create_app(settings, hosts=tuple({"127.0.0.1", "localhost", given.host}))
    with socket.create_server((given.host, given.port)) as listener:
        print(f"Open http://{given.host}:{listener.getsockname()[1]} and stop with Ctrl-C", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listener])


if __name__ == "__main__":
    main()
