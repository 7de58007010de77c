"""The algebra of patterns against the oracle: each witness is put to it, each proof on events that could refute it.

`python -m tests.fuzz.algebra --pairs 100000` asks all four questions of so many pairs, tells the shares of the answers,
and exits with 1 at the first wrong one.
"""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from multiprocessing import Pool

from eventrouter import Pattern
from eventrouter.patterns import Unknown
from eventrouter.patterns._tree import dumps
from tests import generators, oracle
from tests.generator_values import pick

CHUNK = 1_000
#: What few fields may be, such that rules often overlap, imply one another, and depend on what is absent where.
PATHS = ("a", "a.b", "a.c", "a.z", "a.b.d", "c", "A.b")
SMALL = ("1", "2", '"x"', "null", '{"exists":true}', '{"exists":false}', '{"exists":false}', '{"anything-but":1}',
         '{"anything-but":"x"}', '{"prefix":"x"}', '{"suffix":"x"}', '{"numeric":[">",1]}', '{"numeric":["<=",1]}',
         '{"equals-ignore-case":"X"}', '{"wildcard":"*x*"}', '"10.0.0.1"', '{"cidr":"10.0.0.0/31"}')  # fmt: skip
VALUES = ("1", "2", "0", '"x"', '"X"', '"xy"', '"axb"', "null", '"10.0.0.1"', '"010.0.0.0"')
ENVELOPE = ("source", "detail-type", "replay-name", "resources", "id")


def small_pattern(rng, *, on_a_bus):
    """A pattern of few fields with few alternatives, at times with an `$or`."""

    def fields(count):
        paths = rng.sample([f"detail.{path}" for path in PATHS] + list(ENVELOPE) if on_a_bus else PATHS, count)
        return {path: f"[{','.join(rng.sample(SMALL, pick(rng, (1, 1, 1, 2, 3))))}]" for path in paths}

    def text(some):
        return ",".join([f'"{path}":{alternatives}' for path, alternatives in some.items()])

    whole = text(fields(pick(rng, (1, 2, 2, 3))))
    if rng.random() < 0.4:
        branches = [text(fields(pick(rng, (1, 1, 2)))) for _ in range(pick(rng, (2, 2, 3)))]
        whole = f'{whole},"$or":[{",".join([f"{{{branch}}}" for branch in branches])}]'
    return f"{{{whole}}}"


def small_event(rng, *, on_a_bus, arrays):
    """An event with these fields and values."""

    def element(names, depth=0):
        members = [f'"{name}":{value(depth + 1)}' for name in names if rng.random() < 0.5]
        return f"{{{','.join(members)}}}"

    def value(depth):
        kind = rng.random()
        if kind < 0.45 or depth > 2:
            return pick(rng, VALUES)
        if kind < 0.7 or not arrays:
            return element(("b", "c", "z", "d"), depth)
        return f"[{','.join([value(depth) for _ in range(pick(rng, (1, 2, 2, 3)))])}]"

    if not on_a_bus:
        return element(("a", "a", "c", "A") if arrays else ("a", "c", "A"))
    texts = {
        name: pick(rng, ('"x"', '"X"', '"y"'))
        for name in ("version", "id", "detail-type", "source", "account", "time", "region")
    }
    if rng.random() < 0.3:
        texts["replay-name"] = pick(rng, ('"x"', '"y"'))
    resources = rng.sample(('"x"', '"y"', '"10.0.0.1"'), pick(rng, (0, 0, 1, 2) if arrays else (0, 1)))
    members = ",".join([f'"{name}":{text}' for name, text in texts.items()])
    return f'{{{members},"resources":[{",".join(resources)}],"detail":{element(("a", "c", "A"))}}}'


#: What a field of an element may be: the few values that `NEIGHBOURS_SAY` tells apart.
NEIGHBOURS_SAY = ("1", "2", "1,2", '{"exists":true}', '{"exists":false}', '{"exists":false}', '1,{"exists":false}',
                  '{"exists":true},{"exists":false}', '{"anything-but":1},{"exists":false}')  # fmt: skip


def neighbours(rng):
    """A pattern of fields that may be in the elements of one array, where each may have to be absent (11.5)."""
    names = rng.sample(("b", "c", "z"), pick(rng, (1, 2, 2, 3)))
    return f'{{"a":{{{",".join([_neighbour(rng, name) for name in names])}{_or_neighbours(rng)}}}}}'


def _neighbour(rng, name):
    return f'"{name}":[{pick(rng, NEIGHBOURS_SAY)}]'


def _or_neighbours(rng):
    if rng.random() < 0.6:
        return ""
    branches = [",".join([_neighbour(rng, name) for name in rng.sample("bcz", pick(rng, (1, 2)))]) for _ in range(2)]
    return f',"$or":[{",".join([f"{{{branch}}}" for branch in branches])}]'


def elements(rng):
    """An event with an array of two or three elements, each with any of the fields."""
    return f'{{"a":[{",".join([_element(rng) for _ in range(pick(rng, (1, 2, 2, 3)))])}]}}'


def _element(rng):
    members = [f'"{name}":{pick(rng, "12")}' for name in "bcz" if rng.random() < 0.5]
    return f"{{{','.join(members)}}}"


def mutated(rng, text):
    """A pattern that has much in common with another one, and may mean the same."""
    document = json.loads(text)
    fields = list(_fields(document))
    holder, name = pick(rng, fields)
    kind, alternatives = int(rng.random() * 7), holder[name]
    if kind == 0 and len(holder) > 1:
        del holder[name]
    elif kind == 1:
        alternatives.append(json.loads(generators.alternative(rng)[0]))
    elif kind == 2 and len(alternatives) > 1:
        alternatives.pop(int(rng.random() * len(alternatives)))
    elif kind == 3 and len(alternatives) > 1 and "$or" not in holder:
        holder["$or"] = [{name: [one]} for one in alternatives]
        del holder[name]
    elif kind == 4:
        holder[name] = [json.loads(generators.alternative(rng)[0])]
    elif kind == 5 and "$or" not in document:
        document = {"$or": [document, json.loads(small_pattern(rng, on_a_bus=False))]}
    else:
        holder[f"{name}2"] = [{"exists": rng.random() < 0.5}]
    result = json.dumps(document)
    try:
        oracle.compile_pattern(result)
    except oracle.Refused:
        return text
    return result


def _fields(document):
    for name, value in document.items():
        if name == "$or":
            for branch in value:
                yield from _fields(branch)
        elif isinstance(value, dict):
            yield from _fields(value)
        else:
            yield document, name


def pair(rng):
    """The texts of two patterns, events, and the keywords of the questions."""
    kind = rng.random()
    options = {"on_a_bus": kind < 0.2, "arrays": rng.random() < 0.7}
    if kind > 0.75:
        return neighbours(rng), neighbours(rng), [elements(rng) for _ in range(60)], options
    if kind < 0.5:
        first, second = (small_pattern(rng, on_a_bus=options["on_a_bus"]) for _ in range(2))
        if rng.random() < 0.3:
            second = mutated(rng, first) if not options["on_a_bus"] else second
        return first, second, [small_event(rng, **options) for _ in range(8)], options
    first, plan = generators.pattern(rng)
    second, other = (mutated(rng, first), plan) if rng.random() < 0.6 else generators.pattern(rng)
    events = [generators.event(rng, plan + other), generators.event(rng, plan), generators.event(rng, other, miss=True)]
    return first, second, [*events, generators.random_event(rng)], options


REFUTES = {
    "overlaps": lambda first, second: first and second,
    "implies": lambda first, second: first and not second,
    "equivalent": lambda first, second: first != second,
    "is_empty": lambda first, second: first,
}


def is_single(leaves):
    """Whether every field has one value at most, and no array has two elements."""
    elements = {element for values in leaves.values() for _, trail in values for element in trail.items()}
    return all(len(values) < 2 for values in leaves.values()) and len(elements) == len(dict(elements))


def is_of_a_bus(event):
    texts = {name: event.get(name) for name in ("version", "id", "detail-type", "source", "account", "time", "region")}
    resources, others = event.get("resources"), event.keys() - texts.keys() - {"resources", "detail", "replay-name"}
    return (
        all(isinstance(text, str) for text in (*texts.values(), event.get("replay-name", "")))
        and isinstance(resources, list)
        and all(isinstance(one, str) for one in resources)
        and isinstance(event.get("detail"), dict)
        and not others
    )


def asked(first, second, question, options):
    if question == "is_empty":
        return Pattern.parse(first).is_empty(on_a_bus=options["on_a_bus"])
    return getattr(Pattern.parse(first), question)(Pattern.parse(second), **options)


def compare(first, second, events, options, answers):
    """The first wrong answer of one pair, if any; all of them are counted in *answers*."""
    try:
        rules = oracle.compile_pattern(first), oracle.compile_pattern(second)
    except oracle.Refused:  # of the oracle's: the branches of `$or` multiply to more than it takes
        answers["not asked", "too many branches"] += 1
        return None
    leaves = [oracle.flatten(event) for event in events]
    told = [(some, [oracle.decide(rule, some) for rule in rules]) for some in leaves]
    for question, refutes in REFUTES.items():
        answer = asked(first, second, question, options)
        if isinstance(answer, Unknown):
            answers[question, "unknown"] += 1
            answers["because", answer.reason] += 1
            continue
        answers[question, str(bool(answer))] += 1
        single = not options["arrays"] and question != "is_empty"
        if answer.witness is None:
            if (question == "overlaps") == answer.holds:
                return f"{question}: {answer} without a witness"
            for event, (some, verdicts) in zip(events, told, strict=True):
                if refutes(*verdicts) and not (single and not is_single(some)):
                    return f"{question}: {answer} is refuted by {event}"
        else:
            some = oracle.flatten(dumps(answer.witness))
            shows = refutes(*[oracle.decide(rule, some) for rule in rules]) and (question == "overlaps") == answer.holds
            if single:
                shows = shows and is_single(some)
            if not shows or (options["on_a_bus"] and not is_of_a_bus(answer.witness)):
                return f"{question}: {answer} is not shown by {dumps(answer.witness)}"
    return None


def run_chunk(pairs, seed):
    rng, answers = random.Random(seed), Counter()  # noqa: S311 - reproducible, no secret
    for _ in range(pairs):
        first, second, events, options = pair(rng)
        wrong = compare(first, second, events, options, answers)
        if wrong:
            return answers, f"{first}\n{second}\n{options}\n{wrong}"
    return answers, None


def _unpacked(work):
    return run_chunk(*work)


def run(pairs, seed, jobs=1):
    """All chunks: the answers counted, and the first that is wrong."""
    sizes = [min(CHUNK, pairs - start) for start in range(0, pairs, CHUNK)]
    total, work = Counter(), [(size, f"{seed}:{number}") for number, size in enumerate(sizes)]
    with Pool(jobs) as pool:
        for answers, wrong in pool.imap_unordered(_unpacked, work) if jobs > 1 else map(_unpacked, work):
            total += answers
            if wrong:
                return total, wrong
    return total, None


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.algebra", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000, help="pairs of patterns (%(default)s)")
    parser.add_argument("--seed", default=None, help="any text; by default a new one, printed, each time")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    options = parser.parse_args(arguments)
    seed, started = options.seed or f"{time.time_ns() % 10**9}", time.monotonic()
    print(f"--seed {seed}", flush=True)
    total, wrong = run(options.pairs, seed, options.jobs)
    for question in REFUTES:
        shares = {name: count for (asked_, name), count in total.items() if asked_ == question}
        told = ", ".join(f"{count / sum(shares.values()):.2%} {name}" for name, count in sorted(shares.items()))
        print(f"{question}: {told}")
    for (kind, reason), count in total.items():
        if kind == "because":
            print(f"unknown, as {reason}: {count}")
    print(
        f"{sum(count for (kind, _), count in total.items() if kind == 'is_empty'):,} pairs in {time.monotonic() - started:.0f} s"
    )
    print(wrong or "No wrong answer.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
