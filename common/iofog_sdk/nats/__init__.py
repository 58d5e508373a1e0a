"""Messages over NATS with JetStream."""
