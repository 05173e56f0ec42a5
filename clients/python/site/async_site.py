"""The small site of the conformance suite, on Starlette."""
import html

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from tokencache import CommandError, NotStored
from tokencache.starlette import SessionMiddleware, session_of

# One field an item, so that two requests that add to a cart lose nothing.
CART = "cart."
CONTACT = "contact"
MOST_ITEM = 200


def application(client, reveal_captchas):
    site = Site(reveal_captchas)
    routes = [
        Route("/", site.home), Route("/login", site.login_form, methods=["GET"]), Route("/login", site.login, methods=["POST"]),
        Route("/logout", site.logout, methods=["POST"]), Route("/logout-everywhere", site.everywhere, methods=["POST"]),
        Route("/cart", site.cart, methods=["GET"]), Route("/cart", site.add_to_cart, methods=["POST"]),
        Route("/api/me", site.me), Route("/api/count", site.count, methods=["POST"]),
        Route("/devices", site.devices), Route("/devices/end", site.end_device, methods=["POST"]),
        Route("/contact", site.contact_form, methods=["GET"]), Route("/contact", site.contact, methods=["POST"]),
        Route("/payment/return", site.payment_return, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, client=client, api=("/api/",), development=True)])


async def checked(request):
    """The form that came, and whether it is genuine."""
    form = await request.form()
    return form, await session_of(request).check(str(form.get("csrf", ""))) == "passed"


class Site:
    def __init__(self, reveal_captchas):
        self.reveal_captchas = reveal_captchas

    async def home(self, request):
        field = session_of(request).csrf_field
        return page(request, f'<form method="post" action="/logout">{field}<button>Log out</button></form>')

    async def login_form(self, request, name=""):
        field = session_of(request).csrf_field
        return page(request, f'<form method="post" action="/login">{field}<input name="user" value="{html.escape(name)}">'
                             '<label><input type="checkbox" name="remember"> remember me</label><button>Log in</button></form>')

    async def login(self, request):
        session = session_of(request)
        form, passed = await checked(request)
        name = str(form.get("user", ""))
        if not passed or not 0 < len(name.encode()) <= 256:
            # The second click of two, whose first logged in: done. Everybody else gets the form again.
            return see_other() if session.user else await self.login_form(request, name)
        await session.login(name, remember="remember" in form)
        return see_other()

    async def logout(self, request):
        if not (await checked(request))[1]:
            return await self.home(request)
        await session_of(request).logout()
        return see_other()

    async def everywhere(self, request):
        session = session_of(request)
        if not (await checked(request))[1]:
            return await self.home(request)
        if session.user:
            await session.logout_everywhere()
        return see_other()

    async def cart(self, request):
        data = await session_of(request).get()
        return JSONResponse(sorted(name[len(CART):] for name in data if name.startswith(CART)))

    async def add_to_cart(self, request):
        form, passed = await checked(request)
        item = str(form.get("item", ""))
        if not passed or not 0 < len(item.encode()) <= MOST_ITEM:
            return self.cart_form(request, item)
        try:
            await session_of(request).set({CART + item: "1"})
        except NotStored:
            return self.cart_form(request, item)
        except CommandError:
            return PlainTextResponse("the cart is full", 413)
        return await self.cart(request)

    def cart_form(self, request, item):
        return page(request, f'<form method="post" action="/cart">{session_of(request).csrf_field}'
                             f'<input name="item" value="{html.escape(item)}"><button>Add</button></form>')

    async def me(self, request):
        session = session_of(request)
        if session.user is None:
            return JSONResponse({"user": None}, 401)
        return JSONResponse({"user": session.user, "sid": session.sid})

    async def count(self, request):
        session = session_of(request)
        if session.user is None:
            return JSONResponse({"user": None}, 401)
        return JSONResponse({"count": await session.increment("count")})

    async def devices(self, request):
        session = session_of(request)
        if session.user is None:
            return JSONResponse([], 401)
        return JSONResponse([{"sid": device.sid, "current": device.current} for device in await session.devices()])

    async def end_device(self, request):
        session = session_of(request)
        form, passed = await checked(request)
        if not passed or session.user is None:
            return await self.home(request)
        await session.end_device(str(form.get("sid", "")))
        return see_other()

    async def contact_form(self, request, text=""):
        session = session_of(request)
        captcha = await session.captcha(CONTACT)
        # For tests alone: else the solution is drawn, and nowhere else.
        solution = f' data-solution="{html.escape(captcha.solution)}"' if self.reveal_captchas else ""
        return page(request, f'<form method="post" action="/contact">{session.csrf_field}'
                             f'<input type="hidden" name="captcha" value="{html.escape(captcha.token)}"{solution}>'
                             f'<input name="answer"><textarea name="text">{html.escape(text)}</textarea>'
                             '<button>Send</button></form>')

    async def contact(self, request):
        form, passed = await checked(request)
        # In this order: somebody else's request must not spend the captcha.
        passed = passed and await session_of(request).captcha_passed(
            str(form.get("captcha", "")), str(form.get("answer", "")), CONTACT)
        return see_other() if passed else await self.contact_form(request, str(form.get("text", "")))

    async def payment_return(self, request):
        # From another site, where the browser holds back the cookie: it comes along again on a page of ours.
        return see_other()


def page(request, form):
    user = session_of(request).user
    return HTMLResponse(f"<!doctype html><title>Small site</title><p>{f'user: {html.escape(user)}' if user else 'guest'}</p>{form}")


def see_other():
    return RedirectResponse("/", 303)
