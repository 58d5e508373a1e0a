"""All rules, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from . import declared, form
from .image import image
from .running import emulator
from .target import Target

Level = Literal["bronze", "silver", "gold"]
LEVELS: tuple[Level, ...] = ("bronze", "silver", "gold")


class Rule(NamedTuple):
    """One thing that a service is held against.

    Parameters:
        id: its name, in findings and as the anchor of its paragraph in QUALITY.md.
        level: the lowest level that a service without it cannot reach.
        says: what has to be true.
        reason: why.
        check: what of a service is against it, a line each.
        runs: whether that takes the service to run, and seconds.
    """

    id: str
    level: Level
    says: str
    reason: str
    check: Callable[[Target], Iterator[str]]
    runs: bool = False


RULES = (
    Rule(
        "complete",
        "bronze",
        "The folder has its files under its own names.",
        "Images, the demo and the list of services are made from them.",
        form.complete,
    ),
    Rule(
        "contract",
        "bronze",
        "The class can be run, and its docstring says what the device is.",
        "A class that is refused at the start is found on the node otherwise.",
        declared.contract,
    ),
    Rule(
        "units",
        "bronze",
        "Units of quantities are codes of the SenML registry.",
        "A receiver knows no others; `C` is a charge there, not a temperature.",
        declared.units,
    ),
    Rule("tested", "bronze", "A test names it.", "What no test names breaks without a word.", form.tested),
    Rule(
        "current",
        "bronze",
        "The README's tables are there and as the code has them.",
        "A table written by hand is wrong within a month.",
        declared.current,
    ),
    Rule(
        "example",
        "silver",
        "The service takes the example in deploy.toml.",
        "It is the first thing that is copied.",
        declared.example,
    ),
    Rule(
        "manifests",
        "silver",
        "The manifests of each generation of ioFog are there and without errors.",
        "What a Controller refuses or drops without a word is found here.",
        declared.manifests,
    ),
    Rule(
        "ranges",
        "silver",
        "Quantities with a unit have a range, but for counts.",
        "A value that cannot be is marked uncertain by it, whatever it comes from.",
        declared.ranges,
    ),
    Rule(
        "described",
        "silver",
        "Quantities and commands are described in a few words.",
        "README, schema and pages show nothing else.",
        declared.described,
    ),
    Rule(
        "settings-described",
        "silver",
        "Settings are described in a few words.",
        "An error about a setting says what to write by them.",
        declared.settings_described,
    ),
    Rule(
        "image",
        "silver",
        "What it imports is in its image, and what it depends on has a wheel for each of the image's architectures.",
        "An image that cannot be built, or does not start, is found on the node otherwise.",
        image,
    ),
    Rule(
        "emulator",
        "gold",
        "Each quantity comes from its emulator, which takes all that the README shows for it.",
        "What cannot be played has not been seen by anybody before the device is there.",
        emulator,
        runs=True,
    ),
    Rule(
        "pure",
        "gold",
        "protocol.py and chip.py import nothing that does I/O.",
        "Bytes and values can then be tested whole, cut anywhere and at random.",
        form.pure,
    ),
    Rule(
        "random",
        "gold",
        "It has been under random faults of its bus; where there are none of that bus, its tests have random input.",
        "A reading may be lost or marked, never wrong and good; examples find what somebody thought of.",
        form.random_trials,
    ),
    Rule(
        "size",
        "gold",
        f"service.py has at most {form.LONGEST_SERVICE} lines that are not blank.",
        "It joins a device to a bus; what is longer hides something that has a name of its own.",
        form.size,
    ),
)

BADGE = Rule(
    "badge",
    "gold",
    "Its README says which level it reaches, in a line that `make docs` writes.",
    "Whoever looks for a service to copy sees which one is.",
    lambda _: iter(()),  # judged by what the other rules find
)
