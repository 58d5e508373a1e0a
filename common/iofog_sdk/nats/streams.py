"""The JetStream streams that keep readings and commands.

Commands have a stream of their own: where they share one with readings, a full stream pushes out commands that wait.
"""

from __future__ import annotations

import logging

from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from .options import NatsOptions

log = logging.getLogger("iofog_sdk")

READINGS, COMMANDS = "iofog.readings.>", "iofog.commands.>"
_DUPLICATE_WINDOW_S = 600
"""Of a stream created here. A duplicate sent later is stored; receivers detect it by its sequence number."""
_COMMANDS_MAX_BYTES = 16 * 1024 * 1024


def commands_stream(options: NatsOptions) -> str:
    """Name of the stream for commands."""
    return f"{options.stream}-COMMANDS"


async def ensure_streams(streams: JetStreamContext, options: NatsOptions) -> str:
    """Creates the streams that do not exist, and returns the name of the one that has the commands.

    That is the one with the readings where it has their subject, as version 0.1.0 created it and others may want it.
    Raises nats.errors.Error.
    """
    subject = options.expand(options.commands)
    try:
        existing = await streams.stream_info(options.stream)
    except NotFoundError:
        await _create(streams, options.stream, [READINGS, *_custom(options, options.subject)], options.max_bytes)
    else:
        if any(covers(each, subject) for each in existing.config.subjects or ()):
            log.warning(
                "NATS: stream %s has readings and commands: when it is full, commands that wait are pushed out. "
                "Take %s out of its subjects, and a stream %s is created",
                *(options.stream, COMMANDS, commands_stream(options)),
            )
            return options.stream
    name = commands_stream(options)
    try:
        await streams.stream_info(name)
    except NotFoundError:
        await _create(streams, name, [COMMANDS, *_custom(options, options.commands)], _COMMANDS_MAX_BYTES)
    return name


def covers(pattern: str, subject: str) -> bool:
    """Whether a subject with wildcards covers one without."""
    words, wanted = pattern.split("."), subject.split(".")
    if words[-1] == ">":
        return len(wanted) >= len(words) and covers(".".join(words[:-1]), ".".join(wanted[: len(words) - 1]))
    return len(words) == len(wanted) and all(one in ("*", other) for one, other in zip(words, wanted, strict=True))


async def _create(streams: JetStreamContext, name: str, subjects: list[str], max_bytes: int) -> None:
    await streams.add_stream(
        StreamConfig(
            name=name,
            subjects=subjects,
            max_bytes=max_bytes,
            discard=DiscardPolicy.OLD,
            duplicate_window=_DUPLICATE_WINDOW_S,
            description="created by an ioFog microservice",
        )
    )
    log.info("NATS: stream %s created, %d MiB", name, max_bytes >> 20)


def _custom(options: NatsOptions, template: str) -> list[str]:
    """A configured subject that the stream must store besides the default ones."""
    subject = options.expand(template).replace("{quantity}", "*")
    return [] if covers(READINGS, subject) or covers(COMMANDS, subject) else [subject]
