"""Look-alikes of the GeoJSON of San Francisco's lots, which AWS's event-ruler is measured with.

The real file (213,068 records, 180 MB) is too large to ship. These have its field names, its nesting and its mean size
of 870 bytes, and values planted so that each rule of `workloads.json` matches as many records as it does there. All is
drawn from one seeded generator, so the order in which it is asked is part of the result.
"""

import gzip
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cache import cached
from benchmarks.citylots_properties import RECORDS, draw, plant_joint_numbers, shuffled

SEED = 20_260_101
SOURCES = ("citylots.py", "citylots_properties.py")

#: The longitudes that numeric rules have for bounds, and the corner that they look for.
SPLIT, WEST, EAST = -122.41600944012424, -122.46471267081272, -122.4063085128395
CORNER_X, CORNER_Y = -122.42916360922355, 37.729900216217324
GAP = 0.001
ZONES = {
    1: (-122.514, WEST - GAP),
    2: (WEST + GAP, SPLIT - GAP),
    3: (SPLIT + GAP, EAST - GAP),
    4: (EAST + GAP, -122.366),
}
#: How many corners a lot has: to be chosen from.
CORNERS = (
    *[5] * 42, *[6] * 10, *[7] * 10, *[8] * 7, *[9] * 9, *[10] * 4, *[12] * 4, *[14] * 4, *[18] * 4, *[25] * 3,
    *[40] * 2, 70, 90,
)  # fmt: skip

Point = tuple[float, float]


@dataclass(frozen=True)
class Crossing:
    """A lot that lies on a bound: its first corner is up to so far from it, its second on the other side."""

    bound: float
    nearest: float
    farthest: float
    second: float | None


@dataclass(frozen=True)
class Places:
    """Where lots lie, but for the coordinates of their corners, which are drawn as they are written."""

    zone: list[int]
    multi: set[int]
    crossings: dict[int, Crossing]


def records() -> Iterator[dict[str, Any]]:
    """Draw all records, in order."""
    rand = random.Random(SEED)  # noqa: S311  # look-alikes, not secrets
    properties = draw(rand)
    places = _places(rand)
    plant_joint_numbers(rand, properties, places.multi)
    for i in range(RECORDS):
        yield {
            "type": "Feature",
            "properties": {
                "MAPBLKLOT": properties.map_block_lot[i],
                "BLKLOT": properties.block[i] + properties.lot[i],
                "BLOCK_NUM": properties.block[i],
                "LOT_NUM": properties.lot[i],
                "FROM_ST": properties.number[i],
                "TO_ST": properties.number[i],
                "STREET": properties.street[i],
                "ST_TYPE": properties.street_type[i],
                "ODD_EVEN": properties.odd_even[i],
            },
            "geometry": _geometry(rand, places, i),
        }


def lines() -> Iterator[bytes]:
    """Give each record as compact JSON."""
    for record in records():
        yield json.dumps(record, separators=(",", ":")).encode()


def everything() -> list[bytes]:
    """Give all records as JSON, from a file that is generated the first time (some ten seconds)."""
    with gzip.open(_cached_all(), "rb") as file:
        return file.read().splitlines()


def every(step: int) -> list[bytes]:
    """Give every so many-th record as JSON, from a file likewise."""
    sample = cached(f"citylots-every-{step}.jsonl", *SOURCES, write=lambda path: _sample(path, step))
    return sample.read_bytes().splitlines()


def _cached_all() -> Path:
    return cached("citylots.jsonl.gz", *SOURCES, write=_all)


def _sample(path: Path, step: int) -> None:
    with gzip.open(_cached_all(), "rb") as source, path.open("wb") as file:
        file.writelines(itertools.islice(source, 0, None, step))


def _all(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=3) as file:
        for line in lines():
            file.write(line + b"\n")


def _places(rand: random.Random) -> Places:
    """Place every lot in a zone between the bounds, then move some onto a bound."""
    in_three = 18_000
    in_two = 127_053 - in_three
    sizes = (148_948 - in_two, in_two, in_three, RECORDS)
    order = shuffled(rand)
    zone = [0] * RECORDS
    left = iter(order)
    for number, size in enumerate(sizes, 1):
        for i in itertools.islice(left, size):
            zone[i] = number
    multi = set(shuffled(rand)[:120])
    lots = {number: [i for i in order if zone[i] == number and i not in multi] for number in ZONES}
    crossings: dict[int, Crossing] = {}
    for chosen, crossing in (
        (lots[2][:2], Crossing(CORNER_X, 0.0, 0.0, None)),
        (lots[2][2:218], Crossing(CORNER_X, -3e-4, 3e-4, CORNER_X)),
        (lots[2][218:466], Crossing(SPLIT, -1e-5, -2e-4, SPLIT + 1e-4)),
        (lots[3][:498], Crossing(SPLIT, 1e-5, 2e-4, SPLIT - 1e-4)),
        (lots[1][:216], Crossing(WEST, -1e-5, -2e-4, WEST + 1e-4)),
        (lots[4][:216], Crossing(EAST, 1e-5, 2e-4, EAST - 1e-4)),
    ):
        crossings.update(dict.fromkeys(chosen, crossing))
    return Places(zone, multi, crossings)


def _geometry(rand: random.Random, places: Places, i: int) -> dict[str, Any]:
    corners = rand.choice(CORNERS)
    y = _rounded(rand.uniform(37.708, 37.812))
    crossing = places.crossings.get(i)
    if crossing is None:
        x = _rounded(rand.uniform(*ZONES[places.zone[i]]))
    elif crossing.farthest:
        x = _rounded(crossing.bound + rand.uniform(crossing.nearest, crossing.farthest))
    else:
        x = crossing.bound
    rings = [_ring(rand, x, y, corners)]
    is_multi = i in places.multi
    if is_multi:
        rings += [_ring(rand, _rounded(x + 1e-5), _rounded(y + 5e-4), 5) for _ in range(rand.randint(1, 2))]
    first = rings[0]
    if crossing is not None and crossing.second is not None:
        first[1] = (_rounded(crossing.second), first[1][1])
    if is_multi and i == min(places.multi):
        first[1] = (first[1][0], CORNER_Y)
    coordinates = [[_point(corner) for corner in ring] for ring in rings]
    return {
        "type": "MultiPolygon" if is_multi else "Polygon",
        "firstCoordinates": _point(first[0]),
        "coordinates": [[ring] for ring in coordinates] if is_multi else coordinates,
    }


def _ring(rand: random.Random, x: float, y: float, corners: int) -> list[Point]:
    inner = [
        (_rounded(x + rand.uniform(-4e-4, 4e-4)), _rounded(y + rand.uniform(-4e-4, 4e-4))) for _ in range(corners - 2)
    ]
    return [(x, y), *inner, (x, y)]


def _rounded(value: float) -> float:
    """Leave at most 17 significant digits, as the real data has."""
    return float(f"{value:.14f}")


def _point(corner: Point) -> dict[str, float]:
    return {"x": corner[0], "y": corner[1], "z": 0.0}
