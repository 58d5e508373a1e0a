"""Tells messages that have just been published from those that a broker has kept for an unknown time.

MQTT gives a message no time of publication, and a broker sends what it has kept in a session as it sends what has
just come. It has nothing left when it answers a request that follows all acknowledgements without having sent a
message in between. The request is an UNSUBSCRIBE from a topic that nobody has subscribed to (MQTT 3.1.1 and 5.0,
3.10): it needs no permission and changes nothing. Where messages never leave such a gap, all of them count as old:
that errs on the safe side.
"""

from __future__ import annotations

from typing import Any

from paho.mqtt.client import Client

_NOBODY = "iofog/nobody"
_HELD_BACK_S = 1.0
"""A message that is acknowledged so late may have held back others at the broker."""
_MAX_REQUESTS = 20
"""Between two ticks."""


class Freshness:
    """Whether what comes now may have waited.

    Parameters:
        client: its callback for UNSUBACK is set here.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._may_have_waited = True
        self._received = self._unanswered = 0
        self._requested: tuple[int, int] | None = None
        self._requests_left = 0
        client.on_unsubscribe = self._answered

    def begin(self, *, session_present: bool) -> None:
        """The connection is accepted; only a session that was there already can hold messages."""
        self._may_have_waited = session_present

    def received(self, *, guaranteed: bool) -> bool:
        """A message has come; returns whether it may have waited.

        Parameters:
            guaranteed: whether it is acknowledged, and others may wait behind it until then.
        """
        self._received += 1
        self._unanswered += guaranteed
        return self._may_have_waited

    def acknowledged(self, after_s: float) -> None:
        """A guaranteed message was acknowledged so many seconds after its arrival."""
        self._unanswered -= 1
        self._may_have_waited = self._may_have_waited or after_s > _HELD_BACK_S

    def tick(self) -> None:
        """Asks the broker if need be; to be called about once a second."""
        self._requests_left = _MAX_REQUESTS
        self._ask()

    def _ask(self) -> None:
        is_due = self._may_have_waited and not self._unanswered and self._requests_left
        if not is_due or not self._client.is_connected():
            return
        self._requests_left -= 1
        _, mid = self._client.unsubscribe(_NOBODY)
        self._requested = (mid, self._received) if mid is not None else None

    def _answered(self, _: Any, __: Any, mid: int, ___: Any, ____: Any) -> None:
        if self._requested is None or self._requested[0] != mid:
            return
        received, self._requested = self._requested[1], None
        self._may_have_waited = received != self._received
        self._ask()
