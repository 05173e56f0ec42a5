"""Workers that go on working while the daemon is restarted, and remember what they were told was done."""

import threading

from client import Client, Ended, ErrorReply, Refused, fields


class Worker(threading.Thread):
    """One web worker: sessions are made, written to, validated and ended over one connection, which is opened again
    when it ends. A command whose reply did not come counts as neither done nor not done."""

    def __init__(self, number, stop):
        super().__init__(daemon=True)
        self.number = number
        self.stop = stop
        self.client = None
        self.acknowledged = 0
        self.refused = []
        self.errors = []
        self.interrupted = 0
        # token → the last value of `n` that was acknowledged, and the highest that was sent
        self.written = {}
        self.sent = {}
        self.revoked = set()

    def attempt(self, *words):
        """The reply's fields, or nothing where nobody knows."""
        try:
            if self.client is None:
                self.client = Client()
            reply = self.client.fields(*words)
            self.acknowledged += 1
            return reply
        except Refused as error:
            self.refused.append(str(error))
        except Ended:
            self.interrupted += 1
        except ErrorReply as error:
            self.errors.append(f"{words[0]}: {error}")
        if self.client is not None:
            self.client.close()
            self.client = None
        return None

    def run(self):
        step = 0
        while not self.stop.is_set():
            step += 1
            issued = self.attempt("TOKEN.ISSUE", "SUBJECT", f"worker{self.number}")
            if issued is None:
                continue
            token = issued["sessiontoken"]
            self.written[token] = self.sent[token] = 0
            for value in range(1, 4):
                self.sent[token] = value
                reply = self.attempt("TOKEN.SET", token, "DATA", "n", value)
                if reply is not None:
                    self.expect(reply, "valid")
                    self.written[token] = value
                reply = self.attempt("TOKEN.VALIDATE", token)
                if reply is not None:
                    self.expect(reply, "valid")
            if step % 4 == 0:
                reply = self.attempt("TOKEN.REVOKE", token)
                # From here on nobody knows, unless it was acknowledged.
                del self.written[token]
                if reply is not None:
                    self.expect(reply, "revoked")
                    self.revoked.add(token)

    def expect(self, reply, status):
        if reply["status"] != status:
            self.errors.append(f"status {reply['status']} instead of {status}")

    def lost(self):
        """What was acknowledged and is not there."""
        lost = []
        client = Client()
        for token, value in self.written.items():
            reply = client.fields("TOKEN.GET", token, "DATA", "n")
            data = reply.get("data") or []
            found = int(data[1]) if len(data) > 1 and data[1] else 0
            if reply["status"] != "valid" or not value <= found <= self.sent[token]:
                lost.append(f"{token[:32]}: {reply['status']}, n is {found}, acknowledged {value}")
        for token in self.revoked:
            reply = client.fields("TOKEN.VALIDATE", token)
            if reply["accepted"] != 0:
                lost.append(f"{token[:32]}: its end was acknowledged, it is {reply['status']}")
        client.close()
        return lost


class Load:
    """Workers that run within a `with`."""

    def __init__(self, count):
        self.stop = threading.Event()
        self.workers = [Worker(number, self.stop) for number in range(count)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for worker in self.workers:
            worker.join()

    def total(self, name):
        """A count, or the length of a list, over all workers."""
        values = [getattr(worker, name) for worker in self.workers]
        return sum(value if isinstance(value, int) else len(value) for value in values)

    def texts(self, name):
        return [text for worker in self.workers for text in getattr(worker, name)]

    def lost(self):
        return [text for worker in self.workers for text in worker.lost()]
