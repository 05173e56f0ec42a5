"""A headless Chromium, and what its DevTools tell of each response."""
import collections
import json
import os
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.common.by import By

COOKIE = "__Host-tc"
# Nothing but the site, and nothing of the browser's own.
SWITCHES = [
    "--headless=new", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP shop.test 127.0.0.1,MAP pay.example 127.0.0.1,MAP * ~NOTFOUND",
    # A tab in the background works as one in front.
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
]
Response = collections.namedtuple("Response", "url status fields set_cookies blocked")


class Browser:
    """A profile of its own: a cookie jar, a cache, and tabs."""

    def __init__(self, driver_port, folder, key_digest):
        """The certificate with this digest of its key is taken as one of a known authority: Chromium stores nothing of a site
        whose certificate it complains about, and then the tests of its cache would show nothing."""
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        switches = [*SWITCHES, f"--user-data-dir={folder}", f"--ignore-certificate-errors-spki-list={key_digest}"]
        for switch in switches + (["--no-sandbox"] if os.getuid() == 0 else []):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "SEVERE"})
        self.driver = webdriver.Remote(ChromeRemoteConnection(f"http://127.0.0.1:{driver_port}"), options=options)
        self.driver.set_page_load_timeout(30)
        self.driver.set_script_timeout(30)
        self.responses = []
        # Cookies that were not sent with a request, with the reasons.
        self.withheld = []
        self.urls = {}

    # What is on the page.

    def go(self, address):
        self.driver.get(address)

    def text(self, selector):
        """None where there is no such element."""
        return self.driver.execute_script("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def element(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def fill(self, **fields):
        for name, value in fields.items():
            element = self.element(f'[name="{name}"]')
            element.clear()
            element.send_keys(value)

    def burst(self, count):
        return self.driver.execute_async_script("burst(arguments[0]).then(arguments[1])", count)

    def end_poll(self):
        """What came of all bursts of the tab that polls."""
        return self.driver.execute_async_script("polled.then(arguments[0]); window.polls = false")

    def new_tab(self, address):
        self.driver.switch_to.new_window("tab")
        self.go(address)
        return self.driver.current_window_handle

    def switch(self, tab):
        self.driver.switch_to.window(tab)

    def emulate(self, scheme, width):
        """Light or dark, and so many pixels wide."""
        for command, parameters in (
            ("setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
            ("setDeviceMetricsOverride", {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": False}),
        ):
            self.driver.execute("executeCdpCommand", {"cmd": f"Emulation.{command}", "params": parameters})

    def complaints(self):
        """What its console says of scripts and styles since the last time."""
        return [entry["message"] for entry in self.driver.execute("getLog", {"type": "browser"})["value"]]

    # What is in the jar, and what came over the wire.

    def jar(self):
        """The session's cookie, None where there is none; of the site whose page is shown."""
        found = [cookie for cookie in self.driver.get_cookies() if cookie["name"] == COOKIE]
        assert len(found) <= 1
        return found[0] if found else None

    def token(self):
        cookie = self.jar()
        return cookie["value"] if cookie else ""

    def read(self):
        """Takes over what the DevTools told since the last time; the new responses."""
        before = len(self.responses)
        for entry in self.driver.execute("getLog", {"type": "performance"})["value"]:
            message = json.loads(entry["message"])["message"]
            kind, told = message["method"], message.get("params", {})
            if kind == "Network.requestWillBeSent":
                self.urls[told["requestId"]] = told["request"]["url"]
            elif kind == "Network.requestWillBeSentExtraInfo":
                self.withheld += [
                    (cookie["cookie"]["name"], reason)
                    for cookie in told["associatedCookies"] for reason in cookie["blockedReasons"]]
            elif kind == "Network.responseReceivedExtraInfo":
                fields = {name.lower(): value for name, value in told["headers"].items()}
                self.responses.append(Response(
                    self.urls.get(told["requestId"], ""), told["statusCode"], fields,
                    fields["set-cookie"].split("\n") if "set-cookie" in fields else [],
                    [reason for cookie in told["blockedCookies"] for reason in cookie["blockedReasons"]]))
        return self.responses[before:]

    def end(self):
        self.driver.quit()
