"""A program for the official SDK, which the listener's base classes type."""

from iofog.microservices.client import Client
from iofog.microservices.exception import IoFogException
from iofog.microservices.iomessage import IoMessage
from iofog.microservices.listener import IoFogMessageWsListener


class Echo(IoFogMessageWsListener):
    def __init__(self, client: Client) -> None:
        self.client = client

    def on_message(self, io_msg: IoMessage) -> None:
        self.client.post_message_via_socket(io_msg)


def main() -> None:
    try:
        client = Client()
        print(client.get_config())
        client.establish_message_ws_connection(Echo(client))
    except IoFogException as error:
        print(error)
