"""The small site of the conformance suite, on Django: its views, its settings, its routes. Users are Django's own, in memory."""
import html

import django
from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse

from tokencache.django.csrf import shows_form_again

# One key of the session an item: keys are fields, so two requests that add to a cart lose nothing.
CART = "cart."
CONTACT = "contact"
MOST_ITEM = 200


def application(socket, reveal_captchas, database):
    """The WSGI application."""
    settings.configure(
        SECRET_KEY="of the small site", DEBUG=True, ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, USE_TZ=True,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": {"timeout": 20}}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        MIDDLEWARE=["tokencache.django.middleware.SessionMiddleware", f"{__name__}.csrf_of_the_suite",
                    "tokencache.django.middleware.CsrfViewMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"],
        SESSION_ENGINE="tokencache.django.sessions", SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
        TOKENCACHE={"SOCKET": socket, "API": ["/api/"]},
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates",
                    "OPTIONS": {"context_processors": ["tokencache.django.csrf.context"]}}],
        # Nothing here is anybody's password.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"], REVEAL_CAPTCHAS=reveal_captchas, LOGGING_CONFIG=None)
    django.setup()
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    call_command("migrate", verbosity=0)
    return get_wsgi_application()


def form(request, action, fields, **values):
    """A page with one form; `fields` is a template."""
    from django.template import engines
    text = ("<!doctype html><title>Small site</title><p>{% if user %}user: {{ user }}{% else %}guest{% endif %}</p>"
            '<form method="post" action="' + action + '">{% csrf_token %}'
            '<input type="hidden" name="csrf" value="{{ csrf_token }}">' + fields + "<button>Go</button></form>")
    user = request.user.get_username() if request.user.is_authenticated else ""
    return HttpResponse(engines["django"].from_string(text).render({"user": user, **values}, request))


def see_other():
    return HttpResponseRedirect("/", status=303)


def csrf_of_the_suite(get_response):
    """The suite names its field csrf; Django's name is csrfmiddlewaretoken."""
    def answer(request):
        if request.method == "POST":
            request.POST = request.POST.copy()
            request.POST["csrfmiddlewaretoken"] = request.POST.get("csrf", "")
        return get_response(request)
    return answer


def home(request):
    return form(request, "/logout", "")


@shows_form_again
def login(request):
    from django.contrib import auth
    name = request.POST.get("user", "")
    if request.method == "POST" and request.csrf_passed and 0 < len(name.encode()) <= 150:
        user, _ = auth.get_user_model().objects.get_or_create(username=name)
        auth.login(request, user, "django.contrib.auth.backends.ModelBackend")
        request.session.set_expiry(30 * 86400 if "remember" in request.POST else 0)
        return see_other()
    # The second click of two, whose first logged in: done. Everybody else gets the form again.
    if request.method == "POST" and request.user.is_authenticated:
        return see_other()
    return form(request, "/login", '<input name="user" value="{{ name }}"><input type="checkbox" name="remember">', name=name)


@shows_form_again
def logout(request):
    from django.contrib import auth
    if not request.csrf_passed:
        return home(request)
    auth.logout(request)
    return see_other()


@shows_form_again
def logout_everywhere(request):
    if not request.csrf_passed:
        return home(request)
    if request.user.is_authenticated:
        request.tokencache.logout_everywhere()
    return see_other()


@shows_form_again
def cart(request):
    if request.method == "POST":
        item = request.POST.get("item", "")
        if not request.csrf_passed or not 0 < len(item.encode()) <= MOST_ITEM:
            return form(request, "/cart", '<input name="item" value="{{ item }}">', item=item)
        request.session[CART + item] = 1
        request.session.save()
    return JsonResponse(sorted(key[len(CART):] for key in request.session.keys() if key.startswith(CART)), safe=False)


def me(request):
    if not request.user.is_authenticated:
        return no_store(JsonResponse({"user": None}, status=401))
    return no_store(JsonResponse({"user": request.user.get_username(), "sid": request.session.session_key}))


def count(request):
    if not request.user.is_authenticated:
        return no_store(JsonResponse({"user": None}, status=401))
    return no_store(JsonResponse({"count": request.tokencache.increment("count")}))


def no_store(response):
    response["Cache-Control"] = "no-store"
    return response


def devices(request):
    if not request.user.is_authenticated:
        return JsonResponse([], safe=False, status=401)
    return JsonResponse([{"sid": d.sid, "current": d.current} for d in request.tokencache.devices()], safe=False)


@shows_form_again
def end_device(request):
    if not request.csrf_passed or not request.user.is_authenticated:
        return home(request)
    request.tokencache.end_device(request.POST.get("sid", ""))
    return see_other()


@shows_form_again
def contact(request):
    post, visitor = request.POST, request.tokencache
    # In this order: somebody else's request must not spend the captcha.
    if request.method == "POST" and request.csrf_passed and visitor.captcha_passed(
            post.get("captcha", ""), post.get("answer", ""), CONTACT):
        return see_other()
    captcha = visitor.captcha(CONTACT)
    # For tests alone: else the solution is drawn, and nowhere else.
    solution = f' data-solution="{html.escape(captcha.solution)}"' if settings.REVEAL_CAPTCHAS else ""
    return form(request, "/contact", f'<input type="hidden" name="captcha" value="{html.escape(captcha.token)}"{solution}>'
                                     '<input name="answer"><textarea name="text">{{ text }}</textarea>', text=post.get("text", ""))


def payment_return(request):
    return see_other()


# From another site, with no form of ours.
payment_return.csrf_exempt = True


def routes():
    from django.urls import path
    from django.views.decorators.http import require_GET, require_POST

    return [
        path("", require_GET(home)), path("login", login), path("logout", require_POST(logout)),
        path("logout-everywhere", require_POST(logout_everywhere)), path("cart", cart), path("api/me", require_GET(me)),
        path("api/count", require_POST(count)), path("devices", require_GET(devices)), path("devices/end", require_POST(end_device)),
        path("contact", contact), path("payment/return", require_POST(payment_return)),
    ]


urlpatterns = routes()
