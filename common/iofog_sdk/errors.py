"""Errors of the SDK.

IoFogError
├── MessageError          an ioMessage or frame that cannot be encoded or decoded
├── LinkError             the connection to the node failed; a later attempt can succeed
│   ├── NodeUnreachable     no connection, or no handshake within its time limit
│   ├── ConnectionLost      the connection ended, or stayed silent, before the reply
│   └── ReceiptTimeout      a message was sent, but no receipt arrived within its time limit
├── RequestRefused        the node replied with an error status; the same request fails again
├── NodeNotFound          the environment does not say how to reach a node
└── SenmlError            content is not a SenML pack
"""

from __future__ import annotations


class IoFogError(Exception):
    """Base class of the errors of this package."""


class MessageError(IoFogError, ValueError):
    """A message or frame breaks the format.

    Parameters:
        field: name of the field, `frame` for the frame as a whole.
        rule: the rule that is broken, with its limit.
        value: the value, shortened in the message; None for no value.
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
    """No connection could be made, or the node did not answer the handshake within its time limit."""


class ConnectionLost(LinkError):  # noqa: N818
    """The connection ended, or the node became silent, before it replied."""


class ReceiptTimeout(LinkError):  # noqa: N818
    """A message was sent and no receipt arrived within its time limit; the message may or may not have arrived."""


class RequestRefused(IoFogError):  # noqa: N818
    """The node replied to a request with an error status.

    Parameters:
        route: path of the request.
        status: HTTP status.
        text: text of the reply, without the status line that the Java agent appends.
    """

    def __init__(self, route: str, status: int, text: str) -> None:
        self.route, self.status, self.text = route, status, text
        super().__init__(f"{route} answered {status}: {text or 'no text'}")
