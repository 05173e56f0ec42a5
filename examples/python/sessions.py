#!/usr/bin/python3
"""Sessions of a web worker in Python, with the redis library (Debian: python3-redis).

    python3 sessions.py /run/tokencached/tokencached.sock

One Sessions object per worker process or thread: it keeps one connection.
"""
import re
import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SESSION_TOKEN = re.compile("[0-9a-fA-F]{128}")


class Unavailable(Exception):
    """Nobody knows the answer: keep the visitor's cookie, answer 503."""


class Sessions:
    def __init__(self, path, timeout=2.0):
        # The time-out is longer than the daemon's redis.timeout. No retries of the library's own: a command that is
        # sent again is a second command.
        self.redis = redis.Redis(
            unix_socket_path=path, socket_timeout=timeout, retry=Retry(NoBackoff(), 0))

    def ask(self, *command):
        try:
            reply = self.redis.execute_command(*command)
        except BaseException as error:
            # After any exception, be it a worker's own time limit: a late reply must not answer the next question.
            self.redis.connection_pool.disconnect()
            if isinstance(error, redis.RedisError):
                raise Unavailable(str(error)) from None
            raise
        return {reply[i].decode(): reply[i + 1] for i in range(0, len(reply), 2)}

    def ask_about(self, command, token, *arguments):
        """As ask. A reply about an accepted session token names that session; otherwise it answers somebody else's
        question. A guest's token does not begin with its sid, so that there is nothing to compare."""
        fields = self.ask(command, token, *arguments)
        if (fields["accepted"] == 1 and "sid" in fields and SESSION_TOKEN.fullmatch(token)
                and fields["sid"].decode() != token[:32].lower()):
            self.redis.connection_pool.disconnect()
            raise Unavailable("the reply is about another session")
        return fields

    def visit(self, token):
        """One page view. Returns the holder's fields, and the token to hand on, or None if it stays."""
        fields = self.ask_about("TOKEN.VISIT", token)
        successor = fields.get("sessiontoken")
        return fields, successor.decode() if successor else None

    def login(self, token, subject):
        """After the password was checked. Returns the token to hand on."""
        return self.ask("TOKEN.LOGIN", token, subject)["sessiontoken"].decode()

    def logout(self, token):
        self.ask("TOKEN.REVOKE", token)


if __name__ == "__main__":
    sessions = Sessions(sys.argv[1])
    try:
        fields, cookie = sessions.visit("")
        print(f"first visit: {fields['status'].decode()} - set the cookie")
        fields, successor = sessions.visit(cookie)
        print(f"second visit: {fields['status'].decode()} - new cookie: {'yes' if successor else 'no'}")
        old, cookie = cookie, sessions.login(cookie, "ann")
        print(f"old cookie after login: {sessions.ask_about('TOKEN.VALIDATE', old)['status'].decode()}")
        fields, _ = sessions.visit(cookie)
        print(f"visit after login: {fields['status'].decode()}, subject {fields['subject'].decode()}")
        sessions.logout(cookie)
        fields = sessions.ask_about("TOKEN.VALIDATE", cookie)
        print(f"after logout: {fields['status'].decode()}, {fields['reason'].decode()}")
    except Unavailable as error:
        sys.exit(f"503 Service Unavailable ({error}); the cookie stays")
