"""These tests need built images: `make image-test`. Elsewhere they are not collected."""

import os

collect_ignore_glob = [] if os.environ.get("IMAGES") else ["test_*.py"]
