"""EdgeletAPI v1 and the nodes between: settings by one way, messages over NATS."""

import asyncio
import contextlib
import logging
import ssl

import aiohttp
import jwt
import msgspec
import pytest
from aiohttp import web

from iofog_sdk import NodeNotFound, NodeUnreachable, RequestRefused, connect
from iofog_sdk.edgelet.control import EdgeletClient, EdgeletControl
from iofog_sdk.http.hosts import AGENT_HOST, EDGELET_HOST, resolve_host
from iofog_sdk.http.service_account import ServiceAccount
from iofog_sdk.links.backoff import Backoff
from local_agent import LocalAgent
from local_agent.edgelet_api import EdgeletApi, refusal
from local_agent.nats_server import NatsServer
from local_agent.server import never
from local_agent.service_accounts import Authority, ServiceAccounts
from pytest_simulated_devices import Relay

from .conftest import agent_config, opened, until
from .nodes import received_by
from .test_delivery_faults import sentence


@pytest.fixture
async def nats(tmp_path):
    async with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def api(agent, tmp_path):
    async with EdgeletApi(agent, tmp_path / "edgelet") as running:
        yield running


def client_of(api, name="device"):
    folder = api.accounts.folder_of(api.agent.id_of(name))
    return EdgeletClient(ServiceAccount(folder), "127.0.0.1", api.port, timeout_s=5)


@contextlib.asynccontextmanager
async def linked(api, nats, **more):
    """A link as a container there makes it, and the configurations it gets."""
    link = connect(api.variables("device") | {"NATS_SERVER_URL": nats.url} | more)
    for backoff in (link.control._backoff, link.control._socket._backoff):
        backoff._initial_s = backoff._max_s = 0.05
    configs = []
    link.on_config = configs.append
    async with link:
        yield link, configs


@pytest.mark.parametrize(
    ("config", "text"),
    [({"a": 1}, '{"a":1}'), ("not json", "not json"), ('{"a": 1}', '{"a":1}'), (None, None), (" ", None)],
)
async def test_the_configuration_is_text_or_none(agent, api, config, text):
    agent.set_config("device", config)
    client = client_of(api)
    assert await client.get_config() == text
    await client.close()


@contextlib.asynccontextmanager
async def client_session(api):
    """An HTTPS client that checks certificates as strictly as Python 3.13 does."""
    context = ssl.create_default_context(cafile=api.accounts.authority.certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    connector = aiohttp.TCPConnector(ssl=context)
    address = f"https://localhost:{api.port}"
    async with aiohttp.ClientSession(address, connector=connector) as session:
        yield session


CONFIG, CONTROL = "/v1/microservices/config", "/v1/microservices/control"
GPS = "/v1/system/gps"
GOOD = "Bearer {good}"
NOT_ALLOWED = ["auth/whoami"]


@pytest.mark.parametrize(
    ("method", "path", "authorization", "status", "text"),
    [
        ("GET", CONFIG, None, 401, "UNAUTHORIZED: missing bearer token"),
        ("GET", CONFIG, "bearer {good}", 401, "UNAUTHORIZED: missing bearer token"),
        ("GET", CONFIG, "Bearer  ", 401, "UNAUTHORIZED: missing bearer token"),  # servers cut blanks at the end off
        ("GET", CONFIG, "Bearer \u00a0", 401, "UNAUTHORIZED: missing JWT token"),
        ("GET", CONTROL, "Bearer \u00a0", 401, "Missing JWT token\n"),
        ("GET", GPS, None, 401, "UNAUTHORIZED: missing bearer token"),
        ("GET", GPS, GOOD, 200, None),
        ("POST", GPS, GOOD, 403, "FORBIDDEN: request is not allowed by RBAC policy"),
        ("DELETE", GPS, GOOD, 403, "FORBIDDEN: request is not allowed by RBAC policy"),
        ("GET", CONFIG, "Bearer {good}x", 401, "UNAUTHORIZED: invalid JWT token"),
        ("POST", CONFIG, "Bearer x", 401, "UNAUTHORIZED: invalid JWT token"),
        ("POST", CONFIG, GOOD, 403, "FORBIDDEN: request is not allowed by RBAC policy"),
        ("GET", CONFIG, "Bearer {not_allowed}", 403, "FORBIDDEN: request is not allowed by RBAC policy"),
        ("GET", CONFIG, "Bearer {nobody}", 403, "FORBIDDEN: microservice identity claim is required"),
        ("GET", CONFIG, GOOD, 404, "NOT_FOUND: microservice config not found"),
        ("POST", CONTROL, None, 405, "method not allowed\n"),
        ("GET", CONTROL, None, 401, "Missing bearer token\n"),
        ("GET", CONTROL, "Bearer x", 401, "Invalid JWT token\n"),
        ("GET", CONTROL, "Bearer {nobody}", 403, "microservice identity claim is required\n"),
        ("GET", CONTROL, "Bearer {not_allowed}", 403, "forbidden\n"),
        ("GET", "/v1/nothing", GOOD, 404, "404 page not found\n"),
        ("GET", "/v2/config/get", None, 404, "404 page not found\n"),
        ("GET", "/health/live", None, 200, None),
    ],
)
async def test_order_and_texts_of_refusals(api, method, path, authorization, status, text):
    identity = api.id_of("device")
    tokens = {
        "good": api.accounts.token_for(identity),
        "not_allowed": api.accounts.token_for(identity, NOT_ALLOWED),
        "nobody": api.accounts.token_for(""),
    }
    headers = {} if authorization is None else {"Authorization": authorization.format(**tokens)}
    async with client_session(api) as session, session.request(method, path, headers=headers) as response:
        assert response.status == status
        if response.content_type == "application/json":
            error = (await response.json()).get("error")
            assert (error and f"{error['code']}: {error['message']}") == text
        else:
            assert await response.text() == text
        assert ("X-Request-Id" in response.headers) == (path in (CONFIG, CONTROL, GPS))


POSITION = {"lat": "53.544947", "lon": "9.967085"}


async def test_the_position_of_a_node_is_taken_from_those_whose_role_allows_it(agent, api, nats):
    with pytest.raises(RequestRefused, match=r"/v1/system/gps answered 403: .*; its role lacks system/gps with cr"):
        async with linked(api, nats) as (link, _):
            await link.set_position(53.5449466, 9.967085)
    allowed = {"device": msgspec.structs.replace(agent.config.microservices["device"], sets_position=True)}
    agent.apply(msgspec.structs.replace(agent.config, microservices=agent.config.microservices | allowed))
    api.rotate()
    async with linked(api, nats) as (link, _):
        await link.set_position(53.5449466, 9.967085)
    assert agent.position == POSITION
    headers = {"Authorization": f"Bearer {api.accounts.token_for(api.id_of('device'))}"}
    async with client_session(api) as session:
        async with session.get(GPS, headers=headers) as response:
            assert (await response.json())["data"].items() > POSITION.items()
        deep = '{"lat":' + "[" * 100_000
        refused = {"[]": "invalid JSON body", deep: "invalid JSON body", '{"lat": 1}': "lon is required"}
        for body, text in refused.items():
            async with session.post(GPS, headers=headers, data=body) as response:
                assert (response.status, (await response.json())["error"]["message"]) == (400, text)
    assert agent.position == POSITION


async def test_a_request_that_does_not_end_and_a_response_that_does_not_begin_are_given_up(api, monkeypatch):
    monkeypatch.setattr(api, "request_timeout_s", 0.2)
    monkeypatch.setattr(api, "_config", lambda request: never())
    headers = {"Authorization": f"Bearer {api.accounts.token_for(api.id_of('device'))}"}
    context = ssl.create_default_context(cafile=api.accounts.authority.certificate)
    for begun in (b"", b"GET /v1/microservices/config HTTP/1.1\r\nHost:"):
        reader, writer = await asyncio.open_connection("localhost", api.port, ssl=context)
        writer.write(begun)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
    async with client_session(api) as session:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.get(CONFIG, headers=headers)
        async with session.ws_connect(CONTROL, headers=headers) as socket:
            await asyncio.sleep(0.5)  # longer than the limit, which is over for it
            await socket.send_bytes(b"\x09")
            assert (await socket.receive_bytes(timeout=5)) == b"\x0a"


async def test_an_old_control_socket_that_dies_takes_the_registration_of_the_new_one_with_it(api):
    headers = {"Authorization": f"Bearer {api.accounts.token_for(api.id_of('device'))}"}
    async with client_session(api) as session:
        async with session.ws_connect(CONTROL, headers=headers) as new:
            async with session.ws_connect(CONTROL, headers=headers):
                pass
            await until(lambda: len(api.connections) == 1)
            api.signal_config(api.id_of("device"))
            await new.send_bytes(b"\x09")
            assert (await new.receive_bytes(timeout=5)) == b"\x0a"  # it lives, and the signal did not come


def test_the_mounted_key_is_that_of_the_token(tmp_path):
    accounts = ServiceAccounts(tmp_path, Authority(tmp_path / "authority"))
    for _ in range(2):
        accounts.rotate("x")
        folder = accounts.folder_of("x")
        key = jwt.PyJWK.from_json((folder / "edgelet.jwk").read_text())
        token = (folder / "token").read_text()
        assert jwt.decode(token, key, algorithms=["EdDSA"], options={"verify_aud": False})["tokenUse"]
        assert {file.name for file in folder.iterdir() if file.is_symlink()} == {
            *("token", "ca.crt", "edgelet.jwk", "..data")
        }


async def test_a_changed_configuration_is_signalled_and_fetched(agent, api, nats, caplog):
    with caplog.at_level(logging.INFO):
        agent.set_config("device", {"n": 1})
        async with linked(api, nats) as (link, configs):
            await until(lambda: configs == ['{"n":1}'])
            await link.wait_connected()
            agent.set_config("device", {"n": 2})
            await until(lambda: configs[-1] == '{"n":2}')
            api.signal_limits()
            await until(lambda: "resource limits have changed" in caplog.text)
            assert "NATS at" in link.description
            assert "EdgeletAPI v1" in link.description
    assert "EDGELET_MICROSERVICE_UID is set" in caplog.text


async def test_a_change_whose_signal_is_lost_arrives_and_the_socket_is_opened_anew(
    agent, api, nats, monkeypatch, caplog
):
    monkeypatch.setattr("iofog_sdk.links.control.REFETCH_S", 0.2)
    monkeypatch.setattr("iofog_sdk.links.control._SIGNAL_DELAY_S", 0.1)
    agent.set_config("device", {"n": 1})
    headers = {"Authorization": f"Bearer {api.accounts.token_for(api.id_of('device'))}"}
    async with client_session(api) as session, linked(api, nats) as (link, configs):
        await until(lambda: configs and link.control.socket.connected)
        async with session.ws_connect(CONTROL, headers=headers):
            pass  # when it ends, Edgelet forgets the newer one as well
        await until(lambda: api.id_of("device") not in api._sessions)
        agent.set_config("device", {"n": 2})
        await until(lambda: configs[-1] == '{"n":2}')
        await until(lambda: "changed and no signal came" in caplog.text)
        monkeypatch.setattr("iofog_sdk.links.control.REFETCH_S", 3600)
        await until(lambda: "signals are missing" in caplog.text and link.control.socket.connected)
        agent.set_config("device", {"n": 3})
        await until(lambda: configs[-1] == '{"n":3}')


@pytest.mark.parametrize("text", ["404 page not found\n", "<html>", '{"error": {}}'])
async def test_a_404_that_is_not_the_nodes_word_is_no_missing_configuration(api, monkeypatch, text):
    async def respond(request):
        return web.Response(status=404, text=text)

    monkeypatch.setattr(api, "respond", respond)
    client = client_of(api)
    with pytest.raises(RequestRefused, match="404"):
        await client.get_config()
    await client.close()


async def test_what_changed_while_the_node_was_away_is_read_after_the_reconnect(agent, api, nats):
    agent.set_config("device", {"n": 1})
    async with linked(api, nats) as (_, configs):
        await until(lambda: configs)
        await api.close()
        agent.set_config("device", {"n": 2})
        await api.start()
        await until(lambda: configs[-1] == '{"n":2}')


async def test_a_replaced_token_is_used_and_the_old_one_good_until_it_ends(agent, api, nats, monkeypatch):
    agent.set_config("device", {"n": 1})
    client = client_of(api)
    old = ServiceAccount(client.account.folder).authorization()
    assert await client.get_config()
    api.rotate()
    assert await client.get_config()
    assert client.account.authorization() != old

    class Stale(ServiceAccount):
        def authorization(self):
            return old

    stale = EdgeletClient(Stale(client.account.folder), "127.0.0.1", api.port)
    assert await stale.get_config()
    monkeypatch.setattr(api.accounts, "lifetime_s", -1.0)
    old = ("Authorization", f"Bearer {api.accounts.token_for(agent.id_of('device'))}")
    with pytest.raises(RequestRefused, match="401: UNAUTHORIZED invalid JWT token"):
        await stale.get_config()
    monkeypatch.undo()
    await stale.close()
    await client.close()
    async with linked(api, nats) as (_, configs):
        await until(lambda: configs)
        api.rotate()
        api.drop_connections()
        agent.set_config("device", {"n": 3})
        await until(lambda: configs[-1] == '{"n":3}')


async def test_another_authority_is_trusted_as_soon_as_it_is_mounted(agent, api, nats):
    agent.set_config("device", {"n": 1})
    async with linked(api, nats) as (_, configs):
        await until(lambda: configs)
        await api.change_authority()
        agent.set_config("device", {"n": 2})
        await until(lambda: configs[-1] == '{"n":2}')


async def test_a_node_of_another_authority_is_not_trusted(agent, api, nats, tmp_path, caplog):
    async with EdgeletApi(agent, tmp_path / "other") as other:
        variables = {"EDGELET_SERVICE_ACCOUNT": str(other.accounts.folder_of(agent.id_of("device")))}
        async with linked(api, nats, **variables) as (_, configs):
            await until(lambda: "is ca.crt that of this node?" in caplog.text)
            assert not configs
    assert caplog.text.count("is ca.crt that of this node?") == 1


async def test_missing_files_are_named_once(api, nats, tmp_path, caplog):
    async with linked(api, nats, EDGELET_SERVICE_ACCOUNT=str(tmp_path)):
        await until(lambda: f"{tmp_path}/ca.crt: No such file" in caplog.text)
    assert "Edgelet mounts it for microservices of a Controller" in caplog.text


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_a_configuration_that_is_refused_comes_when_it_is_given(agent, api, nats, caplog, monkeypatch, status):
    asked = []

    async def refuse(api, request):
        asked.append(request.method)
        return refusal(status, "WAIT", "not yet")

    agent.set_config("device", {"n": 1})
    monkeypatch.setattr(EdgeletApi, "_config", refuse)
    async with linked(api, nats) as (_, configs):
        await until(lambda: len(asked) >= 4)
        assert not configs
        monkeypatch.undo()
        await until(lambda: configs == ['{"n":1}'])
    assert caplog.text.count(f"configuration not fetched: /v1/microservices/config answered {status}: WAIT") == 1


@pytest.mark.parametrize(("token", "words"), [(b"", "token is empty"), (b"a\nb", "token is not a bearer token")])
async def test_a_token_that_is_being_replaced_is_waited_for(agent, api, nats, caplog, token, words):
    agent.set_config("device", {"n": 1})
    folder = api.accounts.folder_of(agent.id_of("device"))
    (folder / "token").write_bytes(token)
    async with linked(api, nats) as (link, configs):
        await until(lambda: f"/control: {folder}/{words}" in caplog.text)
        with pytest.raises(NodeUnreachable, match=words):
            await link.get_config()
        api.rotate()
        await until(lambda: configs == ['{"n":1}'])
    assert caplog.text.count(words) == 1


async def test_an_unexpected_error_ends_an_attempt_and_not_the_socket(agent, api, nats, caplog, monkeypatch):
    tried = []

    def broken(account):
        tried.append(account)
        raise ZeroDivisionError("unexpected")

    agent.set_config("device", {"n": 1})
    monkeypatch.setattr(ServiceAccount, "tls", broken)
    async with linked(api, nats) as (_, configs):
        await until(lambda: len(tried) >= 4)
        monkeypatch.undo()
        await until(lambda: configs)
        monkeypatch.setattr(ServiceAccount, "tls", broken)
        api.drop_connections()
        await until(lambda: len(tried) >= 6)
    assert [record.exc_info is None for record in caplog.records if "unexpected" in record.message] == [
        False,
        True,
    ] * 2
    assert "control socket is down: control socket: ZeroDivisionError: unexpected" in caplog.text


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (lambda _: "abc", "refused the handshake: 401: Invalid JWT token"),
        (
            lambda accounts: accounts.token_for(""),
            "403: microservice identity claim is required; its role lacks microservices/control/self",
        ),
        (
            lambda accounts: accounts.token_for("x", ["microservices/config/self"]),
            "403: forbidden; its role lacks microservices/control/self",
        ),
    ],
)
async def test_why_the_control_socket_is_refused_is_said_once(agent, api, nats, caplog, monkeypatch, token, words):
    (api.accounts.folder_of(agent.id_of("device")) / "token").write_text(token(api.accounts))
    async with linked(api, nats) as (link, _):
        backoff = link.control._socket._backoff
        waits, next_s = [], backoff.next_s
        monkeypatch.setattr(backoff, "next_s", lambda: waits.append(1) or next_s())
        await until(lambda: words in caplog.text and len(waits) > 3)
    assert caplog.text.count(words) == 1


async def test_a_silent_node_is_noticed_by_a_missing_pong(agent, api, caplog):
    async with Relay(api.port) as relay:
        client = client_of(api)
        client.port = relay.port
        options = {"ping_interval_s": 0.1, "answer_timeout_s": 0.5, "backoff": Backoff(0.05, 0.05)}
        control = EdgeletControl(client, "device", **options)
        await control.start()
        await until(lambda: control.socket.connected)
        relay.swallow = True
        await until(lambda: "no pong within 0.5 s" in caplog.text)
        relay.heal()
        relay.drop()
        await until(lambda: control.socket.connected)
        await control.close()


async def test_an_agent_that_answers_late_is_waited_for(start, line, unused_tcp_port):
    config = agent_config(port=unused_tcp_port, device={"serial": {"port": str(line.path)}})
    service = await start("gps_receiver", SELFNAME=config.id_of("device"), IOFOG_AGENT=f"127.0.0.1:{unused_tcp_port}")
    await until(lambda: service.logged("is down"))
    async with LocalAgent(config) as agent:
        await until(lambda: opened(service, line))
        await line.send(sentence(1))
        await until(lambda: agent.counters["published"])
        assert await service.stop() == 0


@pytest.mark.parametrize("host", [AGENT_HOST, EDGELET_HOST])
async def test_a_container_on_the_host_s_network_finds_its_node_there(host):
    assert await resolve_host(host) == "127.0.0.1"
    assert await resolve_host("localhost") == "localhost"


async def test_a_service_on_edgelet_gets_settings_there_and_delivers_over_nats(
    agent, api, nats, start, line, tmp_path
):
    agent.set_config("device", {"serial": {"port": str(line.path)}})
    receive = {"IOFOG_LINK": f"{nats.url}?receive=iofog.readings.local.device", "IOFOG_MICROSERVICE": "viewer"}
    async with received_by(connect(receive)) as receiver:
        service = await start("gps_receiver", **api.variables("device"), NATS_SERVER_URL=nats.url)
        await until(lambda: opened(service, line))
        for number in range(1, 101):
            await line.send(sentence(number))
        await until(lambda: len(receiver.samples) == 100)
        assert await service.stop() == 0
    assert (receiver.tracker.missing, receiver.tracker.duplicates) == (0, 0)
    assert service.logged("EDGELET_MICROSERVICE_UID is set: settings by EdgeletAPI v1, messages over NATS")


async def test_edgelet_alone_gives_no_configuration_and_local_settings_apply(api, nats, start, line):
    receive = {"IOFOG_LINK": f"{nats.url}?receive=iofog.readings.local.device", "IOFOG_MICROSERVICE": "viewer"}
    async with received_by(connect(receive)) as receiver:
        service = await start(
            "gps_receiver",
            **api.variables("device"),
            NATS_SERVER_URL=nats.url,
            SETTING_SERIAL__PORT=str(line.path),
        )
        await until(lambda: opened(service, line))
        await line.send(sentence(1))
        await until(lambda: receiver.samples)
        assert await service.stop() == 0


async def test_without_the_folder_of_credentials_there_is_no_control(nats, tmp_path, caplog):
    variables = {"EDGELET_MICROSERVICE_UID": "x", "EDGELET_SERVICE_ACCOUNT": str(tmp_path / "none")}
    with pytest.raises(NodeNotFound, match="carries no messages; set IOFOG_LINK=mqtt://host"):
        connect(variables)
    caplog.clear()
    configs = []
    with caplog.at_level(logging.INFO):
        link = connect(variables | {"NATS_SERVER_URL": nats.url})
        link.on_config = configs.append
        async with link:
            await asyncio.wait_for(link.wait_connected(), 60)
    assert configs == [None]
    assert caplog.text.count(f"Edgelet without a Controller (there is no {tmp_path}/none)") == 1
    assert "control socket" not in caplog.text


async def test_an_agent_of_3_7_gives_settings_and_nats_carries_messages(nats, start, line):
    config = agent_config(device={"serial": {"port": str(line.path)}})
    async with LocalAgent(msgspec.structs.replace(config, messages=False)) as agent:
        receive = {"IOFOG_LINK": f"{nats.url}?receive=iofog.readings.trucks.gps", "IOFOG_MICROSERVICE": "viewer"}
        async with received_by(connect(receive)) as receiver:
            service = await start(
                "gps_receiver",
                SELFNAME=agent.id_of("device"),
                IOFOG_AGENT=f"127.0.0.1:{agent.port}",
                NATS_SERVER_URL=nats.url,
                IOFOG_APPLICATION="trucks",
                IOFOG_MICROSERVICE="gps",
            )
            await until(lambda: opened(service, line))
            await line.send(sentence(1))
            await until(lambda: receiver.samples)
            assert await service.stop() == 0
    assert service.logged("answers 404 on message routes, as 3.7 does: messages go over NATS")


async def test_an_agent_with_message_routes_is_used_for_messages(agent, start, line):
    agent.set_config("device", {"serial": {"port": str(line.path)}})
    service = await start("gps_receiver", SELFNAME=agent.id_of("device"), IOFOG_AGENT=f"127.0.0.1:{agent.port}")
    await until(lambda: opened(service, line))
    await line.send(sentence(1))
    await until(lambda: agent.counters["published"])
    assert await service.stop() == 0
    assert service.logged("carries messages (Local API v2)")


@pytest.mark.parametrize("node", ["SELFNAME", "EDGELET_MICROSERVICE_UID"])
def test_a_wrong_address_of_the_node_s_nats_is_named(node):
    wanted = r"NATS_SERVER_URL=nats://\(hidden\)@h/x: write nats://host:4222"
    with pytest.raises(NodeNotFound, match=wanted) as caught:
        connect({node: "id", "NATS_SERVER_URL": "nats://u:secret@h/x"})
    assert "secret" not in str(caught.value)


async def test_a_node_without_nats_says_what_to_set(api, caplog):
    link = connect(api.variables("device"))
    async with link:
        await until(lambda: "set NATS_SERVER_URL=nats://host:port" in caplog.text)
