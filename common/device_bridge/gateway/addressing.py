"""Which bridge a message is for: JSON says it in `bridge`, a SenML pack by its base name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from iofog_sdk import IoMessage
from iofog_sdk.messages import SenmlError, decode_json, parse_senml

from ..command import Command, CommandError

MEMBER = "bridge"


class Misaddressed(CommandError):  # noqa: N818 - the name says what it is
    """A command that is for no bridge, or for none that is known.

    Parameters:
        text: why, and what to write.
        command: as far as it could be read.
    """

    def __init__(self, text: str, command: Command) -> None:
        super().__init__(text)
        self.command = command


def address(message: IoMessage, states: Mapping[str, str], base_names: Mapping[str, str]) -> tuple[str, IoMessage]:
    """The bridge that commands are for, and the message as this bridge is to see it. Raises Misaddressed.

    Parameters:
        message: commands.
        states: of all bridges that do not run, by their names, and "" of those that do.
        base_names: of those that run, to their names.
    """
    try:
        content = decode_json(message.contentdata)
    except ValueError as error:
        raise Misaddressed(f"not JSON: {error}", Command(name="", id=message.id)) from None
    names = sorted(states)
    remedy = f"Known: {', '.join(names[:20])}." if names else "There is none now."
    if isinstance(content, dict):
        name = content.pop(MEMBER, None)
        if not isinstance(name, str) or name not in names:
            command = _command_of(content, message.id)
            if name is None:
                raise Misaddressed(f'say for which bridge it is, in "{MEMBER}". {remedy}', command)
            raise Misaddressed(f"there is no bridge {str(name)[:60]!r}. {remedy}", command)
        if states[name]:
            raise Misaddressed(f"bridge {name} does not run: it is {states[name]}", _command_of(content, message.id))
        return name, _with_content(message, msgspec.json.encode(content))
    try:
        full_names = [record.name for record in parse_senml(message.contentdata)]
    except (SenmlError, OverflowError) as error:
        raise Misaddressed(str(error), Command(name="", id=message.id)) from None
    bases = {max((base for base in base_names if name.startswith(base)), key=len, default="") for name in full_names}
    if len(bases) != 1 or "" in bases:
        text = f"a pack is for one bridge, each name beginning with its base name: {', '.join(list(base_names)[:20])}"
        raise Misaddressed(text, Command(name=full_names[0] if full_names else "", id=message.id))
    return base_names[bases.pop()], message


def _with_content(message: IoMessage, content: bytes) -> IoMessage:
    copy = IoMessage.from_bytes(message.to_bytes())
    copy.contentdata = content
    return copy


def _command_of(content: dict[str, Any], message_id: str) -> Command:
    name, given = content.get("command"), content.get("id", message_id)
    return Command(name=name[:200] if isinstance(name, str) else "", id=str(given)[:200])
