"""Messages over NATS with JetStream, as the nodes of ioFog 3.7 and later carry them.

The content of an ioMessage is the payload; its header goes along as `ioFog-…` headers. `Nats-Msg-Id` names the
message, so that the server drops what is sent again after a loss. NATS's own reconnecting is not used: it would send
what it had kept after what is being sent anew, and the order of messages is a promise.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, Error, NoServersError, NotJSMessageError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, PubAck, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from .addressing import address_of
from .backoff import Backoff
from .data_plane import DataPlane, Sent, ended, too_large
from .errors import ConnectionLost, LinkError, NodeUnreachable, RequestRefused
from .message import IoMessage
from .nats_options import NatsOptions
from .nkeys import CredentialsError, read_credentials, sign
from .senml_split import split_by_quantity

log = logging.getLogger("iofog_sdk")

_PREFIX = "ioFog-"
_TEXTS = ("groupid", "infotype", "infoformat", "publisher", "tag")
_CLOSE_S = 2.0
_MAX_REQUESTS = 64
_HEADERS = 4096
"""Room for them: they count for the server's limit."""
_FORGOTTEN_AFTER_S = 7 * 86_400
"""A microservice that has been away for longer finds its commands gone."""
_CONSUMER_WINDOW = 256


class _Named(msgspec.Struct):
    """Of a command and of its result, what names the command."""

    id: str = ""


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
        self._posted = asyncio.Event()
        self._requests: dict[str, Msg] = {}

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        client = Client()
        publishing: asyncio.Task[None] | None = None
        try:
            try:
                async with asyncio.timeout(self.options.answer_timeout_s):
                    await self._open(client, lost)
                    stream = client.jetstream(publish_async_max_pending=self.options.window)
                    await self._prepare(client, stream)
            except TimeoutError:
                raise NodeUnreachable(f"NATS: {self.options.server} does not answer") from None
            except (Error, OSError, CredentialsError) as error:
                raise self._explained(error) from None
            limit = client.max_payload
            publishing = asyncio.get_running_loop().create_task(self._publish(stream, limit, lost))
            yield
        finally:
            if publishing is not None:
                await ended(publishing)
            self._requests.clear()
            if client.is_connected or client.is_connecting:
                with contextlib.suppress(Error, OSError, TimeoutError):
                    await asyncio.wait_for(client.close(), _CLOSE_S)

    def _pump(self) -> None:
        self._posted.set()

    async def _open(self, client: Client, lost: asyncio.Future[LinkError]) -> None:
        def lose(error: LinkError) -> None:
            if not lost.done():
                lost.set_result(error)

        async def on_closed() -> None:
            if self.connected:  # what ends before that has a reason of its own
                lose(ConnectionLost(f"NATS: {self.options.server} has closed the connection"))

        async def on_error(error: Exception) -> None:
            text = str(error)
            if "permissions violation" in text.lower():
                lose(
                    ConnectionLost(f"NATS: {text.removeprefix('nats: ')}; give this user that permission (natsRule)")
                )
            else:
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
        await client.connect(
            options.server,
            name=f"{options.identity.application}.{options.identity.microservice}",
            allow_reconnect=False,
            connect_timeout=max(1, round(options.answer_timeout_s)),
            ping_interval=max(1, round(options.ping_interval_s)),
            closed_cb=on_closed,
            disconnected_cb=on_closed,
            error_cb=on_error,
            tls=options.tls(),
            **told,  # type: ignore[arg-type]
        )

    async def _prepare(self, client: Client, stream: JetStreamContext) -> None:
        options = self.options
        try:
            await stream.stream_info(options.stream)
        except NotFoundError:
            await stream.add_stream(
                StreamConfig(
                    name=options.stream,
                    subjects=["iofog.readings.>", "iofog.commands.>", *_others(options)],
                    max_bytes=options.max_bytes,
                    discard=DiscardPolicy.OLD,
                    description="ioFog readings and commands",
                )
            )
            log.info("NATS: stream %s made, %d MiB", options.stream, options.max_bytes >> 20)
        await client.subscribe(options.filled(options.requests), cb=self._take_request)
        commands = options.filled(options.commands)
        name = f"{options.identity.application}-{options.identity.microservice}"
        await self._subscribe(stream, commands, name, DeliverPolicy.ALL)
        if options.receive:
            await self._subscribe(stream, options.filled(options.receive), f"{name}-receive", DeliverPolicy.NEW)

    async def _subscribe(self, stream: JetStreamContext, subject: str, durable: str, policy: DeliverPolicy) -> None:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            max_ack_pending=_CONSUMER_WINDOW,
            deliver_policy=policy,
            ack_wait=30,
            inactive_threshold=_FORGOTTEN_AFTER_S,
        )
        await stream.subscribe(
            subject, durable=durable, stream=self.options.stream, cb=self._take, manual_ack=True, config=config
        )

    async def _publish(self, stream: JetStreamContext, limit: int, lost: asyncio.Future[LinkError]) -> None:
        own = self.options.filled(self.options.subject)
        while True:
            while self._waiting:
                body, done = self._waiting.popleft()
                message = IoMessage.from_bytes(body)
                numbered = f"{message.groupid}.{message.sequencenumber}"
                identity = numbered if message.groupid else uuid.uuid4().hex
                headers = {f"{_PREFIX}{name}": value for name in _TEXTS if (value := getattr(message, name))}
                headers |= {f"{_PREFIX}sequencenumber": str(message.sequencenumber)}
                recipient = address_of(message.tag).recipient
                template = self.options.filled(self.options.commands, recipient) if recipient else own
                splits = "{quantity}" in template
                parts = split_by_quantity(message.contentdata) if splits else {"": message.contentdata}
                sent = self._in_flight.add(identity, done)
                if (size := max(map(len, parts.values()))) + _HEADERS > limit:
                    self._in_flight.acknowledge(sent, too_large(size, limit - _HEADERS, "NATS server"))
                    continue
                left = [len(parts)]
                for quantity, content in parts.items():
                    named = headers | {"Nats-Msg-Id": f"{identity}.{quantity}" if quantity else identity}
                    try:
                        future = await stream.publish_async(
                            template.replace("{quantity}", quantity or "message"), content, headers=named
                        )
                    except (Error, OSError) as error:
                        if not lost.done():
                            lost.set_result(self._explained(error))
                        return
                    future.add_done_callback(partial(self._acknowledged, sent, left, lost))
                self._answer_request(message)
                self._room.set()
            self._posted.clear()
            await self._posted.wait()

    def _acknowledged(
        self, sent: Sent, left: list[int], lost: asyncio.Future[LinkError], future: asyncio.Future[PubAck]
    ) -> None:
        if future.cancelled() or lost.done():
            return
        if error := future.exception():
            lost.set_result(self._explained(error))
            return
        left[0] -= 1
        if not left[0]:
            self._in_flight.acknowledge(sent)

    async def _take(self, received: Msg) -> None:
        if not self._inbox.put(_message_of(received), lambda: self._in_background(_quietly(received.ack()))):
            await _quietly(received.nak(delay=1))

    async def _take_request(self, received: Msg) -> None:
        message = _message_of(received)
        message.id = message.id or uuid.uuid4().hex
        if not self._inbox.put(message):
            await received.respond(b'{"ok":false,"detail":"too many commands wait; ask again later"}')
            return
        while len(self._requests) >= _MAX_REQUESTS:
            self._requests.pop(next(iter(self._requests)))
        self._requests[_named(message)] = received

    def _answer_request(self, message: IoMessage) -> None:
        """A result that names a request is its reply as well."""
        if not self._requests:
            return
        if request := self._requests.pop(_named(message), None):
            self._in_background(_quietly(request.respond(message.contentdata)))

    def _explained(self, error: BaseException) -> LinkError:
        options = self.options
        if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
            what = f"credentials {options.credentials}" if options.credentials else f"user {options.user or '(none)'}"
            return NodeUnreachable(f"NATS: {options.server} refuses {what}; check user, password or credentials file")
        if isinstance(error, NoStreamResponseError):
            return ConnectionLost(
                f"NATS: no stream keeps {options.filled(options.subject)}; make one, or name it: ?stream="
            )
        if isinstance(error, APIError):
            refused = RequestRefused(f"NATS stream {options.stream}", error.code or 0, error.description or "")
            return ConnectionLost(str(refused))
        if isinstance(error, NoServersError | OSError):
            detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return NodeUnreachable(f"NATS: {options.server}: {detail}")
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


def _message_of(received: Msg) -> IoMessage:
    headers = received.headers or {}
    number = headers.get(f"{_PREFIX}sequencenumber", "0")
    message = IoMessage(
        id=headers.get("Nats-Msg-Id", "") or uuid.uuid4().hex,
        sequencenumber=int(number) if number.isdecimal() else 0,
        contentdata=received.data,
        timestamp=_stored_at(received),
    )
    for name in _TEXTS:
        setattr(message, name, headers.get(f"{_PREFIX}{name}", ""))
    return message


def _stored_at(received: Msg) -> int:
    """Milliseconds since 1970: when the stream took it, or now, for a request, which is not stored."""
    try:
        return round(received.metadata.timestamp.timestamp() * 1000)
    except NotJSMessageError:
        return time.time_ns() // 1_000_000


def _named(message: IoMessage) -> str:
    try:
        return msgspec.json.decode(message.contentdata, type=_Named).id or message.id
    except msgspec.DecodeError:
        return message.id


def _signer(seed: bytes) -> Callable[[str], bytes]:
    return lambda nonce: base64.b64encode(sign(seed, nonce.encode()))


async def _quietly(work: Awaitable[object]) -> None:
    """An acknowledgement that does not arrive is asked for again by the server."""
    with contextlib.suppress(Error, OSError):
        await work
