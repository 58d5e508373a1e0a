"""Finds a GPIO line by what people call it. No I/O, and no guess which board this is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Chip(NamedTuple):
    """A GPIO chip as the kernel describes it.

    Parameters:
        path: how it is opened.
        name: `gpiochip0`; kernels renumber chips.
        label: what the driver calls it (`pinctrl-bcm2711`); the same from kernel to kernel.
        lines: name of each line, "" for one without.
    """

    path: str
    name: str
    label: str
    lines: tuple[str, ...]


class AddressError(ValueError):
    """A line that cannot be found, with what can be."""


_PI_HEADER = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")
"""Labels of the chips behind the 40 pins of Raspberry Pis; there the offset is the number after GPIO."""
_PI_PINS = {
    3: 2,
    5: 3,
    7: 4,
    8: 14,
    10: 15,
    11: 17,
    12: 18,
    13: 27,
    15: 22,
    16: 23,
    18: 24,
    19: 10,
    21: 9,
    22: 25,
    23: 11,
    24: 8,
    26: 7,
    27: 0,
    28: 1,
    29: 5,
    31: 6,
    32: 12,
    33: 13,
    35: 19,
    36: 16,
    37: 26,
    38: 20,
    40: 21,
}
_PI_HEADER_LINES = 28
_SHOWN = 12


def find_line(chips: Sequence[Chip], chip: str, line: str) -> tuple[Chip, int]:
    """The chip and the offset of a line.

    Parameters:
        chips: all there are.
        chip: label, name or path of the chip; "" where the line's name is enough.
        line: its name, or its offset; on Raspberry Pis also `GPIO17` and `BOARD11`, whatever the lines are called.

    Raises AddressError.
    """
    candidates = _chips_called(chips, chip) if chip else list(chips)
    if line.isdecimal():
        return _by_offset(candidates, chip, int(line))
    named = [(found, offset) for found in candidates for offset, name in enumerate(found.lines) if name == line]
    if len(named) == 1:
        return named[0]
    header = [found for found in candidates if found.label in _PI_HEADER]
    offset = _pi_offset(line)
    if offset is not None and len(header) == 1 and offset < _PI_HEADER_LINES:
        return header[0], offset
    if named:
        places = ", ".join(f"{found.label} line {offset}" for found, offset in named)
        raise AddressError(f"several lines are called {line!r}: {places}; name the chip too, or its offset")
    names = [name for found in candidates for name in found.lines if name]
    known = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    raise AddressError(f"no line is called {line!r}; {f'there are {known}' if names else 'none has a name here'}")


def _chips_called(chips: Sequence[Chip], wanted: str) -> list[Chip]:
    for attribute in ("label", "name", "path"):
        found = [chip for chip in chips if getattr(chip, attribute) == wanted]
        if found:
            return found
    known = ", ".join(f"{chip.label} ({chip.name})" for chip in chips) or "none at all"
    raise AddressError(f"no GPIO chip is called {wanted!r}; there are {known}")


def _by_offset(candidates: Sequence[Chip], chip: str, offset: int) -> tuple[Chip, int]:
    if not chip:
        raise AddressError(f"line {offset} of which chip? Name it by its label, or the line by its name")
    if len(candidates) > 1:
        names = ", ".join(found.name for found in candidates)
        raise AddressError(f"several chips are labelled {chip!r}: {names}; name the line by its name")
    if offset >= len(candidates[0].lines):
        raise AddressError(f"{chip} has {len(candidates[0].lines)} lines, from 0; {offset} is none")
    return candidates[0], offset


def _pi_offset(line: str) -> int | None:
    match = re.fullmatch(r"(GPIO|BOARD)(\d{1,2})", line)
    if not match:
        return None
    number = int(match[2])
    return number if match[1] == "GPIO" else _PI_PINS.get(number)
