"""The small site of the conformance suite, on Flask."""
import html

from flask import Flask, jsonify, redirect, request, session

from tokencache.flask import TokenCache, visitor

CART = "cart."
CONTACT = "contact"
MOST_ITEM = 200


def bare():
    """The first page without the package, for ../../conformance/speed."""
    app = Flask(__name__)
    app.get("/")(lambda: "<!doctype html><title>Small site</title><p>user: ann</p>")
    return app


def application(client, reveal_captchas):
    app = Flask(__name__)
    TokenCache(app, client, api=("/api/",), development=True)

    def page(form):
        name = f"user: {html.escape(visitor.user)}" if visitor.user else "guest"
        return f"<!doctype html><title>Small site</title><p>{name}</p>{form}"

    def passed():
        return visitor.check(request.form.get("csrf", "")) == "passed"

    def see_other():
        return redirect("/", 303)

    @app.get("/")
    def home():
        return page(f'<form method="post" action="/logout">{visitor.csrf_field}<button>Log out</button></form>')

    @app.get("/login")
    def login_form():
        name = html.escape(request.form.get("user", ""))
        return page(f'<form method="post" action="/login">{visitor.csrf_field}<input name="user" value="{name}">'
                    '<label><input type="checkbox" name="remember"> remember me</label><button>Log in</button></form>')

    @app.post("/login")
    def login():
        name = request.form.get("user", "")
        if not passed() or not 0 < len(name.encode()) <= 256:
            # The second click of two, whose first logged in: done. Everybody else gets the form again.
            return see_other() if visitor.user else login_form()
        visitor.login(name, remember="remember" in request.form)
        return see_other()

    @app.post("/logout")
    def logout():
        if not passed():
            return home()
        visitor.logout()
        session.clear()
        return see_other()

    @app.post("/logout-everywhere")
    def everywhere():
        if not passed():
            return home()
        if visitor.user:
            visitor.logout_everywhere()
            session.clear()
        return see_other()

    @app.get("/cart")
    def cart():
        return jsonify(sorted(key[len(CART):] for key in session if key.startswith(CART)))

    @app.post("/cart")
    def add_to_cart():
        item = request.form.get("item", "")
        if not passed() or not 0 < len(item.encode()) <= MOST_ITEM:
            return page(f'<form method="post" action="/cart">{visitor.csrf_field}'
                        f'<input name="item" value="{html.escape(item)}"><button>Add</button></form>')
        session[CART + item] = 1
        return cart()

    @app.get("/api/me")
    def me():
        return (jsonify(user=visitor.user, sid=visitor.sid), 200) if visitor.user else (jsonify(user=None), 401)

    @app.post("/api/count")
    def count():
        return jsonify(count=visitor.increment("count")) if visitor.user else (jsonify(user=None), 401)

    @app.get("/devices")
    def devices():
        if not visitor.user:
            return jsonify([]), 401
        return jsonify([{"sid": device.sid, "current": device.current} for device in visitor.devices()])

    @app.post("/devices/end")
    def end_device():
        if not passed() or not visitor.user:
            return home()
        visitor.end_device(request.form.get("sid", ""))
        return see_other()

    @app.get("/contact")
    def contact_form():
        captcha = visitor.captcha(CONTACT)
        # For tests alone: else the solution is drawn, and nowhere else.
        solution = f' data-solution="{html.escape(captcha.solution)}"' if reveal_captchas else ""
        return page(f'<form method="post" action="/contact">{visitor.csrf_field}'
                    f'<input type="hidden" name="captcha" value="{html.escape(captcha.token)}"{solution}>'
                    f'<input name="answer"><textarea name="text">{html.escape(request.form.get("text", ""))}</textarea>'
                    '<button>Send</button></form>')

    @app.post("/contact")
    def contact():
        # In this order: somebody else's request must not spend the captcha.
        if passed() and visitor.captcha_passed(request.form.get("captcha", ""), request.form.get("answer", ""), CONTACT):
            return see_other()
        return contact_form()

    @app.post("/payment/return")
    def payment_return():
        return see_other()

    return app
