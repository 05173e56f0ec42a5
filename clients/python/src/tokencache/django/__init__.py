"""Django: sessions, middleware, CSRF.

    SESSION_ENGINE = "tokencache.django.sessions"
    TOKENCACHE = {"SOCKET": "/run/tokencached/tokencached.sock", "API": ["/api/"]}

`tokencache.django.middleware.SessionMiddleware` and `CsrfViewMiddleware` take the places of Django's own in MIDDLEWARE, and
`tokencache.django.csrf.context` stands among the context processors.
"""
