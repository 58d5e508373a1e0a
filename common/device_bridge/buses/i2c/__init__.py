"""I2C buses."""
