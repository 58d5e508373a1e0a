"""Readings of a device, and how far to trust them."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

Value: TypeAlias = float | int | str | bool


def is_finite(number: float) -> bool:
    """Whether a number can be calculated with: an integer can have more digits than any float."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


class Quality(enum.Enum):
    """How far a reading can be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    """Measured, but outside the limits where the device promises its accuracy, or an outlier."""
    STALE = "stale"
    """The last value known; the device has been silent for longer than its settings allow."""
    BAD = "bad"
    """No usable value: no fix, device gone, sentinel value, checksum error."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one quantity, taken at one moment.

    Parameters:
        name: the quantity, as declared by the service (`temperature`, `lat`).
        value: in `unit`; `None` only when the quality is not good.
        unit: a unit code of the SenML registry (RFC 8428 section 12.1, RFC 8798), "" for none.
        time: seconds since 1970-01-01 UTC; 0.0 lets the runtime stamp it on arrival, a negative one means so many
            seconds before that.
        quality: how far to trust the value.
        reason: why the quality is not good, in a few words; "" when it is.
    """

    name: str
    value: Value | None
    unit: str = ""
    time: float = 0.0
    quality: Quality = Quality.GOOD
    reason: str = ""


Sample: TypeAlias = Sequence[Reading]
"""Readings taken together, at one moment. They travel in one message."""


_LEAST_AGE_S = 0.05
"""A younger sample is one of now."""


def aged(sample: Sample, age_s: float) -> Sample:
    """A sample that has waited for so many seconds until now: its readings have the time they came at."""
    if age_s < _LEAST_AGE_S:
        return sample
    return [msgspec.structs.replace(one, time=one.time - age_s) if one.time <= 0 else one for one in sample]


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """What a service forwards from elsewhere, beside readings of a device of its own.

    Parameters:
        content: readings to be named and stamped as its own, or the whole content of a message.
        infotype, infoformat: what the content is, when it is not readings.
        tag: of the message; see `iofog_sdk.Address`.
    """

    content: Sample | bytes
    infotype: str = ""
    infoformat: str = ""
    tag: str = ""


class Quantity(msgspec.Struct, frozen=True):
    """What a service measures: the table that documentation, checks and dashboards are made from.

    Parameters:
        name: as it appears in readings.
        unit: SenML unit code, "" for none.
        valid: the least and greatest value the device can mean; a reading outside is marked uncertain.
        description: one line for people.
        optional: whether few devices measure it: it is reported lost only once it has been measured.
        period: after which its values repeat, as 360 of a direction in degrees, counted from the least of `valid` or
            0; filters then work on the circle. 0 for never.
    """

    name: str
    unit: str = ""
    valid: tuple[float, float] | None = None
    description: str = ""
    optional: bool = False
    period: float = 0.0

    def good(self, value: Value, *, time: float = 0.0) -> Reading:
        """A reading of good quality; `time` as in Reading."""
        return Reading(self.name, value, self.unit, time)

    def judged(self, reading: Reading) -> Reading:
        """The reading, marked uncertain if its value is good and outside `valid`."""
        value, valid = reading.value, self.valid
        if valid is None or reading.quality is not Quality.GOOD or not isinstance(value, int | float):
            return reading
        if valid[0] <= value <= valid[1]:
            return reading
        reason = f"outside {valid[0]:g} to {valid[1]:g}"
        return msgspec.structs.replace(reading, quality=Quality.UNCERTAIN, reason=reason)

    def uncertain(self, value: Value, reason: str) -> Reading:
        """A value that may be wrong, and why."""
        return Reading(self.name, value, self.unit, quality=Quality.UNCERTAIN, reason=reason)

    def bad(self, reason: str) -> Reading:
        """No value, and why."""
        return Reading(self.name, None, self.unit, quality=Quality.BAD, reason=reason)


def scaled(raw: float, scale: float, offset: float) -> float:
    """raw * scale + offset, without the digits that binary arithmetic adds (36.97, not 36.97000000000003).

    The value has as many decimal places as raw, scale and offset need as written. Where a count of steps (an int) is
    multiplied by no short decimal fraction (175 / 65535), it has one place more than tells one step from the next;
    any other number then keeps twelve digits.
    """
    if scale == 1 and not offset:
        return raw
    value = raw * scale + offset
    if not is_finite(value):
        return value
    step_places = max(0, math.ceil(-math.log10(abs(scale)))) if scale else 0
    places = _places(scale)
    if places > step_places + _MOST_PLACES:
        return round(value, step_places + 1) if isinstance(raw, int) else float(f"{value:.12g}")
    return round(value, max(places + _places(raw), _places(offset)))


_MOST_PLACES = 5
"""Beyond those that one step needs: 0.0078125 has four more, 1 / 1.2 has fifteen."""


@functools.lru_cache(maxsize=1024)
def _places(number: float) -> int:
    """How many decimal places a number has as written."""
    digits, _, exponent = repr(float(number)).partition("e")
    return max(0, len(digits.partition(".")[2].removesuffix("0")) - int(exponent or 0)) if digits[-1].isdigit() else 0
