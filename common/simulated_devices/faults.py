"""Damage on a serial line, done on purpose and known to the test. No I/O."""

from __future__ import annotations

import random

_KEPT = frozenset(b"\r\n$!*,")
"""Bytes that give a sentence its form: damage elsewhere leaves it whole, with a checksum that no longer fits."""


class SerialFaults:
    """Damages frames with given probabilities; the same seed damages the same frames.

    Parameters:
        corrupt: share of frames with one byte changed, in a way that an XOR checksum always notices: only low bits
            of one byte between the first and the last are flipped.
        drop: share of frames left out.
        duplicate: share of frames sent twice.
        seed: of the random choices.
    """

    def __init__(self, *, corrupt: float = 0.0, drop: float = 0.0, duplicate: float = 0.0, seed: int = 1) -> None:
        self._corrupt, self._drop, self._duplicate = corrupt, drop, duplicate
        self._random = random.Random(seed)  # noqa: S311 - repeatable damage, not a secret
        self.corrupted = 0
        self.dropped = 0
        self.duplicated = 0

    def apply(self, frame: bytes) -> bytes:
        """The frame as it arrives: itself, damaged, nothing, or twice."""
        chance = self._random.random
        if self._drop and chance() < self._drop:
            self.dropped += 1
            return b""
        if self._corrupt and chance() < self._corrupt:
            damaged = self._damage(frame)
            self.corrupted += damaged != frame
            frame = damaged
        if self._duplicate and chance() < self._duplicate:
            self.duplicated += 1
            return frame * 2
        return frame

    def _damage(self, frame: bytes) -> bytes:
        star = frame.rfind(b"*")
        body = frame[: star if star > 0 else len(frame)]
        places = [at for at, byte in enumerate(body) if byte not in _KEPT]
        if not places:
            return frame
        at = self._random.choice(places)
        changes = [byte for flip in range(1, 16) if (byte := frame[at] ^ flip) not in _KEPT]
        return frame[:at] + bytes((self._random.choice(changes),)) + frame[at + 1 :]


def baud_mismatch(data: bytes, sent_baud: int, read_baud: int) -> bytes:
    """What a receiver at another rate makes of 8N1 characters sent without a pause.

    Samples the line in the middle of each of the receiver's bits; a character whose stop bit reads 0 (a framing
    error) is delivered all the same, as a tty does by default.
    """
    levels: list[int] = []
    for byte in data:
        levels += [0, *((byte >> bit) & 1 for bit in range(8)), 1]
    step = sent_baud / read_baud
    end = len(levels)

    def level(at: float) -> int:
        return levels[int(at)] if at < end else 1

    received = bytearray()
    at = 0.0
    while at < end:
        if level(at):  # idle or stop: look for the next start bit
            at = float(int(at) + 1)
            continue
        received.append(sum(level(at + (1.5 + bit) * step) << bit for bit in range(8)))
        at += 9.5 * step
    return bytes(received)
