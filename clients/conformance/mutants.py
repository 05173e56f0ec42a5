#!/usr/bin/env python3
"""The Python site with one mistake that people make, for the test of the suite: mutants.py NAME --socket PATH --port N"""
import pathlib
import runpy
import socket
import sys

python = pathlib.Path(__file__).resolve().parent.parent / "python"
sys.path[:0] = [str(python / "src"), str(python / "site")]

import small_site  # noqa: E402
from tokencache import _response, client, commands, session  # noqa: E402

Site, Visitor, Session = small_site.Site, session._Visitor, session.Session


def none():
    """No mistake."""


def guest_is_logged_in():
    """Takes an accepted token for a login."""
    Visitor.user = property(lambda self: (self._subject or "member") if self._accepted else None)


def cookie_goes_with_503():
    unavailable = _response.unavailable

    def with_removal():
        status, headers, body = unavailable()
        return status, [*headers, ("Set-Cookie", "tc=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")], body
    _response.unavailable = with_removal


def caches_may_keep_cookies():
    finished = _response.finished
    _response.finished = lambda headers, visitor: [pair for pair in finished(headers, visitor) if pair[0] != "Cache-Control"]


def dead_token_goes_on():
    """A worker remembers who came with a token."""
    known, visited = {}, Visitor._visited

    def remember(self, reply):
        visited(self, reply)
        if self.user:
            known[self._received] = self._subject
        elif self._received in known:
            self._accepted, self._subject = True, known[self._received]
    Visitor._visited = remember


def old_token_goes_on():
    """Breaks the token rule: a new guest's captcha is for a token that nobody has."""
    Visitor._note = lambda self, reply: setattr(self, "set_cookie", self._cookie.of(reply) or self.set_cookie) or reply


def login_without_csrf():
    def login(self, visitor, form):
        visitor.login(form.get("user", ""), remember="remember" in form, form=False)
        return small_site.redirect("/")
    Site.login = login


def logout_without_csrf():
    def logout(self, visitor, form):
        visitor.logout()
        return small_site.redirect("/")
    Site.logout = logout


def whole_blob():
    """The cart is one text that is read, changed and written."""
    def cart(self, visitor, form):
        return small_site.json_of([item for item in visitor.get("cart").get("cart", "").split(",") if item])

    def add(self, visitor, form):
        if visitor.check(form.get("csrf", "")) != "passed":
            return self.cart_form(visitor, form["item"])
        items = visitor.get("cart").get("cart", "").split(",")
        visitor.set({"cart": ",".join(sorted({*items, form["item"]}))})
        return self.cart(visitor, form)
    Site.cart, Site.add_to_cart = cart, add


def browser_is_not_asked():
    """VISIT without FETCH-SITE, FETCH-MODE, POST."""
    visit = commands.visit
    commands.visit = lambda token, **options: visit(token, **{**options, "site": None, "mode": None, "post": False})


def replayed_takes_the_cookie():
    visited = Visitor._visited

    def remove(self, reply):
        visited(self, reply)
        if not self._accepted and self._received and self.set_cookie is None:
            self.set_cookie = self._cookie.removal()
    Visitor._visited = remove


def page_is_not_sent_again():
    Visitor.come_again = None


def anybody_ends_devices():
    revoke = commands.revoke_sid
    commands.revoke_sid = lambda sid, subject=None: revoke(sid)
    Visitor._must_be_user = lambda self: self.user or "nobody"

    def end(self, visitor, form):
        visitor.end_device(form.get("sid", ""))
        return small_site.redirect("/")
    Site.end_device = end


def solution_in_page():
    init = Site.__init__
    Site.__init__ = lambda self, _: init(self, True)


def fault_is_500():
    _response.unavailable = lambda: ("500 Internal Server Error", [("Content-Length", "0")], b"")


def count_is_read_and_written():
    def increment(self, field, by=1):
        value = int(self.get(field).get(field, "0")) + by
        self.set({field: str(value)})
        return value
    Session.increment = increment


def captcha_of_anybody():
    issue, verify = commands.captcha_issue, commands.captcha_verify
    commands.captcha_issue = lambda form, holder=None, bind=None: issue(form)
    commands.captcha_verify = lambda captcha, answer, form, holder=None, bind=None: verify(captcha, answer, form)


def captcha_before_csrf():
    def contact(self, visitor, form):
        passed = visitor.captcha_passed(form.get("captcha", ""), form.get("answer", ""), small_site.CONTACT, csrf=False)
        passed = passed and visitor.check(form.get("csrf", "")) == "passed"
        return small_site.redirect("/") if passed else self.contact_form(visitor, form)
    Site.contact = contact


def form_token_is_good_once():
    """A site that strikes out a form's token when it came."""
    check, spent = Session.check, set()

    def once(self, csrf):
        if csrf in spent:
            return "failed"
        spent.add(csrf)
        return check(self, csrf)
    Session.check = once


def only_the_newest_form_is_good():
    """One form's token for each session, replaced with every page that has a form."""
    form, check, newest = Visitor.csrf_field, Session.check, {}

    def field(self):
        text = form.fget(self)
        newest[self.sid] = text
        return text
    Visitor.csrf_field = property(field)
    Session.check = lambda self, csrf: check(self, csrf) if f'"{csrf}"' in newest.get(self.sid, "") else "failed"


def second_login_is_none():
    login = Site.login
    Site.login = lambda self, visitor, form: small_site.redirect("/") if visitor.user else login(self, visitor, form)


def second_click_of_another_name():
    """Lets a login form that does not pass go on only where its name is that of the user."""
    login = Site.login
    Site.login = lambda self, visitor, form: (
        login(self, visitor, form) if visitor.user in (None, form.get("user")) or visitor.check(form.get("csrf", "")) == "passed"
        else self.login_form(visitor, form))


def everywhere_is_here():
    Session.logout_everywhere = lambda self: self.logout()


def token_in_page():
    form = Visitor.csrf_field
    Visitor.csrf_field = property(lambda self: form.fget(self) + f'<input type="hidden" name="t" value="{self._token}">')


def login_keeps_the_token():
    """A login writes a name into the data of whatever session there is."""
    def login(self, name, remember=False):
        self.set({"user": name})
    visited = Visitor._visited

    def with_name(self, reply):
        visited(self, reply)
        self._subject = self.data.get("user", "")
        self._accepted = bool(self._accepted or self._subject)
    Session.login, Visitor._visited = login, with_name
    Visitor._visit = lambda self, fields, all_data: commands.visit(
        self._token, site=self.request.site, mode=self.request.fetch_mode, post=self.request.changes, csrf=True, form=self.form,
        data=("user",))


def cookie_without_max_age():
    of = session.Cookie.of
    session.Cookie.of = lambda self, fields: of(self, {k: v for k, v in fields.items() if k != "max_age"})


def late_answers_are_taken():
    """A connection is kept after a time-out, and nobody looks whom a reply is about."""
    idle = []

    def ask(self, command):
        if idle:
            connection, replies = idle.pop()
        else:
            connection, replies = socket.socket(socket.AF_UNIX), client.Replies()
            connection.settimeout(self.timeout)
            connection.connect(self.path)
            connection.sendall(client.encode(("HELLO", 3)))
            replies.feed(connection.recv(65536))
            replies.take()
        try:
            connection.sendall(client.encode(command.words))
            reply = replies.take()
            while reply is client.INCOMPLETE:
                replies.feed(connection.recv(65536))
                reply = replies.take()
        except OSError as error:
            raise client.Unavailable(str(error)) from error
        finally:
            idle.append((connection, replies))
        return client._judge(reply)
    client.Client.ask = ask


# What has to see each: scenarios or faults, and the column or the words of the rule.
CAUGHT = {
    guest_is_logged_in: ("first_visit", "wrong identity"),
    cookie_goes_with_503: ("outage", "503 takes no cookie away"),
    caches_may_keep_cookies: ("first_visit", "cacheable"),
    dead_token_goes_on: ("logout_here", "wrong identity"),
    old_token_goes_on: ("form_and_captcha", "a captcha is its visitor's alone"),
    login_without_csrf: ("forged_login", "a forged login form is shown again"),
    logout_without_csrf: ("logout_here", "logged out"),
    whole_blob: ("cart", "lost data"),
    browser_is_not_asked: ("payment_return", "logged out"),
    replayed_takes_the_cookie: ("late_page", "its query kept"),
    page_is_not_sent_again: ("late_page", "its query kept"),
    anybody_ends_devices: ("devices", "logged out"),
    solution_in_page: ("first_visit", "a captcha's solution is in no page"),
    fault_is_500: ("outage", "5xx"),
    count_is_read_and_written: ("api", "no number is counted twice"),
    captcha_of_anybody: ("form_and_captcha", "a captcha is its visitor's alone"),
    captcha_before_csrf: ("form_and_captcha", "a contact form that is right is 303"),
    form_token_is_good_once: ("forms_of_one_page", "each form of a page is good"),
    only_the_newest_form_is_good: ("forms_of_one_page", "each form of a page is good"),
    second_login_is_none: ("step_up", "a login gives a new cookie"),
    second_click_of_another_name: ("forged_login", "goes on from a login form that does not pass"),
    everywhere_is_here: ("logout_everywhere", "wrong identity"),
    token_in_page: ("first_visit", "no session token in a page"),
    login_keeps_the_token: ("planted_cookie", "wrong identity"),
    # Whom a late answer reaches is chance: somebody else, or a question of another kind.
    late_answers_are_taken: ("daemon_stands_still", "wrong identity|logged out|5xx"),
    cookie_without_max_age: ("remember_me", "the cookie has Max-Age"),
}

if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    runpy.run_path(str(python / "site/run"), run_name="__main__")
