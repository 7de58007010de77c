"""Strings for all that some lists of alternatives can say of a string.

The filters of a form are read together as one automaton, which is looked at state by state: one string, a shortest one,
stands for all that lead to its state. A filter that names its strings has each of them looked at by itself.

Addresses have no short automaton, as there are many ways to write one. So of an address it is known by trying that a
string of a state is one; where none was found, there may be one all the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final, TypeAlias

from eventrouter.patterns._addresses import Address
from eventrouter.patterns._evaluate import Field
from eventrouter.patterns._forms import Form, Names, forms_of
from eventrouter.patterns._operators import AnythingBut, Cidr, ContentFilter, Exactly, Literal
from eventrouter.patterns._work import Work

#: The state in the tree of names, that of each form, and in which ways what follows can make it an address.
_State: TypeAlias = tuple[int, tuple[int, ...], int]

_PLAIN: Final = "xyzuvwmnopqrstXYZUVW"  # for a character that no filter names; none can be in an address
_OF_ADDRESSES: Final = "0123456789abcdefABCDEF.:"
_V4, _V6 = 1, 2


class Strings:
    """The strings of one field.

    Attributes:
        are_complete: Whether there was enough work left to look at every state.
        possible: What lists may say of addresses together, of which no example was found, as bits.
    """

    def __init__(self, fields: Sequence[Field], work: Work) -> None:
        tests = [test for field in fields for test in field.filters]
        self._fields, self._work = fields, work
        self._forms = [Form(tokens) for tokens in dict.fromkeys(forms_of(tests))]
        self._texts = list(dict.fromkeys(_named(tests)))
        self._names = Names(self._texts)
        self._addresses = list(dict.fromkeys(_addresses(tests)))
        mentioned = {character for form in self._forms for character in form.characters}
        named = {character for text in self._texts for character in text}
        # One character stands for all that nobody names; those of addresses are told apart where there are any.
        others = chain(_PLAIN, map(chr, range(0x100, 0x110000)))
        plain = next(one for one in others if one not in mentioned and one not in named)
        further = [one for one in _OF_ADDRESSES if self._addresses and one not in mentioned]
        self._alphabet = [*sorted(mentioned, key=_plainness), plain, *further]
        self.are_complete = True
        self.possible: list[int] = []

    def values(self) -> Iterator[str]:
        """Give strings, the shortest first; when there are no more, the attributes are set."""
        told: dict[tuple[int, int], None] = {}  # what the other filters say of strings that may be addresses
        for text, (name, _, family) in self._states():
            yield text
            if family and name == Names.OFF:
                told.setdefault((self._verdicts(text, of_addresses=False), family))
        yield from self._texts
        examples = [(text, address.family) for address in self._addresses for text in spellings(address)]
        yield from (text for text, _ in examples)
        # An IPv4 address can be written as either.
        ways = {4: _V4 | _V6, 6: _V6}
        classes = {(self._verdicts(text, of_addresses=True), ways[family]) for text, family in examples}
        classes.add((0, ways[4]))
        self.possible = [one | other for one, family in told for other, needed in classes if family & needed]

    def _states(self) -> Iterator[tuple[str, _State]]:
        start = 0, tuple(form.start for form in self._forms), _V4 | _V6 if self._addresses else 0
        seen, level = {start}, [("", start)]
        while level:
            yield from level
            following = []
            for text, state in level:
                for character in dict.fromkeys((*self._alphabet, *self._names.following(state[0]))):
                    if not self._work.take(1 + len(self._forms)):
                        self.are_complete = False
                        return
                    after = self._after(state, character)
                    if after not in seen:
                        seen.add(after)
                        following.append((text + character, after))
            level = following

    def _after(self, state: _State, character: str) -> _State:
        name, forms, family = state
        return (
            self._names.step(name, character),
            tuple(form.step(one, character) for form, one in zip(self._forms, forms, strict=True)),
            family & _families(character) if family else 0,
        )

    def _verdicts(self, text: str, *, of_addresses: bool) -> int:
        return sum(
            any(test.accepts(text) for test in field.filters if _is_of_addresses(test) == of_addresses) << index
            for index, field in enumerate(self._fields)
        )


def _plainness(character: str) -> tuple[bool, bool, str]:
    return not character.isalnum(), character.isupper(), character


def _families(character: str) -> int:
    if character in "0123456789":
        return _V4 | _V6
    if character == ".":
        return _V4
    return _V6 if character in ":abcdefABCDEF" else 0


def _is_of_addresses(test: ContentFilter) -> bool:
    return isinstance(test, Cidr) or (isinstance(test, Literal) and test.address is not None)


def _named(tests: Iterable[ContentFilter]) -> Iterator[str]:
    for test in tests:
        if isinstance(test, Exactly):
            yield test.text
        elif isinstance(test, Literal) and isinstance(test.value, str):
            yield test.value
        elif isinstance(test, AnythingBut):
            yield from sorted(value for value in test.values if isinstance(value, str))


def _addresses(tests: Sequence[ContentFilter]) -> Iterator[Address]:
    """Give an address for each way to be in some ranges and outside of the others."""
    for test in tests:
        first, last = _range(test)
        if first is not None and last is not None:
            yield first
            yield last
            highest = (1 << (32 if first.family == 4 else 128)) - 1  # noqa: PLR2004 - by the family
            if first.value > 0:
                yield first._replace(value=first.value - 1)
            if last.value < highest:
                yield last._replace(value=last.value + 1)


def _range(test: ContentFilter) -> tuple[Address, Address] | tuple[None, None]:
    if isinstance(test, Cidr):
        return test.first, test.last
    if isinstance(test, Literal) and test.address is not None:
        return test.address, test.address
    return None, None


def spellings(address: Address) -> list[str]:
    """Give some of the ways to write an address, the usual one first."""
    if address.family == 4:  # noqa: PLR2004 - its own number
        usual = str(ipaddress.IPv4Address(address.value))
        mapped = f"::ffff:{address.value >> 16:x}:{address.value & 0xFFFF:x}"
        padded = ".".join(f"{octet:03}" for octet in address.value.to_bytes(4))
        last = f"{usual.rpartition('.')[0]}.0{usual.rpartition('.')[2]}"
        return [usual, padded, f"0{usual}", last, mapped, mapped.upper(), f"0:0:0:0:0{mapped[1:]}"]
    whole = ipaddress.IPv6Address(address.value)
    return [str(whole), whole.exploded, str(whole).upper(), whole.exploded.upper()]
