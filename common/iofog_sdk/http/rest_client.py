"""JSON requests to the node over one keep-alive HTTP/1.1 connection.

Tolerates the Java agent's deviations from HTTP: replies without a content type, the status line's text appended to
error bodies, a connection closed after every error, and a connection closed without a reply.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import h11
import msgspec

from ..errors import ConnectionLost, LinkError, NodeUnreachable, RequestRefused
from ..links.closing import close_or_abort
from ..messages.content import decode_json
from .hosts import describe_connect_error, resolve_host

if TYPE_CHECKING:
    from .service_account import ServiceAccount

_READ_SIZE = 65_536
_OK = 200


class RestClient:
    """Sends requests to one host, one at a time.

    Parameters:
        host, port: where the node listens.
        timeout_s: limit for connecting, and again for the whole reply.
        max_body: largest accepted reply, bytes.
        account: token and certificate authority for HTTPS; None for plain HTTP.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float = 10.0,
        max_body: int = 64 * 1024 * 1024,
        account: ServiceAccount | None = None,
    ) -> None:
        self._account = account
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._max_body = max_body
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """Sends one request and returns the decoded JSON reply.

        Raises RequestRefused for an error status, LinkError when no usable reply arrived. A request that may have
        reached the node is not repeated: only the caller knows whether that is safe.
        """
        async with self._lock:
            try:
                reader, writer = await self._connection()
                async with asyncio.timeout(self._timeout_s):
                    return await self._exchange(reader, writer, method, path, body)
            except TimeoutError:
                await self.close()
                raise ConnectionLost(f"{path}: no answer within {self._timeout_s:g} s") from None
            except (OSError, h11.ProtocolError) as error:
                await self.close()
                if isinstance(error, LinkError):
                    raise
                raise ConnectionLost(f"{path}: {error}") from error
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Closes the connection; the next request opens another."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            await close_or_abort(writer.wait_closed(), writer.transport.abort)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None:
            if not self._streams[0].at_eof():
                return self._streams
            await self.close()
        host = self._host
        try:
            async with asyncio.timeout(self._timeout_s):
                host = await resolve_host(host)
                tls = self._account.tls() if self._account is not None else {}
                self._streams = await asyncio.open_connection(host, self._port, **tls)
        except TimeoutError:
            raise NodeUnreachable(f"{host}:{self._port}: no connection within {self._timeout_s:g} s") from None
        except OSError as error:
            raise NodeUnreachable(f"{host}:{self._port}: {describe_connect_error(error)}") from error
        self._http = h11.Connection(h11.CLIENT)
        return self._streams

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        method: str,
        path: str,
        body: object,
    ) -> Any:
        payload = b"" if body is None else msgspec.json.encode(body)
        headers = [("Host", f"{self._host}:{self._port}")]
        if self._account is not None:
            headers.append(self._account.authorization())
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))]
        http = self._http
        parts = [http.send(h11.Request(method=method, target=path, headers=headers))]
        if payload:
            parts.append(http.send(h11.Data(payload)))
        parts.append(http.send(h11.EndOfMessage()))
        writer.write(b"".join(part for part in parts if part))
        await writer.drain()

        status, reason, chunks, size = 0, b"", list[bytes](), 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(_READ_SIZE)
                if not data and not status:
                    raise ConnectionLost(f"{path}: the node closed the connection without a reply")
                http.receive_data(data)
            elif isinstance(event, h11.Response):
                status, reason = event.status_code, event.reason
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > self._max_body:
                    raise ConnectionLost(f"{path}: reply larger than {self._max_body} bytes")
                chunks.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                break
        if status == _OK and http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            await self.close()
        text = b"".join(chunks)
        if status != _OK:
            raise RequestRefused(path, status, _without_status_line(text, f"{status} {reason.decode('latin-1')}"))
        try:
            return decode_json(text)
        except ValueError as error:
            raise ConnectionLost(f"{path}: reply is not JSON: {error}") from None


def _without_status_line(body: bytes, line: str) -> str:
    text = body.decode("utf-8", "replace")
    while text.endswith(line):
        text = text.removesuffix(line)
    return text.strip() or line
