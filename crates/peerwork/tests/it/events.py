"""Subscribes to node events, says so in a line, and prints the first one of a node named `first`
with a relay."""

import asyncio
import json
import sys

import websockets


async def main() -> None:
    async with websockets.connect(sys.argv[1]) as socket:
        request = {"jsonrpc": "2.0", "id": 1, "method": "edge_subscribe"}
        request["params"] = ["node", {"name": "first", "id": "", "version": ""}]
        await socket.send(json.dumps(request))
        subscription = json.loads(await socket.recv())["result"]
        print("subscribed", flush=True)
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), 30))
            assert message["method"] == "edge_subscription", message
            assert message["params"]["subscription"] == subscription, message
            event = message["params"]["result"]
            if event["RelayHost"]:
                print(json.dumps(event))
                return


asyncio.run(main())
