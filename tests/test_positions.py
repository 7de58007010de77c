"""Places in a JSON text."""

import pytest

from eventrouter.positions import find, line_and_column

TEXT = """ {"a": [1, {"b": "x"}],
 "c": {"d": 2}, "c": {"e": [3]}, "c": 4}"""


@pytest.mark.parametrize(
    ("steps", "value", "place"),
    [
        ((), '{"a"', (1, 2)),
        (("a", 1, "b"), '"x"', (1, 18)),
        (("c",), "4", (2, 39)),
        (("c", "d"), "2", (2, 13)),
        (("c", "e", 0), "3", (2, 29)),
        (("a", 5), "[1,", (1, 8)),
        (("a", 0, "z"), "1", (1, 9)),
    ],
    ids=str,
)
def test_a_value_is_found_as_far_as_it_is_there(steps, value, place):
    position = find(TEXT, steps)
    assert TEXT[position:].startswith(value)
    assert line_and_column(TEXT, position) == place
