"""The media pipeline as a child process, and what its tests put into it."""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
from PIL import Image

from examples.media_pipeline.accounts import DEMO_ACCOUNTS

ROOT = Path(__file__).parents[2]
#: So long is waited at most for what takes a moment, on a machine that has much else to do.
PATIENCE = 60.0


class Service:
    """The service on a directory, started, killed and started again."""

    def __init__(self, data, *options, path=None):
        self.data = data
        self._options = options
        self._environment = os.environ | ({} if path is None else {"PATH": path})
        self._process = None
        self.url = ""
        self.log = data.with_suffix(".log")

    def start(self):
        command = [sys.executable, "-m", "examples.media_pipeline", "--data", self.data, "--port", "0", *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.url = re.search(r"http://\S+", self._process.stdout.readline())[0]

    def kill(self):
        self._process.kill()
        self._end()

    def stop(self):
        self._process.terminate()
        self._end()

    def _end(self):
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def client(self):
        """Give a client that has not signed in."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False)

    def sign_in(self, user):
        """Give a client with a token."""
        password, _ = DEMO_ACCOUNTS[user]
        with self.client() as client:
            answer = client.post("/token", data={"grant_type": "password", "username": user, "password": password})
        client = self.client()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client


def picture(size=(400, 300), form="JPEG", **options):
    """Give an image that compresses badly, so that half of the file is half of the picture."""
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(file, form, **options)
    return file.getvalue()


def upload(client, name, content):
    """Upload a file, and give its id."""
    answer = client.post("/media", files={"file": (name, content)})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def settled(client):
    """Wait until nothing is to be made any more, and give the media by name."""
    deadline = time.monotonic() + PATIENCE
    while True:
        media = client.get("/media").json()["media"]
        if not any(each["is_pending"] for each in media):
            return {each["name"]: each for each in media}
        assert time.monotonic() < deadline, media
        time.sleep(0.05)


def states(media):
    """Say what has become of its renditions."""
    return {made["name"]: made["state"] for made in media["renditions"]}
