"""The site: sign-in, uploads, and what has become of them, as pages and as JSON."""

import re
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeAlias

from anyio.to_thread import run_sync
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from examples.media_pipeline.accounts import DEMO_ACCOUNTS, OPERATE, READ, UPLOAD, Accounts, Session, SignInError
from examples.media_pipeline.library import Media, now
from examples.media_pipeline.pipeline import Pipeline
from examples.media_pipeline.settings import Settings
from examples.media_pipeline.uploads import IMAGES, VIDEOS, UploadRefusedError, inspect, offered, too_large
from examples.media_pipeline.web import BodyLimit, SameOriginOnly, SecurityHeaders

HERE: Final = Path(__file__).parent
COOKIE: Final = "session"
_OVERHEAD: Final = 100_000  # bytes of a form beside its file
_ID: Final = re.compile(r"[0-9a-f]{32}")

Answer: TypeAlias = Callable[["Site", Request, Session], Awaitable[Response]]


class NotSignedInError(Exception):
    """There is no valid token."""


def needs(scope: str) -> Callable[[Answer], Callable[["Site", Request], Awaitable[Response]]]:
    """Have what answers a request do so only for those who have a scope, and tell it who they are."""

    def decorate(answer: Answer) -> Callable[["Site", Request], Awaitable[Response]]:
        @wraps(answer)
        async def checked(site: "Site", request: Request) -> Response:
            session = site.session_of(request)
            if session is None:
                raise NotSignedInError
            if not session.may(scope):
                raise HTTPException(403, f"You are signed in, but may not do that: it takes the scope “{scope}”.")
            return await answer(site, request, session)

        return checked

    return decorate


class Site:
    """What answers requests.

    Args:
        settings: How.
    """

    def __init__(self, settings: Settings) -> None:
        settings.data.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.accounts = Accounts(settings.signing_key(), settings.token_lifetime)
        self.pipeline = Pipeline(settings)
        self.offers_video = shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None
        loader = FileSystemLoader(HERE / "templates")
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        environment.filters["size"] = _size
        self._templates = Jinja2Templates(env=environment)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Have the pipeline work as long as the site is there."""
        async with self.pipeline.router:
            await run_sync(self.pipeline.library.create)
            yield

    def session_of(self, request: Request) -> Session | None:
        """Give what the token of a request says: one in a header, else that of the cookie."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind:
            return self.accounts.read(token) if kind.lower() == "bearer" else None
        return self.accounts.read(request.cookies.get(COOKIE, ""))

    def _page(self, request: Request, template: str, status_code: int = 200, **context: Any) -> Response:
        return self._templates.TemplateResponse(request, template, context, status_code=status_code)

    # -- signing in ----------------------------------------------------------------------------------------------

    async def home(self, request: Request) -> Response:
        """Lead to the page that is wanted first."""
        return RedirectResponse("/sign-in" if self.session_of(request) is None else "/media", 303)

    async def sign_in_page(self, request: Request) -> Response:
        """Ask for name and password."""
        problem = "Your session has ended. Sign in again." if "ended" in request.query_params else ""
        return self._page(request, "sign_in.html", problem=problem, name="", accounts=DEMO_ACCOUNTS)

    async def sign_in(self, request: Request) -> Response:
        """Exchange name and password for a cookie with a token."""
        async with request.form(max_files=0, max_fields=5) as form:
            name, password = str(form.get("username", "")), str(form.get("password", ""))
        try:
            token, _ = await run_sync(self.accounts.exchange, name, password)
        except SignInError as error:
            status = 401 if error.retry_after is None else 429
            return self._page(request, "sign_in.html", status, problem=str(error), name=name, accounts=DEMO_ACCOUNTS)
        response = RedirectResponse("/media", 303)
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(self.settings.token_lifetime.total_seconds()),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def token(self, request: Request) -> Response:
        """Exchange name and password for a token, for programs (RFC 6749, sections 4.3 and 5)."""
        async with request.form(max_files=0, max_fields=5) as form:
            name, password = str(form.get("username", "")), str(form.get("password", ""))
            scopes = str(form["scope"]).split() if "scope" in form else None
            grant = form.get("grant_type")
        if grant != "password":
            return JSONResponse({"error": "unsupported_grant_type", "error_description": "use password"}, 400)
        try:
            token, session = await run_sync(self.accounts.exchange, name, password, scopes)
        except SignInError as error:
            headers = None if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            status = 400 if error.retry_after is None else 429
            return JSONResponse({"error": "invalid_grant", "error_description": str(error)}, status, headers)
        lifetime = int(self.settings.token_lifetime.total_seconds())
        scope = " ".join(sorted(session.scopes))
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope})

    async def sign_out(self, request: Request) -> Response:  # noqa: ARG002
        """Forget the cookie. The token is valid until it ends, which is soon."""
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    # -- media ---------------------------------------------------------------------------------------------------

    @needs(READ)
    async def list_media(self, request: Request, session: Session) -> Response:
        """Show somebody's own media."""
        if not _wants_page(request):
            media = await run_sync(self.pipeline.library.list_of, session.user)
            body: dict[str, Any] = {"media": [_as_json(each) for each in media]}
            if session.may(OPERATE):
                body["backlog"] = await self.pipeline.backlog()
            return JSONResponse(body)
        return await self._media_page(request, session)

    @needs(READ)
    async def media_fragment(self, request: Request, session: Session) -> Response:
        """Give the part of the page that changes."""
        return self._page(request, "_list.html", **await self._context(session))

    async def _media_page(self, request: Request, session: Session, status: int = 200, problem: str = "") -> Response:
        context = await self._context(session)
        notice = {"uploaded": "Uploaded.", "again": "It is being made again.", "removed": "Removed."}
        return self._page(
            request,
            "media.html",
            status,
            **context,
            problem=problem,
            notice=notice.get(request.query_params.get("done", ""), ""),
            offered=offered(offers_video=self.offers_video),
            offers_video=self.offers_video,
            accept=",".join(f".{extension}" for extension in [*IMAGES, *(VIDEOS if self.offers_video else ())]),
            largest=self.settings.largest_upload,
            too_large=too_large(self.settings),
        )

    async def _context(self, session: Session) -> dict[str, Any]:
        media = await run_sync(self.pipeline.library.list_of, session.user)
        return {
            "session": session,
            "media": media,
            "failures": sum(len(each.failures) for each in media),
            "is_pending": any(each.is_pending for each in media),
            "backlog": await self.pipeline.backlog() if session.may(OPERATE) else None,
        }

    @needs(UPLOAD)
    async def upload(self, request: Request, session: Session) -> Response:
        """Take a file."""
        async with request.form(max_files=1, max_fields=2) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "The form has no field “file” with a file.")
            try:
                checked = await run_sync(
                    lambda: inspect(file.filename or "", file.file, self.settings, offers_video=self.offers_video)
                )
            except UploadRefusedError as error:
                if _wants_page(request):
                    return await self._media_page(request, session, error.status, str(error))
                return JSONResponse({"error": str(error)}, error.status)
            media = Media(uuid.uuid4().hex, session.user, checked, now())
            await self.pipeline.upload(media, file.file)
        if _wants_page(request):
            return RedirectResponse("/media?done=uploaded", 303)
        return JSONResponse({"id": media.id}, 201, {"Location": f"/media/{media.id}"})

    async def _own(self, request: Request, session: Session) -> Media:
        """Give the media that a path names. What is somebody else's is not there."""
        media_id = request.path_params["media"]
        media = await run_sync(self.pipeline.library.find, media_id) if _ID.fullmatch(media_id) else None
        if media is None or media.owner != session.user:
            raise HTTPException(404, "There is no such media among yours.")
        return media

    @needs(READ)
    async def show(self, request: Request, session: Session) -> Response:
        """Tell of one upload."""
        return JSONResponse(_as_json(await self._own(request, session)))

    @needs(READ)
    async def download(self, request: Request, session: Session) -> Response:
        """Give a rendition, or the original as a file to keep."""
        media = await self._own(request, session)
        name = request.path_params["rendition"]
        if name == "original":
            key, content_type, label = media.key, media.upload.content_type, media.upload.name
        else:
            made = media.find(name)
            if made is None or made.state != "done":
                raise HTTPException(404, "There is no such rendition, or not yet.")
            key, content_type, label = media.key_of(made.form), made.form.content_type, None
        path = self.pipeline.bucket.path(key)
        if not path.exists():
            raise HTTPException(404, "The file is missing on the server.")
        return FileResponse(
            path, media_type=content_type, filename=label, headers={"Cache-Control": "private, max-age=300"}
        )

    @needs(UPLOAD)
    async def remove(self, request: Request, session: Session) -> Response:
        """Remove an upload and all that was made of it."""
        await self.pipeline.remove(await self._own(request, session))
        return RedirectResponse("/media?done=removed", 303) if _wants_page(request) else Response(status_code=204)

    @needs(OPERATE)
    async def redrive(self, request: Request, session: Session) -> Response:
        """Have one's own dead letters, of one upload or of all, become jobs again."""
        media_id = (await self._own(request, session)).id if "media" in request.path_params else None
        count = await self.pipeline.redrive(session.user, media_id)
        return RedirectResponse("/media?done=again", 303) if _wants_page(request) else JSONResponse({"redriven": count})

    # -- errors --------------------------------------------------------------------------------------------------

    async def not_signed_in(self, request: Request, _: Exception) -> Response:
        """Ask to sign in."""
        if _wants_page(request):
            return RedirectResponse("/sign-in?ended=1" if COOKIE in request.cookies else "/sign-in", 303)
        return JSONResponse({"error": "Sign in first."}, 401, {"WWW-Authenticate": "Bearer"})

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Say what is wrong."""
        if not isinstance(error, HTTPException):
            status, reason = 500, "An error of the service. It has been logged."
        else:
            status, reason = error.status_code, error.detail
        if _wants_page(request):
            return self._page(request, "error.html", status, error_status=status, reason=reason)
        return JSONResponse({"error": reason}, status)


def create_app(settings: Settings, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> Starlette:
    """Make the application.

    Args:
        settings: How.
        hosts: By which names it may be called; any other is refused, so that no other name can be made to lead here.
    """
    site = Site(settings)
    return Starlette(
        lifespan=site.lifespan,
        routes=[
            Route("/", site.home),
            Route("/sign-in", site.sign_in_page),
            Route("/sign-in", site.sign_in, methods=["POST"]),
            Route("/sign-out", site.sign_out, methods=["POST"]),
            Route("/token", site.token, methods=["POST"]),
            Route("/media", site.list_media),
            Route("/media", site.upload, methods=["POST"]),
            Route("/media/list", site.media_fragment),
            Route("/media/{media}", site.show),
            Route("/media/{media}", site.remove, methods=["DELETE"]),
            Route("/media/{media}/remove", site.remove, methods=["POST"]),
            Route("/media/{media}/redrive", site.redrive, methods=["POST"]),
            Route("/media/{media}/{rendition}", site.download),
            Route("/redrive", site.redrive, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(SameOriginOnly),
            Middleware(BodyLimit, limit=settings.largest_upload + _OVERHEAD, message=too_large(settings)),
        ],
        exception_handlers={
            NotSignedInError: site.not_signed_in,
            HTTPException: site.http_error,
            Exception: site.http_error,
        },
    )


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _as_json(media: Media) -> dict[str, Any]:
    return {
        "id": media.id,
        "name": media.upload.name,
        "kind": media.upload.kind,
        "size": media.upload.size,
        "uploaded_at": media.uploaded_at.isoformat(),
        "is_pending": media.is_pending,
        "original": f"/media/{media.id}/original",
        "renditions": [
            {
                "name": made.form.name,
                "state": made.state,
                "attempts": made.attempts,
                "error": made.error or None,
                "link": f"/media/{media.id}/{made.form.name}" if made.state == "done" else None,
                "width": made.width,
                "height": made.height,
                "size": made.size,
            }
            for made in media.renditions
        ],
    }


def _size(count: int) -> str:
    for unit in ("bytes", "kB"):
        if count < 1_000:  # noqa: PLR2004 - SI
            return f"{count:.0f} {unit}"
        count //= 1_000
    return f"{count} MB"
