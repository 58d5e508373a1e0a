"""Recipient and path of a message, in the tag of an ioMessage: `for:relays via:plant-gateway`.

Local API v2 routes messages by their publisher and forwards the tag; NATS and MQTT have no routes, so their links
publish a message `for:` a microservice on the subject or topic of its commands.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Address(NamedTuple):
    """The content of a tag.

    Parameters:
        recipient: name of a microservice of the same application, "" for any receiver.
        via: names of the bridges that have forwarded the message, the last one at the end.
    """

    recipient: str = ""
    via: tuple[str, ...] = ()

    def tag(self) -> str:
        """The tag as text. Raises ValueError for an invalid name."""
        for name in (self.recipient, *self.via):
            if name and not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid name: letters, digits, '.', '_' and '-', 128 at most")
        words = [f"for:{self.recipient}"] if self.recipient else []
        return " ".join([*words, f"via:{','.join(self.via)}"] if self.via else words)


def address_of(tag: str) -> Address:
    """Parses a tag; an empty Address for one with another meaning."""
    if ":" not in tag:
        return Address()
    words = dict(word.split(":", 1) for word in tag.split(" ") if ":" in word)
    recipient, via = words.get("for", ""), words.get("via", "")
    return Address(
        recipient if _NAME.fullmatch(recipient) else "",
        tuple(name for name in via.split(",") if _NAME.fullmatch(name)),
    )
