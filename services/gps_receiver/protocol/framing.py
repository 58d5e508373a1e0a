"""NMEA 0183 sentences out of any stream of bytes. No I/O.

Follows NMEA 0183 version 4.11, section 5.3: `$` or `!`, address, fields, `*`, checksum, CR LF.
"""

from __future__ import annotations

import functools
import operator
import re

import msgspec

MAX_SENTENCE = 120
"""Bytes from `$` to the checksum. The standard allows 82 with CR LF; receivers with many decimals send about 100."""


class Sentence(msgspec.Struct, frozen=True, gc=False):
    """One sentence: `$GPGGA,a,b*hh` has talker `GP`, type `GGA`, fields `a` and `b`.

    A proprietary sentence (`$PGRME`) has talker `P` and the rest of its address as type. Quectel's talker `PQ` looks
    like one, but its GSV and GSA are those of the standard (gpsd, "NMEA Revealed": Talker IDs).
    """

    talker: str
    type: str
    fields: tuple[str, ...]
    after_damage: bool = False
    """Whether something unreadable came right before it, which may have been a sentence."""


_FRAME = re.compile(rb"[$!]([^$!\r\n]*)[\r\n]")
_ADDRESS = re.compile(r"(PQ(?=GS[AV]$)|P|[A-Z][A-Z0-9])([A-Z0-9]{3,8})")
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{2}")


class SentenceReader:
    """Finds sentences in any stream of bytes, cut anywhere. Holds at most MAX_SENTENCE bytes back.

    Starts anew at every `$` or `!`, so garbage costs at most the sentence it falls into.

    Parameters:
        require_checksum: whether a sentence without one is taken for noise.
    """

    def __init__(self, *, require_checksum: bool = True) -> None:
        self._require_checksum = require_checksum
        self._pending = b""
        self._is_damaged = False
        self.sentences = 0
        """Sentences found good."""
        self.checksum_errors = 0
        """Sentences whose checksum is wrong, or missing where one is required."""
        self.garbled = 0
        """Bytes, other than CR and LF, that belong to no sentence: noise, half or too long ones, no address."""

    def feed(self, data: bytes) -> list[Sentence]:
        """The sentences completed by this data."""
        buffer = self._pending + data
        found: list[Sentence] = []
        end = noise = 0
        for frame in _FRAME.finditer(buffer):
            self._look_at(buffer[end : frame.start()])
            start, end = frame.span()
            try:
                found.append(self._sentence(frame[1]))
            except _ChecksumError:
                self.checksum_errors += 1
                self._is_damaged = True
            except ValueError:
                self._is_damaged = True
                continue
            noise -= end - start - 1
        self.sentences += len(found)
        start = max(buffer.rfind(b"$", end), buffer.rfind(b"!", end))
        if start < 0 or len(buffer) - start > MAX_SENTENCE:
            start = len(buffer)
        self._look_at(buffer[end:start])
        self._pending = buffer[start:]
        self.garbled += noise + start - buffer.count(b"\r", 0, start) - buffer.count(b"\n", 0, start)
        return found

    def _look_at(self, between: bytes) -> None:
        """Notes damage where there is more than line ends between two sentences."""
        if between.strip(b"\r\n"):
            self._is_damaged = True

    def _sentence(self, frame: bytes) -> Sentence:
        if len(frame) >= MAX_SENTENCE:
            raise ValueError
        body, star, checksum = frame.partition(b"*")
        address, *fields = body.decode("ascii").split(",")
        if star or self._require_checksum:
            checksum = checksum.rstrip(b" ")
            if not _CHECKSUM.fullmatch(checksum) or functools.reduce(operator.xor, body, 0) != int(checksum, 16):
                raise _ChecksumError
        parts = _ADDRESS.fullmatch(address)
        if parts is None or not fields:
            raise ValueError
        is_damaged, self._is_damaged = self._is_damaged, False
        return Sentence(parts[1], parts[2], tuple(fields), is_damaged)


class _ChecksumError(ValueError):
    pass
