"""Functions that run in processes of their own: a child finds them by importing this module."""

import contextlib
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

from eventrouter import DeliveryError, EventEntry, PermanentDeliveryError


def echo(event, context):
    return {
        "event": event,
        "version": context.function_version,
        "id": context.aws_request_id,
        "pid": os.getpid(),
        "remaining": context.get_remaining_time_in_millis(),
        "principal": context.identity.principal,
        "state": context.state,
    }


def fail(event, context):
    raise ValueError("no such order")


def give_up(event, context):
    raise PermanentDeliveryError("never")


def hang(event, context):
    """Stick where no thread could be stopped, with a child of its own."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    Path(event["path"]).write_text(f"{os.getpid()} {child}")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    while True:
        pass


def grow(event, context):
    held = []
    for _ in range(event["mb"]):
        held.append(bytearray(1024 * 1024))
    return len(held)


def daemonize(event, context):
    """Leave something behind that holds the pipes open."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    Path(event["path"]).write_text(str(child))
    os._exit(7)


def leave(event, context):
    sys.exit(event)


def die(event, context):
    os.kill(os.getpid(), event)


def once(event, context):
    """Fail as often as there is no such file, by running out of memory."""
    path = Path(event["path"])
    if not path.exists():
        path.touch()
        return grow({"mb": 1_000}, context)
    return "in the end"


def say(event, context):
    sys.stdout.write("to standard output\n")
    sys.stdout.flush()
    sys.stderr.write("to standard error\n")
    sys.stderr.write("x" * event)


def much(event, context):
    return "x" * event


def note(event, context):
    Path(event["path"]).write_text(str(os.getpid()))
    time.sleep(event["seconds"])


def odd(event, context):
    return object()


def use(event, context):
    """Do what the event says, through the context."""
    match event:
        case {"put": source}:
            [result] = context.put_events([EventEntry(source, "Done", {"ok": True})])
            return {"id": result.event_id, "code": result.error_code}
        case {"call": name}:
            response = context.invoke(name, {"n": 1})
            return {"value": response.value, "status": response.status_code}
        case {"odd": _}:
            context.put_events([EventEntry("shop", "Done", "no object")])
        case {"send": queue}:
            return context.send_message(queue, {"n": 1}).message_id
    return None


@contextlib.contextmanager
def lifespan():
    path = Path(os.environ["EVENTROUTER_TEST_LIFESPAN"])
    path.write_text("enter ")
    yield "ready"
    path.write_text(path.read_text() + "leave ")


@contextlib.contextmanager
def broken_lifespan():
    raise OSError("no database")
    yield


@contextlib.contextmanager
def exiting_lifespan():
    sys.exit(5)
    yield


def later(event, context):
    raise DeliveryError("not now", retry_after=timedelta(seconds=event))
