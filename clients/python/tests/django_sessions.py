#!/usr/bin/env python3
"""Django's own session tests on the engine, without a visitor: a store that works on sessions by their key.

    SOCKET=... PYTHONPATH=<Django's source>/tests django_sessions.py

What is left out, and why, stands in LEFT_OUT; all of SessionTestsMixin and SessionBaseTests runs.
"""
import os
import sys
import unittest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import django  # noqa: E402

django.setup()

from django.core import management  # noqa: E402
from django.test import SimpleTestCase  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from sessions_tests import tests  # noqa: E402
from tokencache.django.sessions import SessionStore  # noqa: E402

LEFT_OUT = {
    "DatabaseSessionTests, CacheDBSessionTests, FileSessionTests, CacheSessionTests, CookieSessionTests, CustomDatabaseSessionTests":
        "of what other engines store, and where; all of SessionTestsMixin, which they share, runs",
    "SessionMiddlewareTests": "of the cookie that Django's own middleware writes, by SESSION_COOKIE_*; ours is fixed",
    "ClearSessionsCommandTests": "of an engine that cannot clear; here the command has nothing to do, and a test of ours runs it",
}


class TokenCacheSessionTests(tests.SessionTestsMixin, SimpleTestCase):
    backend = SessionStore

    def test_clearsessions_command(self):
        management.call_command("clearsessions")


if __name__ == "__main__":
    setup_test_environment()
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite([loader.loadTestsFromTestCase(case) for case in (TokenCacheSessionTests, tests.SessionBaseTests)])
    result = unittest.TextTestRunner().run(suite)
    for name, reason in LEFT_OUT.items():
        print(f"left out: {name}: {reason}")
    sys.exit(not result.wasSuccessful())
