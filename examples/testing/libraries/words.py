"""What the Python probes share: lines of words in, lines of replies out."""
import contextlib
import sys


def shown(reply):
    if isinstance(reply, Exception):
        return [f"!{reply}"]
    if isinstance(reply, dict):
        return ["{", *(word for pair in reply.items() for part in pair for word in shown(part)), "}"]
    if isinstance(reply, (list, tuple)):
        return ["(", *(word for part in reply for word in shown(part)), ")"]
    if isinstance(reply, int):
        return [f":{int(reply)}"]
    return ["_" if reply is None else "$" + (reply.decode() if isinstance(reply, bytes) else reply)]


def serve(version, connect, call, pipeline, disconnect):
    print(version, flush=True)
    client = None
    for line in sys.stdin:
        word, *words = line.rstrip("\n").split("\t")
        replies = None
        try:
            client = client or connect()
            if word == "call":
                replies = [call(client, words)]
            else:
                replies = pipeline(client, [sys.stdin.readline().rstrip("\n").split("\t") for _ in range(int(words[0]))])
        except Exception as failure:
            replies = [failure]
            old, client = client, None
            with contextlib.suppress(Exception):
                if old is not None:
                    disconnect(old)
        for reply in replies:
            print("\t".join(shown(reply)).replace("\n", " "), flush=True)
