"""Messages over an MQTT broker."""
