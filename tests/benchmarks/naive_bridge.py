"""What most people would write first: `readline()` and one REST call for each line. A baseline, not an example."""

import base64
import json
import sys
import urllib.request

import serial


def main(port: str, agent_port: str, publisher: str) -> None:
    url = f"http://127.0.0.1:{agent_port}/v2/messages/new"
    with serial.Serial(port, 9600) as device:
        while True:
            content = base64.b64encode(device.readline()).decode()
            body = {
                "publisher": publisher,
                "version": 4,
                "infotype": "text/plain",
                "infoformat": "utf-8",
                "contentdata": content,
            }
            request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
            with urllib.request.urlopen(request) as reply:
                reply.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
