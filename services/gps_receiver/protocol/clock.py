"""The receiver's clock, from sentences that have time and date: RMC and ZDA. No I/O.

Follows NMEA 0183 version 4.11, section 8.3, and gpsd's "NMEA Revealed" (https://gpsd.io/NMEA.html, Dates and times).
"""

from __future__ import annotations

from device_bridge import Quality, Reading

from .fields import DAY_S, Fields, is_last_of_month, midnight_s, time_of_day_s
from .fix import Fix
from .quantities import bad, reading_of

_ROUND_OFF_S = 1.0
_SET_AFTER = 10


class ReceiverClock:
    """Reads `receiver_time`, and doubts what cannot be the time.

    Without a fix it is what the receiver's own clock says, which may be years off after a cold start: uncertain. So
    is a leap second, which seconds since 1970 cannot tell from the second after it, and a time before the last one,
    such as a date that changes later than the hour does at midnight; unless the clock stays there, as one that was
    set.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._went_back = 0

    def read(self, fields: Fields, time: str, date: tuple[str, str, str] | None, fix: Fix) -> list[Reading]:
        """The reading of one sentence.

        Parameters:
            fields: of the sentence.
            time: `hhmmss.ss`.
            date: year of two or four digits, month and day; None where it is not given.
            fix: what holds for the position.
        """
        if not time or date is None:
            return []
        midnight, of_day_s = midnight_s(*date), time_of_day_s(time)
        is_leap_second = of_day_s is not None and of_day_s >= DAY_S
        if midnight is None or of_day_s is None or (is_leap_second and not is_last_of_month(midnight)):
            if fix.quality is Quality.BAD:
                return []
            return bad(fields.refuse("time and date", ",".join((time, *reversed(date)))), "receiver_time")
        value = midnight + of_day_s
        quality, reason = fix
        if quality is Quality.BAD:
            quality, reason = Quality.UNCERTAIN, "no fix; the receiver's own clock"
        elif is_leap_second:
            quality, reason = Quality.UNCERTAIN, "leap second; the same number as the second after it"
        elif self._is_before_last(value):
            quality, reason = Quality.UNCERTAIN, f"{self._last - value:g} s before the last one"
        return [reading_of("receiver_time", value, quality, reason)]

    def _is_before_last(self, value: float) -> bool:
        went_back = value < self._last - _ROUND_OFF_S
        self._went_back = self._went_back + 1 if went_back else 0
        if went_back and self._went_back < _SET_AFTER:
            return True
        self._went_back, self._last = 0, value
        return False
