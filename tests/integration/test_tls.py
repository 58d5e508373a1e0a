"""TLS to a NATS server: what is likely when it fails, and one line of ours when a connection is lost."""

import asyncio
import contextlib
import logging

import pytest

from iofog_sdk import connect
from iofog_sdk.edgelet.control import EdgeletClient, EdgeletControl
from iofog_sdk.http.service_account import ServiceAccount
from local_agent.edgelet_api import EdgeletApi
from local_agent.nats_server import NatsServer
from local_agent.service_accounts import Authority
from pytest_simulated_devices import Relay

from .conftest import Steps, until
from .test_mqtt_link import failing


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


@contextlib.asynccontextmanager
async def serving(folder, authority, **tls):
    """A NATS server with TLS; gives the server and a relay to it."""
    chain = str(folder / "ours/server.pem")
    settings = {"tls": {"cert_file": chain, "key_file": chain} | tls} if authority else {}
    async with NatsServer(folder / "nats", settings) as server, Relay(server.port) as relay:
        yield server, relay


@pytest.mark.parametrize(
    ("url", "tls", "text"),
    [
        ("nats://localhost:{port}", {}, "it wants TLS: write tls://, and ?ca= for its authority"),
        ("tls://localhost:{port}", {}, "check ?ca=, and that the certificate names this host"),
        ("tls://127.0.0.1:{port}?ca={ca}", {}, "certificate is not valid for '127.0.0.1'; check ?ca="),
        (
            "tls://localhost:{port}?ca={ca}",
            {"verify": True},
            "it wants a client certificate: ?certificate= and ?key=",
        ),
        ("tls://localhost:{port}?ca={ca}&certificate={other}", {"verify": True}, "does not accept the client certif"),
        ("tls://localhost:{port}?ca={ca}", None, "the server does not offer TLS; no credentials were sent"),
    ],
)
async def test_what_is_likely_is_said_once(tmp_path, authority, caplog, url, tls, text):
    Authority(tmp_path / "other")
    files = {"ca": authority.certificate, "other": tmp_path / "other/server.pem"}
    verified = {"ca_file": str(authority.certificate)} if tls and "verify" in tls else {}
    async with serving(tmp_path, authority if tls is not None else None, **(tls or {}) | verified) as (_, relay):
        await failing(url.format(port=relay.port, **files), text, caplog)


async def test_a_server_that_begins_with_tls_is_distinguished_from_one_that_is_away(tmp_path, authority):
    async with serving(tmp_path, authority, handshake_first=True) as (_, relay):
        async with connect({"IOFOG_LINK": f"tls://localhost:{relay.port}?ca={authority.certificate}"}) as link:
            await until(lambda: link.last_error)
            assert "is it a NATS server, and without handshake_first?" in str(link.last_error)


async def test_a_client_certificate_is_taken(tmp_path, authority):
    async with serving(tmp_path, authority, verify=True, ca_file=str(authority.certificate)) as (_, relay):
        certificate = tmp_path / "ours/server.pem"
        url = f"tls://localhost:{relay.port}?ca={authority.certificate}&certificate={certificate}"
        async with connect({"IOFOG_LINK": url}) as link:
            await asyncio.wait_for(link.wait_connected(), 60)


@pytest.mark.parametrize("fault", ["end", "reset", "garbage"])
async def test_a_lost_connection_is_one_line_of_ours(tmp_path, authority, caplog, fault):
    async with serving(tmp_path, authority) as (server, relay):
        url = f"tls://localhost:{relay.port}?ca={authority.certificate}&ping_interval_s=1"
        link = connect({"IOFOG_LINK": url})
        link._backoff._initial_s = link._backoff._max_s = 0.05
        async with link:
            await asyncio.wait_for(link.wait_connected(), 60)
            with caplog.at_level(logging.INFO):
                if fault == "end":
                    await server.stop()
                    await until(lambda: not link.connected)
                    await server.start()
                elif fault == "reset":
                    relay.drop()
                    await until(lambda: not link.connected)
                else:
                    relay.garbage = b"\x17\x03\x03\x00\x05wrong"
                    await until(lambda: not link.connected)
                    relay.heal()
                await until(lambda: link.connected)
    assert lines_of_others(caplog) == []
    assert "NATS is down: NATS: " in caplog.text


@pytest.mark.parametrize("fault", ["end", "reset", "garbage"])
async def test_a_lost_control_socket_is_one_line_of_ours(agent, tmp_path, caplog, fault):
    async with EdgeletApi(agent, tmp_path / "edgelet") as api, Relay(api.port) as relay:
        client = EdgeletClient(ServiceAccount(api.accounts.folder_of(api.id_of("device"))), "127.0.0.1", relay.port)
        control = EdgeletControl(client, "x", backoff=Steps(), ping_interval_s=0.1, answer_timeout_s=2)
        await control.start()
        await until(lambda: control.socket.connected)
        if fault == "end":
            api.drop_connections()
        elif fault == "reset":
            relay.drop()
        else:
            relay.garbage = b"\x17\x03\x03\x00\x05wrong"
        await until(lambda: "control socket is down" in caplog.text)
        relay.heal()
        await until(lambda: control.socket.connected)
        await control.close()
    assert lines_of_others(caplog) == []


def lines_of_others(caplog):
    """What libraries have logged."""
    ours = ("iofog_sdk", "local_agent")
    return [record.getMessage() for record in caplog.records if record.name.partition(".")[0] not in ours]
