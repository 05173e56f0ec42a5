"""What people and their browsers do. Each scenario is a function of a visitor who is a guest with an empty jar, or of a
member who is logged in; a fresh one each time."""
import time
import urllib.parse

from browser import Jar, Lost
from visitor import Visitor, is_form_again, is_removal, json_of, sid_of, together

PAY = "https://pay.example"
EVIL = "https://evil.example"


def first_visit(guest):
    """A page gives a guest's cookie, once; an image and a fetch give none."""
    rule, browser = guest.counts.rule, guest.browser
    for mode in ("no-cors", "cors") if browser.modern else ():
        answer = guest.ask("GET", "/", navigate=False, mode=mode)
        rule(not answer.set_cookies, "no cookie for what is no page", answer)
    guest.look()
    token = browser.token
    rule(token.startswith("eyJ"), "the first page gives a guest's cookie", token)
    guest.look()
    rule(browser.token == token, "the second page leaves the cookie", token)


def restored_tabs(guest):
    """Tabs that load all at once, with an empty jar and with a full one."""
    together(*[lambda: guest.ask("GET", "/login")] * 4)
    time.sleep(0.1)
    guest.log_in(guest.owner)
    together(*[guest.look] * 4)
    guest.browser.jar.close_browser()
    guest.forget()
    together(*[guest.look] * 3)


def form_and_captcha(guest):
    """A captcha is good once, for this visitor, and a forged form spends it not."""
    rule = guest.counts.rule
    text = {"text": "hello"}
    for is_member in (False, True):
        if is_member:
            guest.log_in(guest.owner)
        csrf, page = guest.csrf("/contact")
        captcha, solution = page.page.fields.get("captcha"), page.page.solution
        if not rule(captcha and solution, "GET /contact has captcha and data-solution", page):
            return
        filled = {**text, "captcha": captcha, "answer": solution}
        forged = guest.ask("POST", "/contact", {**filled, "csrf": "forged"}, navigate=False)
        rule(is_form_again(forged), "a forged contact form is shown again", forged)
        sent = guest.ask("POST", "/contact", {**filled, "csrf": csrf}, navigate=False)
        rule(sent.status == 303 or sent.retried, "a contact form that is right is 303", sent)
        again = guest.ask("POST", "/contact", {**filled, "csrf": csrf}, navigate=False)
        rule(is_form_again(again), "a captcha is good once", again)
        csrf, page = guest.csrf("/contact")
        filled = {**text, "captcha": page.page.fields["captcha"], "answer": "wrong?"}
        wrong = guest.ask("POST", "/contact", {**filled, "csrf": csrf}, navigate=False)
        rule(is_form_again(wrong), "a wrong answer does not pass", wrong)
        late = guest.ask("POST", "/contact", {**filled, "csrf": csrf, "answer": page.page.solution}, navigate=False)
        rule(is_form_again(late), "a captcha is spent by the first attempt", late)
    other = other_of(guest)
    csrf, page = other.csrf("/contact")
    mine = guest.csrf("/contact")[0]
    solved = guest.ask("POST", "/contact", {**text, "captcha": page.page.fields["captcha"], "answer": page.page.solution,
                                            "csrf": mine}, navigate=False)
    rule(is_form_again(solved), "a captcha is its visitor's alone", solved)


def two_forms(guest):
    """Two forms of two tabs are both good, before and after the guest is a session."""
    first, second = guest.csrf()[0], guest.csrf("/contact")[0]
    guest.add(guest.prefix + "one", first)
    guest.add(guest.prefix + "two", second)
    guest.add(guest.prefix + "three", first)
    guest.cart()
    guest.log_in(guest.owner, csrf=second)
    # From before the login: shown again, and carried out then.
    guest.add(guest.prefix + "four", first)
    guest.cart()


def forms_of_one_page(guest):
    """Forms beside one another on one page have its one token, and each is good: one after the other, at once, from two tabs, when
    the session token was replaced meanwhile; none of them comes again."""
    rule, world = guest.counts.rule, guest.world

    def send(path, csrf, **form):
        begun = time.monotonic()
        answer = guest.ask("POST", path, {**form, "csrf": csrf}, navigate=False)
        # A request that was carried out twice, or for longer than a replaced token is good.
        excused = answer.retried or time.monotonic() - begun > world.overlap_seconds / 2
        if excused and is_form_again(answer):
            guest.counts.add("excused", answer)
        rule(excused or not is_form_again(answer), "each form of a page is good with the page's token", answer)
        return answer

    def add(name, csrf):
        answer = send("/cart", csrf, item=guest.prefix + name)
        if not is_form_again(answer):
            guest.items.add(guest.prefix + name)

    def captcha_and_cart(name):
        csrf, page = guest.csrf("/contact")
        captcha = {"captcha": page.page.fields.get("captcha"), "answer": page.page.solution, "text": "hello"}
        together(lambda: send("/contact", csrf, **captcha), lambda: add(name + "-at-once", csrf))
        add(name + "-after", csrf)
        # A second page does not take the first one's token away.
        newer = guest.csrf()[0]
        together(lambda: add(name + "-tab-1", csrf), lambda: add(name + "-tab-2", newer))
        guest.cart()

    captcha_and_cart("guest")
    guest.log_in(guest.owner)
    captcha_and_cart("member")
    phone = other_of(guest, guest.owner)
    phone.log_in(guest.owner)
    sid, csrf = phone.me(), guest.csrf()[0]
    phone.expect(None, guest.owner)
    together(lambda: send("/devices/end", csrf, sid=sid), lambda: add("device", csrf))
    phone.forget()
    phone.look()
    time.sleep(world.rotation_seconds + 0.1)
    guest.cart()
    add("later", csrf)
    guest.expect(guest.owner, None)
    if is_form_again(send("/logout", csrf)):
        guest.log_out()
    guest.forget()
    guest.look()


def cart(guest):
    """What is in the cart stays in it, whoever else writes, and through the login; it is nobody else's."""
    csrf = guest.csrf()[0]
    together(*[lambda n=n: guest.add(f"{guest.prefix}{n}", csrf) for n in range(5)])
    guest.cart()
    guest.log_in(guest.owner)
    guest.cart()
    csrf = guest.csrf()[0]
    together(*[lambda n=n: guest.add(f"{guest.prefix}{n}", csrf) for n in range(5, 12)])
    guest.cart()
    guest.log_out()
    answer = guest.ask("GET", "/cart")
    if json_of(answer):
        guest.counts.add("wrong identity", f"the cart of who logged out: {answer}")


def login_race(guest):
    """Two login forms at once, pages and fetches around them, answers that overtake each other."""
    forms = [guest.csrf()[0], guest.csrf()[0]]
    guest.add(guest.prefix + "before", forms[0])
    pause = guest.random.uniform
    guest.expect(None, guest.owner)
    delays = [pause(0, 0.3) for _ in range(8)]

    def page(delay):
        time.sleep(delay)
        guest.look(delay=pause(0, 0.2))

    def fetch(delay):
        time.sleep(delay)
        guest.ask("GET", "/api/me", navigate=False, mode="cors", delay=pause(0, 0.2))
    together(*[lambda f=form, d=delay: guest.submit("/login", {"user": guest.owner}, f, delay=d)
               for form, delay in zip(forms, delays)],
             *[lambda d=delay: page(d) for delay in delays[2:5]], *[lambda d=delay: fetch(d) for delay in delays[5:]])
    guest.user = guest.owner
    guest.expect(guest.owner)
    guest.look()
    guest.me()
    guest.cart()


def double_click(guest):
    """The same login form twice; the first answer is lost."""
    csrf = guest.csrf()[0]
    guest.expect(None, guest.owner)
    form = {"user": guest.owner, "csrf": csrf}
    together(lambda: guest.lose("POST", "/login", form, guest.random.uniform(0.01, 0.2)),
             lambda: guest.log_in(guest.owner, csrf=csrf))
    guest.look()
    guest.log_out()
    csrf = guest.csrf()[0]
    guest.expect(None, guest.owner)
    together(*[lambda: guest.submit("/login", {"user": guest.owner}, csrf)] * 2)
    guest.user = guest.owner
    guest.expect(guest.owner)
    guest.look()


def rotation_race(member):
    """A token that is due, presented by many at once, with answers lost and overtaken: one successor for all."""
    world, rule = member.world, member.counts.rule
    member.add(member.prefix + "kept")
    for _ in range(2):
        time.sleep(world.rotation_seconds + 0.1)
        old, since = member.browser.token, time.monotonic()
        delay = member.random.uniform
        delays = [delay(0, 0.25) for _ in range(4)]
        member.lose("GET", "/", after=0.1)
        answers = together(*[lambda d=d: member.look(delay=d) for d in delays],
                           *[lambda: member.ask("GET", "/api/me", navigate=False, mode="cors")] * 2)
        given = {value for answer in answers for hop in (answer.hops or [answer]) if hop.sent_token == old
                 for value in new_tokens(hop)}
        rule(len(given) <= 1, "one successor for all who come with the same token", given)
        rule(given or member.browser.token != old or not world.was_calm(since), "a token that is due is replaced", old)
        member.look()
        member.me()
    member.cart()


def background_fetches(member):
    """Two tabs poll for as long as tokens live, while the person looks around."""
    end = time.monotonic() + 2.5 * member.world.rotation_seconds

    def poll():
        while time.monotonic() < end:
            member.me()
            time.sleep(0.15)

    def person():
        while time.monotonic() < end:
            member.look()
            time.sleep(0.25)
    together(poll, poll, person)
    member.count()


def late_upload(member):
    """A long upload, while another tab goes on and the token is replaced."""
    csrf = member.csrf()[0]
    seconds = member.world.rotation_seconds + 0.7

    def others():
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            member.look()
            time.sleep(0.3)
    together(lambda: member.add(member.prefix + "x" * 150, csrf, seconds=seconds), others)
    member.look()
    member.cart()


def lost_answers(member):
    """Requests whose answers never come cost nothing."""
    for _ in range(3):
        time.sleep(member.world.rotation_seconds / 2)
        together(*[lambda: member.lose("GET", "/", after=member.random.uniform(0, 0.2))] * 2)
        member.look()
    csrf = member.csrf()[0]
    member.lose("POST", "/cart", {"csrf": csrf, "item": member.prefix + "lost"}, 0.2)
    member.add(member.prefix + "found", csrf)
    member.cart()


def payment_return(member):
    """Another site's page posts back, and the browser holds the cookie back there."""
    rule = member.counts.rule
    if not member.browser.modern:
        return
    member.add(member.prefix + "paid")
    back = member.ask("POST", "/payment/return", {"order": "1"}, navigate=False, initiator=PAY)
    rule(back.status == 303 and not back.set_cookies, "back from a payment: 303, and the cookie stays", back)
    member.look(initiator=PAY)
    end = member.ask("POST", "/payment/return", {"order": "2"}, initiator=PAY)
    member.judge(end.name, end)
    member.look()
    member.cart()


def step_up(member):
    """The password again: a new token, and whoever had copied the old one is out."""
    old = member.browser.token
    tab = member.csrf()[0]
    member.add(member.prefix + "kept")
    answer = member.log_in(member.owner)
    member.counts.rule(any(new_tokens(hop) for hop in [answer]) or answer.retried, "a login gives a new cookie", answer)
    member.look()
    dead(member, old)
    member.add(member.prefix + "outdated", tab)
    member.cart()


def late_page(member):
    """A page that was asked for with the cookie of before a login is asked for again, once, as it was."""
    rule, old = member.counts.rule, member.browser.token
    member.log_in(member.owner)
    try:
        first = member.browser.send("GET", "/?a=b&c=d%20e", sent_as=f"tc={old}")
        if first.status == 503:
            return
        rule(first.status == 303 and "a=b&c=d%20e" in (first.location or "") and not first.set_cookies,
             "a page whose cookie was overtaken by a login is sent to itself, its query kept", first)
        second = member.browser.send("GET", urllib.parse.urljoin(first.address, first.location or "/"), sent_as=f"tc={old}")
        rule(second.status in (200, 503) and not second.set_cookies, "and only once, without a cookie", second)
    except Lost:
        return
    member.look()


def devices(member):
    """One's own devices are listed and ended, nobody else's are."""
    rule = member.counts.rule
    phone = other_of(member, member.owner)
    phone.log_in(member.owner)
    sid = phone.me()
    mine = member.me()
    for _ in range(3):
        listed = json_of(member.ask("GET", "/devices"))
        if isinstance(listed, list) and {d.get("sid") for d in listed} >= {sid, mine}:
            break
        time.sleep(0.1)
    if rule(isinstance(listed, list) and {d.get("sid") for d in listed} >= {sid, mine}, "both devices are listed", listed):
        rule([d["sid"] for d in listed if d["current"]] == [mine], "the current device is marked", listed)
    for is_user, stranger in ((False, other_of(member)), (True, other_of(member))):
        if is_user:
            stranger.log_in(stranger.owner)
            others = json_of(stranger.ask("GET", "/devices"))
            rule(isinstance(others, list) and not {d["sid"] for d in others} & {sid, mine}, "only one's own devices are listed", others)
        csrf = stranger.csrf()[0]
        stranger.ask("POST", "/devices/end", {"csrf": csrf, "sid": sid}, navigate=False)
        phone.look()
    member.ask("POST", "/devices/end", {"csrf": "forged", "sid": sid}, navigate=False)
    phone.look()
    phone.expect(None, member.owner)
    rule(member.submit("/devices/end", {"sid": sid}).status == 303, "POST /devices/end is 303", sid)
    phone.forget()
    phone.look()
    member.look()


def logout_here(member):
    """Logout ends this session and no other, wants a form that is genuine, and a copy of the cookie is worth nothing."""
    rule = member.counts.rule
    phone = other_of(member, member.owner)
    phone.log_in(member.owner)
    forged = member.ask("POST", "/logout", {"csrf": phone.csrf()[0]}, navigate=False)
    rule(forged.status < 500, "a forged logout is no error", forged)
    for method, form, initiator in (("GET", None, None), ("POST", {}, None), ("POST", {"csrf": ""}, EVIL)):
        member.ask(method, "/logout", form, navigate=False, initiator=initiator)
        member.look()
    old = member.browser.token
    member.log_out()
    member.look()
    dead(member, old)
    phone.look()
    # The next person at the same machine.
    member.owner = member.owner + "-next"
    member.log_in(member.owner)
    member.look()
    member.cart()


def logout_everywhere(member):
    """All devices, and the cookies of all of them."""
    phone, tablet = other_of(member, member.owner), other_of(member, member.owner)
    together(lambda: phone.log_in(member.owner), lambda: tablet.log_in(member.owner))
    stranger = other_of(member)
    stranger.log_in(stranger.owner)
    old = member.browser.token
    for device in (phone, tablet):
        device.expect(None, member.owner)
    member.log_out("/logout-everywhere")
    dead(member, old)
    for device in (phone, tablet):
        device.forget()
        device.look()
    stranger.look()


def remember_me(guest):
    """With the box the cookie outlives the browser; without it, not."""
    rule = guest.counts.rule
    guest.log_in(guest.owner, remember=True)
    rule("max-age=" in str(guest.written[0].set_cookies).lower(), "remember me: the cookie has Max-Age", guest.written[0])
    guest.browser.jar.close_browser()
    guest.look()
    time.sleep(guest.world.rotation_seconds + 0.1)
    guest.look()
    guest.browser.jar.close_browser()
    together(guest.look, guest.look, guest.me)
    guest.log_out()
    guest.log_in(guest.owner)
    rule("max-age=" not in str(guest.written[0].set_cookies).lower(), "without the box it has none", guest.written[0])
    guest.browser.jar.close_browser()
    guest.forget()
    guest.look()


def api(guest):
    """An API answers 401 to guests, sets no cookie, counts exactly, and is nothing for other sites."""
    rule = guest.counts.rule
    for path, method in (("/api/me", "GET"), ("/api/count", "POST")):
        for _ in range(2):
            answer = guest.ask(method, path, navigate=False, mode="cors")
            rule(answer.status == 401 and json_of(answer) == {"user": None}, f"{path} of a guest is 401, user null", answer)
            rule(not guest.browser.modern or not answer.set_cookies, "an API gives no guest's cookie", answer)
            guest.look()
    guest.log_in(guest.owner)
    rule(guest.me() == sid_of(guest.browser.token), "/api/me says the sid of this session", guest.browser.token)
    values = [value for value in together(*[guest.count] * 8) if value is not None]
    rule(len(set(values)) == len(values), "no number is counted twice", values)
    final = guest.count()
    if final is not None and not guest.count_least <= final <= guest.count_most:
        guest.counts.add("lost data", f"{guest.count_least} to {guest.count_most} were counted, and it says {final}")
    evil = guest.ask("POST", "/api/count", navigate=False, mode="cors", initiator=EVIL)
    rule(evil.status in (401, 403), "another site's page counts nothing", evil)


def jar_that_forgets(member):
    """A browser that lost its cookies is a guest, and logs in again."""
    member.browser.jar.forget()
    member.forget()
    member.look()
    member.log_in(member.owner)
    member.look()


def forged_login(guest):
    """Nobody is logged in by a form that is not theirs."""
    stranger = other_of(guest)
    theirs = stranger.csrf()[0]
    guest.look()
    for form in ({}, {"csrf": ""}, {"csrf": "forged"}, {"csrf": theirs}):
        answer = guest.ask("POST", "/login", {**form, "user": "mallory"}, navigate=False)
        guest.counts.rule(is_form_again(answer), "a forged login form is shown again", answer)
        guest.look()
    evil = guest.ask("POST", "/login", {"csrf": theirs, "user": "mallory"}, navigate=False, initiator=EVIL)
    guest.counts.rule(evil.status != 303 or not evil.set_cookies, "another site logs nobody in", evil)
    guest.look()
    guest.log_in(guest.owner)
    answer = guest.ask("POST", "/login", {"csrf": theirs, "user": "mallory"}, navigate=False)
    guest.counts.rule(answer.status == 303, "whoever is logged in goes on from a login form that does not pass", answer)
    guest.look()


def planted_cookie(guest):
    """Whoever put their own guest's cookie into somebody's jar has nothing of the login."""
    thief = other_of(guest)
    thief.look()
    planted = thief.browser.token
    guest.browser.jar.store(guest.world.base + "/", f"tc={planted}; Path=/")
    guest.log_in(guest.owner)
    guest.look()
    dead(guest, planted)
    thief.look()
    thief.browser.jar.store(guest.world.base + "/", "tc=" + "0" * 128 + "; Path=/")
    thief.look()
    thief.browser.jar.store(guest.world.base + "/", "tc=x.y.z; Path=/")
    thief.look()


OF_GUESTS = (first_visit, restored_tabs, form_and_captcha, two_forms, forms_of_one_page, cart, login_race, double_click,
             remember_me, api, forged_login, planted_cookie)
OF_MEMBERS = (rotation_race, background_fetches, late_upload, lost_answers, payment_return, step_up, late_page, devices, logout_here,
              logout_everywhere, jar_that_forgets)


def other_of(visitor, owner=None):
    """Another browser: of the same person, or of somebody new."""
    other = Visitor(visitor.world, visitor.random, Jar(), visitor.browser.modern)
    other.owner = owner or visitor.world.new_name()
    return other


def dead(visitor, token):
    """A copy of a token that must be worth nothing by now."""
    if not token:
        return
    try:
        answer = visitor.browser.send("GET", "/api/me", mode="cors", sent_as=f"tc={token}")
    except Lost:
        return
    if answer.status == 200:
        visitor.counts.add("wrong identity", f"a dead token is good: {answer}")


def new_tokens(answer):
    return {cookie.partition(";")[0].partition("=")[2] for cookie in answer.set_cookies
            if cookie.startswith("tc=") and not is_removal(cookie)}
