"""Each link imports its own transport and no other: modules cost memory and start time on a small board."""

import socket
import subprocess
import sys

import pytest

AGENT_SOCKETS = {"iofog_sdk.agent.message_socket", "iofog_sdk.agent.control_socket", "iofog_sdk.agent.link"}
AGENT = AGENT_SOCKETS | {"iofog_sdk.agent.local_api", "iofog_sdk.agent.detecting_link"}
EDGELET = {"iofog_sdk.edgelet.control", "iofog_sdk.http.service_account"}
HTTP = {"iofog_sdk.http.rest_client", "iofog_sdk.http.websocket", "h11"}
NATS = {"nats", "ctypes", "iofog_sdk.nats.link", "iofog_sdk.nats.options"}
MQTT = {"paho", "iofog_sdk.mqtt.link"}
TLS = {"ssl", "_hashlib", "iofog_sdk.links.tls.credential_files"}
SENML = {"iofog_sdk.messages.senml"}

# Python's asyncio imports ssl if it can; hidden from it, ssl is loaded only if the link itself asks for it.
MODULES = """
import sys
sys.modules["ssl"] = None
import asyncio
del sys.modules["ssl"]
import iofog_sdk
iofog_sdk.connect({environment})
print(*sys.modules)
"""


def imported(environment: dict[str, str]) -> set[str]:
    code = MODULES.format(environment=environment)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("environment", "needed", "foreign"),
    [
        ({"IOFOG_LINK": "console:"}, {"iofog_sdk.links.console"}, AGENT | EDGELET | HTTP | NATS | MQTT | TLS | SENML),
        ({"IOFOG_LINK": "agent://h", "SELFNAME": "x"}, AGENT_SOCKETS | HTTP, EDGELET | NATS | MQTT | TLS | SENML),
        ({"SELFNAME": "x"}, {"iofog_sdk.agent.detecting_link"} | HTTP, EDGELET | NATS | MQTT | TLS | SENML),
        (
            {"SELFNAME": "x", "NATS_SERVER_URL": "nats://h"},
            {"iofog_sdk.nats.options"},
            EDGELET | MQTT | TLS | SENML | {"nats", "iofog_sdk.nats.link", "iofog_sdk.agent.message_socket"},
        ),
        ({"EDGELET_MICROSERVICE_UID": "x", "EDGELET_SERVICE_ACCOUNT": "/"}, EDGELET | NATS | HTTP, AGENT | MQTT),
        ({"IOFOG_LINK": "nats://h"}, NATS, AGENT | EDGELET | HTTP | MQTT),
        ({"IOFOG_LINK": "mqtt://h"}, MQTT, AGENT | EDGELET | HTTP | NATS),
    ],
)
def test_a_link_imports_its_own_transport_only(environment, needed, foreign):
    modules = imported(environment)
    assert needed - modules == set()
    assert foreign & modules == set()


WITHOUT_TLS = """
import sys
import device_bridge, asyncio
connecting = asyncio.open_connection("127.0.0.1", {port})
asyncio.run(connecting)
print(*sys.modules)
"""
WITH_TLS = """
import sys
import device_bridge, asyncio, socket, ssl
from asyncio import sslproto
context = ssl.create_default_context()
assert isinstance(context, ssl.SSLContext)
assert sslproto.SSLProtocol(asyncio.new_event_loop(), asyncio.Protocol(), context, None)
assert issubclass(ssl.SSLSocket, socket.socket), "the real one"
"""


def test_tls_is_not_loaded_by_a_service_that_connects_without_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = WITHOUT_TLS.format(port=server.getsockname()[1])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"_ssl", "html"} & set(done.stdout.split()) == set()


def test_tls_is_loaded_when_it_is_used():
    subprocess.run([sys.executable, "-c", WITH_TLS], check=True)
