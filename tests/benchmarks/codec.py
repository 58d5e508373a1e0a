"""The codec against straightforward JSON with base64, and the official Python SDK where that works."""

from __future__ import annotations

import base64
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from iofog_sdk import IoMessage, MessageTemplate
from iofog_sdk.http.frames import msg_frame

from .bridges import peers_python
from .report import Row, at_least, cannot_run

_ROUNDS = 9


def rows(quick: bool) -> list[Row]:
    """Encoding and decoding at three sizes."""
    table = []
    for size, goal in ((64, 9.0), (1024, 9.0), (65_536, 50.0)):
        message = _message(size)
        template, encoded, text = MessageTemplate(message), message.to_bytes(), _to_json(message)
        content = message.contentdata
        ours, theirs, general = _interleaved(
            lambda t=template, c=content: msg_frame(t.encode(7, c)),
            lambda m=message: _to_json(m),
            lambda m=message: msg_frame(m.to_bytes()),
            quick=quick,
        )
        baseline = f"json + base64 {theirs:.2f} us"
        table.append(at_least(f"encode {size} B, prepared ({ours:.2f} us)", theirs / ours, "x", baseline, goal))
        table.append(at_least(f"encode {size} B, general ({general:.2f} us)", theirs / general, "x", baseline, 2.0))
        ours, theirs = _interleaved(
            lambda e=encoded: IoMessage.from_bytes(e), lambda t=text: _from_json(t), quick=quick
        )
        baseline = f"json + base64 {theirs:.2f} us"
        table.append(at_least(f"decode {size} B ({ours:.2f} us)", theirs / ours, "x", baseline, 1.0))
    for size in (64, 1024):
        table.append(_against_official_sdk(size, 2_000 if quick else 20_000))
    return table


def _against_official_sdk(size: int, count: int) -> Row:
    """Decoding only: the SDK's encoder raises on Python 3."""
    encoded = _message(size).to_bytes()
    script = Path(__file__).with_name("official_sdk.py")
    try:
        command = [peers_python(), str(script), encoded.hex(), str(count)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        why = "the official Python SDK could not be installed"
        return cannot_run(f"decode {size} B against the official SDK", why, ">= 2 x")
    (ours,) = _interleaved(lambda: IoMessage.from_bytes(encoded), quick=count < 10_000)
    theirs = statistics.median(map(float, output.split()))
    baseline = f"official Python SDK {theirs:.2f} us; it cannot encode"
    return at_least(f"decode {size} B ({ours:.2f} us)", theirs / ours, "x", baseline, 2)


def _message(size: int) -> IoMessage:
    return IoMessage(
        id="f" * 32,
        tag="tag",
        groupid="0" * 32,
        sequencenumber=7,
        timestamp=1_795_448_768_359,
        publisher="4fd0b0a2-6c1e-4a3b-9c55-7a2f8e1d0c11",
        infotype="application/senml+json",
        infoformat="utf-8",
        contentdata=bytes(i % 251 for i in range(size)),
    )


def _to_json(message: IoMessage) -> bytes:
    members = {name: getattr(message, name) for name in message.__struct_fields__}
    for name in ("contextdata", "contentdata"):
        members[name] = base64.b64encode(members[name]).decode()
    return json.dumps(members).encode()


def _from_json(text: bytes) -> IoMessage:
    members = json.loads(text)
    for name in ("contextdata", "contentdata"):
        members[name] = base64.b64decode(members[name])
    return IoMessage(**members)


def _interleaved(*actions: Callable[[], object], quick: bool) -> list[float]:
    """Median processor time of each action, in microseconds, measured in turns."""
    counts = []
    for action in actions:
        start = time.process_time()
        for _ in range(50):
            action()
        each = max((time.process_time() - start) / 50, 1e-7)
        counts.append(max(20, int((0.01 if quick else 0.03) / each)))
    samples: list[list[float]] = [[] for _ in actions]
    for _ in range(_ROUNDS):
        for action, count, found in zip(actions, counts, samples, strict=True):
            start = time.process_time()
            for _ in range(count):
                action()
            found.append((time.process_time() - start) / count * 1e6)
    return [statistics.median(found) for found in samples]
