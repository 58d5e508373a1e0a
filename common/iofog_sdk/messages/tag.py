"""Whom a message is for and where it has been, in the tag of an ioMessage: `for:relays via:plant-gateway`.

Local API v2 routes by publisher and passes the tag on; links of newer nodes have no routes, and send what is `for:` a
microservice to where its commands wait.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Address(NamedTuple):
    """What a tag says.

    Parameters:
        recipient: name of a microservice of the same application, "" for whoever listens.
        via: bridges that have passed the message on, the last one at the end.
    """

    recipient: str = ""
    via: tuple[str, ...] = ()

    def tag(self) -> str:
        """As it stands in a message. Raises ValueError for a name that cannot."""
        for name in (self.recipient, *self.via):
            if name and not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name: letters, digits, '.', '_' and '-', 128 at most")
        words = [f"for:{self.recipient}"] if self.recipient else []
        return " ".join([*words, f"via:{','.join(self.via)}"] if self.via else words)


def address_of(tag: str) -> Address:
    """What a tag says; nothing for one that has another meaning."""
    if ":" not in tag:
        return Address()
    words = dict(word.split(":", 1) for word in tag.split(" ") if ":" in word)
    recipient, via = words.get("for", ""), words.get("via", "")
    return Address(
        recipient if _NAME.fullmatch(recipient) else "",
        tuple(name for name in via.split(",") if _NAME.fullmatch(name)),
    )
