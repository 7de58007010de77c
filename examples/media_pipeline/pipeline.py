"""From an upload to its renditions: a rule, three functions, two queues, and the workers between them.

An event `Object Created` is matched by a rule, whose target is the function `plan`. It sends a job for each rendition
to the queue `renditions`. Up to four workers, none when there is nothing to do, run the function `work`, which has
`render` do the job in a process of its own. After three attempts a job is a dead letter in the queue
`failed-renditions`, from which the function `file-failure` files it with its owner.
"""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, BinaryIO, Final, cast

import anyio
from anyio.to_thread import run_sync

from eventrouter import EventEntry, EventRouter, InputPath, QueueError, QueueTarget, RedrivePolicy, Role
from eventrouter.functions import Context
from eventrouter.stores.sqlite import SqliteStore
from examples.media_pipeline.bucket import Bucket
from examples.media_pipeline.library import Library, Media
from examples.media_pipeline.renderer import render
from examples.media_pipeline.settings import Settings

ATTEMPTS: Final = 3
_MEMORY: Final = 1_024  # MB of a process that renders; an image of 40 megapixels takes 160 to decode
_GRACE: Final = timedelta(seconds=15)  # starting a process, and the transactions around it


class Pipeline:
    """The router with all that it runs.

    Args:
        settings: How.

    Attributes:
        router: Enter it to have the pipeline work.
        bucket: Has the uploads and the renditions.
        library: Knows whose they are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bucket = Bucket(settings.data / "bucket")
        self.library = Library(settings.database)
        self.router = EventRouter(SqliteStore(settings.database))
        self.failed = self.router.create_queue(
            "failed-renditions", visibility_timeout=timedelta(seconds=30), message_retention_period=timedelta(days=14)
        )
        # Never shorter than a job can take; while it is made, heartbeats make it shorter.
        self.jobs = self.router.create_queue(
            "renditions",
            visibility_timeout=settings.render_timeout + _GRACE,
            message_retention_period=timedelta(days=7),
            redrive_policy=RedrivePolicy("failed-renditions", maximum_receive_count=ATTEMPTS),
        )
        self._declare_functions()
        self.workers = self.router.event_source_mapping(
            "renditions",
            "work",
            batch_size=1,  # a job is long, so each gets a worker
            minimum_concurrency=0,
            maximum_concurrency=settings.most_workers,
            report_batch_item_failures=True,
        )
        self.router.event_source_mapping("failed-renditions", "file-failure", maximum_concurrency=1)

    def _declare_functions(self) -> None:
        router, timeout = self.router, self._settings.render_timeout
        plan = router.function("plan", timeout=timedelta(seconds=10), role=Role(send_message=["renditions"]))(self.plan)
        uploaded = {
            "source": ["media.bucket"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"prefix": "uploads/"}]}},
        }
        router.put_rule("object-created", uploaded)
        router.put_targets("object-created", [plan])
        router.put_rule("redrive", {"source": ["media.library"], "detail-type": ["Rendition Requested"]})
        router.put_targets("redrive", [QueueTarget(id="renditions", queue=self.jobs, input=InputPath("$.detail"))])
        router.function("render", isolation="process", memory=_MEMORY, timeout=timeout)(render)
        router.function("work", timeout=timeout + _GRACE, role=Role(invoke=["render"]))(self.work)
        router.function("file-failure", timeout=timedelta(seconds=10))(self.file_failure)

    # -- functions -----------------------------------------------------------------------------------------------

    async def plan(self, event: dict[str, Any], context: Context) -> None:
        """Send one job for each rendition of an object that was created."""
        media_id = event["detail"]["media-id"]
        for name in await run_sync(self.library.plan, media_id):
            await context.send_message("renditions", {"media": media_id, "rendition": name})

    async def work(self, event: dict[str, Any], context: Context) -> dict[str, Any]:
        """Make renditions, and say which could not be made.

        A job may come twice, as everything may that is delivered at least once: making a rendition again does no harm,
        and one that is there already is not made again.
        """
        failures = []
        for record in event["Records"]:
            job = json.loads(record["body"])
            attempt = int(record["attributes"]["ApproximateReceiveCount"])
            async with self._heartbeat(record["receiptHandle"]):
                error = await self._make(job["media"], job["rendition"], context)
            if error:
                await run_sync(self.library.note_error, job["media"], job["rendition"], attempt, error)
                wait = self._settings.retry_delay * 2 ** (attempt - 1) if attempt < ATTEMPTS else timedelta(0)
                with suppress(QueueError):  # as above
                    await self.jobs.change_visibility(record["receiptHandle"], wait)
                failures.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failures}

    @asynccontextmanager
    async def _heartbeat(self, receipt: str) -> AsyncIterator[None]:
        """Hide a job for a short time, again and again. When the process is killed it soon comes to another one."""
        beat = self._settings.heartbeat

        async def go_on() -> None:
            with suppress(QueueError):  # it was received by somebody else: this process was suspended for a while
                while True:
                    await self.jobs.change_visibility(receipt, 3 * beat)
                    await anyio.sleep(beat.total_seconds())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on)
            yield
            tasks.cancel_scope.cancel()

    async def _make(self, media_id: str, name: str, context: Context) -> str:
        """Make a rendition; give the reason if that failed, else an empty string."""
        media = await run_sync(self.library.find, media_id)
        made = None if media is None else media.find(name)
        if media is None or made is None or made.state == "done":
            return ""  # it was removed, or the job came twice
        destination = media.key_of(made.form)
        job = {
            "source": str(self.bucket.path(media.key)),
            "destination": str(self.bucket.path(destination)),
            "scratch": str(self.bucket.scratch),
            "kind": media.upload.kind,
            "rendition": name,
        }
        response = await context.invoke("render", job)
        if response.function_error:
            return _reason(response.value)
        if not await run_sync(partial(self.library.finish, media_id, name, **response.value)):
            await run_sync(self.bucket.delete, destination)  # it was removed while this was being made
        return ""

    async def file_failure(self, event: dict[str, Any], context: Context) -> None:  # noqa: ARG002
        """File each dead letter with its owner, who is the one to decide what becomes of it."""
        for record in event["Records"]:
            job = json.loads(record["body"])
            await run_sync(self.library.give_up, job["media"], job["rendition"])

    # -- for the site --------------------------------------------------------------------------------------------

    async def upload(self, media: Media, content: BinaryIO) -> None:
        """Keep a file. When this returns, all that is to be made of it will be made, whatever happens."""
        await run_sync(self.bucket.put, media.key, content)
        await run_sync(self.library.add, media, partial(self._announce, media))

    def _announce(self, media: Media, connection: sqlite3.Connection) -> None:
        detail = {
            "bucket": {"name": "media"},
            "object": {"key": media.key, "size": media.upload.size},
            "media-id": media.id,
            "reason": "PutObject",
        }
        self._put_in(connection, [EventEntry("media.bucket", "Object Created", detail)])

    async def redrive(self, owner: str, media_id: str | None = None) -> int:
        """Have somebody's dead letters become jobs again, and count them.

        Args:
            owner: Nobody else's are touched.
            media_id: Only those of one upload; None for all.
        """
        return await run_sync(self.library.ask_again, owner, media_id, self._announce_again)

    def _announce_again(self, connection: sqlite3.Connection, renditions: list[tuple[str, str]]) -> None:
        details = [{"media": media_id, "rendition": name} for media_id, name in renditions]
        self._put_in(connection, [EventEntry("media.library", "Rendition Requested", detail) for detail in details])

    def _put_in(self, connection: sqlite3.Connection, entries: list[EventEntry]) -> None:
        for result in self.router.put_in(connection, entries):
            if result.error_code is not None:  # rolls the transaction back
                raise RuntimeError(f"The event was not accepted: {result.error_code}: {result.error_message}")

    async def remove(self, media: Media) -> None:
        """Remove an upload and its renditions. Jobs that are left for it find nothing to do."""
        await run_sync(self.library.remove, media.id)
        for key in [media.key, *(media.key_of(made.form) for made in media.renditions)]:
            await run_sync(self.bucket.delete, key)

    async def backlog(self) -> dict[str, int]:
        """Say how busy the workers are."""
        depth, workers = await self.jobs.depth(), self.workers.statistics()
        return {
            "waiting": depth.visible + depth.delayed,
            "working": workers.busy,
            "workers": workers.workers,
            "most_workers": self._settings.most_workers,
        }


def _reason(error: Any) -> str:
    """Say for people why a rendition could not be made. Paths and stack traces stay in the log."""
    kind, message = error["errorType"], cast("str", error["errorMessage"])
    if kind == "DamagedError":
        return message
    if kind == "Sandbox.Timedout":
        return "Making it took too long."
    if kind == "Runtime.ExitError":
        return "Making it took too much memory, or its process was killed."
    if kind == "FileNotFoundError":
        return "The original, or ffmpeg, is missing on the server."
    return f"An error of the service ({kind})."
