"""The media pipeline does what its README says, over HTTP, in a process of its own."""

import io
import re
import zlib
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from PIL import Image

from tests.examples.media_service import Service, picture, settled, states, upload

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover

DONE = {"thumbnail": "done", "medium": "done", "large": "done"}
FAILED = {"thumbnail": "failed", "medium": "failed", "large": "failed"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Give a service on whose path there is no ffmpeg."""
    data = tmp_path_factory.mktemp("media") / "data"
    with Service(data, "--retry-delay", "0", path="/nowhere") as service:
        yield service


@pytest.fixture(scope="module")
def ada(service):
    with service.sign_in("ada") as client:
        yield client


@pytest.fixture(scope="module")
def grace(service):
    with service.sign_in("grace") as client:
        yield client


# -- the pipeline ------------------------------------------------------------------------------------------------


def test_an_upload_becomes_renditions_with_links(ada):
    content = picture((1000, 500), "PNG")
    media_id = upload(ada, "harbour.png", content)
    harbour = settled(ada)["harbour.png"]
    assert states(harbour) == DONE
    sizes = {}
    for made in harbour["renditions"]:
        answer = ada.get(made["link"])
        image = Image.open(io.BytesIO(answer.content))
        assert answer.headers["content-type"] == f"image/{image.format.lower()}"
        assert (made["width"], made["height"], made["size"]) == (*image.size, len(answer.content))
        sizes[made["name"]] = image.size
    assert sizes == {"thumbnail": (320, 160), "medium": (800, 400), "large": (1000, 500)}
    assert ada.get(f"/media/{media_id}").json() == harbour
    original = ada.get(harbour["original"])
    assert original.headers["content-disposition"] == 'attachment; filename="harbour.png"'
    assert original.content == content


def test_pictures_stand_upright_and_do_not_say_where_they_were_taken(ada):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x010E] = "at home"
    upload(ada, "turned.jpg", picture((400, 200), exif=exif))
    [_, medium, _] = settled(ada)["turned.jpg"]["renditions"]
    image = Image.open(io.BytesIO(ada.get(medium["link"]).content))
    assert image.size == (200, 400)
    assert not image.getexif()


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("P", "GIF"), ("L", "WEBP"), ("CMYK", "JPEG"), ("I;16", "PNG")]
)
def test_every_kind_of_image_is_made(ada, mode, form):
    file = io.BytesIO()
    Image.new("L", (40, 30), 200).convert(mode).save(file, form)
    name = f"{mode}.{form.lower()}".replace(";", "").replace("jpeg", "jpg")
    upload(ada, name, file.getvalue())
    assert states(settled(ada)[name]) == DONE


def test_a_broken_image_is_a_dead_letter_until_it_is_mended_and_redriven(service, ada):
    whole = picture((600, 600))
    media_id = upload(ada, "scan.jpg", whole[: len(whole) // 2])
    scan = settled(ada)["scan.jpg"]
    assert states(scan) == FAILED
    assert {(made["attempts"], made["error"]) for made in scan["renditions"]} == {
        (3, "The image is damaged: image file is truncated")
    }
    page = ada.get("/media", headers={"Accept": "text/html"}).text
    assert f'action="/media/{media_id}/redrive"' in page
    assert "Dead-letter queue" in page

    assert ada.post(f"/media/{media_id}/redrive").json() == {"redriven": 3}  # without mending it
    assert states(settled(ada)["scan.jpg"]) == FAILED

    (service.data / f"bucket/uploads/ada/{media_id}.jpg").write_bytes(whole)
    assert ada.post("/redrive").json() == {"redriven": 3}
    assert states(settled(ada)["scan.jpg"]) == DONE
    assert ada.post("/redrive").json() == {"redriven": 0}


def test_what_is_removed_is_gone(service, ada):
    media_id = upload(ada, "oops.jpg", picture())
    oops = settled(ada)["oops.jpg"]
    assert ada.delete(f"/media/{media_id}").status_code == 204
    assert "oops.jpg" not in settled(ada)
    assert [ada.get(link).status_code for link in (oops["original"], oops["renditions"][0]["link"])] == [404, 404]
    assert [path for path in (service.data / "bucket").rglob("*") if media_id in str(path)] == []


def test_nothing_is_lost_when_the_service_is_killed(tmp_path):
    # A job that was received, but had no sign of life yet when the kill came, waits for --render-timeout and 15 s more.
    options = ["--heartbeat", "0.4", "--render-timeout", "5", "--retry-delay", "0", "--workers", "2"]
    with Service(tmp_path / "data", *options) as service:
        with service.sign_in("ada") as client:
            for number in range(5):
                upload(client, f"{number}.jpg", picture((600, 450)))
            media = []
            while sum(state == "done" for each in media for state in states(each).values()) < 2:
                media = client.get("/media").json()["media"]
        service.kill()
        assert any(each["is_pending"] for each in media)
        service.start()
        with service.sign_in("ada") as client:
            assert [states(each) for each in settled(client).values()] == [DONE] * 5
            assert len({each["id"] for each in client.get("/media").json()["media"]}) == 5
    assert list((service.data / "bucket/.incoming").iterdir()) == []


# -- who may do what ---------------------------------------------------------------------------------------------


def token_for(service, user, scope, lifetime=timedelta(minutes=1), **claims):
    """Sign a token as the service does."""
    begins = datetime.now(UTC)
    claims = {"iss": "media-pipeline", "aud": "media-pipeline", "sub": user, "scope": scope, "iat": begins} | claims
    return jwt.encode(claims | {"exp": begins + lifetime}, (service.data / "signing.key").read_bytes(), "HS256")


def test_nobody_sees_changes_or_redrives_what_is_somebody_elses(service, ada, grace):
    media_id = upload(ada, "secret.jpg", picture()[:1000])
    upload(grace, "mine.jpg", picture())
    assert states(settled(ada)["secret.jpg"]) == FAILED
    assert list(settled(grace)) == ["mine.jpg"]
    assert "secret" not in grace.get("/media", headers={"Accept": "text/html"}).text
    operator = {"Authorization": f"Bearer {token_for(service, 'grace', 'read upload operate')}"}
    for method, path in [
        ("GET", f"/media/{media_id}"),
        ("GET", f"/media/{media_id}/original"),
        ("GET", f"/media/{media_id}/thumbnail"),
        ("DELETE", f"/media/{media_id}"),
        ("POST", f"/media/{media_id}/remove"),
        ("POST", f"/media/{media_id}/redrive"),
    ]:
        answer = grace.request(method, path, headers=operator)
        assert (answer.status_code, answer.json()) == (404, {"error": "There is no such media among yours."})
    assert grace.post("/redrive", headers=operator).json() == {"redriven": 0}
    assert states(settled(ada)["secret.jpg"]) == FAILED
    ada.delete(f"/media/{media_id}")


def test_a_token_is_good_for_its_scopes_only(service):
    anything = "0" * 32
    needed = {
        ("GET", "/media"): "read",
        ("GET", "/media/list"): "read",
        ("GET", f"/media/{anything}"): "read",
        ("GET", f"/media/{anything}/original"): "read",
        ("POST", "/media"): "upload",
        ("DELETE", f"/media/{anything}"): "upload",
        ("POST", f"/media/{anything}/remove"): "upload",
        ("POST", f"/media/{anything}/redrive"): "operate",
        ("POST", "/redrive"): "operate",
    }
    with service.client() as client:
        for (method, path), scope in needed.items():
            assert client.request(method, path).status_code == 401
            for user, others in (("guest", {"read", "upload", "operate"} - {scope}), ("grace", {scope})):
                token = token_for(service, user, " ".join(others))
                answer = client.request(method, path, headers={"Authorization": f"Bearer {token}"})
                assert (answer.status_code == 403) == (scope not in others), (method, path, others)


def test_a_token_that_is_over_forged_or_for_others_is_none(service):
    key = b"x" * 32
    good = {"iss": "media-pipeline", "aud": "media-pipeline", "sub": "ada", "scope": "read"}
    later = datetime.now(UTC) + timedelta(minutes=1)
    tokens = [
        token_for(service, "ada", "read", timedelta(seconds=-1)),
        token_for(service, "nobody", "read"),
        token_for(service, "ada", "read", aud="elsewhere"),
        token_for(service, "ada", "read", iss="elsewhere"),
        jwt.encode(good | {"exp": later}, key, "HS256"),
        jwt.encode(good | {"exp": later}, None, "none"),
        jwt.encode(good, (service.data / "signing.key").read_bytes(), "HS256"),  # that never ends
        "no.token.this",
    ]
    with service.client() as client:
        for token in tokens:
            answer = client.get("/media", headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        good = token_for(service, "ada", "read")
        assert client.get("/media", headers={"Authorization": f"Bearer {good}"}).status_code == 200
        assert client.get("/media", headers={"Authorization": f"Basic {good}"}).status_code == 401


def test_fewer_scopes_can_be_asked_for_and_no_more(service):
    with service.client() as client:
        fields = {"grant_type": "password", "username": "grace", "password": "nanoseconds"}
        answer = client.post("/token", data=fields | {"scope": "read operate"}).json()
        assert (answer["scope"], answer["token_type"], answer["expires_in"]) == ("read", "Bearer", 1800)
        wrong = client.post("/token", data=fields | {"password": "?"})
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
        other = client.post("/token", data=fields | {"grant_type": "client_credentials"})
        assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")


def test_guessing_passwords_ends_soon(service):
    with service.client() as client:
        form = {"username": "guest", "password": "guess"}
        assert [client.post("/sign-in", data=form).status_code for _ in range(6)] == [401] * 5 + [429]
        answer = client.post("/token", data=form | {"grant_type": "password", "password": "looking-around"})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 61


# -- what is refused ---------------------------------------------------------------------------------------------


def claims_to_be(width, height):
    """Give a PNG of a few bytes that says it has so many pixels."""
    content = bytearray(picture((8, 8), "PNG"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


REFUSED = {
    "up": ("../up.jpg", picture(), 422, "is not safe"),
    "backslash": ("a\\b.jpg", picture(), 422, "is not safe"),
    "hidden": (".jpg", picture(), 422, "is not safe"),
    "backwards": ("a\u202egpj.exe", picture(), 422, "is not safe"),
    "long": ("a" * 121 + ".jpg", picture(), 422, "too long"),
    "empty": ("empty.jpg", b"", 422, "is empty"),
    "script": ("page.jpg", b"<script>alert(1)</script>", 415, "its content is no image"),
    "vector": ("logo.svg", b"<svg/>", 415, "neither an image nor a video"),
    "no extension": ("picture", picture(), 415, "neither an image nor a video"),
    "other image": ("a.png", picture(), 415, "is a JPEG file"),
    "other format": ("a.jpg", picture((8, 8), "TIFF"), 415, "its content is no image"),
    "large": ("wide.png", claims_to_be(40_001, 1_000), 422, "40 megapixels are the limit"),
    "bomb": ("bomb.png", claims_to_be(30_000, 30_000), 422, "40 megapixels are the limit"),
    "bytes": ("big.jpg", b"x" * 20_000_001, 413, "20 MB are the limit"),
    "body": ("big.jpg", b"x" * 21_000_000, 413, "20 MB are the limit"),
    "video": ("film.mp4", b"\0\0\0\x18ftypmp42", 415, "Videos are not offered here: ffmpeg is not installed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_good_is_refused_with_the_reason(ada, case):
    name, content, status, reason = REFUSED[case]
    answer = ada.post("/media", files={"file": (name, content)})
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    page = ada.post("/media", files={"file": (name, content)}, headers={"Accept": "text/html"})
    assert page.status_code == status
    assert reason in page.text


def test_a_form_without_a_file_is_refused(ada):
    assert ada.post("/media", data={"file": "text"}).status_code == 422
    assert ada.post("/media", files={"other": ("a.jpg", picture())}).status_code == 422
    assert ada.post("/media", content=b"?", headers={"content-type": "multipart/form-data"}).status_code == 400


def test_a_body_of_untold_length_is_not_read_to_its_end(ada):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    chunks = (begin if number == 0 else b"x" * 1_000_000 for number in range(25))
    answer = ada.post("/media", content=chunks, headers=headers)
    assert (answer.status_code, answer.json()) == (413, {"error": "The file is too large; 20 MB are the limit."})


@pytest.mark.parametrize("path", ["/media/..%2f..%2fsigning.key", "/static/..%2fapp.py", "/media/x/../../media.db"])
def test_no_path_leads_out(ada, path):
    assert ada.get(path).status_code == 404


def test_other_sites_cannot_act_for_somebody(ada, service):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert ada.post("/redrive", headers=headers).status_code == 403
    assert ada.post("/redrive", headers={"Origin": service.url, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert ada.get("/media", headers={"Host": "evil.example"}).status_code == 400


# -- pages -------------------------------------------------------------------------------------------------------


def test_pages_escape_what_people_write_and_load_nothing_from_elsewhere(ada):
    upload(ada, '"><img src=x onerror=alert(1)>.jpg', picture())
    settled(ada)
    page = ada.get("/media", headers={"Accept": "text/html"})
    assert "<img src=x" not in page.text
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r'\s(?:style|on\w+)="|https?://', page.text) == []


def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(service):
    with service.client() as client:
        client.headers["Accept"] = "text/html"
        assert client.get("/media").headers["location"] == "/sign-in"
        wrong = client.post("/sign-in", data={"username": "<ada>", "password": "?"})
        assert (wrong.status_code, "The user name or the password is wrong." in wrong.text) == (401, True)
        assert 'value="&lt;ada&gt;"' in wrong.text
        answer = client.post("/sign-in", data={"username": "ada", "password": "analytical-engine"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/media")
        assert "HttpOnly; Max-Age=1800; Path=/; SameSite=strict" in answer.headers["set-cookie"]
        assert client.get("/").headers["location"] == "/media"
        assert "Videos are not offered: ffmpeg is not installed here." in client.get("/media").text
        assert client.get("/nowhere").status_code == 404
        client.post("/sign-out")
        assert client.get("/media").headers["location"] == "/sign-in"
        client.cookies.set("session", token_for(service, "ada", "read", timedelta(seconds=-1)), domain="127.0.0.1")
        assert client.get("/media").headers["location"] == "/sign-in?ended=1"
        assert "Your session has ended." in client.get("/sign-in?ended=1").text


def test_somebody_who_may_only_look_is_offered_no_more(service):
    headers = {"Accept": "text/html", "Authorization": f"Bearer {token_for(service, 'guest', 'read')}"}
    with service.client() as client:
        page = client.get("/media", headers=headers).text
    assert "Nothing here yet" in page
    assert "Workers:" not in page
    assert '<form method="post" action="/media"' not in page
