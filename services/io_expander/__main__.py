import device_bridge  # noqa: F401 - before asyncio is imported, so that TLS takes memory only where it is used

from .service import main

main()
