"""Errors of the SDK.

IoFogError
├── MessageError          an ioMessage or frame that cannot be encoded or decoded
├── LinkError             the way to the node failed; trying again later can help
│   ├── NodeUnreachable     no connection, or no handshake in time
│   ├── ConnectionLost      the connection ended, or stayed silent, before the answer came
│   └── ReceiptTimeout      a message was sent, but no receipt came in time
└── RequestRefused        the node answered with an error; trying again unchanged does not help
"""

from __future__ import annotations


class IoFogError(Exception):
    """Base of everything this package raises on purpose."""


class MessageError(IoFogError, ValueError):
    """A message or frame breaks the format.

    Parameters:
        field: the field concerned, `frame` for the frame as a whole.
        rule: what is wrong, with the limit.
        value: the value, shown shortened; None leaves it out.
    """

    def __init__(self, field: str, rule: str, value: object = None) -> None:
        self.field, self.rule, self.value = field, rule, value
        shown = repr(value)
        if len(shown) > 60:
            shown = shown[:57] + "..."
        super().__init__(f"ioMessage {field}: {rule}" + ("" if value is None else f", got {shown}"))


class LinkError(IoFogError, ConnectionError):
    """The link to the node failed."""


class NodeUnreachable(LinkError):  # noqa: N818 - the name says what happened
    """No connection could be made, or the node did not answer the handshake in time."""


class ConnectionLost(LinkError):  # noqa: N818
    """The node closed the connection, or went silent, before it answered."""


class ReceiptTimeout(LinkError):  # noqa: N818
    """A message was sent and no receipt came in time; it may or may not have arrived."""


class RequestRefused(IoFogError):  # noqa: N818
    """The node answered a request with an error status.

    Parameters:
        route: path of the request.
        status: HTTP status.
        text: the node's own words, without the status line it appends.
    """

    def __init__(self, route: str, status: int, text: str) -> None:
        self.route, self.status, self.text = route, status, text
        super().__init__(f"{route} answered {status}: {text or 'no text'}")
