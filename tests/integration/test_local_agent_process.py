"""The local agent as a process: its file, its messages, its end."""

import asyncio
import json
import signal
import sys

import pytest

from iofog_sdk import LocalApiClient, connect
from local_agent import ConfigError, load
from local_agent.__main__ import main

from .conftest import until

GOOD = """
listen: {port: 0}
microservices:
  gps: {id: aaaa-1, config: {rate: 1}}
  viewer: {}
routes: [{from: gps, to: viewer}]
"""
CYCLE = "microservices: {a: {config: &x {y: *x}}}"
BOMB = (
    "microservices: {a: {config: {a0: &a0 [1]"
    + "".join(f", a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]" for n in range(1, 9))
    + "}}}"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("microservices: {a: {idd: x}}", "unknown field `idd`"),
        ("microservices: {a: {id: x}, b: {id: x}}", "microservices.b.id is also that of a"),
        ("microservices: {a: {}}\nroutes: [{from: a, to: c}]", "routes[0].to: no microservice 'c'; known: a"),
        ("routes: [{from: a}]", "missing required field `to`"),
        ("microservices: {a: {id: 'x y'}}", "letters, digits and - only"),
        ("listen: {port: 70000}", "listen.port = 70000"),
        ("listen: {port: high}", "Expected `int`, got `str` - at `$.listen.port`"),
        ("{", "agent.yaml"),
        ("", "it is empty"),
        ("{}\n---\n{}", "2 documents. Write one"),
        (CYCLE, "an alias that holds itself"),
        ("microservices: " + "[" * 1_000_000, "nested more than 100 levels deep"),
        (BOMB, "more than 100000 values"),
        ("[]", "Expected `object`, got `array`"),
    ],
)
def test_a_bad_file_names_the_place(tmp_path, text, message):
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert message in str(caught.value)
    assert "agent.yaml" in str(caught.value)


def test_the_example_is_a_good_file(tmp_path, capsys):
    file = tmp_path / "agent.yaml"
    assert main(["--example"]) == 0
    file.write_text(capsys.readouterr().out)
    assert set(load(file).microservices) == {"gps", "viewer"}


@pytest.mark.parametrize("name", ["missing.yaml", "bad.yaml"])
def test_a_bad_or_missing_file_ends_with_one_line_and_status_78(tmp_path, name, caplog):
    (tmp_path / "bad.yaml").write_text("listen: 5")
    assert main(["--config", str(tmp_path / name)]) == 78
    (record,) = caplog.records
    assert name in record.getMessage()
    assert "\n" not in record.getMessage()


def test_without_a_file_it_says_what_to_do(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "--example" in capsys.readouterr().err


async def test_starts_follows_its_file_and_stops(tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text(GOOD)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local_agent", "--config", str(file)), stderr=asyncio.subprocess.PIPE
    )
    lines = []

    async def read():
        async for line in process.stderr:
            lines.append(line.decode())

    reading = asyncio.ensure_future(read())
    try:
        address = await until(lambda: next((line for line in lines if "ioFog agent at" in line), None))
        port = int(address.rsplit(":", 1)[1])
        await until(lambda: any("SELFNAME=aaaa-1" in line for line in lines))
        client = LocalApiClient("aaaa-1", "127.0.0.1", port)
        assert await client.get_config() == '{"rate":1}'

        busy = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local_agent", "--config", str(file), "--port", str(port)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await asyncio.wait_for(busy.communicate(), 60)
        assert busy.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in complaint.decode()

        file.write_text(GOOD.replace("rate: 1", "rate: 2"))
        process.send_signal(signal.SIGHUP)
        await until(lambda: any("configuration applied" in line for line in lines))
        assert await client.get_config() == '{"rate":2}'

        file.write_text("microservices: 5")
        process.send_signal(signal.SIGHUP)
        await until(lambda: any("refused, the old one stays" in line for line in lines))
        assert await client.get_config() == '{"rate":2}'

        file.write_text(CYCLE)
        await until(lambda: any("an alias that holds itself" in line for line in lines))
        file.write_text(GOOD.replace("rate: 1", "rate: 33"))  # found without a signal: it goes on looking
        await until(lambda: sum("configuration applied" in line for line in lines) == 2)
        assert await client.get_config() == '{"rate":33}'
        await client.close()
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await reading


async def test_it_serves_edgelet_beside_local_api_v2(tmp_path):
    config, folder = tmp_path / "agent.json", tmp_path / "edgelet"
    config.write_text(json.dumps({"listen": {"port": 0}, "microservices": {"gps": {"config": {"n": 1}}}}))
    command = [sys.executable, "-m", "local_agent", "--config", str(config), "--edgelet", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(60):
            while b"gps on Edgelet is" not in (line := await process.stderr.readline()):
                assert line, "it has ended"
            words = line.decode().partition(" is ")[2].split()
            configs = []
            link = connect(dict(word.split("=", 1) for word in words))
            link.on_config = configs.append
            async with link:
                await link.wait_connected()
                await until(lambda: configs == ['{"n":1}'])
    finally:
        process.terminate()
        assert await process.wait() == 0
