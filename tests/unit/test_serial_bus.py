"""The serial bus: what each failure to open is called and how to fix it."""

import asyncio
import contextlib
import errno
import os
import socket
import threading
import types

import pytest
import serial
from serial import rfc2217

from device_bridge import DeviceError, SettingsError
from device_bridge.buses import Rs485Settings, SerialBus, SerialSettings
from local_agent.ports import free_port
from simulated_devices import SimulatedSerialLine


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (errno.ENOENT, "not found", "plugged in"),
        (errno.EACCES, "permission", "give the service group"),
        (errno.EPERM, "permission", "no rule for this device"),
        (errno.EBUSY, "busy", "another process"),
        (errno.EIO, "bus fault", os.strerror(errno.EIO)),
    ],
)
async def test_failures_to_open_have_kind_and_remedy(tmp_path, monkeypatch, code, kind, remedy):
    def refuse(*_args, **_options):
        raise serial.SerialException(code, "could not open port")

    with SimulatedSerialLine(tmp_path / "tty") as line:
        monkeypatch.setattr(serial.Serial, "open", refuse)
        with pytest.raises(DeviceError) as caught:
            await SerialBus(SerialSettings(port=str(line.path))).open()
    assert caught.value.kind.value == kind
    assert remedy in str(caught.value)
    assert str(line.path) in str(caught.value)


async def test_a_missing_device_is_a_device_error(tmp_path):
    with pytest.raises(DeviceError, match="not found"):
        await SerialBus(SerialSettings(port=str(tmp_path / "tty"))).open()


@pytest.mark.parametrize("make", ["mkdir", "touch"])
async def test_what_can_never_be_a_port_is_a_settings_error(tmp_path, make):
    getattr(tmp_path / "tty", make)()
    with pytest.raises(SettingsError, match=r"serial\.port"):
        await SerialBus(SerialSettings(port=str(tmp_path / "tty"))).open()


async def test_only_one_may_have_it_open(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        first, second = (SerialBus(SerialSettings(port=str(line.path))) for _ in range(2))
        await first.open()
        with pytest.raises(DeviceError, match="another process"):
            await second.open()
        await first.close()


async def test_silence_is_waited_for_and_unplugging_is_an_error(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = SerialBus(SerialSettings(port=str(line.path)))
        await bus.open()
        reading = asyncio.ensure_future(bus.read())
        await asyncio.sleep(0)
        assert not reading.done()
        await line.send(b"x")
        assert await asyncio.wait_for(reading, 60) == b"x"
        reading = asyncio.ensure_future(bus.read())
        await asyncio.sleep(0)
        line.unplug()
        with pytest.raises(DeviceError, match="unplugged"):
            await asyncio.wait_for(reading, 60)
        await bus.close()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def opened(line, **settings):
    bus = SerialBus(SerialSettings(port=str(line.path), **settings))
    await bus.open()
    return bus


async def test_what_came_before_the_unplugging_is_read_before_it_is_an_error(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        await line.send(b"last words")
        assert await asyncio.wait_for(bus.read(), 60) == b"last words"
        await line.send(b"more")
        await until(lambda: bus._unread)
        line.unplug()
        assert await asyncio.wait_for(bus.read(), 60) == b"more"
        with pytest.raises(DeviceError, match="unplugged"):
            await asyncio.wait_for(bus.read(), 60)
        with pytest.raises(DeviceError, match="unplugged"):
            await bus.write(b"x")
        await bus.close()


async def test_gathering_bytes_delays_but_loses_nothing(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line, coalesce=0.02)
        sent = [b"%04d\n" % number for number in range(200)]

        async def send():
            for part in sent:
                await line.send(part)
                await asyncio.sleep(0.0005)

        sending, got, reads = asyncio.ensure_future(send()), b"", 0
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.timeout(60):
            while len(got) < 1000:
                got += await bus.read()
                reads += 1
        await sending
        assert got == b"".join(sent)
        assert reads <= 2 + (loop.time() - start) / 0.02
        await line.send(b"after a rest")
        assert await asyncio.wait_for(bus.read(), 60) == b"after a rest"
        await bus.close()


async def test_writing_waits_for_room_and_loses_nothing(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        data = os.urandom(100_000)
        writing, got = asyncio.ensure_future(bus.write(data)), b""
        async with asyncio.timeout(60):
            while len(got) < len(data):
                got += await line.receive()
        await writing
        assert got == data
        await bus.close()


async def test_a_port_that_takes_nothing_is_a_timeout_and_the_rest_is_not_sent_later(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        with pytest.raises(DeviceError, match=r"takes no data: .* flow control"):
            await bus.write(b"x" * 100_000, timeout_s=0.05)
        line.read()
        async with asyncio.timeout(60):
            await bus.write(b"next")
            got = b""
            while not got.endswith(b"next"):
                got += await line.receive()
        await bus.close()


async def test_an_unread_bus_holds_a_bounded_number_of_bytes(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        total = 0
        async with asyncio.timeout(60):
            while (taken := line.write(b"x" * 4096)) or total < 256 * 1024:
                total += taken
                await asyncio.sleep(0)
        assert total < 1024 * 1024
        got = 0
        async with asyncio.timeout(60):
            while got < total:
                got += len(await bus.read())
        assert got == total
        await bus.close()


async def test_old_input_can_be_discarded(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        await line.send(b"old")
        bus.discard_input()
        await line.send(b"new")
        assert await asyncio.wait_for(bus.read(), 60) == b"new"
        await bus.close()


async def test_closing_wakes_who_waits_to_write(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        writing = asyncio.ensure_future(bus.write(b"x" * 100_000))
        await until(lambda: bus._writer)
        await bus.close()
        with pytest.raises(DeviceError, match="closed"):
            await asyncio.wait_for(writing, 60)


async def test_a_write_that_was_begun_is_finished_when_its_caller_is_cancelled(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        first, second = b"a" * 99_999 + b"\n", b"b" * 10
        writing = asyncio.ensure_future(bus.write(first))
        await asyncio.sleep(0.01)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        following, got = asyncio.ensure_future(bus.write(second)), b""
        async with asyncio.timeout(10):
            while len(got) < len(first) + len(second):
                got += await line.receive()
            await following
        assert got == first + second
        await bus.close()


async def test_a_write_that_was_not_begun_is_not_sent_when_its_caller_is_cancelled(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        first = asyncio.ensure_future(bus.write(b"a" * 100_000))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(bus.write(b"b"))
        await asyncio.sleep(0.01)
        second.cancel()
        got = b""
        async with asyncio.timeout(10):
            while len(got) < 100_000:
                got += await line.receive()
            await first
            await bus.write(b"c")
            assert await line.receive() == b"c"
        await bus.close()


async def test_closing_does_not_stop_the_loop(tmp_path, monkeypatch):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        bus = await opened(line)
        goes_on = threading.Event()
        monkeypatch.setattr(serial.Serial, "close", lambda _: goes_on.wait(20) or pytest.fail("the loop was stopped"))
        closing = asyncio.ensure_future(bus.close())
        await asyncio.sleep(0.01)
        goes_on.set()
        await asyncio.wait_for(closing, 5)


async def test_direction_by_the_driver_is_refused_where_it_cannot_be(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line:
        with pytest.raises(SettingsError, match=r"serial\.rs485"):
            await opened(line, rs485=Rs485Settings())
        again = await opened(line, flow_control="xon_xoff", dtr="off", rts="off")
        await again.close()


@pytest.mark.parametrize("url", ["socket://", "socket://h", "rfc2217://a:b", "spy:///dev/ttyS0", "socket://h:1?a=b"])
async def test_only_addresses_of_serial_servers_are_taken(url):
    with pytest.raises(SettingsError, match=r"serial\.port"):
        await SerialBus(SerialSettings(port=url)).open()


def connected_to(peer):
    """This process's socket that is connected to an address."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            candidate = socket.socket(fileno=os.dup(int(name)))
            with contextlib.suppress(OSError):
                if candidate.getpeername() == peer:
                    return candidate
            candidate.close()
    raise AssertionError(f"no socket is connected to {peer}")


def check_it_notices_a_peer_that_is_gone(connection):
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        assert 0 < connection.getsockopt(socket.IPPROTO_TCP, option) <= 10
    assert 0 < connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000


async def test_a_serial_server_by_tcp():
    accepted = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *streams: accepted.set_result(streams), "127.0.0.1", 0)
    bus = SerialBus(SerialSettings(port=f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    await bus.open()
    reader, writer = await asyncio.wait_for(accepted, 60)
    writer.write(b"from the device")
    assert await asyncio.wait_for(bus.read(), 60) == b"from the device"
    await bus.write(b"to it")
    assert await asyncio.wait_for(reader.readexactly(5), 5) == b"to it"
    with connected_to(server.sockets[0].getsockname()) as connection:
        check_it_notices_a_peer_that_is_gone(connection)
    writer.close()
    with pytest.raises(DeviceError, match="unplugged"):
        await asyncio.wait_for(bus.read(), 60)
    await bus.close()
    server.close()


async def test_a_serial_server_that_is_not_there_is_not_found():
    port = free_port()
    for scheme in ("socket", "rfc2217"):
        with pytest.raises(DeviceError, match="no serial server answers"):
            await SerialBus(SerialSettings(port=f"{scheme}://127.0.0.1:{port}")).open()


class PseudoTerminal(serial.Serial):
    """A port without modem lines, which pyserial's server asks for."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self):
        pass

    _update_rts_state = _update_dtr_state


def serve_rfc2217(listener, device):
    """pyserial's own server side of RFC 2217, in front of a tty, for one client."""
    client, _ = listener.accept()
    with client, PseudoTerminal(device, timeout=0.02) as port:
        manager = rfc2217.PortManager(port, types.SimpleNamespace(write=client.sendall))
        client.settimeout(0.02)
        while True:
            with contextlib.suppress(TimeoutError):
                data = client.recv(1024)
                if not data:
                    return port.baudrate
                port.write(b"".join(manager.filter(data)))
            if received := port.read(1024):
                client.sendall(b"".join(manager.escape(received)))


async def test_a_serial_server_by_rfc2217_sets_the_rate_too(tmp_path):
    with SimulatedSerialLine(tmp_path / "tty") as line, socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.ensure_future(asyncio.to_thread(serve_rfc2217, listener, str(line.path)))
        bus = SerialBus(SerialSettings(port=f"rfc2217://127.0.0.1:{listener.getsockname()[1]}", baud=57_600))
        async with asyncio.timeout(60):
            await bus.open()
            await bus.write(b"\xff to it")
            with connected_to(listener.getsockname()) as connection:
                check_it_notices_a_peer_that_is_gone(connection)
            assert await line.receive() == b"\xff to it"
            await line.send(b"\xff from it")
            got = b""
            while len(got) < 9:
                got += await bus.read()
            assert got == b"\xff from it"
            await bus.close()
            assert await serving == 57_600
