"""The page of the media pipeline in a browser: seen, used with the keyboard alone, narrow and wide.

./dev test -m browser tests/examples
"""

import os
import shutil
import subprocess
import tempfile

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.examples.media_service import Service, picture, settled, upload

pytestmark = [pytest.mark.browser, pytest.mark.no_cover]

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1200, "height": 820}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("media") / "data", "--retry-delay", "0") as service:
        yield service


@pytest.fixture
def page():
    """Give a page of a new browser. Whatever it complains about, other than a status that was expected, is a failure."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=FLAGS, viewport=WIDE
        )
        [page] = browser.pages
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        yield page
        browser.close()
    assert [text for text in complaints if "the server responded with a status" not in text] == []


def sign_in(page, service, user="ada", password="analytical-engine"):  # noqa: S107 - everybody may know it
    """Sign in by keyboard alone."""
    page.goto(service.url)
    expect(page.get_by_label("User name")).to_be_focused()  # without a click
    page.keyboard.type(user)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def choose(page, name, content):
    page.get_by_label("Add a file").set_input_files({"name": name, "mimeType": "image/jpeg", "buffer": content})


def test_from_signing_in_to_a_mended_image(page, service):
    sign_in(page, service, password="wrong")  # noqa: S106
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    sign_in(page, service)
    expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()

    whole = picture((600, 400))
    choose(page, "<b>harbour & quay.jpg", whole)
    page.get_by_role("button", name="Upload").press("Enter")
    expect(page.get_by_text("Uploaded.")).to_be_visible()
    preview = page.get_by_alt_text("Preview of <b>harbour & quay.jpg")
    expect(preview).to_be_visible()
    assert preview.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    expect(page.get_by_role("status")).to_have_text("Everything is made.")
    for name in ("thumbnail", "medium", "large"):
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()

    choose(page, "scan.jpg", whole[: len(whole) // 2])
    page.get_by_role("button", name="Upload").click()
    queue = page.get_by_role("region", name="Dead-letter queue")
    expect(queue).to_contain_text("scan.jpg, large: The image is damaged: image file is truncated")
    expect(page.get_by_role("status")).to_have_text("Finished, with failures.")
    [broken] = [path for path in (service.data / "bucket/uploads/ada").iterdir() if path.stat().st_size < len(whole)]
    broken.write_bytes(whole)
    page.get_by_role("button", name="Redrive scan.jpg").press("Space")
    expect(page.get_by_text("It is being made again.")).to_be_visible()
    expect(page.get_by_alt_text("Preview of scan.jpg")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Everything is made.")
    expect(queue).to_have_count(0)

    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Remove scan.jpg").click()
    expect(page.get_by_alt_text("Preview of scan.jpg")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove scan.jpg").click()
    expect(page.get_by_text("Removed.")).to_be_visible()
    expect(page.get_by_alt_text("Preview of scan.jpg")).to_have_count(0)


def test_a_file_that_is_refused_says_why(page, service, tmp_path):
    sign_in(page, service)
    choose(page, "a.png", picture())
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("“a.png” is called .png, but it is a JPEG file.")
    big = tmp_path / "big.jpg"
    big.touch()
    os.truncate(big, 20_000_001)
    page.get_by_label("Add a file").set_input_files(big)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("The file is too large; 20 MB are the limit.")


def test_a_video_gets_a_poster_and_plays_and_a_damaged_one_is_a_dead_letter(page, service, tmp_path):
    film = tmp_path / "film.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=duration=1:size=320x180:rate=5"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-movflags", "+faststart", film], check=True)  # noqa: S607
    content = film.read_bytes()
    with service.sign_in("ada") as client:
        media_id = upload(client, "film.mp4", content)
        upload(client, "half.mp4", content[: len(content) // 4])
        settled(client)
        sizes = [(made["width"], made["height"]) for made in client.get(f"/media/{media_id}").json()["renditions"]]
    assert sizes == [(320, 180), (320, 180)]
    sign_in(page, service)
    expect(page.get_by_alt_text("Preview of film.mp4")).to_be_visible()
    expect(page.get_by_role("region", name="Dead-letter queue")).to_contain_text(
        "half.mp4, video: The video is damaged"
    )
    page.get_by_role("link", name="video", exact=True).click()
    expect(page.locator("video")).to_have_js_property("videoWidth", 320)


def test_it_fits_narrow_screens_and_wide_ones(page, service):
    with service.sign_in("grace") as client:
        upload(client, "a-very-long-name-" * 6 + ".jpg", picture())
        upload(client, "broken.jpg", picture()[:2000])
        settled(client)
    for size, has_pictures in ((NARROW, True), (WIDE, True), (NARROW, False)):
        page.set_viewport_size(size)
        if not has_pictures:  # as before they have come, when their names stand in their places
            page.route("**/thumbnail", lambda route: route.fulfill(content_type="image/jpeg", body=b""))
        for user, password in (("guest", "looking-around"), ("grace", "nanoseconds")):
            page.context.clear_cookies()
            page.goto(service.url)
            assert overflow(page) == []
            sign_in(page, service, user, password)
            expect(page.get_by_role("heading", name="My media")).to_be_visible()
            assert overflow(page) == []
    expect(page.get_by_role("button", name="Redrive")).to_have_count(0)
    expect(page.get_by_text("Your account may not redrive them.")).to_be_visible()


def overflow(page):
    """Name what is wider than the screen, once the page has its style."""
    page.wait_for_load_state()
    return page.evaluate(
        "[...document.querySelectorAll('body *')].filter(each => !each.closest('.skip, .hidden')"
        " && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 80))"
    )


def test_the_keyboard_reaches_everything_and_live_changes_leave_it_where_it_is(page, service):
    with service.sign_in("ada") as client:
        upload(client, "first.jpg", picture())
        settled(client)
        sign_in(page, service)
        expect(page.get_by_alt_text("Preview of first.jpg")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        remove = page.get_by_role("button", name="Remove first.jpg")
        for _ in range(30):
            page.keyboard.press("Tab")
            if remove.evaluate("each => each === document.activeElement"):
                break
        expect(remove).to_be_focused()
        upload(client, "second.jpg", picture())
        expect(page.get_by_alt_text("Preview of second.jpg")).to_be_visible()
        expect(remove).to_be_focused()
    page.context.clear_cookies()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()  # as soon as it asks again
