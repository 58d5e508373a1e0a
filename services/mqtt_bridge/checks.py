"""Whether settings that are valid one by one can be used together. No I/O."""

from __future__ import annotations

from device_bridge import SettingsError

from .hops import is_name
from .settings import MqttBridgeSettings
from .to_iofog import FromTopics
from .to_mqtt import ToTopics
from .topics import as_filter, check_template, overlap, places


def check_settings(settings: MqttBridgeSettings) -> None:
    """Raises SettingsError for the first that is wrong."""
    options = settings.options()
    ToTopics(settings.to_mqtt, options.name, None)
    FromTopics(settings.to_iofog, options.name)
    if not (settings.to_mqtt or settings.to_iofog or settings.commands or settings.sparkplug.group):
        remedy = "Write to_mqtt, to_iofog, commands or sparkplug."
        raise SettingsError("to_mqtt", None, "nothing is to be bridged", remedy)
    if settings.sparkplug.group and settings.broker.session:
        reason = "is a session that outlives the connection, which Sparkplug forbids"
        raise SettingsError("broker.session", settings.broker.session, reason, "Write session = 0.")
    if not is_name(options.name):
        remedy = "Write letters, digits, '.', '_' and '-', 128 at most."
        raise SettingsError("broker.client_id", options.name, "cannot tell other bridges who this is", remedy)
    if status := options.expand(options.status):
        check_template(status, set(), "status")
    for name, command in settings.commands.items():
        check_template(command.topic, places(command.topic), f"commands.{name}.topic")
    if settings.broker.version != "5":  # a broker of version 5 does not send back what a client has published itself
        _check_loops(settings)


def _check_loops(settings: MqttBridgeSettings) -> None:
    outgoing = {f"to_mqtt[{at}].topic": as_filter(rule.topic) for at, rule in enumerate(settings.to_mqtt)}
    outgoing |= {f"commands.{name}.topic": as_filter(rule.topic) for name, rule in settings.commands.items()}
    for at, rule in enumerate(settings.to_iofog):
        for setting, topics in outgoing.items():
            if overlap(rule.topic, topics):
                reason = f"is a loop: {setting} publishes on {topics}, and MQTT 3.1.1 sends that back"
                raise SettingsError(f"to_iofog[{at}].topic", rule.topic, reason, "Keep the topics of both apart.")
