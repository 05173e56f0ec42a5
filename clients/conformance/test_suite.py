#!/usr/bin/env python3
"""The test of the test: each wrong site is caught, by what it does wrong, and the right one passes all of the same.

    test_suite.py --bin DIR [NAME...]
"""
import argparse
import importlib.machinery
import importlib.util
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here))
loader = importlib.machinery.SourceFileLoader("conformance", str(here / "run"))
conformance = importlib.util.module_from_spec(importlib.util.spec_from_loader("conformance", loader))
loader.exec_module(conformance)

import mutants  # noqa: E402
from browser import Jar  # noqa: E402

SITE = "http://127.0.0.1:8000/a/b"


class JarTests(unittest.TestCase):
    """The rules of RFC 6265bis, as far as a cookie of ours can meet them."""

    def setUp(self):
        self.now = 1_000_000.0
        self.jar = Jar(clock=lambda: self.now)

    def test_a_cookie_is_its_host_s_alone(self):
        self.jar.store("https://shop.example/", "a=1; Path=/")
        self.assertEqual(self.jar.header("https://shop.example/x"), "a=1")
        self.assertEqual(self.jar.header("https://www.shop.example/"), "")
        self.jar.store("https://www.shop.example/", "b=2; Domain=shop.example; Path=/")
        self.assertEqual(self.jar.header("https://other.shop.example/"), "b=2")
        self.assertIsNone(self.jar.store("https://shop.example/", "c=3; Domain=other.example"))
        self.assertIsNone(self.jar.store("https://shop.example/", "c=3; Domain=example"))

    def test_paths(self):
        self.jar.store(SITE, "a=1")
        self.assertEqual(self.jar.header("http://127.0.0.1:8000/a/c"), "a=1")
        self.assertEqual(self.jar.header("http://127.0.0.1:8000/ab"), "")

    def test_age(self):
        self.jar.store(SITE, "a=1; Path=/; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        self.jar.store(SITE, "b=2; Path=/")
        self.assertEqual(self.jar.header(SITE), "a=1; b=2")
        self.jar.close_browser()
        self.assertEqual(self.jar.header(SITE), "a=1")
        self.now += 10
        self.assertEqual(self.jar.header(SITE), "")
        self.jar.store(SITE, "a=1; Path=/")
        self.jar.store(SITE, "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        self.assertEqual(self.jar.header(SITE), "")
        self.jar.store(SITE, "a=1; Path=/; Max-Age=99999999999")
        self.now += 401 * 86400
        self.assertEqual(self.jar.header(SITE), "")

    def test_secure(self):
        self.assertIsNone(self.jar.store(SITE, "a=1; Secure"))
        self.assertIsNotNone(Jar(secure_on_localhost=True).store(SITE, "a=1; Secure"))
        self.jar.store("https://shop.example/", "a=1; Secure; Path=/")
        self.assertEqual(self.jar.header("http://shop.example/"), "")
        self.assertIsNone(self.jar.store("http://shop.example/", "a=2; Path=/"), "plain HTTP does not go over it")

    def test_same_site(self):
        for mode, sent in (("Lax", True), ("Strict", False)):
            self.jar.forget()
            self.jar.store(SITE, f"a=1; Path=/; SameSite={mode}")
            self.assertEqual(self.jar.header(SITE, "POST"), "a=1")
            self.assertEqual(self.jar.header(SITE, "GET", cross_site=True) == "a=1", sent)
            self.assertEqual(self.jar.header(SITE, "POST", cross_site=True), "")
            self.assertEqual(self.jar.header(SITE, "GET", cross_site=True, top_level=False), "")
        self.assertIsNone(self.jar.store(SITE, "b=1; SameSite=None"), "None is for Secure")

    def test_prefixes(self):
        store = self.jar.store
        self.assertIsNotNone(store("https://shop.example/", "__Host-tc=1; Path=/; Secure"))
        for wrong in ("__Host-tc=1; Path=/", "__Host-tc=1; Secure", "__Host-tc=1; Path=/a; Secure", "__host-tc=1; Path=/",
                      "__Host-tc=1; Path=/; Secure; Domain=shop.example", "__Secure-a=1; Path=/"):
            self.assertIsNone(store("https://shop.example/", wrong), wrong)
        self.assertIsNone(store("http://shop.example/", "__Host-tc=1; Path=/; Secure"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the folder of tokencached")
    parser.add_argument("names", nargs="*", help="mutants; all of them if none is named")
    options = parser.parse_args()
    if not unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(JarTests)).wasSuccessful():
        return 1
    wrong = 0
    chosen = {mutant: caught for mutant, caught in mutants.CAUGHT.items() if not options.names or mutant.__name__ in options.names}
    used = sorted({scenario for scenario, _ in chosen.values()})
    for mutant, scenarios, expected in ((mutants.none, used, None), *((m, [s], e) for m, (s, e) in chosen.items())):
        counts, seconds = conformance.judge(
            [sys.executable, str(here / "mutants.py"), mutant.__name__], options.bin, 0, 1, scenarios)
        seen = {**counts.broken, **{k: v for k, v in counts.numbers.items() if k in ("logged out", "wrong identity", "lost data", "5xx", "cacheable")}}
        right = counts.passed if expected is None else any(expected in text for text in seen)
        wrong += not right
        verdict = ("passes" if expected is None else "is caught") if right else "IS NOT CAUGHT" if expected else "FAILS"
        print(f"{mutant.__name__} {verdict} in {seconds:.1f} s: {seen if not right else expected or used}", flush=True)
    print(f"{len(chosen)} wrong sites, {wrong} not caught")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
