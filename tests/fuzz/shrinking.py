"""Greedy shrinking: take the first simpler text that still shows the difference, until there is none."""

from __future__ import annotations

import json
from collections import Counter

from tests.fuzz.comparison import compare_as

LETTERS = ("a", "b", "c")


class Raw(str):  # noqa: SLOT000 - a number as it is spelled, or true, false, null
    pass


class Pairs(list):
    """An object as its members, of which names may repeat."""


def shrink(subject, difference):
    """A *difference* of the same kind, on a pattern and an event as small as greed gets them."""
    pattern_form, event_form = difference.forms

    def still_different(pattern, event):
        found = compare_as(subject, (pattern_form, (event_form,)), pattern, [event], Counter())
        return found if found and found.kind == difference.kind else None

    smaller = difference
    while smaller:
        difference = smaller
        attempts = (still_different(pattern, event) for pattern, event in simpler_pairs(difference))
        smaller = next(filter(None, attempts), None)
    return difference


def simpler_pairs(difference):
    pattern, event = difference.pattern, difference.event
    yield from ((less, event) for less in simpler_texts(pattern))
    yield from ((pattern, less) for less in simpler_texts(event))
    trees = read(pattern), read(event)
    if all(isinstance(tree, Pairs) for tree in trees):
        yield from (
            pair for changed in changed_together(*trees) if (pair := tuple(map(render, changed))) != (pattern, event)
        )


def changed_together(*trees):
    """Both with the same level taken out, the same name made a single letter, or the same value a plain number."""
    names = sorted({name for tree in trees for name in names_in(tree)} - {"$or"})
    for name in names:
        yield tuple(without_level(tree, name, deep=True) for tree in trees)
        yield tuple(without_level(tree, name, deep=False) for tree in trees)
    for name in names:
        if name not in LETTERS:
            unused = [letter for letter in LETTERS if letter not in names]
            yield from (tuple(rename(tree, name, letter) for tree in trees) for letter in unused[:1])
    pattern_values, event_values = ({render(leaf) for leaf in leaves_in(tree)} for tree in trees)
    for value in sorted((pattern_values & event_values) - {"1"}):
        yield tuple(substitute(tree, value) for tree in trees)


def children_of(node):
    return [child for _, child in node] if isinstance(node, Pairs) else node if isinstance(node, list) else []


def names_in(node):
    own = [name for name, _ in node] if isinstance(node, Pairs) else []
    return [*own, *(name for child in children_of(node) for name in names_in(child))]


def leaves_in(node):
    return [leaf for child in children_of(node) for leaf in leaves_in(child)] if isinstance(node, list) else [node]


def without_level(node, name, *, deep):
    if isinstance(node, Pairs):
        members = Pairs()
        for key, child in node:
            less = without_level(child, name, deep=deep) if deep else child
            members += less if key == name and isinstance(less, Pairs) else [(key, less)]
        return members
    return [without_level(child, name, deep=deep) for child in node] if isinstance(node, list) and deep else node


def rename(node, name, new):
    if isinstance(node, Pairs):
        return Pairs((new if key == name else key, rename(child, name, new)) for key, child in node)
    return [rename(child, name, new) for child in node] if isinstance(node, list) else node


def substitute(node, value):
    if isinstance(node, Pairs):
        return Pairs((name, substitute(child, value)) for name, child in node)
    if isinstance(node, list):
        return [substitute(child, value) for child in node]
    return Raw("1") if render(node) == value else node


def read(text):
    try:
        return json.loads(text, object_pairs_hook=Pairs, parse_int=Raw, parse_float=Raw, parse_constant=Raw)
    except ValueError:
        return None


def simpler_texts(text):
    tree = read(text)
    if tree is None:
        yield from shorter(text)
        return
    seen = {text}
    for candidate in (tree, *simpler(tree)):  # the tree itself: its plain spelling is a step, and is taken once
        rendered = render(candidate)
        if rendered not in seen:
            seen.add(rendered)
            yield rendered


def shorter(text):
    size = len(text) // 2
    while size:
        for at in range(0, len(text), size):
            yield text[:at] + text[at + size :]
        size //= 2


def simpler(node):
    if isinstance(node, Raw):
        yield from (Raw(plain) for plain in ("0", "1") if len(plain) < len(node))
    elif isinstance(node, str):
        yield from ([*shorter(node), "a"] if len(node) > 1 else [""] if node else [])
    elif isinstance(node, Pairs):
        yield from (child for _, child in node)
        for at, (name, child) in enumerate(node):
            yield Pairs(node[:at] + node[at + 1 :])
            if name == "$or" and isinstance(child, list):  # one branch instead of the choice
                yield from (Pairs([*node[:at], *one, *node[at + 1 :]]) for one in child if isinstance(one, Pairs))
            yield from (Pairs([*node[:at], (name, less), *node[at + 1 :]]) for less in simpler(child))
            if len(name) > 1 and name != "$or":
                yield from (Pairs([*node[:at], (less, child), *node[at + 1 :]]) for less in shorter(name))
    elif isinstance(node, list):
        yield from node
        for at, child in enumerate(node):
            yield node[:at] + node[at + 1 :]
            yield from ([*node[:at], less, *node[at + 1 :]] for less in simpler(child))


def render(node):
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, Pairs):
        return f"{{{','.join([f'{json.dumps(name)}:{render(child)}' for name, child in node])}}}"
    if isinstance(node, list):
        return f"[{','.join(map(render, node))}]"
    return json.dumps(node)  # None, True and False among them
