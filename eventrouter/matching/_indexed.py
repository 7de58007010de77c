"""The code that matches one event against many rules: a look-up in each field's index, then what is left to check.

The code is made for a set of fields and the tables of their indexes, not for the rules in them, so that most rules are
added without making it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from eventrouter.matching._checks import ABSENT
from eventrouter.matching._tree import FieldIndex, Node
from eventrouter.matching._values import HELPERS, lookup_lines, lookup_names
from eventrouter.patterns import ContentFilter, Literal, SubRule

K = TypeVar("K")


def indexed_lines(
    root: Node[K], slots: Collection[int], lists: Collection[int], names: dict[str, Any], *, is_repeating: bool
) -> Iterator[str]:
    """Give the code that puts what matches into `keys`.

    Args:
        root: The rules.
        slots: The fields in use; the value of each is in `v0`, ..., by slot.
        lists: Those that may have several values, in `x0`, ...
        names: What the code refers to; is added to.
        is_repeating: Whether a key may be found twice.
    """
    names |= HELPERS | {"Absent": type(ABSENT)}
    every = range(max(slots, default=-1) + 1)
    values = "(" + "".join(f"{f'v{slot}' if slot in slots else 'ABSENT'}, " for slot in every) + ")"
    several = "(" + "".join(f"{f'x{slot}' if slot in lists else 'None'}, " for slot in every) + ")"
    indent = ""
    if lists:
        yield f"if {' or '.join(f'len(x{slot}) > 1' for slot in lists)}:"
        for slot in lists:
            yield f"    v{slot} = ABSENT"
        yield f"    keys = many({several}, {values})"
        yield "else:"
        indent = "    "
        for slot in lists:
            yield f"    v{slot} = x{slot}[0] if x{slot} else ABSENT"
    lines = ["keys = []", "found = []"]
    for slot, index in tuple(root.fields.items()):
        lines += _field_lines(slot, index, names)
    lines += ["values = None", "for bucket in found:", "    keys += bucket.done", "    if bucket.rest:"]
    lines += [f"        if values is None: values = {values}", "        bucket.run(values, keys)"]
    if is_repeating:
        lines.append("keys = [*dict.fromkeys(keys)]")
    yield from (f"{indent}{line}" for line in lines)


def _field_lines(slot: int, index: FieldIndex[K], names: dict[str, Any]) -> Iterator[str]:
    """Write the look-up in one field's index; see `FieldIndex.look_up`, which says the same."""
    lookups = list(lookup_lines(index.values, f"v{slot}", f"t{slot}", f"_{slot}"))
    names |= lookup_names(index.values, f"_{slot}")
    names |= {f"present_{slot}": index.present, f"absent_{slot}": index.absent}
    if index.present:
        lookups.append(f"found += present_{slot}")
    if index.complement:
        names[f"complement_{slot}"] = index.complement.look_up
        lookups.append(f"complement_{slot}((v{slot},), keys, found)")
    yield f"t{slot} = type(v{slot})"
    if index.absent:
        yield f"if t{slot} is Absent: found += absent_{slot}"
        yield "else:"
    elif index.present or index.complement:
        yield f"if t{slot} is not Absent:"
    else:
        yield from lookups
        return
    yield from (f"    {line}" for line in lookups or ["pass"])


def may_repeat(rules: tuple[SubRule, ...]) -> bool:
    """Say whether one value may pass two tests of a key: different literals alone exclude each other."""
    return len(rules) > 1 or any(
        len(filters) > 1 and not (all(map(_is_plain, filters)) and len({*filters}) == len(filters))
        for rule in rules
        for filters in rule.values()
    )


def _is_plain(test: ContentFilter) -> bool:
    """Say whether a test accepts one value alone, and no other test of that kind accepts it."""
    return type(test) is Literal and test.address is None
