"""What services have sent: readings in their order, and results of commands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from device_bridge import Quality, Reading
from device_bridge.messages import senml
from iofog_sdk import IoMessage
from iofog_sdk.messages import parse_senml

from .movable_clock import is_movable
from .transcript import Transcript

MAX_READINGS = 100_000
_WAIT_S, _WAIT_MOVABLE_S = 30.0, 600.0
_ANY = object()
_SHOWN = 5
T = TypeVar("T")


class Received:
    """The fixture `received`: the other end of the way to the node.

    Parameters:
        transcript: of the test.
    """

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self.messages: deque[IoMessage] = deque(maxlen=MAX_READINGS)
        self.readings: deque[Reading] = deque(maxlen=MAX_READINGS)
        """All so far, in order; their names are those of the quantities, without the source."""
        self._left: deque[Reading] = deque(maxlen=MAX_READINGS)
        self._results: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        self._error: BaseException | None = None

    def take(self, message: IoMessage) -> None:
        """A message of a service."""
        self.messages.append(message)
        if message.infotype == senml.INFO_TYPE:
            for record in parse_senml(message.contentdata):
                if (reading := senml.to_reading(record)) is not None:
                    self._take(msgspec.structs.replace(reading, name=record.quantity))
        elif message.infotype == "application/json":
            result = msgspec.json.decode(message.contentdata)
            if isinstance(result, dict) and "ok" in result:
                self._results[str(result.get("id"))] = result
                outcome = "done" if result["ok"] else "refused"
                self._transcript.note("received", f"{result.get('command')} is {outcome}: {result.get('detail')}")
        self._changed.set()

    def _take(self, reading: Reading) -> None:
        self.readings.append(reading)
        self._left.append(reading)
        self._transcript.note("received", _shown(reading))

    def fail(self, error: BaseException) -> None:
        """The service has ended by this error: who waits gets it."""
        self._error = error
        self._transcript.note("running_service", f"ended: {error}")
        self._changed.set()

    async def wait_for(
        self,
        *,
        quantity: str = "",
        value: object = _ANY,
        quality: str = "",
        where: Callable[[Reading], bool] = lambda reading: True,
        timeout_s: float | None = None,
    ) -> Reading:
        """The first reading that fits, of those that came after the one found before.

        Parameters:
            quantity: its name; by default any.
            value: compared by `==`, so that `pytest.approx` fits; by default any.
            quality: `good`, `uncertain`, `stale` or `bad`; by default `good` where a value is given, else any.
            where: what else must hold.
            timeout_s: seconds on the test's clock; by default 30, or 600 on a movable one.

        Raises AssertionError when none came in time, with the latest that did, and what the service ended by.
        """
        wanted = quality or ("good" if value is not _ANY and value is not None else "")

        def fits(reading: Reading) -> bool:
            return (
                (not quantity or reading.name == quantity)
                and (value is _ANY or bool(reading.value == value))
                and (not wanted or reading.quality is Quality(wanted))
                and where(reading)
            )

        text = f"{quantity or 'a reading'}{'' if value is _ANY else f' = {value!r}'}{wanted and f' ({wanted})'}"

        def found() -> Reading | None:
            while self._left:
                if fits(reading := self._left.popleft()):
                    return reading
            return None

        return await self._until(found, text, timeout_s)

    async def result_of(self, command_id: str, timeout_s: float | None = None) -> dict[str, Any]:
        """The result of a command, by its id."""
        return await self._until(lambda: self._results.pop(command_id, None), f"result {command_id}", timeout_s)

    async def _until(self, found: Callable[[], T | None], text: str, timeout_s: float | None) -> T:
        limit_s = (_WAIT_MOVABLE_S if is_movable() else _WAIT_S) if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit_s):
                while (result := found()) is None:
                    if self._error is not None:
                        raise self._error
                    self._changed.clear()
                    await self._changed.wait()
                return result
        except TimeoutError:
            latest = [_shown(reading) for reading in list(self.readings)[-_SHOWN:]]
            arrived = (
                f"the latest of {len(self.readings)} readings: {'; '.join(latest)}" if latest else "nothing came"
            )
            raise AssertionError(f"{text} did not come in {limit_s:g} s; {arrived}") from None


def _shown(reading: Reading) -> str:
    quality = "" if reading.quality is Quality.GOOD else f" {reading.quality.value}: {reading.reason}"
    value = "no value" if reading.value is None else reading.value
    return f"{reading.name} = {value} {reading.unit}".rstrip() + quality
