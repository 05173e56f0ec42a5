"""Sites that are built by following the README, and nothing else: its blocks are run as they stand, but for the socket's path, each in a
fresh environment into which went what the README says above it. WHEEL in the environment takes the place of ./clients/python."""
import http.cookiejar
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_daemon import WithDaemon  # noqa: E402

README = pathlib.Path(os.environ.get("README", pathlib.Path(__file__).resolve().parent.parent / "README.md"))
BLOCKS = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", README.read_text(), re.S))
PACKAGE = os.environ.get("WHEEL") or str(README.resolve().parent)

# Nothing of this environment is in the way.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


class Browser:
    def __init__(self, base):
        self.base, self.jar = base, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def ask(self, path="/", **fields):
        data = urllib.parse.urlencode(fields).encode() if fields else None
        request = urllib.request.Request(self.base + path, data, {"Origin": self.base} if fields else {})
        with self.opener.open(request, timeout=20) as answer:
            self.text = answer.read().decode()
        return self.text

    def field(self, name):
        return re.search(f'name="{name}" value="([^"]+)"', self.text)[1]


class ReadmeTests(WithDaemon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="tokencache-readme-")
        cls.addClassCleanup(folder.cleanup)
        cls.environments, cls.made = pathlib.Path(folder.name), {}

    def programs(self, block):
        """The folder of an environment's programs: it has what the README installs last before this block, and nothing else."""
        before = README.read_text().partition(f"```python\n# {block}\n")[0]
        install = re.findall(r"^    pip (install .*)$", before, re.M)[-1]
        if install not in self.made:
            environment = self.environments / str(len(self.made))
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            words = [word.replace("./clients/python", PACKAGE) for word in shlex.split(install)]
            done = subprocess.run([environment / "bin/pip", *words], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.made[install] = environment / "bin"
        return self.made[install]

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tokencache-readme-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in BLOCKS.items():
            (self.folder / name).write_text(text.replace("/run/tokencached/tokencached.sock", self.daemon.path))

    def serve(self, block, *command, folder="."):
        """Starts it on a free port, and a browser before it."""
        command = (str(self.programs(block) / command[0]), *command[1:])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = subprocess.Popen([word.replace("PORT", str(port)) for word in command], cwd=self.folder / folder, env=ENVIRONMENT,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return Browser(f"http://localhost:{port}")
            if time.monotonic() > deadline or process.poll() is not None:
                self.fail(f"{command} does not serve")
            time.sleep(0.05)

    def test_every_block_is_tried(self):
        self.assertEqual(set(BLOCKS), {"page.py", "shop.py", "pages.py", "settings.py", "alone.py", "test_page.py"})

    def test_the_first_page(self):
        self.assertLessEqual(len([line for line in BLOCKS["page.py"].splitlines() if line]), 10)
        browser = self.serve("page.py", "gunicorn", "page:application", "--bind", "127.0.0.1:PORT", "--threads", "2")
        self.assertEqual(browser.ask(), "Hello, guest")
        self.assertEqual([cookie.name for cookie in browser.jar], ["tc"])

    def test_a_login(self):
        browser = self.serve("shop.py", "gunicorn", "shop:app", "--bind", "127.0.0.1:PORT", "--threads", "2")
        browser.ask()
        self.assertIn("Hello, guest", browser.ask("/login", csrf="forged", name="ann", password="apple"))
        self.assertIn("Hello, guest", browser.ask("/login", csrf=browser.field("csrf"), name="ann", password="wrong"))
        self.assertIn("Hello, ann", browser.ask("/login", csrf=browser.field("csrf"), name="ann", password="apple", remember="on"))
        self.assertTrue(all(cookie.expires for cookie in browser.jar))
        self.assertIn("Hello, ann", browser.ask("/logout", csrf="forged"))
        self.assertIn("Hello, guest", browser.ask("/logout", csrf=browser.field("csrf")))

    def test_starlette(self):
        browser = self.serve("pages.py", "uvicorn", "pages:app", "--port", "PORT")
        self.assertEqual(browser.ask(), "Hello, guest")
        self.assertEqual([cookie.name for cookie in browser.jar], ["tc"])

    def test_django(self):
        python = self.programs("settings.py") / "python"

        def manage(*words):
            subprocess.run([python, "manage.py", *words], cwd=self.folder / "shop", check=True, capture_output=True, env={
                **ENVIRONMENT, "DJANGO_SUPERUSER_PASSWORD": "apple", "DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_EMAIL": "a@b.example"})
        (self.folder / "shop.py").unlink()
        subprocess.run([python, "-m", "django", "startproject", "shop"], cwd=self.folder, check=True, env=ENVIRONMENT)
        with open(self.folder / "shop/shop/settings.py", "a") as settings:
            settings.write((self.folder / "settings.py").read_text())
        manage("check")
        manage("migrate")
        manage("createsuperuser", "--noinput")
        browser = self.serve("settings.py", "python", "manage.py", "runserver", "--noreload", "PORT", folder="shop")
        browser.ask("/admin/login/")
        self.assertNotIn("Site administration", browser.ask(
            "/admin/login/?next=/admin/", csrfmiddlewaretoken=browser.field("csrfmiddlewaretoken"), username="ann", password="wrong"))
        self.assertIn("Site administration", browser.ask(
            "/admin/login/?next=/admin/", csrfmiddlewaretoken=browser.field("csrfmiddlewaretoken"), username="ann", password="apple"))
        self.assertEqual([cookie.name for cookie in browser.jar], ["tc"])
        with self.assertRaises(urllib.error.HTTPError) as refused:
            browser.ask("/admin/logout/", csrfmiddlewaretoken="forged")
        refused.exception.close()
        self.assertEqual(refused.exception.code, 403)
        browser.ask("/admin/")
        self.assertIn("Logged out", browser.ask("/admin/logout/", csrfmiddlewaretoken=browser.field("csrfmiddlewaretoken")))

    def test_the_client_alone_and_the_daemon_in_memory(self):
        for name, output in (("alone.py", r"issued [0-9a-f]{32} ann\n"), ("test_page.py", "")):
            done = subprocess.run([self.programs("page.py") / "python", name], cwd=self.folder, capture_output=True, text=True, env=ENVIRONMENT)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, f"^{output}$")


if __name__ == "__main__":
    unittest.main()
