"""For all tests: what a service declares is held against what it sends."""

import os

os.environ["DEVICE_BRIDGE_STRICT"] = "1"  # processes that tests start inherit it
