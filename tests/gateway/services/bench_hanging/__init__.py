"""A service for tests of several in one process."""
