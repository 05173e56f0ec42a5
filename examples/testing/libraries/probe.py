"""redis-py and what is made like it, for clients.py, which says what a line is: probe.py MODULE PROTOCOL SOCKET"""
import importlib
import sys

from words import serve

module, protocol, path = sys.argv[1:]
if module == "walrus":
    import redis as library
    from walrus import Database as Client
else:
    library = importlib.import_module(module)
    Client = getattr(library, "Redis", None) or library.Valkey
version = getattr(importlib.import_module(module), "__version__", "")
options = {"socket_timeout": 2, "socket_connect_timeout": 2}
if protocol == "3" or version >= "5":
    options["protocol"] = int(protocol)
if not version.startswith("3."):
    retry, backoff = (importlib.import_module(f"{library.__name__}.{part}") for part in ("retry", "backoff"))
    # A command that is sent again is a second command.
    options["retry"] = retry.Retry(backoff.NoBackoff(), 0)


def connect():
    return Client(unix_socket_path=path, **options)


def pipeline(client, commands):
    # Without MULTI, and each reply or error in its place.
    pipe = client.pipeline(transaction=False)
    for words in commands:
        pipe.execute_command(*words)
    return pipe.execute(raise_on_error=False)


def disconnect(client):
    client.connection_pool.disconnect()


serve(version, connect, lambda client, words: client.execute_command(*words), pipeline, disconnect)
