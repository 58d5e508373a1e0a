"""Messages over NATS with JetStream, as the nodes of ioFog 3.7 and later carry them.

`Nats-Msg-Id` names each message, so that the server drops what is sent again after a loss. NATS's own reconnecting is
not used: it would send what it had kept after what is being sent anew, and the order of messages is a promise.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, Error, NoServersError
from nats.js.api import DeliverPolicy, DiscardPolicy, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from ..errors import ConnectionLost, LinkError, NodeUnreachable, RequestRefused
from ..links.backoff import Backoff
from ..links.in_flight import Sent, too_large
from ..links.reconnecting import DataPlane, ended
from ..messages.iomessage import IoMessage
from ..messages.senml_split import split_by_quantity
from ..messages.tag import address_of
from .consumer import NatsConsumer
from .credentials import CredentialsError, read_credentials, sign
from .messages import command_id, headers_of, message_of
from .options import FALLBACK, NatsOptions
from .publisher import NatsPublisher

log = logging.getLogger("iofog_sdk")

_CLOSE_S = 2.0
_MAX_REQUESTS = 64
_HEADERS = 4096
"""Room for them, or half of a small message."""
_DUPLICATES_KNOWN_S = 600
"""Of a stream that is made here: what is sent again later is kept twice, and told by its number."""
_REMEDIES = {
    10065: "name the stream that has these subjects: ?stream=",
    10077: "make room in it, or let it discard its oldest messages",
}
"""By error code of JetStream."""


class _Client(Client):
    """nats-py's, which would answer a server without TLS in clear, whatever the URL says."""

    def _connect_command(self) -> bytes:
        info, server = self._server_info, self._current_server
        if server is not None and server.uri.scheme == "tls" and not info.get("tls_required"):
            raise Error("the server does not offer TLS; nothing was told to it")
        return super()._connect_command()


class NatsLink(DataPlane):
    """JetStream publish with many acknowledgements under way; commands by a durable consumer and by request.

    Parameters:
        options: where to, and which subjects.
        backoff: waiting times between attempts.
    """

    def __init__(self, options: NatsOptions, *, backoff: Backoff | None = None) -> None:
        super().__init__("NATS", options.receipt_timeout_s, options.window, backoff)
        self.options = options
        self.microservice_id = options.identity.uuid or options.identity.microservice
        self.description = f"NATS at {options.server}, subject {options.filled(options.subject)}"
        self._subject = options.filled(options.subject)
        self._posted = asyncio.Event()
        self._requests: dict[str, Msg] = {}
        self._consumers: list[NatsConsumer] = []

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        def lose(error: BaseException) -> None:
            if not lost.done():
                lost.set_result(self._explained(error))

        def publishing_ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                lose(error)

        client = _Client()
        publishing: asyncio.Task[None] | None = None
        try:
            try:
                async with asyncio.timeout(self.options.answer_timeout_s):
                    await self._open(client, lose)
                    await self._prepare(client, lose)
                    publisher = NatsPublisher(client, lose)
                    await publisher.open()
            except TimeoutError:
                raise NodeUnreachable(f"NATS: {self.options.server} does not answer") from None
            except (Error, OSError, CredentialsError) as error:
                raise self._explained(error) from None
            publishing = asyncio.get_running_loop().create_task(
                self._publish(publisher, _room_in(client.max_payload))
            )
            publishing.add_done_callback(publishing_ended)
            yield
        finally:
            if publishing is not None:
                await ended(publishing)
            self._requests.clear()
            self._consumers.clear()
            if client.is_connected or client.is_connecting:
                with contextlib.suppress(Error, OSError, TimeoutError):
                    await asyncio.wait_for(client.close(), _CLOSE_S)

    def _pump(self) -> None:
        self._posted.set()

    def _tick(self) -> None:
        for consumer in self._consumers:
            consumer.check()

    async def _open(self, client: Client, lose: Callable[[BaseException], None]) -> None:
        last: Exception = NoServersError()

        async def on_closed() -> None:
            if self.connected:  # what ends before that has a reason of its own
                lose(ConnectionLost(f"NATS: {self.options.server} has closed the connection"))

        async def on_error(error: Exception) -> None:
            text = str(error)
            if "permissions violation" in text.lower():
                remedy = "give this user that permission (natsRule)"
                lose(ConnectionLost(f"NATS: {text.removeprefix('nats: ')}; {remedy}"))
            else:
                nonlocal last
                last = error
                log.debug("NATS: %s", error)

        options = self.options
        told: dict[str, object] = {}
        if options.credentials:
            credentials = read_credentials(Path(options.credentials))
            # Any user name makes the library sign; with a challenge it does not send it.
            told = {
                "user": "credentials",
                "user_jwt_cb": credentials.jwt.encode,
                "signature_cb": _signer(credentials.seed),
            }
        elif options.user:
            told = {"user": options.user, "password": options.secret()}
        try:
            await client.connect(
                options.server,
                name=f"{options.identity.application}.{options.identity.microservice}",
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(1, round(options.answer_timeout_s)),
                ping_interval=max(1, round(options.ping_interval_s)),
                closed_cb=on_closed,
                disconnected_cb=on_closed,
                error_cb=on_error,
                tls=options.tls(),
                **told,  # type: ignore[arg-type]
            )
        except NoServersError:
            raise last from None  # which says more

    async def _prepare(self, client: Client, lose: Callable[[BaseException], None]) -> None:
        options, stream = self.options, client.jetstream()
        try:
            await stream.stream_info(options.stream)
        except NotFoundError:
            await stream.add_stream(
                StreamConfig(
                    name=options.stream,
                    subjects=["iofog.readings.>", "iofog.commands.>", *_others(options)],
                    max_bytes=options.max_bytes,
                    discard=DiscardPolicy.OLD,
                    duplicate_window=_DUPLICATES_KNOWN_S,
                    description="ioFog readings and commands",
                )
            )
            log.info("NATS: stream %s made, %d MiB", options.stream, options.max_bytes >> 20)
        await client.subscribe(options.filled(options.requests), cb=self._take_request)
        name = f"{options.identity.application}-{options.identity.microservice}"
        wanted = [(name, options.commands, DeliverPolicy.ALL)]
        if options.receive:
            wanted.append((f"{name}-receive", options.receive, DeliverPolicy.NEW))
        for durable, subject, policy in wanted:
            consumer = NatsConsumer(client, options.stream, durable, self._take, lose)
            await consumer.open(options.filled(subject), policy)
            self._consumers.append(consumer)

    async def _publish(self, publisher: NatsPublisher, limit: int) -> None:
        while True:
            while self._waiting and len(self._in_flight) < self._window:
                body, done = self._waiting.popleft()
                message = IoMessage.from_bytes(body)
                numbered = f"{message.groupid}.{message.sequencenumber}"
                identity = numbered if message.groupid else uuid.uuid4().hex
                sent = self._in_flight.add(identity, done)
                contents = self._contents(message)
                if (size := max(map(len, contents.values()))) > limit:
                    self._in_flight.acknowledge(sent, too_large(size, limit, "NATS server"))
                    continue
                headers = headers_of(message)
                acknowledged = partial(self._acknowledged, sent, [len(contents)])
                for number, (subject, content) in enumerate(contents.items()):
                    named = headers | {"Nats-Msg-Id": f"{identity}.{number}" if number else identity}
                    await publisher.publish(subject, content, named, acknowledged)
                self._answer_request(message)
            if len(self._waiting) < self._window:
                self._room.set()
            self._posted.clear()
            await self._posted.wait()

    def _contents(self, message: IoMessage) -> dict[str, bytes]:
        """What is published where."""
        recipient = address_of(message.tag).recipient
        subject = self.options.filled(self.options.commands, recipient) if recipient else self._subject
        if "{quantity}" not in subject:
            return {subject: message.contentdata}
        parts = split_by_quantity(message.contentdata)
        return {subject.replace("{quantity}", name or "message"): content for name, content in parts.items()}

    def _acknowledged(self, sent: Sent, left: list[int]) -> None:
        left[0] -= 1
        if not left[0]:
            self._in_flight.acknowledge(sent)
            if self._waiting:
                self._posted.set()

    async def _take(self, received: Msg) -> None:
        if not self._inbox.put(message_of(received), lambda: self._in_background(_quietly(received.ack()))):
            await _quietly(received.nak(delay=1))

    async def _take_request(self, received: Msg) -> None:
        message = message_of(received)
        message.id = message.id or uuid.uuid4().hex
        if not self._inbox.put(message):
            await received.respond(b'{"ok":false,"detail":"too many commands wait; ask again later"}')
            return
        while len(self._requests) >= _MAX_REQUESTS:
            self._requests.pop(next(iter(self._requests)))
        self._requests[command_id(message)] = received

    def _answer_request(self, message: IoMessage) -> None:
        """A result that names a request is its reply as well."""
        if not self._requests:
            return
        if request := self._requests.pop(command_id(message), None):
            self._in_background(_quietly(request.respond(message.contentdata)))

    def _explained(self, error: BaseException) -> LinkError:
        options = self.options
        if isinstance(error, LinkError):
            return error
        if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
            what = f"credentials {options.credentials}" if options.credentials else f"user {options.user or '(none)'}"
            return NodeUnreachable(f"NATS: {options.server} refuses {what}; check user, password or credentials file")
        if isinstance(error, NoStreamResponseError):
            return ConnectionLost(
                f"NATS: no stream keeps {options.filled(options.subject)}; make one, or name it: ?stream="
            )
        if isinstance(error, APIError):
            if not error.code:
                return ConnectionLost(
                    "NATS: no JetStream here; start the server with it, or allow it to this account"
                )
            refused = RequestRefused(f"NATS stream {options.stream}", error.code, error.description or "")
            remedy = _REMEDIES.get(error.err_code or 0)
            return ConnectionLost(f"{refused}; {remedy}" if remedy else str(refused))
        if isinstance(error, OSError):
            detail = error.strerror or str(error)
            remedy = "; set NATS_SERVER_URL=nats://host:port" if options.server == FALLBACK else ""
            return NodeUnreachable(f"NATS: {options.server}: {detail}{remedy}")
        return ConnectionLost(f"NATS: {str(error).removeprefix('nats: ') or type(error).__name__}")


def _others(options: NatsOptions) -> list[str]:
    """Subjects of one's own that the stream has to keep as well."""
    wildcards = {"{quantity}": "*"}
    subjects = []
    for subject in (options.filled(options.subject), options.filled(options.commands)):
        for name, wildcard in wildcards.items():
            subject = subject.replace(name, wildcard)  # noqa: PLW2901
        if not subject.startswith(("iofog.readings.", "iofog.commands.")):
            subjects.append(subject)
    return subjects


def _room_in(max_payload: int) -> int:
    """Bytes of a message's content, for its headers count as well."""
    return max_payload - min(_HEADERS, max_payload // 2)


def _signer(seed: bytes) -> Callable[[str], bytes]:
    return lambda nonce: base64.b64encode(sign(seed, nonce.encode()))


async def _quietly(work: Awaitable[object]) -> None:
    """An acknowledgement that does not arrive is asked for again by the server."""
    with contextlib.suppress(Error, OSError):
        await work
