"""A broker and a switchable, metering socket on it that speaks MQTT like firmware for such sockets."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import tempfile
from pathlib import Path

from iofog_sdk import LinkError
from iofog_sdk.mqtt import MqttConnection, MqttOptions, Publication, ReceivedMessage
from local_agent.nats_server import NatsServer
from simulated_devices import emulator_parser, number, play_until_stopped
from simulated_devices.command import execute_command, is_on

_KWH_PER_S = 1 / 3_600_000


class MqttPlug:
    """Publishes `tele/NAME/SENSOR` and `stat/NAME/POWER`, obeys `cmnd/NAME/POWER`.

    Parameters:
        port: of the broker, on this machine.
        name: of the plug.
        interval_s: between measurements.
    """

    def __init__(self, port: int, name: str = "plug", interval_s: float = 1.0) -> None:
        self._options = MqttOptions(
            server=f"mqtt://127.0.0.1:{port}", port=port, version="3.1.1", client_id=name, status="", session_s=0
        )
        self.name, self._interval_s = name, interval_s
        self.values = {"temperature": 21.5, "power": 42.0, "energy": 1.25}
        self.relay, self.silent = True, False
        self._connection: MqttConnection | None = None

    async def run(self) -> None:
        """Connects, and again when the connection is lost; never ends."""
        while True:
            lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
            connection = MqttConnection(self._options, lost, self._take)
            try:
                await connection.open()
                await connection.subscribe([f"cmnd/{self.name}/POWER"])
                self._connection = connection
                self._tell_state()
                while not lost.done():
                    self._measure()
                    connection.tick()
                    await asyncio.wait((lost,), timeout=self._interval_s)
            except LinkError:
                await asyncio.sleep(self._interval_s)
            finally:
                self._connection = None
                await connection.close()

    def set(self, quantity: str, value: str) -> None:
        """What is measured from now on. Raises ValueError for no number, KeyError for an unknown quantity."""
        if quantity not in self.values:
            raise KeyError(f"{quantity} (known are {', '.join(self.values)})")
        if not math.isfinite(float(value)):
            raise ValueError(f"{value} is no value")
        self.values[quantity] = float(value)

    def switch(self, *, on: bool) -> None:
        """As by the button on it."""
        self.relay = on
        self._tell_state()

    def execute(self, text: str) -> str:
        """`set QUANTITY VALUE`, `button on|off`, `silent on|off`, `say TOPIC PAYLOAD`."""
        return execute_command(
            text,
            {
                "set": (2, self.set),
                "button": (1, lambda word: self.switch(on=is_on(word))),
                "silent": (1, lambda word: setattr(self, "silent", is_on(word))),
                "say": (2, lambda topic, payload: self.publish(topic, payload.encode())),
            },
        )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Anything, as long as there is a connection."""
        if self._connection is not None:
            self._connection.publish([Publication(topic, payload, 1, retain)], lambda _: None)

    def _measure(self) -> None:
        if self.silent:
            return
        power = self.values["power"] if self.relay else 0.0
        self.values["energy"] += power * self._interval_s * _KWH_PER_S
        measured = self.values | {"power": power, "energy": round(self.values["energy"], 6)}
        self.publish(f"tele/{self.name}/SENSOR", json.dumps(measured).encode())

    def _tell_state(self) -> None:
        self.publish(f"stat/{self.name}/POWER", b"ON" if self.relay else b"OFF")

    def _take(self, received: ReceivedMessage) -> None:
        received.acknowledge()
        if received.payload in (b"ON", b"OFF"):
            self.switch(on=received.payload == b"ON")


def settings_for(port: int) -> dict[str, object]:
    """The settings by which a service bridges the broker and its plugs."""
    measured = [
        {"name": "temperature", "unit": "Cel", "valid": [-40, 85]},
        {"name": "power", "unit": "W"},
        {"name": "energy", "unit": "kWh"},
    ]
    return {
        "broker": {"host": "127.0.0.1", "port": port, "version": "3.1.1"},
        "to_iofog": [
            {"topic": "tele/+/SENSOR", "prefix": "{1}/", "fields": measured},
            {
                "topic": "stat/+/POWER",
                "payload": "value",
                "prefix": "{1}/",
                "fields": [{"name": "relay", "kind": "boolean"}],
            },
        ],
        "to_mqtt": [{"topic": "iofog/{source}/{quantity}", "payload": "json", "retain": True}],
        "commands": {"power": {"topic": "cmnd/plug/POWER", "values": {"true": "ON", "false": "OFF"}}},
        "discovery": {"prefix": "homeassistant"},
    }


async def _run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        async with NatsServer(Path(folder), mqtt=True) as broker:
            plug = MqttPlug(broker.mqtt_port, interval_s=options.interval)
            await play_until_stopped(settings_for(broker.mqtt_port), plug.run(), plug)


def main(arguments: list[str] | None = None) -> None:
    """Prints one line of JSON, the settings a service needs to reach it, then plays until SIGTERM or SIGINT."""
    parser = emulator_parser("mqtt_bridge.emulator", __doc__, MqttPlug)
    parser.add_argument(
        "--interval", type=number(float, 0.01, 3600), default=1.0, help="seconds between measurements"
    )
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
