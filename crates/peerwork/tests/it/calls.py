"""Calls an app behind an edge with the package requests, and prints what came back as one JSON line.

python calls.py URL-OF-THE-APP URL-OF-AN-UNKNOWN-NODE
"""

import json
import sys

import requests

APP, UNKNOWN = sys.argv[1:]
MESSAGES = ["grüße " * (100 * n) for n in range(30)]


def chunks(message):
    """A body without a length, which requests sends in chunks."""
    for part in json.dumps({"message": message}).encode().split(b" "):
        yield part + b" "


def main() -> None:
    with requests.Session() as session:
        session.headers["User-Agent"] = "requests"
        echoes = 0
        for message in MESSAGES:
            answer = session.post(f"{APP}/echo", json={"message": message}, timeout=20)
            echoes += answer.json() == {"message": message}
        chunked = session.post(f"{APP}/echo", data=chunks("in chunks"), timeout=20)
        with session.get(f"{APP}/events", stream=True, timeout=20) as events:
            event = next(events.iter_lines()).decode()
        refused = session.get(f"{APP}/echo", timeout=20)
        unknown = session.post(f"{UNKNOWN}/echo", json={"message": ""}, timeout=20)
    print(json.dumps({
        "echoes": echoes,
        "chunked": chunked.json()["message"],
        "event": event,
        "refused": [refused.status_code, refused.text],
        "unknown": [unknown.status_code, unknown.headers["content-type"], unknown.json()["status"]],
    }))


main()
