"""Finds a GPIO line by what people call it. No I/O, and no guess which board this is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Chip(NamedTuple):
    """A GPIO chip as the kernel describes it.

    Parameters:
        path: how it is opened.
        name: `gpiochip0`; kernels renumber chips.
        label: what the driver calls it (`pinctrl-bcm2711`); the same from kernel to kernel.
        lines: name of each line, "" for one without.
        aliases: other device nodes of the same chip, as the Raspberry Pi 5 has one by its old number.
    """

    path: str
    name: str
    label: str
    lines: tuple[str, ...]
    aliases: tuple[str, ...] = ()


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
_SUGGESTED = 3
_PARTS = re.compile(r"[^\s()\[\],/]+")
"""What a line is called, and its functions: `P9_22 [spi0_sclk]` on mainline BeagleBones."""


def find_line(chips: Sequence[Chip], chip: str, line: str | int) -> tuple[Chip, int]:
    """The chip and the offset of a line.

    Parameters:
        chips: all there are.
        chip: label, name or path of the chip; "" where the line's name is enough.
        line: its name, in any case, with or without the functions that the kernel writes behind it, or one of these;
            or its offset; on Raspberry Pis also `GPIO17` and `BOARD11`, whatever the lines are called.

    Raises AddressError, with the nearest names.
    """
    candidates = _chips_called(chips, chip) if chip else list(chips)
    line = str(line)
    if line.isdecimal():
        return _by_offset(candidates, chip, int(line))
    if len(found := _lines(candidates, lambda name: name == line)) == 1:
        return found[0]
    header = [found for found in candidates if found.label in _PI_HEADER]
    offset = _pi_offset(line)
    if not found and offset is not None and len(header) == 1 and offset < _PI_HEADER_LINES:
        return header[0], offset
    wanted = line.casefold()
    for is_called in (
        lambda name: name.casefold() == wanted,
        lambda name: _parts(name)[:1] == [wanted],
        lambda name: wanted in _parts(name),
    ):
        found = found or _lines(candidates, is_called)
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(f"{place.label} line {offset}" for place, offset in found)
        raise AddressError(f"several lines are called {line!r}: {places}; name the chip too, or its offset")
    raise AddressError(f"no line is called {line!r}; {_known(candidates, line)}")


def _lines(chips: Sequence[Chip], is_called: Callable[[str], bool]) -> list[tuple[Chip, int]]:
    return [(chip, offset) for chip in chips for offset, name in enumerate(chip.lines) if is_called(name)]


def _parts(name: str) -> list[str]:
    return _PARTS.findall(name.casefold())


def _known(chips: Sequence[Chip], line: str) -> str:
    names = [name for chip in chips for name in chip.lines if name]
    if not names:
        return "none has a name here"
    import difflib  # noqa: PLC0415 - needed to help once, not to run

    by_part = {part: name for name in reversed(names) for part in _parts(name)}
    near = dict.fromkeys(by_part[part] for part in difflib.get_close_matches(line.casefold(), by_part, n=_SUGGESTED))
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}there are {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"


def _chips_called(chips: Sequence[Chip], wanted: str) -> list[Chip]:
    for attribute in ("label", "name", "path"):
        found = [chip for chip in chips if getattr(chip, attribute) == wanted]
        if found:
            return found
    if found := [
        chip for chip in chips if any(wanted in (alias, alias.rpartition("/")[2]) for alias in chip.aliases)
    ]:
        return found
    known = ", ".join(f"{chip.label} ({chip.name})" for chip in chips) or "none at all"
    raise AddressError(f"no GPIO chip is called {wanted!r}; there are {known}")


def _by_offset(candidates: Sequence[Chip], chip: str, offset: int) -> tuple[Chip, int]:
    if not chip:
        names = [f"GPIO{offset}"] if any(found.label in _PI_HEADER for found in candidates) else []
        names += [f"a line of {found.label}" for found in candidates if offset < len(found.lines)]
        hint = f" Do you mean {', or '.join(names)}?" if names else ""
        raise AddressError(f"line {offset} of which chip? Name it by its label, or the line by its name.{hint}")
    if len(candidates) > 1:
        names = [found.name for found in candidates]
        raise AddressError(f"several chips are labelled {chip!r}: {', '.join(names)}; name the line by its name")
    if offset >= len(candidates[0].lines):
        raise AddressError(f"{chip} has {len(candidates[0].lines)} lines, from 0; {offset} is none")
    return candidates[0], offset


def _pi_offset(line: str) -> int | None:
    match = re.fullmatch(r"(GPIO|BOARD)(\d{1,2})", line.upper())
    if not match:
        return None
    number = int(match[2])
    return number if match[1] == "GPIO" else _PI_PINS.get(number)
