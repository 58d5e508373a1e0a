"""What finds frames in a stream of bytes."""

from __future__ import annotations

import abc

from .checksums import Checksum
from .framing_settings import FramingSettings


class Framer(abc.ABC):
    """Finds frames; make one with `framer_for`."""

    def __init__(self, settings: FramingSettings) -> None:
        self._checksum = Checksum(settings.checksum) if settings.checksum else None
        self._max_length = settings.max_length
        self._buffer = b""
        self.garbled = 0
        """Frames given up: too long, broken, or with a wrong checksum."""

    @abc.abstractmethod
    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """The frames completed by this data.

        Parameters:
            data: what has come.
            now: monotonic seconds, for framings that go by silence.
        """

    def flush(self, now: float) -> list[bytes]:
        """The frame that silence until now completes; to be called `gap_s` after the last data."""
        return []

    def clear(self) -> None:
        """Forgets a frame that has begun."""
        self._buffer = b""

    def begin_within_frame(self) -> None:  # noqa: B027 - most framings need nothing
        """What comes next may be the rest of a frame that began before: not to be taken for a whole one.

        To be called at the start of a stream, before any data. Nothing has to be done where a checksum or a mark at
        the start of frames decides.
        """

    def _accepted(self, frame: bytes | None) -> list[bytes]:
        if frame is not None and self._checksum:
            frame = self._checksum.strip(frame)
        if frame is None or len(frame) > self._max_length:
            self.garbled += 1
            return []
        return [frame]
