"""Announcements: a service says what it is, how its device is, and which commands it takes."""

from __future__ import annotations

import msgspec

from ..command import CommandSpec

ANNOUNCEMENT_TYPE = "application/vnd.iofog.announcement+json"
"""Its `infotype`. Receivers that do not know it ignore the message."""


class Announcement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of an announcement.

    Parameters:
        service: its name, that of its folder.
        version: of the service.
        microservice: the name by which commands reach it, `for:` in a tag; see `iofog_sdk.Address`.
        bridge: its name among several of one microservice, for commands; "" where it is the only one.
        source: name of its device in messages, without the final separator.
        state: of its device: `reading`, `open`, `failed`, …
        reason: why the device is not usable; "" while it is.
        refused: settings that were refused, and why; "" while those in force are the newest.
        interval: seconds until the next announcement at the latest.
        commands: those it takes now.
    """

    service: str
    version: str = ""
    microservice: str = ""
    bridge: str = ""
    source: str = ""
    state: str = ""
    reason: str = ""
    refused: str = ""
    interval: float = 0.0
    commands: tuple[CommandSpec, ...] = ()
