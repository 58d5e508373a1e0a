"""How files of sysfs become a value: tables for each class of devices, one way to evaluate them. No I/O."""

from __future__ import annotations

import errno
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from device_bridge import Value

PAGE = 4096
"""Bytes of the longest file that is read: the kernel's own limit (Documentation/filesystems/sysfs.rst)."""
_NUMBER = re.compile(r"[+-]?(\d{1,19}(\.\d{1,19})?|\.\d{1,19})( dB)?", re.ASCII)
_DIGITS = 12
"""Digits that are left: what a factor such as 0.001 adds beyond them is rounding."""

Content: TypeAlias = "str | int"
"""What is in a file, or the number of the error with which it could not be read."""


class Measure(NamedTuple):
    """What a kind of channel measures.

    Parameters:
        unit: of the SenML registry.
        factor: from the kernel's unit to that one.
        valid: the least and greatest value that can be.
        description: in a few words.
    """

    unit: str
    factor: float
    valid: tuple[float, float] | None
    description: str


class Fault(Exception):  # noqa: N818 - not an error of the program
    """A channel has no value; the text says why."""


@dataclass(frozen=True)
class Recipe:
    """The files of one channel, as a device has them.

    Parameters:
        value: the file that is measured by.
        factor: the value in the channel's unit, times the scale.
        scale, offset: files, "" for none: (value + offset) * scale.
        faults: files with 1 while the value means nothing.
        present: files with 0 while there is nothing to measure.
        alarms: files with 1 while a limit is passed.
        parse: the text as a value; raises Fault.
    """

    value: str
    factor: float = 1.0
    scale: str = ""
    offset: str = ""
    faults: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    parse: Callable[[str], Value] | None = None

    @property
    def files(self) -> list[str]:
        """All of them; those that say whether it is valid come after it."""
        known = (self.value, self.scale, self.offset, *self.faults, *self.present, *self.alarms)
        return [file for file in known if file]


class Evaluated(NamedTuple):
    """What came of a recipe.

    Parameters:
        value: None for none.
        reason: why it is not good; "" when it is.
        alarm: whether a limit is passed; None where the device does not say, or cannot now.
    """

    value: Value | None
    reason: str = ""
    alarm: bool | None = None


@dataclass(frozen=True)
class DeviceClass:
    """A class of devices in sysfs.

    Parameters:
        name: in settings.
        folder: below /sys, where there is an entry for each.
        entries: what the name of an entry matches.
        name_file: of a device, with the name its driver gives it; "" where the entry is its name.
        measure: what a channel by this name measures; None for no such channel.
        recipe: how it is read from a device with these files and labels; raises Fault where it has no such channel.
        channels: of a device with these files.
        labels: the files with labels of channels, each with its channel.
        example: of a channel, for errors.
    """

    name: str
    folder: str
    entries: re.Pattern[str]
    name_file: str
    measure: Callable[[str], Measure | None]
    recipe: Callable[[str, Collection[str], Mapping[str, str]], Recipe]
    channels: Callable[[Collection[str]], list[str]]
    labels: Callable[[Collection[str]], dict[str, str]]
    example: str


def without_labels(_: Collection[str]) -> dict[str, str]:
    """For classes whose channels have none."""
    return {}


def number(text: str) -> float:
    """A number as drivers write it. Raises Fault for anything else, and for one that may be cut off."""
    stripped = text.strip()
    if not stripped:
        raise Fault("the file is empty")
    if not _NUMBER.fullmatch(stripped):
        raise Fault(f"not a number: {stripped[:40]!r}")
    value = float(stripped.removesuffix(" dB"))
    if not text.endswith("\n"):
        raise Fault("cut off: the kernel ends a value with a new line")
    return value


def flag(text: str) -> bool:
    """0 or 1. Raises Fault."""
    value = number(text)
    if value not in (0, 1):
        raise Fault(f"neither 0 nor 1: {text.strip()[:40]!r}")
    return value == 1


def word(text: str) -> str:
    """A state in words. Raises Fault, also for the one that says that it is not known."""
    stripped = text.removesuffix("\n")
    if not stripped.strip():
        raise Fault("the file is empty")
    if stripped == text or not stripped.isprintable():
        raise Fault("not a line of text")
    if stripped.strip() == "Unknown":
        raise Fault("the driver does not know it")
    return stripped.strip()[:200]


def evaluate(recipe: Recipe, contents: Mapping[str, Content]) -> Evaluated:
    """The channel's value out of what its files hold; what cannot be read is no value, with the reason."""
    alarm = _alarm(recipe, contents)
    try:
        for file in recipe.faults:
            if flag(_text(contents, file)):
                return Evaluated(None, f"the driver says {file}", alarm)
        for file in recipe.present:
            if not flag(_text(contents, file)):
                return Evaluated(None, "the device says that it is not present", alarm)
        value = (recipe.parse or number)(_text(contents, recipe.value))
        if isinstance(value, str | bool):
            return Evaluated(value, alarm=alarm)
        if recipe.offset:
            value += number(_text(contents, recipe.offset))
        if recipe.scale:
            value *= number(_text(contents, recipe.scale))
        value = float(f"{value * recipe.factor:.{_DIGITS}g}")
        if not math.isfinite(value):
            return Evaluated(None, "not a number that can be", alarm)
        return Evaluated(value, alarm=alarm)
    except Fault as fault:
        return Evaluated(None, str(fault), alarm)


def _alarm(recipe: Recipe, contents: Mapping[str, Content]) -> bool | None:
    """One that is on is enough; that none is on takes all of them."""
    known: list[bool | None] = []
    for file in recipe.alarms:
        try:
            known.append(flag(_text(contents, file)))
        except Fault:
            known.append(None)
    return True if True in known else None if None in known or not known else False


def _text(contents: Mapping[str, Content], file: str) -> str:
    content = contents.get(file, errno.ENOENT)
    if isinstance(content, int):
        raise Fault(f"{file}: {describe(content)}")
    return content


_ERRORS = {
    errno.EIO: "the driver could not read the device (EIO): wiring, supply, or a checksum",
    errno.EAGAIN: "the driver has no value yet (EAGAIN)",
    errno.ENODATA: "the driver has no value now (ENODATA)",
    errno.ETIMEDOUT: "the device does not answer the driver (ETIMEDOUT)",
    errno.ENXIO: "the device does not answer the driver (ENXIO)",
    errno.EREMOTEIO: "the device does not answer the driver (EREMOTEIO)",
    errno.ENODEV: "the device is gone (ENODEV)",
    errno.ENOENT: "there is no such file",
    errno.EBUSY: "another program keeps the device busy (EBUSY)",
    errno.EINVAL: "the driver refuses (EINVAL)",
    errno.EACCES: "access denied",
    errno.EPERM: "access denied",
    errno.EROFS: "the folder is bound read-only",
    errno.EFBIG: "too long for a value of sysfs",
    errno.EBADMSG: "not text",
    errno.ELOOP: "links that lead in a circle",
}


def describe(number_of_error: int) -> str:
    """An error of the kernel in words."""
    return _ERRORS.get(number_of_error, f"error {errno.errorcode.get(number_of_error, number_of_error)}")
