"""Prints what comes from other microservices, and thanks for it."""

from __future__ import annotations

import asyncio

from iofog_sdk import IoFogError, IoMessage, Link, SequenceTracker, connect


async def listen(link: Link) -> None:
    """Until it is cancelled."""
    tracker = SequenceTracker()
    async for message in link.messages():
        if tracker.is_new(message):
            print(message.publisher, message.contentdata.decode(errors="replace"))
            receipt = await link.send(IoMessage(infotype="thanks", infoformat="utf-8", contentdata=b"thank you"))
            print("its number is", receipt.id)


async def main() -> None:
    """Runs with the node that the environment tells of."""
    try:
        async with connect() as link:
            await listen(link)
    except IoFogError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(main())
