"""A module that declares its functions, as an application does."""

from eventrouter import EventRouter

router = EventRouter()


@router.function("shout", isolation="process")
def shout(event, context):
    return event.upper()
