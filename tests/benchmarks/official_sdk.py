"""Times the official Python SDK's decoder; run by the Python it is installed in. Its encoder raises on Python 3."""

import sys
import time

from iofog.microservices.iomessage import IoMessage  # type: ignore[import-not-found]  # in its own environment

raw, count = bytearray.fromhex(sys.argv[1]), int(sys.argv[2])
for _ in range(5):
    start = time.process_time()
    for _ in range(count):
        IoMessage.from_bytearray(raw)
    print((time.process_time() - start) / count * 1e6)
