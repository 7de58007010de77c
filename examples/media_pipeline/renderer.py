"""Makes one rendition. It runs in a process of its own, with a memory limit, that is killed when it takes too long.

Decoding what strangers have uploaded is where things go wrong, so this module knows neither the database nor the
router: it is given paths, and answers with sizes.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError

from examples.media_pipeline.uploads import IMAGES, Kind


@dataclass(frozen=True)
class Rendition:
    """One of the forms in which media are shown.

    Attributes:
        name: What it is called, in paths as well.
        extension: Of its file.
        content_type: Of its content.
        box: It is made to fit into a square of so many pixels, and never larger than it was.
    """

    name: str
    extension: str
    content_type: str
    box: int


RENDITIONS: Final[dict[Kind, tuple[Rendition, ...]]] = {
    "image": (
        Rendition("thumbnail", "webp", "image/webp", 320),
        Rendition("medium", "jpg", "image/jpeg", 800),
        Rendition("large", "webp", "image/webp", 1600),
    ),
    "video": (
        Rendition("thumbnail", "jpg", "image/jpeg", 320),
        Rendition("video", "mp4", "video/mp4", 640),
    ),
}
#: Nothing is taken from the network, whatever a file refers to.
_FFMPEG: Final = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file")
#: The demuxer is said as well: otherwise the content decides, and may be a playlist.
_DEMUXERS: Final = {"mp4": "mov", "mov": "mov", "webm": "matroska"}


class DamagedError(Exception):
    """The media cannot be decoded."""


def render(event: dict[str, Any], context: object) -> dict[str, int]:  # noqa: ARG001 - a function has two arguments
    """Make a rendition.

    Args:
        event: `source`, `destination` and `scratch`, a directory on the same disk, which are paths; `kind`; and
            `rendition`, its name.
        context: Not used.

    Returns:
        `width`, `height` and `size` in bytes. The destination is there as a whole, or not at all.

    Raises:
        DamagedError: The source is no image or video that can be decoded.
    """
    source, destination = Path(event["source"]), Path(event["destination"])
    [rendition] = [each for each in RENDITIONS[event["kind"]] if each.name == event["rendition"]]
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(event["scratch"]) / f"{os.getpid()}{destination.suffix}"
    try:
        if event["kind"] == "image":
            width, height = _render_image(source, partial, rendition)
        else:
            width, height = _render_video(source, partial, rendition)
        size = partial.stat().st_size
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)
    return {"width": width, "height": height, "size": size}


def _render_image(source: Path, destination: Path, rendition: Rendition) -> tuple[int, int]:
    form = IMAGES[rendition.extension][0]
    try:
        with Image.open(source, formats=sorted({known for known, _ in IMAGES.values()})) as opened:
            opened.draft("RGB", (rendition.box, rendition.box))  # a JPEG is decoded at a size near to that
            image = ImageOps.exif_transpose(opened)
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            image = image.convert("RGBA" if has_alpha else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        reason = "it is no image" if isinstance(error, UnidentifiedImageError) else str(error).partition(" (")[0]
        raise DamagedError(f"The image is damaged: {reason}") from error
    image.thumbnail((rendition.box, rendition.box))
    if form == "JPEG" and has_alpha:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.info.clear()  # where the picture was taken is nobody's business
    image.save(destination, form, quality=82)
    return image.size


def _render_video(source: Path, destination: Path, rendition: Rendition) -> tuple[int, int]:
    box = rendition.box
    fit = f"scale=w='min({box},iw)':h='min({box},ih)':force_original_aspect_ratio=decrease:force_divisible_by=2"
    begin = [*_FFMPEG, "-f", _DEMUXERS[source.suffix[1:]], "-i", str(source), "-map_metadata", "-1", "-vf"]
    if rendition.extension == "jpg":
        _run_ffmpeg([*begin, fit, "-frames:v", "1", "-c:v", "mjpeg", "-f", "image2", str(destination)])
        with Image.open(destination, formats=["JPEG"]) as image:
            return image.size
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    _run_ffmpeg([*begin, fit, *encode, "-movflags", "+faststart", "-f", "mp4", str(destination)])
    return _size_of_video(destination)


def _run_ffmpeg(command: list[str]) -> None:
    # No timeout here: the function has one, and what it has started is killed with it.
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - no shell
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"ffmpeg ended with {run.returncode}"]
        raise DamagedError(f"The video is damaged: {lines[-1].rpartition('/')[2]}")


def _size_of_video(path: Path) -> tuple[int, int]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height"]
    run = subprocess.run(  # noqa: S603 - no shell
        [*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True
    )
    width, height = run.stdout.strip().split(",")[:2]
    return int(width), int(height)
