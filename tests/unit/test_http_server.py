"""The server of health pages: bounded, and open to whoever asks, whatever others do."""

import asyncio
import contextlib
import errno
import logging

import pytest

from device_bridge.telemetry import http_server as module
from device_bridge.telemetry.http_server import MAX_CONNECTIONS, HttpServer, Page

from ..descriptors import lack_descriptors


@contextlib.asynccontextmanager
async def serving(make=lambda: Page(200, "text/plain", "well\n")):
    server = HttpServer({"/healthz": make})
    port = await server.start("127.0.0.1", 0)
    try:
        async with asyncio.timeout(60):
            yield server, port
    finally:
        await server.close()


async def ask(port, request=b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_idle_clients_shut_nobody_out(monkeypatch):
    monkeypatch.setattr(module, "_HEAD_S", 1e6)
    async with serving() as (server, port):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MAX_CONNECTIONS)]
        for _, writer in idle[-5:]:
            writer.write(b"GET /heal")
        for _ in range(10):
            assert (await ask(port)).endswith("well\n")
        assert len(server._connections) <= MAX_CONNECTIONS
        assert await idle[0][0].read() == b"", "the oldest has made room"
        idle[-1][1].write(b"thz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await idle[-1][0].read()).endswith(b"well\n"), "and the newest has not"
        for _, writer in idle:
            writer.close()


async def test_a_client_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "_HEAD_S", 0.01)
    async with serving() as (_, port):
        assert await ask(port, b"GET /healthz HTTP/1.1\r\n") == ""


async def test_a_client_that_does_not_take_its_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "_ANSWER_S", 0.01)
    async with serving(lambda: Page(200, "text/plain", "x" * 10_000_000)) as (server, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        while not server._connections:
            await asyncio.sleep(0)
        while server._connections:
            await asyncio.sleep(0.001)
        writer.close()


async def test_running_out_of_descriptors_is_reported_once_and_passes(monkeypatch, caplog):
    lack_descriptors(monkeypatch)
    caplog.set_level(logging.INFO)
    async with serving() as (_, port):
        assert (await ask(port)).endswith("well\n")
    assert [record.levelname for record in caplog.records if record.name == "device_bridge"] == ["ERROR", "INFO"]


@pytest.mark.clock("movable")
async def test_a_system_that_lets_nobody_in_holds_up_nothing_else(monkeypatch):
    loop, tried = asyncio.get_running_loop(), []

    async def denied(listening):
        tried.append(listening)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(loop, "sock_accept", denied)
    async with serving():
        await asyncio.sleep(1)
    assert 1 < len(tried) < 500


async def test_a_page_that_cannot_be_made_is_logged_and_costs_one_answer(caplog):
    calls = []

    def make():
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return Page(200, "text/plain", "\ud800\n")

    async with serving(make) as (_, port):
        assert await ask(port) == ""
        assert (await ask(port)).endswith("\\ud800\n")
    assert "a page could not be made: ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /healthz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "200", "well\n"),
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200", ""),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "405", "only GET\n"),
        (b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n", "404", "known: /healthz\n"),
    ],
)
async def test_what_is_answered(request_, status, body):
    async with serving() as (_, port):
        answer = await ask(port, request_)
    assert answer.split()[1] == status
    assert answer.partition("\r\n\r\n")[2] == body


@pytest.mark.parametrize("garbage", [b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000, b"\r\n" * 3000])
async def test_garbage_has_no_answer_and_costs_nothing(garbage):
    async with serving() as (server, port):
        with contextlib.suppress(ConnectionError):
            assert await ask(port, garbage) == ""
        assert (await ask(port)).endswith("well\n")
        while server._connections:
            await asyncio.sleep(0.001)


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open():
    async with serving() as (_, port):
        with pytest.raises(OSError, match="in use"):
            await HttpServer({}).start("127.0.0.1", port)


async def test_it_can_be_started_again_on_its_port():
    server = HttpServer({"/healthz": lambda: Page(200, "text/plain", "well\n")})
    port = await server.start("localhost", 0)
    await server.close()
    assert await server.start("127.0.0.1", port) == port
    assert (await ask(port)).endswith("well\n")
    await server.close()
