"""The properties of the look-alike lots: streets, numbers, blocks."""

import itertools
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

RECORDS = 213_068

#: Streets that rules name, and how many lots lie there.
STREETS = {
    "FULTON": 1910, "FUNSTON": 477, "MOULTON": 22, "MASON": 2657, "MASONIC": 293, "ACADIA": 24, "BLAKE": 100,
    "BLANKEN": 342, "DRUMM": 13, "DRAKE": 25, "RHODE ISLAND": 328, "LAKE": 746, "IRVING": 1963, "SANTIAGO": 682,
    "JEFFERSON": 131, "BEACH": 211, "HYDE": 1758, "CHESTNUT": 825, "17TH": 1619, "FOLSOM": 1390, "FOERSTER": 60,
    "UNKNOWN": 6000,
}  # fmt: skip
ENDING_IN_ON = 17_921
OTHERS_IN_ON = (
    "UNION", "LAWTON", "CLAYTON", "WASHINGTON", "JACKSON", "MISSION", "EDISON", "HAMPTON", "HARRISON", "STOCKTON",
)  # fmt: skip
SYLLABLES = (
    "AL", "BAR", "CAS", "DEL", "EL", "FOR", "GAR", "HAV", "IR", "JO", "KEN", "LA", "MI",  # codespell:ignore hav
    "NOR", "OR", "PA", "QUIN", "RI", "SAN", "TA", "UL", "VI", "WA", "YOR", "ZO",
)  # fmt: skip
ENDINGS = (
    "RA", "NA", "TERO", "LY", "DEN", "WICH", "FORD", "VILLE",  # codespell:ignore wich
    "MENTO", "CREST", "RIDGE", "LOMA", "BOA", "SIA",
)  # fmt: skip
#: What prefix, suffix and ignore-case rules look for, so that invented streets must not have it.
TAKEN = re.compile(r"^(AC|BL|DR|FU|RH|MASO)|(ON|KE|MM|ING|GO)$")
UNNUMBERED = (17, 21, 22, 23, 31, 32, 33, 41, 42, 43)

NO_STREET_TYPE = 6000  # as many as lie in the street UNKNOWN
STREET_TYPES = {"ST": 116_386, "STWY": 15, "CT": 1774}
OTHER_STREET_TYPES = (
    *["AVE"] * 10, "DR", "DR", "WAY", "BLVD", "BLVD", "TER", "RD", "PL", "LN", "ALY", "CIR", "HWY",
)  # fmt: skip
ODD_OFF_ST = 52_527

#: The wildcards that rules look for in MAPBLKLOT, and how many records have each.
MAP_WILDCARDS = tuple(re.compile(text) for text in (r"^143", r"^2.*0.*1.*7$", r"218$", r"^3.*5.*2$", r"^VA.*IL$"))


@dataclass(frozen=True)
class Properties:
    """One list for each property, as long as there are records."""

    street: list[str]
    street_type: list[str | None]
    odd_even: list[str]
    number: list[str]
    planted_numbers: frozenset[str]
    block: list[str]
    lot: list[str]
    map_block_lot: list[str]


def draw(rand: random.Random) -> Properties:
    """Draw what every record holds, but for the numbers that rules ask for together with something else."""
    street = _streets(rand)
    street_type = _street_types(rand, street)
    odd_even = _odd_even(rand, street_type)
    number, planted = _numbers(rand, street)
    block, lot, map_block_lot = _blocks(rand, street_type, odd_even)
    return Properties(street, street_type, odd_even, number, planted, block, lot, map_block_lot)


def plant_joint_numbers(rand: random.Random, properties: Properties, multi: set[int]) -> None:
    """Plant the house numbers that rules ask for together with a street, or with the type of a geometry."""
    number, street = properties.number, properties.street
    others = (
        i
        for i in shuffled(rand)
        if i not in multi and number[i] not in properties.planted_numbers and street[i] != "FOERSTER"
    )
    for i in list(itertools.islice(others, 19)):
        number[i] = "2521"
    in_foerster = (i for i in range(RECORDS) if street[i] == "FOERSTER")
    number[next(i for i in in_foerster if number[i] not in properties.planted_numbers)] = "755"


def shuffled(rand: random.Random) -> list[int]:
    """Give the numbers of all records in a random order."""
    numbers = list(range(RECORDS))
    rand.shuffle(numbers)
    return numbers


def _streets(rand: random.Random) -> list[str]:
    invented = sorted({a + b + c for a in SYLLABLES for b in SYLLABLES for c in ENDINGS})
    invented = [name for name in invented if not TAKEN.search(name) and name not in STREETS]
    rand.shuffle(invented)
    pool = invented[:1300] + [f"{number:02}TH" for number in range(4, 49) if number not in UNNUMBERED]
    streets = [name for name, count in STREETS.items() for _ in range(count)]
    others = ENDING_IN_ON - sum(count for name, count in STREETS.items() if name.endswith("ON"))
    streets += itertools.islice(itertools.cycle(OTHERS_IN_ON), others)
    weights = [1.0 / (rank + 8) for rank in range(len(pool))]
    streets += rand.choices(pool, weights, k=RECORDS - len(streets))
    rand.shuffle(streets)
    return streets


def _street_types(rand: random.Random, street: list[str]) -> list[str | None]:
    types = [name for name, count in STREET_TYPES.items() for _ in range(count)]
    types += rand.choices(OTHER_STREET_TYPES, k=RECORDS - len(types) - NO_STREET_TYPE)
    rand.shuffle(types)
    left = iter(types)
    return [None if name == "UNKNOWN" else next(left) for name in street]


def _odd_even(rand: random.Random, street_type: list[str | None]) -> list[str]:
    sides = [rand.choice("EO") for _ in range(RECORDS)]
    off_st = [i for i, kind in enumerate(street_type) if kind != "ST"]
    rand.shuffle(off_st)
    for rank, i in enumerate(off_st):
        sides[i] = "O" if rank < ODD_OFF_ST else "E"
    return sides


def _numbers(rand: random.Random, street: list[str]) -> tuple[list[str], frozenset[str]]:
    numbers = [""] * RECORDS
    order = shuffled(rand)
    planted = ["441"] * 2453
    planted += [
        rand.choice(["440", "442", "445", "447", "449", "44", "4400", "4420", "4455"]) for _ in range(3977 - 2453)
    ]
    planted += [rand.choice(["41", "141", "241", "741", "1241", "1641", "2041", "3141"]) for _ in range(4013 - 2453)]
    for value, i in zip(planted, order, strict=False):
        numbers[i] = value
    for i in order[len(planted) :]:
        while not numbers[i]:
            value = str(rand.randint(1, 4699))
            taken = value.startswith("44") or value.endswith("41") or value == "2521"
            if not taken and not (street[i] == "FOERSTER" and value == "755"):
                numbers[i] = value
    return numbers, frozenset(planted)


def _blocks(
    rand: random.Random, street_type: list[str | None], odd_even: list[str]
) -> tuple[list[str], list[str], list[str]]:
    block, lot, both = [""] * RECORDS, [""] * RECORDS, [""] * RECORDS

    def put(i: int, name: str) -> None:
        while not block[i]:
            number = f"{rand.randint(1, 199):03}"
            if not any(wildcard.search(name + number) for wildcard in MAP_WILDCARDS):
                block[i], lot[i], both[i] = name, number, name + number

    order = shuffled(rand)
    for i in order[:59]:
        put(i, "3027A")
    for name, count, suits in (
        ("2183", 27, lambda i: odd_even[i] == "E"),
        ("2183", 13, lambda i: odd_even[i] != "E"),
        ("3789", 527, lambda i: street_type[i] == "ST"),
        ("3789", 73, lambda i: street_type[i] != "ST"),
    ):
        free = (i for i in order[59:] if not block[i] and suits(i))
        for i in list(itertools.islice(free, count)):
            put(i, name)
    names = [f"{number:04}" for number in range(1, 7400)]
    names = [name for name in names if name not in {"2183", "3789"} and not name.startswith("143")]
    for i in range(RECORDS):
        if not block[i]:
            put(i, rand.choice(names))
    planted = _map_block_lots(rand)
    for value, i in zip(planted, shuffled(rand), strict=False):
        both[i] = value
    return block, lot, both


def _map_block_lots(rand: random.Random) -> list[str]:
    def digits(count: int) -> str:
        return "".join(rand.choice("0123456789") for _ in range(count))

    def fill(count: int, wanted: int, make: Callable[[], str]) -> list[str]:
        made: list[str] = []
        while len(made) < count:
            text = make()
            if [k for k, wildcard in enumerate(MAP_WILDCARDS) if wildcard.search(text)] == [wanted]:
                made.append(text)
        return made

    planted = ["1430022"] + ["2607117"] * 101 + ["2607218"] * 35 + ["3745012"] * 655 + ["VACSTWIL"]
    planted += fill(490 - 1, 0, lambda: "143" + digits(4))
    planted += fill(713 - 101, 1, lambda: "2" + digits(5) + "7")
    planted += fill(43 - 35, 2, lambda: digits(4) + "218")
    planted += fill(2540 - 655, 3, lambda: "3" + digits(5) + "2")
    return planted
