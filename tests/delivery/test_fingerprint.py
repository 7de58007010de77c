"""Errors that differ in their variable parts only are one error."""

import re
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import DeadLetter, Subscription, error_fingerprint
from eventrouter.delivery.fingerprint import masked_error
from tests.support import NOON, make_event

LETTER = DeadLetter(
    "q", make_event(), Subscription("default", "r", "t"), "", "", "E", "OSError: down", "MaximumRetryAttempts", 2, NOON
)


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("OSError", "OSError"),
        ("OSError: down", "OSError: down"),
        ("HTTP2Error: stream 7", "HTTP2Error: stream *"),
        ("KeyError: 'total'", "KeyError: *"),
        ('E: no "x y" in `z`, don\'t', "E: no * in *, don't"),
        ("E: -5 or +1.5e-7 or 1,000.50 at 12:30:05 from 10.0.0.1:80", "E: * or * or * at * from *"),
        ("E: i-0abc12345 of EC2, 0xDEAD, deadbeef1, 01HXYZABCDEFGHJKMNPQ", "E: i-* of EC*, *, *, *"),
        ("E: 550e8400-e29b-41d4-a716-446655440000.", "E: *."),
        ("E: GET https://x.example/1?a=b gave 503", "E: GET * gave *"),
        ("E: no /var/lib/x.db, C:\\a\\b, ./x or ~/y; and/or", "E: no *, *, * or *; and/or"),
        ('E: bad "cut off he', "E: bad *"),
        ("E: 'a\nb, c", "E: 'a\nb, c"),
        ("Error 5: x", "Error *: x"),
        ("", ""),
    ],
)
def test_the_variable_parts_of_a_message_are_taken_out(message, masked):
    assert masked_error(message) == masked


parts = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.uuids().map(str),
    st.integers(2**40, 2**80).map("{:x}".format).filter(lambda text: re.search(r"\d", text)),
    st.integers(0).map(hex),
    st.from_regex(r"'[a-z ]{0,8}'", fullmatch=True),
    st.from_regex(r'"[a-z0-9 ]{0,8}"', fullmatch=True),
    st.from_regex(r"(/[a-z0-9_.]{1,5}){1,4}", fullmatch=True),
)


@given(st.lists(st.sampled_from(["order", "for", "EC", "failed", "don't"])), st.data())
def test_a_fingerprint_is_the_same_whatever_the_variable_parts_are(words, data):
    def fill(name):
        return "ValueError: " + " ".join(f"{word} {data.draw(parts, label=name)}" for word in words)

    one, other = (replace(LETTER, error_message=fill(name)) for name in ("one", "other"))
    assert error_fingerprint(one) == error_fingerprint(other)
    assert error_fingerprint(one) != error_fingerprint(replace(one, error_code="TIMEOUT"))
    assert error_fingerprint(one) != error_fingerprint(replace(one, error_message=one.error_message[1:]))


@given(st.text())
def test_masking_takes_any_text_and_masking_again_changes_nothing(message):
    masked = masked_error(f"E: {message}")
    assert not re.search(r"[0-9]", masked)
    assert len(masked) <= 301


def test_only_the_beginning_of_a_long_message_counts():
    """A message is cut at a length; where the cut falls depends on its variable parts."""
    assert masked_error("E: " + "x " * 500 + "a") == masked_error("E: " + "x " * 500 + "b")


def test_a_fingerprint_is_the_same_in_every_process():
    assert error_fingerprint(LETTER) == error_fingerprint(replace(LETTER, id=7, queue="other", retry_attempts=1))
    assert error_fingerprint(LETTER) == "50d8a9c6b3ec"
    assert UUID(int=int(error_fingerprint(replace(LETTER, error_message="\udc80")), 16))


@pytest.mark.parametrize("piece", ["'a ", '"\n', "1.", "/", "a'", "C:", "1.1e", "abcdef01-", "a.", '\\"', "a://"])
def test_a_hostile_message_is_masked_in_time_that_grows_with_its_length(piece):
    """The square of it would take hours."""
    assert len(masked_error("E: " + piece * 50_000)) <= 302
