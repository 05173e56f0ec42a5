#!/usr/bin/python3
"""A real browser, headless Chromium, before nginx with the recipe of docs/forward-auth.md, and a site behind it whose login page
asks the daemon: login, rotation, logout, races, outages, the way back from a payment page, the back button.

    test.py --programs .build/release [--requests 600] [--cases login,rotation]
"""
import argparse
import base64
import collections
import hashlib
import importlib.util
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from selenium.webdriver import ActionChains

here = pathlib.Path(__file__).resolve().parent
root = here.parents[1]
sys.path[:0] = [str(here), str(root / "examples/testing")]
import browser as browsing  # noqa: E402
import network  # noqa: E402
import shop as shopping  # noqa: E402
import stage as staging  # noqa: E402

recipe = importlib.util.spec_from_file_location("recipe", root / "examples/forward-auth/test.py")
forward_auth = importlib.util.module_from_spec(recipe)
recipe.loader.exec_module(forward_auth)
require = forward_auth.require

ROTATION_SECONDS = 2.0
OVERLAP_SECONDS = 1.9
# The daemon's with Redis: a busy machine is no outage.
PATIENCE = "5s"
# The longest way of a request, and back, while they are to overtake each other.
WAY_SECONDS = 0.1
# Requests that a page sends at once.
BURST = 20
# Between those of a tab in the background. A browser has six connections for all its tabs, and pictures come last.
PAUSE_MILLISECONDS = 1000
# Races of two logins.
RACES = 3
PATIENCE_SECONDS = 20
SESSION_COOKIE = re.compile(browsing.COOKIE + r"=[0-9a-f]{128}; Path=/; Secure; HttpOnly; SameSite=Lax")


class Trial:
    """The servers, and two browsers that know nothing of each other."""

    def __init__(self, stage, requests):
        self.stage, self.requests = stage, requests
        self.shop = shopping.Site(stage.socket)
        digest, key, path = certificate(stage.folder)
        tls = f" ssl; ssl_certificate {path}; ssl_certificate_key {key}"
        self.status_port = staging.free_port()
        # The page for people has a port of its own. Chromium knows this host by the name alone.
        served = (f"[{{unix: {stage.folder}/daemon/http.sock, mode: '0666', serve: [auth]}}, "
                  f"{{tcp: '127.0.0.1:{self.status_port}', serve: [status]}}]")
        self.network = network.Network(forward_auth.start(
            stage, "nginx", shopping.serve(self.shop), f"{ROTATION_SECONDS}s", PATIENCE, tls,
            [f"rotation.overlap={OVERLAP_SECONDS * 1000:.0f}ms", f"http.listen={served}", "http.hosts=shop.test"]))
        static = pathlib.Path(stage.folder) / "proxy/static"
        (static / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, key)
        self.payment_port = shopping.serve(shopping.payment_service, context)
        driver_port = staging.free_port()
        # All that they leave behind goes into the folder of the test.
        stage.start("chromedriver", [shutil.which("chromedriver"), f"--port={driver_port}"],
                    lambda: staging.listens(driver_port), {"HOME": stage.folder, "TMPDIR": stage.folder})
        self.browsers = [browsing.Browser(driver_port, f"{stage.folder}/{name}", digest) for name in ("one", "other")]

    def at(self, path):
        return f"https://shop.test:{self.network.port}{path}"

    def payment(self, to, **fields):
        """A page of another site, whose form goes to this path of the shop."""
        query = urllib.parse.urlencode({**fields, "to": self.at(to)})
        return f"https://pay.example:{self.payment_port}/?{query}"

    def ask(self, *words):
        return staging.ask_fields(self.stage.socket, *words)

    def figures(self, *names):
        """What the daemon counted since it was started."""
        figures = staging.ask_figures(self.stage.socket, "tokens")
        return collections.Counter({name: int(figures[name]) for name in names})

    def log_in(self, browser, name, path="/page", **fields):
        """Whoever was there before."""
        self.leave(browser)
        browser.go(self.at(path))
        require(is_at_login(browser), "who is not logged in is sent to the login page", browser.driver.current_url)
        submit_login(browser, name, **fields)
        staging.until(lambda: browser.text("#who") == name, PATIENCE_SECONDS, f"{name} is logged in")

    def leave(self, browser):
        browser.go(self.at("/page"))
        if browser.text("#who"):
            self.log_out(browser)

    def log_out(self, browser):
        browser.element("#logout button").click()
        staging.until(lambda: is_at_login(browser), PATIENCE_SECONDS, "logged out")

    def require_in(self, browser, name, path="/page"):
        browser.go(self.at(path))
        require(browser.text("#who") == name, f"{name} is logged in", (browser.driver.current_url, browser.text("body")))


def certificate(folder):
    """Of both sites: the digest of its key, the files of the key and of the certificate."""
    key, path = f"{folder}/tls.key", f"{folder}/tls.pem"
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=shop.test", "-addext", "subjectAltName=DNS:shop.test,DNS:pay.example", "-keyout", key, "-out", path,
    ], check=True, capture_output=True)
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "der"], check=True, capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(public).digest()).decode(), key, path


def is_at_login(browser):
    return urllib.parse.urlsplit(browser.driver.current_url).path == "/login" and browser.text('[name="password"]') is not None


def submit_login(browser, name, remember=False):
    browser.fill(name=name, password=shopping.PASSWORDS[name])
    if remember:
        browser.element('[name="remember"]').click()
    browser.element("button").click()


def login(trial, browser, other):
    """To the login page with the way back, and back to the page that was asked for, with one cookie."""
    before = trial.figures("tokens_logins", "csrf_failed")
    asked = trial.at("/page?x=1&y=two%20words")
    browser.go(asked)
    require(browser.driver.current_url == trial.at("/login?return_to=/page%3Fx%3D1%26y%3Dtwo%2520words"),
            "the way back has the query", browser.driver.current_url)
    guest = browser.token()
    require(trial.ask("TOKEN.INSPECT", guest)["kind"] == "guest", "a guest's cookie", guest)

    browser.driver.execute_script("document.querySelector('[name=csrf]').value = 'forged'")
    submit_login(browser, "ann")
    staging.until(lambda: browser.text('[name="password"]') is not None and browser.text("#who") is None
                  and trial.shop.requests[-1].method == "POST", PATIENCE_SECONDS, "a forged form is shown again")
    require(browser.token() == guest, "and changes nothing", browser.jar())

    browser.read()
    submit_login(browser, "ann")
    staging.until(lambda: browser.text("#who") == "ann", PATIENCE_SECONDS, "ann is logged in")
    require(browser.driver.current_url == asked and browser.text("#query") == "x=1&y=two%20words", "back at the page",
            browser.driver.current_url)
    cookies = [response for response in browser.read() if response.set_cookies]
    require(len(cookies) == 1 and len(cookies[0].set_cookies) == 1, "one cookie", cookies)
    require(SESSION_COOKIE.fullmatch(cookies[0].set_cookies[0]), "with these attributes and no others", cookies)
    require(cookies[0].status == 303 and cookies[0].fields["location"] == "/page?x=1&y=two%20words", "beside the redirect", cookies)
    jar = browser.jar()
    require({name: jar.get(name) for name in ("httpOnly", "secure", "sameSite", "path", "domain", "expiry")} ==
            {"httpOnly": True, "secure": True, "sameSite": "Lax", "path": "/", "domain": "shop.test", "expiry": None},
            "the browser took it as it is meant", jar)
    require(browser.driver.execute_script("return document.cookie") == "", "no script sees it")
    page = [request for request in trial.shop.requests if request.path == "/page"][-1]
    require((page.subject, page.sid, page.token) == ("ann", jar["value"][:32], jar["value"]), "the site is told who it is", page)

    # Beside it a login that is to outlive the browser.
    other.read()
    trial.log_in(other, "bob", remember=True)
    line = next(line for response in other.read() for line in response.set_cookies if "Max-Age" in line)
    # Seconds are rounded down.
    require(SESSION_COOKIE.fullmatch(re.sub("; Max-Age=77(76000|75999)", "", line)), "with Max-Age", line)
    require(abs(other.jar()["expiry"] - time.time() - 7776000) < 60, "and the browser keeps it so long", other.jar())
    done = trial.figures("tokens_logins", "csrf_failed")
    done.subtract(before)
    require(done == {"tokens_logins": 2, "csrf_failed": 1}, "the daemon counts two logins and one forged form", done)
    return dict(logins=done["tokens_logins"], forged_forms_refused=done["csrf_failed"])


def rotation(trial, browser, other):
    """Tabs that ask in the background, pages whose requests go out at once, pages that are left before they are there; two
    visitors, and tokens that are replaced all the time."""
    trial.log_in(browser, "ann")
    trial.log_in(other, "bob", remember=True)
    trial.network.seconds = WAY_SECONDS
    first, before = len(trial.shop.requests), trial.figures("rotations", "replays")
    for each in (browser, other):
        each.read()
    who = {"ann": browser, "bob": other}
    sids = {name: each.token()[:32] for name, each in who.items()}
    seen, failures = collections.Counter(), []

    def live(name, tabs):
        """One page is in front; the others ask in the background."""
        each = who[name]
        front = each.driver.current_window_handle
        background = [each.new_tab(trial.at("/page")) for _ in range(tabs)]
        for tab in background:
            each.switch(tab)
            each.driver.execute_script("poll(arguments[0], arguments[1])", BURST, PAUSE_MILLISECONDS)
        each.switch(front)

        def judge(answers):
            for answer in answers:
                require(answer["status"] in (200, 401), f"a request of {name}'s", answer)
                # Its cookie is that of when it began, and it may have waited for a connection: on a busy machine for longer than
                # its token is good.
                if answer["status"] == 401:
                    seen["logged out" if answer["seconds"] < OVERLAP_SECONDS else "late"] += 1
                seen["another"] += answer["status"] == 200 and (answer["subject"], answer["sid"]) != (name, sids[name])
            seen["fetches"] += len(answers)

        turn, least = 0, time.monotonic() + 4 * ROTATION_SECONDS
        while (time.monotonic() < least
               or sum(request.subject == name for request in trial.shop.requests[first:]) < trial.requests // 2):
            turn += 1
            address = f"/page?turn={turn}"
            if turn % 3 == 0:
                # Left, and left again, before its requests are answered: what they would have brought is lost.
                each.driver.execute_script(
                    "burst(arguments[0]); for (const [after, to] of [[40, '/page?left'], [80, arguments[1]]])"
                    " setTimeout(() => location.assign(to), after)", BURST, address)
                staging.until(lambda: each.text("#query") == f"turn={turn}", PATIENCE_SECONDS, "the last page is there")
                require(each.text("#who") == name, f"{name} is logged in", each.text("body"))
                seen["left"] += 2
            else:
                trial.require_in(each, name, address)
            require(each.text("#sid") == sids[name], "the same session", each.text("#sid"))
            seen["pages"] += 1
            judge(each.burst(BURST))
        for tab in background:
            each.switch(tab)
            judge(each.end_poll())
            each.driver.close()
        each.switch(front)

    def guarded(*arguments):
        try:
            live(*arguments)
        except Exception as failure:
            failures.append(failure)

    lives = [threading.Thread(target=guarded, args=arguments) for arguments in (("ann", 2), ("bob", 1))]
    for thread in lives:
        thread.start()
    for thread in lives:
        thread.join()
    trial.network.seconds = 0
    if failures:
        raise failures[0]

    require(seen["logged out"] == seen["another"] == 0, "nobody was logged out or taken for another", seen)
    for name, each in who.items():
        lines = [line for response in each.read() for line in response.set_cookies]
        tokens = list(dict.fromkeys(line.partition("=")[2].partition(";")[0] for line in lines))
        require(len(tokens) >= 2, f"{name}'s token was replaced", tokens)
        require(all(("; Max-Age=77" in line) == (name == "bob") for line in lines), "a login that is to last stays one", lines)
        require(each.token() == tokens[-1], f"the jar of {name} has the newest of {len(tokens)} tokens", each.jar())
        require(trial.ask("TOKEN.INSPECT", tokens[-1])["sid"] == sids[name], "which is good")
        seen["cookies"] += len(lines)
        seen["tokens"] += len(tokens)
    reached = [request for request in trial.shop.requests[first:] if request.sid]
    for request in reached:
        name = "ann" if request.sid == sids["ann"] else "bob"
        require((request.subject, request.sid) == (name, sids[name]) and request.token.startswith(request.sid),
                "the site is told of the one who asks", request)
    done = trial.figures("rotations", "replays")
    done.subtract(before)
    require(done["rotations"] >= seen["tokens"], "each token is of a rotation", (done, seen))
    return dict(
        requests_at_the_site=len(reached), pages=seen["pages"], pages_left_early=seen["left"], fetches_judged=seen["fetches"],
        rotations=done["rotations"], cookies_set=seen["cookies"], tokens_that_came_too_late=done["replays"],
        logged_out=seen["logged out"], taken_for_another=seen["another"])


def logout(trial, browser, other):
    """By a form of the site's own and by nothing else; in all tabs; and of all logins."""
    trial.log_in(browser, "ann")
    before = trial.figures("sessions_ended")
    browser.read()
    browser.go(trial.at("/logout"))
    require([response.status for response in browser.read() if "/logout" in response.url] == [405], "no link logs out")
    trial.require_in(browser, "ann")
    browser.go(trial.payment("/logout"))
    browser.element("button").click()
    staging.until(lambda: browser.driver.current_url == trial.at("/logout"), PATIENCE_SECONDS, "the form is sent")
    require([response.status for response in browser.read() if response.url == trial.at("/logout")] == [403], "no other site does")
    trial.require_in(browser, "ann")

    front = browser.driver.current_window_handle
    tab = browser.new_tab(trial.at("/page"))
    # Which asks all the while: what comes back to it after the logout brings nobody in again.
    trial.network.seconds = WAY_SECONDS
    browser.driver.execute_script("poll(4, 50)")
    browser.switch(front)
    time.sleep(ROTATION_SECONDS)
    token = browser.token()
    browser.read()
    trial.log_out(browser)
    gone = f"{browsing.COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
    responses = browser.read()
    require([response.status for response in responses if response.set_cookies == [gone]] == [303], "the cookie is deleted", responses)
    require(trial.ask("TOKEN.INSPECT", token)["reason"] == "logout", "the session is over")
    browser.switch(tab)
    browser.end_poll()
    trial.network.seconds = 0
    require(browser.text("#who") == "ann", "the other tab still shows its page")
    told = [answer["status"] for answer in browser.burst(BURST)]
    require(set(told) == {401}, "and asks in vain", told)
    browser.driver.refresh()
    require(is_at_login(browser), "and is sent to the login page", browser.driver.current_url)
    browser.driver.close()
    browser.switch(front)

    trial.log_in(browser, "ann")
    trial.log_in(other, "ann", "/devices")
    other.element("#everywhere button").click()
    staging.until(lambda: is_at_login(other), PATIENCE_SECONDS, "logged out here")
    told += [answer["status"] for answer in browser.burst(BURST)]
    require(set(told) == {401}, "and there", told)
    browser.go(trial.at("/page"))
    require(is_at_login(browser), "to the login page", browser.driver.current_url)
    # Whoever the other browser was logged in as was logged out as well.
    ended = trial.figures("sessions_ended")["sessions_ended"] - before["sessions_ended"]
    require(ended >= 3, "one by the form, two at once", ended)
    return dict(sessions_ended=ended, told_401_after_it=len(told))


def login_race(trial, browser, _):
    """Two logins at once: the browser ends as exactly one of them."""
    trial.shop.login_pause = 0.3
    ends = collections.Counter()

    def posts():
        return sum(request.method == "POST" and request.path == "/login" for request in trial.shop.requests)

    double = 0
    for _ in range(RACES):
        trial.leave(browser)
        browser.fill(name="ann", password="apple")
        before = posts()
        # Where the mouse is, not on the button: the page may be another by then.
        ActionChains(browser.driver, duration=0).move_to_element(browser.element("button")).click().pause(0.05).click().perform()
        staging.until(lambda: browser.text("#who") == "ann", PATIENCE_SECONDS, "logged in by a double click")
        double += posts() - before == 2
        require({answer.get("subject") for answer in browser.burst(BURST)} == {"ann"}, "logged in for good")
        require(staging.ask(trial.stage.socket, "TOKEN.COUNT", "ann") == 1, "one session")
    trial.leave(browser)
    require(double > 0, "a double click sends the form twice")

    for _ in range(RACES):
        # Two tabs of one guest, each with its form.
        front = browser.driver.current_window_handle
        tabs = {"ann": front, "bob": browser.new_tab(trial.at("/page"))}
        before = posts()
        for name, tab in tabs.items():
            browser.switch(tab)
            browser.fill(name=name, password=shopping.PASSWORDS[name])
        start = time.time() * 1000 + 500
        for tab in tabs.values():
            browser.switch(tab)
            browser.driver.execute_script("setTimeout(() => document.forms[0].submit(), arguments[0] - Date.now())", start)
        staging.until(lambda: posts() == before + 2, PATIENCE_SECONDS, "both forms are sent")
        time.sleep(2 * trial.shop.login_pause + 0.5)
        found = []
        for tab in tabs.values():
            browser.switch(tab)
            browser.go(trial.at("/page"))
            found.append(browser.text("#who"))
            found += [answer.get("subject") for answer in browser.burst(BURST)]
        require(len(set(found)) == 1 and found[0] in tabs, "one of the two, everywhere", set(found))
        require(trial.ask("TOKEN.INSPECT", browser.token())["subject"] == found[0], "and so in the jar")
        ends[found[0]] += 1
        browser.switch(tabs["bob"])
        trial.log_out(browser)
        browser.driver.close()
        browser.switch(front)
        browser.go(trial.at("/page"))
    trial.shop.login_pause = 0
    return dict(double_clicks=RACES, of_these_sent_twice=double, two_tabs=RACES, became_ann=ends["ann"], became_bob=ends["bob"])


def outage(trial, browser, other):
    """503 while nobody knows; then all is as before."""
    trial.log_in(browser, "ann")
    trial.leave(other)
    sid, front = browser.token()[:32], browser.driver.current_window_handle
    tab = browser.new_tab(trial.at("/page"))
    browser.driver.execute_script("poll(4, 100)")
    browser.switch(front)
    refused = 0

    def away(what):
        nonlocal refused
        kept = browser.token()
        browser.read()
        browser.go(trial.at("/page?away"))
        page = [response for response in browser.read() if "/page?away" in response.url]
        require([response.status for response in page] == [503], f"{what}: a page is told 503", page)
        require(page[0].fields["retry-after"] == "1" and not page[0].set_cookies, "with Retry-After and no cookie", page)
        answer = browser.driver.execute_async_script(
            "fetch('/api/who').then(async answer => arguments[0]([answer.status, answer.headers.get('retry-after')]))")
        require(answer == [503, "1"], f"{what}: so is a fetch", answer)
        out = browser.driver.execute_async_script("fetch('/logout', {method: 'POST'}).then(answer => arguments[0](answer.status))")
        require(out == 503, f"{what}: and a logout", out)
        require(browser.token() == kept, f"{what}: the cookie is kept", browser.jar())
        guest = other.token()
        other.read()
        submit_login(other, "bob")
        staging.until(lambda: 503 in [response.status for response in other.read() if "/login" in response.url], PATIENCE_SECONDS,
                      f"{what}: a login is told 503")
        require(other.token() == guest, f"{what}: a guest's cookie is kept", other.jar())
        # Its form is shown while Redis is away.
        other.driver.back()
        refused += 4

    def back(what):
        def is_in():
            browser.go(trial.at("/page"))
            return browser.text("#who") == "ann"
        staging.until(is_in, PATIENCE_SECONDS, f"{what}: still logged in")
        require(browser.token().startswith(sid), "in the same session", browser.jar())

    trial.stage.stop("redis")
    time.sleep(ROTATION_SECONDS)
    away("without Redis")
    trial.stage.start_redis()
    back("with Redis again")
    daemon = trial.stage.processes["daemon"].args
    trial.stage.stop("daemon")
    away("without the daemon")
    trial.stage.start("daemon", daemon, lambda: staging.answers(trial.stage.socket))
    back("with the daemon again")
    trial.log_in(other, "bob")
    browser.switch(tab)
    statuses = collections.Counter(answer["status"] for answer in browser.end_poll())
    require(set(statuses) == {200, 503}, "a tab in the background is told 200 or 503", statuses)
    browser.driver.close()
    browser.switch(front)
    return dict(told_503=refused + statuses[503], let_in_before_and_after=statuses[200], logged_out=statuses[401])


def cross_site(trial, browser, _):
    """Another site's form brings the visitor back, and no cookie with it."""
    trial.log_in(browser, "ann")
    sid = browser.token()[:32]
    for turn in range(2):
        # The second one comes when a rotation is due.
        time.sleep(turn * (ROTATION_SECONDS + 0.2))
        kept = browser.token()
        browser.go(trial.payment("/open/payment/return", order="7"))
        browser.read()
        browser.withheld.clear()
        browser.element("button").click()
        staging.until(lambda: browser.driver.current_url == trial.at("/thanks"), PATIENCE_SECONDS, "back at the shop")
        returned = [request for request in trial.shop.requests if request.path == "/open/payment/return"][-1]
        require((returned.method, returned.fetch_site, returned.token) == ("POST", "cross-site", ""), "without its cookie",
                returned)
        responses = browser.read()
        require(any(name == browsing.COOKIE and reason.endswith("SameSiteLax") for name, reason in browser.withheld),
                "the browser held it back", browser.withheld)
        lines = [line for response in responses for line in response.set_cookies]
        require(all(line.startswith(f"{browsing.COOKIE}={sid}") for line in lines), "none was made", lines)
        require(browser.text("#who") == "ann" and browser.token().startswith(sid), "still logged in", browser.jar())
        require((browser.token() == kept) == (turn == 0), "with the cookie, or its successor where that was due", browser.jar())
    # A page that is not open to everybody cannot take it, and does no harm.
    kept = browser.token()
    browser.go(trial.payment("/payment/return", order="7"))
    browser.read()
    browser.element("button").click()
    staging.until(lambda: browser.driver.current_url == trial.at("/payment/return"), PATIENCE_SECONDS, "the form is sent")
    closed = [response for response in browser.read() if response.url == trial.at("/payment/return")]
    require([(response.status, response.set_cookies) for response in closed] == [(401, [])], "401", closed)
    require(browser.token() == kept, "the cookie is kept", browser.jar())
    trial.require_in(browser, "ann")
    trial.log_out(browser)
    # Nor does another site log anybody in.
    browser.go(trial.payment("/login", name="bob", password="banana", csrf="x"))
    browser.element("button").click()
    staging.until(lambda: browser.driver.current_url == trial.at("/login"), PATIENCE_SECONDS, "the form is sent")
    require(is_at_login(browser) and browser.text("#who") is None, "nobody is logged in by another site")
    browser.go(trial.at("/page"))
    require(is_at_login(browser), "nobody at all", browser.driver.current_url)
    returns = [request for request in trial.shop.requests if request.path == "/open/payment/return"]
    return dict(returns=len(returns), of_these_with_a_cookie=sum(request.token != "" for request in returns))


def back_button(trial, browser, _):
    """After a logout the pages of before are not there any more: those that the site would not have stored, and those of which it
    says nothing. Those that it lets the browser keep are there; so the browser of this test does keep pages."""
    seen = collections.Counter()
    for path, is_kept in (("/page", False), ("/silent", False), ("/kept", True)):
        trial.log_in(browser, "ann", path)
        browser.driver.back()
        require(browser.text("#who") == "ann", "who is logged in needs no login form", browser.driver.current_url)
        trial.require_in(browser, "ann", path)
        trial.log_out(browser)
        browser.driver.back()
        if is_kept:
            staging.until(lambda: browser.text("#who") == "ann", PATIENCE_SECONDS, "what may be kept is kept")
        else:
            staging.until(lambda: is_at_login(browser) and browser.text("#who") is None, PATIENCE_SECONDS,
                          f"{path} is not shown to who went back to it")
            require(browser.driver.current_url == trial.at(f"/login?return_to={path}"), "but the login page",
                    browser.driver.current_url)
        seen["kept as the site says" if is_kept else "asked for anew"] += 1
    return seen


def status_page(trial, browser, _):
    """The daemon's own page: nothing in it is stopped by its policy, it fits the screens of people, and it says what is wrong."""
    address = f"http://shop.test:{trial.status_port}/"
    browser.complaints()
    backgrounds, seen = {}, collections.Counter()
    for scheme in ("light", "dark"):
        for width in (1280, 390):
            browser.emulate(scheme, width)
            browser.go(address)
            staging.until(lambda: browser.text("#state") == "all is well", PATIENCE_SECONDS, "the page has asked")
            require("redis.sock" in browser.text("#nodes tbody"), "a row for Redis", browser.text("#nodes"))
            require("/auth" in browser.text("#commands tbody"), "and one for forward auth", browser.text("#commands"))
            shown = browser.driver.execute_script(
                "return [document.documentElement.scrollWidth - innerWidth, getComputedStyle(document.body).backgroundColor]")
            require(shown[0] <= 0, f"it fits {width} pixels", shown)
            backgrounds[scheme] = shown[1]
            seen["looked at"] += 1
    require(backgrounds["light"] != backgrounds["dark"], "light and dark", backgrounds)
    redis = trial.stage.processes["redis"]
    redis.send_signal(signal.SIGSTOP)
    try:
        staging.until(lambda: browser.text("#state") == "not ready", PATIENCE_SECONDS, "it says that the daemon is not ready")
        require(browser.text("#problems .problem strong"), "and why", browser.text("#problems"))
        seen["problems told"] += 1
    finally:
        redis.send_signal(signal.SIGCONT)
    staging.until(lambda: browser.text("#state") == "all is well", PATIENCE_SECONDS, "all is well again")
    require(browser.complaints() == [], "the browser complains of nothing", browser.complaints())
    browser.emulate("light", 1280)
    return seen


def caches(trial, *_):
    """Nothing that has a cookie may be stored, and the browser refused none."""
    responses = [response for browser in trial.browsers for response in (browser.read(), browser.responses)[1]]
    cookies = [response for response in responses if response.set_cookies]
    storable = [response for response in cookies if response.fields.get("cache-control") != "no-store"]
    blocked = [response for response in cookies if response.blocked]
    require(not storable, "a cookie goes with no-store", storable)
    require(not blocked, "the browser takes each", blocked)
    return dict(responses=len(responses), with_a_cookie=len(cookies), of_these_without_no_store=len(storable),
                refused_by_the_browser=len(blocked))


# Each stands for itself, but the first is for a browser that was nowhere yet, and the last looks at what the others got.
CASES = [login, rotation, logout, login_race, outage, cross_site, back_button, status_page, caches]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--requests", type=int, default=600, help="requests while tokens rotate (default: 600)")
    parser.add_argument("--cases", default=",".join(case.__name__ for case in CASES), help="which, with commas; by default all")
    options = parser.parse_args()
    table = []
    with staging.Stage(options.programs) as stage:
        trial = Trial(stage, options.requests)
        for case in CASES:
            if case.__name__ in options.cases.split(","):
                begun = time.monotonic()
                counts = case(trial, *trial.browsers)
                table.append((case.__name__, time.monotonic() - begun, counts))
        for browser in trial.browsers:
            browser.end()
    for name, seconds, counts in table:
        for what, count in counts.items():
            print(f"{name.replace('_', ' '):12} {count:7,}  {what.replace('_', ' ')}")
        print(f"{'':12} {seconds:7.1f}  seconds")


if __name__ == "__main__":
    try:
        main()
    except staging.Failed as failure:
        sys.exit(f"browser: {failure}")
