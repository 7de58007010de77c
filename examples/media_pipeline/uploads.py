"""What may be uploaded, and the reasons why something may not, in words for people."""

import re
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

from PIL import Image, UnidentifiedImageError

from examples.media_pipeline.settings import Settings

Kind = Literal["image", "video"]

#: Pillow's format and the content type, by the end of the name.
IMAGES: Final = {
    "jpg": ("JPEG", "image/jpeg"),
    "jpeg": ("JPEG", "image/jpeg"),
    "png": ("PNG", "image/png"),
    "gif": ("GIF", "image/gif"),
    "webp": ("WEBP", "image/webp"),
}
#: What a file of that kind has among its first bytes, where, and the content type.
VIDEOS: Final = {
    "mp4": (4, b"ftyp", "video/mp4"),
    "mov": (4, b"ftyp", "video/quicktime"),
    "webm": (0, b"\x1a\x45\xdf\xa3", "video/webm"),
}
_LONGEST_NAME: Final = 120
_UNSAFE: Final = re.compile(r"[/\\\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


class UploadRefusedError(Exception):
    """A file is not taken. The message says why, and what to do."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Upload:
    """A file that is taken.

    Attributes:
        name: As the person called it: a label, never part of a path.
        kind: What it is.
        extension: One of those above.
        content_type: Of its content.
        size: Bytes.
    """

    name: str
    kind: Kind
    extension: str
    content_type: str
    size: int


def inspect(name: str, content: BinaryIO, settings: Settings, *, offers_video: bool) -> Upload:
    """Look at a file before it is kept. It is not decoded: that is done where it can do no harm.

    Raises:
        UploadRefusedError: Its name, size or content is not acceptable.
    """
    extension = check_name(name)
    size = content.seek(0, 2)
    content.seek(0)
    if size == 0:
        raise UploadRefusedError(f"“{name}” is empty.")
    if size > settings.largest_upload:
        raise UploadRefusedError(too_large(settings), 413)
    if extension in VIDEOS:
        if not offers_video:
            raise UploadRefusedError("Videos are not offered here: ffmpeg is not installed on the server.", 415)
        offset, magic, content_type = VIDEOS[extension]
        if not content.read(16)[offset:].startswith(magic):
            raise UploadRefusedError(f"“{name}” is called .{extension}, but its content is no such video.", 415)
        content.seek(0)
        return Upload(name, "video", extension, content_type, size)
    if extension not in IMAGES:
        raise UploadRefusedError(f"“{name}” is neither an image nor a video. {offered(offers_video=offers_video)}", 415)
    _check_image(name, extension, content, settings.most_pixels)
    content.seek(0)
    return Upload(name, "image", extension, IMAGES[extension][1], size)


def check_name(name: str) -> str:
    """Give the extension of a name.

    Raises:
        UploadRefusedError: It is no safe name for a file.
    """
    if not name:
        raise UploadRefusedError("Choose a file first.")
    if len(name) > _LONGEST_NAME:
        raise UploadRefusedError(f"The name of the file is too long; use up to {_LONGEST_NAME} characters.")
    if _UNSAFE.search(name) or name.startswith("."):
        raise UploadRefusedError(
            "The name of the file is not safe: it may have no slashes, backslashes or control characters, "
            "and may not begin with a dot. Rename the file."
        )
    return name.rpartition(".")[2].lower()


def _check_image(name: str, extension: str, content: BinaryIO, most_pixels: int) -> None:
    expected = IMAGES[extension][0]
    try:
        with Image.open(content, formats=sorted({known for known, _ in IMAGES.values()})) as image:
            found, (width, height) = image.format, image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadRefusedError(_too_many_pixels(name, most_pixels)) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise UploadRefusedError(f"“{name}” is called .{extension}, but its content is no image.", 415) from None
    if width * height > most_pixels:
        raise UploadRefusedError(_too_many_pixels(name, most_pixels))
    if found != expected:
        raise UploadRefusedError(f"“{name}” is called .{extension}, but it is a {found} file. Rename it.", 415)


def _too_many_pixels(name: str, most_pixels: int) -> str:
    return f"“{name}” has too many pixels; {most_pixels / 1_000_000:g} megapixels are the limit. Make it smaller."


def too_large(settings: Settings) -> str:
    """Say that a file is too large."""
    return f"The file is too large; {settings.largest_upload / 1_000_000:g} MB are the limit."


def offered(*, offers_video: bool) -> str:
    """Say what can be uploaded."""
    images = "JPEG, PNG, GIF and WebP images"
    return f"{images}, and MP4, MOV and WebM videos, are welcome." if offers_video else f"{images} are welcome."
