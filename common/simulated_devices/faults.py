"""Deliberate damage on a serial line, recorded for tests. No I/O."""

from __future__ import annotations

import random
from collections import deque

_KEPT = frozenset(b"\r\n$!*,")
"""Bytes that delimit a sentence; damage elsewhere keeps it whole, with a checksum that no longer matches."""

_REMEMBERED = 100_000


class SerialFaults:
    """Damages frames with given probabilities; the same seed damages the same frames.

    Parameters:
        corrupt: share of frames with one byte changed, in a way that an XOR checksum always notices: bits are
            flipped in a single byte before the `*`, which neither is nor becomes one of CR LF `$` `!` `*` `,`.
        drop: share of frames left out.
        duplicate: share of frames sent twice.
        split: holds a random part of the end of each frame back until the next, so that reads cut frames anywhere.
        seed: of the random choices.
    """

    def __init__(
        self, *, corrupt: float = 0.0, drop: float = 0.0, duplicate: float = 0.0, split: bool = False, seed: int = 1
    ) -> None:
        self.corrupt, self.drop, self.duplicate, self.split = corrupt, drop, duplicate, split
        self._random = random.Random(seed)  # noqa: S311 - repeatable damage, not a secret
        self._held = b""
        self.frames = 0
        self.corrupted = 0
        self.dropped = 0
        self.duplicated = 0
        self.damaged: deque[int] = deque(maxlen=_REMEMBERED)
        """Which frames were corrupted or dropped, counted from 0: the latest hundred thousand."""

    def apply(self, frame: bytes) -> bytes:
        """The frame as it arrives: itself, damaged, nothing, or twice; with `split`, cut elsewhere."""
        arriving = self._held + self._fault(frame)
        self.frames += 1
        cut = self._random.randint(0, len(arriving)) if self.split else len(arriving)
        self._held = arriving[cut:]
        return arriving[:cut]

    def rest(self) -> bytes:
        """The bytes that `split` still holds back after the last frame."""
        rest, self._held = self._held, b""
        return rest

    def _fault(self, frame: bytes) -> bytes:
        chance = self._random.random
        if chance() < self.drop:
            self.dropped += 1
            self.damaged.append(self.frames)
            return b""
        if chance() < self.corrupt:
            damaged = self._damage(frame)
            if damaged != frame:
                self.corrupted += 1
                self.damaged.append(self.frames)
            frame = damaged
        if chance() < self.duplicate:
            self.duplicated += 1
            return frame * 2
        return frame

    def _damage(self, frame: bytes) -> bytes:
        star = frame.rfind(b"*")
        places = [at for at, byte in enumerate(frame[: star if star > 0 else None]) if byte not in _KEPT]
        if not places:
            return frame
        at = self._random.choice(places)
        changes = [byte for flip in range(1, 16) if (byte := frame[at] ^ flip) not in _KEPT]
        return frame[:at] + bytes((self._random.choice(changes),)) + frame[at + 1 :]


def baud_mismatch(data: bytes, sent_baud: int, read_baud: int, seed: int = 1) -> bytes:
    """What a UART at another rate makes of 8N1 characters.

    Samples the line in the middle of each of its own bits and takes a start bit that is over by then for a glitch. A
    character whose stop bit reads 0 (a framing error) is delivered all the same, as a tty does by default, and what
    follows is the next start bit; after a break (all zeros, the stop bit too) it waits for an idle line (NS16550).

    Parameters:
        data: the characters sent.
        sent_baud: rate of the sender, bits per second.
        read_baud: rate of the receiver, bits per second.
        seed: of the idle time between characters, 0 to 2 bits.
    """
    idle = random.Random(seed)  # noqa: S311 - repeatable noise, not a secret
    line: list[int] = []
    for byte in data:
        line += [0, *((byte >> bit) & 1 for bit in range(8)), *[1] * (1 + idle.randint(0, 2))]
    step = sent_baud / read_baud

    def level(at: float) -> int:
        return line[int(at)] if at < len(line) else 1

    received = bytearray()
    at = 0.0
    while at < len(line):
        if level(at) or level(at + step / 2):
            at = int(at) + 1.0  # levels change only between the sender's bits
            continue
        received.append(sum(level(at + (1.5 + bit) * step) << bit for bit in range(8)))
        at += 9.5 * step
        while received[-1] == 0 and not level(at):
            at = int(at) + 1.0
    return bytes(received)
