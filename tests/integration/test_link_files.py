"""Links over NATS and MQTT that reach an IPv6 address, and what they say of files that cannot be used."""

import asyncio
import socket

import pytest

from iofog_sdk import connect

from .conftest import until


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="IPv6 on the loopback interface: sysctl net.ipv6.conf.lo.disable_ipv6=0")
@pytest.mark.parametrize(
    ("scheme", "greeting", "first"), [("nats", b"INFO {}\r\n", b"CONNECT"), ("mqtt", b"", b"\x10")]
)
async def test_a_server_at_an_ipv6_address_is_reached(scheme, greeting, first):
    heard = []

    async def serve(reader, writer):
        writer.write(greeting)
        heard.append(await reader.read(len(first)))
        writer.close()

    async with await asyncio.start_server(serve, "::1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect({"IOFOG_LINK": f"{scheme}://[::1]:{port}"}) as link:
            await until(lambda: heard)
            assert f"{scheme}://[::1]:{port}," in link.description
    assert heard[0] == first


@pytest.mark.parametrize(
    ("url", "option", "words"),
    [
        ("nats://u@127.0.0.1:{}", "password_file", "No such file or directory"),
        ("nats://u@127.0.0.1:{}", "password_file", "is not UTF-8 text"),
        ("nats://127.0.0.1:{}", "credentials", "No such file or directory"),
        ("nats://127.0.0.1:{}", "ca", "No such file or directory"),
        ("tls://127.0.0.1:{}", "ca", "holds no certificate in PEM form"),
        ("mqtt://u@127.0.0.1:{}", "password_file", "No such file or directory"),
        ("mqtt://u@127.0.0.1:{}", "password_file", "is not UTF-8 text"),
        ("mqtts://127.0.0.1:{}", "ca", "No such file or directory"),
        ("mqtts://127.0.0.1:{}", "ca", "holds no certificate in PEM form"),
        ("mqtts://127.0.0.1:{}", "certificate", "holds no certificate in PEM form"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named_with_its_option_once(
    tmp_path, unused_tcp_port, caplog, url, option, words
):
    file = tmp_path / "file"
    if not words.startswith("No such"):
        file.write_bytes(b"\0\xff\xfe")
    link = connect({"IOFOG_LINK": f"{url.format(unused_tcp_port)}?{option}={file}"})
    link._backoff._initial_s = link._backoff._max_s = 0.05
    waits, next_s = [], link._backoff.next_s
    link._backoff.next_s = lambda: waits.append(1) or next_s()
    async with link:
        await until(lambda: len(waits) > 3)
        assert f"{option} {file}: {words}" in str(link.last_error)
    (said,) = caplog.records
    assert said.exc_info is None
    assert f"{option} {file}: {words}" in said.message
    assert "check ?ca=" not in said.message
