"""Messages over NATS with JetStream, as on nodes of ioFog 3.7 and later.

`Nats-Msg-Id` identifies each message, so that the server drops duplicates sent after a loss. The library's own
reconnect is not used: it sends what it has buffered after the retransmission here, and messages must stay in order.
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
from nats.js.api import DeliverPolicy
from nats.js.errors import APIError, NoStreamResponseError

from ..errors import ConnectionLost, LinkError, MessageError, NodeUnreachable, RequestRefused
from ..links.backoff import Backoff
from ..links.closing import close_or_abort
from ..links.in_flight import PendingMessage, too_large_error
from ..links.reconnecting import ReconnectingLink, cancel_and_wait
from ..links.tls.tls_errors import describe_tls_error, is_of_tls
from ..messages.iomessage import IoMessage
from ..messages.senml import split_by_quantity
from ..messages.tag import address_of
from ..redact import shown_file
from .client import NatsClient
from .consumer import NatsConsumer
from .credentials import CredentialsError, read_credentials, sign
from .messages import check_subject, command_id, decode_message, encode_headers, header_size
from .options import FALLBACK, NatsOptions
from .publisher import NatsPublisher
from .streams import ensure_streams

log = logging.getLogger("iofog_sdk")

_CLOSE_S = 2.0
_MAX_REQUESTS = 64
_REMEDIES = {
    10065: "set ?stream= to the stream that has these subjects",
    10077: "free space in it, or let it discard its oldest messages",
}
"""By JetStream error code."""


class NatsLink(ReconnectingLink):
    """Publishes with many acknowledgements in flight; receives commands by a durable consumer and by requests.

    Parameters:
        options: server and subjects.
        backoff: waiting times between attempts.
    """

    def __init__(self, options: NatsOptions, *, backoff: Backoff | None = None) -> None:
        super().__init__("NATS", options.receipt_timeout_s, options.window, backoff)
        self.options = options
        self.microservice_id = options.identity.uuid or options.identity.microservice
        self.description = f"NATS at {options.server}, subject {options.expand(options.subject)}"
        self._subject = options.expand(options.subject)
        self._wake = asyncio.Event()
        self._requests: dict[str, Msg] = {}
        self._consumers: list[NatsConsumer] = []

    @contextlib.asynccontextmanager
    async def _session(self, lost: asyncio.Future[LinkError]) -> AsyncIterator[None]:
        def on_lost(error: BaseException) -> None:
            if not lost.done():
                lost.set_result(self._to_link_error(error))

        def publishing_ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                on_lost(error)

        client = NatsClient()
        publishing: asyncio.Task[None] | None = None
        try:
            try:
                async with asyncio.timeout(self.options.answer_timeout_s):
                    await self._open(client, on_lost)
                    await self._prepare(client, on_lost)
                    publisher = NatsPublisher(client, on_lost)
                    await publisher.open()
            except TimeoutError:
                raise NodeUnreachable(f"NATS: {self.options.server} does not answer") from None
            except (Error, OSError, CredentialsError) as error:
                raise self._to_link_error(error) from None
            publishing = asyncio.get_running_loop().create_task(self._publish(publisher, client.max_payload))
            publishing.add_done_callback(publishing_ended)
            yield
        finally:
            if publishing is not None:
                await cancel_and_wait(publishing)
            self._requests.clear()
            self._consumers.clear()
            if client.is_connected or client.is_connecting:
                with contextlib.suppress(Error):
                    await close_or_abort(client.close(), client.abort)
            else:
                client.abort()

    def _send_waiting(self) -> None:
        self._wake.set()

    def _tick(self) -> None:
        for consumer in self._consumers:
            consumer.check()

    async def _open(self, client: NatsClient, on_lost: Callable[[BaseException], None]) -> None:
        last: Exception = NoServersError()

        async def on_closed() -> None:
            if self.connected:  # an earlier end raises an error with more detail
                on_lost(ConnectionLost(f"NATS: {self.options.server} has closed the connection"))

        async def on_error(error: Exception) -> None:
            text = str(error)
            if "permissions violation" in text.lower():
                remedy = "give this user the permission (natsRule in the application file)"
                on_lost(ConnectionLost(f"NATS: {text.removeprefix('nats: ')}; {remedy}"))
            elif self.connected and not isinstance(error, Error | OSError):
                log.error("NATS: unexpected error; reconnecting", exc_info=error)
                on_lost(error)  # what has just come was not dealt with, and would be missing
            else:
                nonlocal last
                last = error
                log.debug("NATS: %s", error)

        options = self.options
        auth: dict[str, object] = {}
        if options.credentials:
            credentials = read_credentials(Path(options.credentials))
            # The library signs if any user name is set, and then does not send the name.
            auth = {
                "user": "credentials",
                "user_jwt_cb": credentials.jwt.encode,
                "signature_cb": _signer(credentials.seed),
            }
        elif options.user:
            auth = {"user": options.user, "password": options.read_password()}
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
                tls=options.tls_context(),
                **auth,  # type: ignore[arg-type]
            )
        except NoServersError:
            raise last from None  # more specific
        client.watch(on_lost)

    async def _prepare(self, client: Client, on_lost: Callable[[BaseException], None]) -> None:
        options, streams = self.options, client.jetstream()
        commands = await ensure_streams(streams, options)
        await client.subscribe(options.expand(options.requests), cb=self._on_request)
        name = f"{options.identity.application}-{options.identity.microservice}"
        consumers = [(commands, name, options.commands, DeliverPolicy.ALL)]
        if options.receive:
            consumers.append((options.stream, f"{name}-receive", options.receive, DeliverPolicy.NEW))
        for stream, durable, subject, policy in consumers:
            consumer = NatsConsumer(client, stream, durable, self._on_message, on_lost)
            await consumer.open(options.expand(subject), policy)
            self._consumers.append(consumer)

    async def _publish(self, publisher: NatsPublisher, limit: int) -> None:
        while True:
            while self._waiting and len(self._in_flight) < self._window:
                body, done = self._waiting.popleft()
                message = IoMessage.from_bytes(body)
                numbered = f"{message.groupid}.{message.sequencenumber}"
                identity = numbered if message.groupid else uuid.uuid4().hex
                sent = self._in_flight.add(identity, done)
                try:
                    contents, headers = self._split_content(message), encode_headers(message)
                    size, most = max(map(len, contents.values())), limit - header_size(headers)
                    if size > most:
                        raise too_large_error(size, most, "NATS server")
                    for subject in contents:
                        check_subject(subject)
                except MessageError as refused:
                    self._in_flight.acknowledge(sent, refused)
                    continue
                acknowledged = partial(self._on_acknowledged, sent, [len(contents)])
                for number, (subject, content) in enumerate(contents.items()):
                    message_headers = headers | {"Nats-Msg-Id": f"{identity}.{number}" if number else identity}
                    await publisher.publish(subject, content, message_headers, acknowledged)
                self._reply_to_request(message)
            if len(self._waiting) < self._window:
                self._room.set()
            self._wake.clear()
            await self._wake.wait()

    def _split_content(self, message: IoMessage) -> dict[str, bytes]:
        """Contents to publish, by subject."""
        recipient = address_of(message.tag).recipient
        subject = self.options.expand(self.options.commands, recipient) if recipient else self._subject
        if "{quantity}" not in subject:
            return {subject: message.contentdata}
        parts = split_by_quantity(message.contentdata)
        return {subject.replace("{quantity}", name or "message"): content for name, content in parts.items()}

    def _on_acknowledged(self, sent: PendingMessage, missing: list[int], refused: MessageError | None) -> None:
        missing[0] -= 1
        sent.refused = sent.refused or refused
        if not missing[0]:
            self._in_flight.acknowledge(sent, sent.refused)
            if self._waiting:
                self._wake.set()

    def _on_message(self, received: Msg, processed: Callable[[], None]) -> None:
        self._inbox.put(decode_message(received), processed, limited_by_sender=True)

    async def _on_request(self, received: Msg) -> None:
        message = decode_message(received)
        message.id = message.id or uuid.uuid4().hex
        if not self._inbox.put(message):
            await received.respond(b'{"ok":false,"detail":"too many commands are waiting; try again later"}')
            return
        while len(self._requests) >= _MAX_REQUESTS:
            self._requests.pop(next(iter(self._requests)))
        self._requests[command_id(message)] = received

    def _reply_to_request(self, message: IoMessage) -> None:
        """Sends a result also as the reply to its request, if it belongs to one."""
        if not self._requests:
            return
        if request := self._requests.pop(command_id(message), None):
            self._run_in_background(_suppress_errors(request.respond(message.contentdata)))

    def _to_link_error(self, error: BaseException) -> LinkError:
        options = self.options
        if isinstance(error, LinkError):
            return error
        if isinstance(error, AuthorizationError) or "authorization violation" in str(error).lower():
            what = (
                f"credentials {shown_file(options.credentials)}"
                if options.credentials
                else f"user {options.user or '(none)'}"
            )
            return NodeUnreachable(f"NATS: {options.server} refuses {what}; check user, password or credentials file")
        if isinstance(error, NoStreamResponseError):
            return ConnectionLost(
                f"NATS: no stream has the subject {options.expand(options.subject)}; create one, or name it: ?stream="
            )
        if isinstance(error, APIError):
            if not error.code:
                return ConnectionLost("NATS: JetStream is not enabled; enable it on the server and for this account")
            refused = RequestRefused(f"NATS stream {options.stream}", error.code, error.description or "")
            remedy = _REMEDIES.get(error.err_code or 0)
            return ConnectionLost(f"{refused}; {remedy}" if remedy else str(refused))
        if isinstance(error, OSError):
            detail = error.strerror or str(error)
            if not self.connected and is_of_tls(error) and (options.uses_tls or hasattr(error, "reason")):
                detail = describe_tls_error(error, has_certificate=bool(options.certificate))
                detail = detail if options.uses_tls else "it wants TLS: write tls://, and ?ca= for its authority"
            remedy = "; set NATS_SERVER_URL=nats://host:port" if options.server == FALLBACK else ""
            return NodeUnreachable(f"NATS: {options.server}: {detail}{remedy}")
        if "expecting INFO" in str(error):
            remedy = "is it a NATS server, and without handshake_first?"
            return NodeUnreachable(f"NATS: {options.server} does not say what a NATS server says first; {remedy}")
        return ConnectionLost(f"NATS: {str(error).removeprefix('nats: ') or type(error).__name__}")


def _signer(seed: bytes) -> Callable[[str], bytes]:
    return lambda nonce: base64.b64encode(sign(seed, nonce.encode()))


async def _suppress_errors(work: Awaitable[object]) -> None:
    """For acknowledgements: the server repeats a message whose acknowledgement does not arrive."""
    with contextlib.suppress(Error, OSError):
        await work
