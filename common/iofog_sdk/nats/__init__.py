"""Messages over NATS with JetStream, its persistent streams."""
