"""Of Django's own session tests, on our engine: SOCKET in the environment."""
import os

SECRET_KEY = "test"
SESSION_ENGINE = "tokencache.django.sessions"
TOKENCACHE = {"SOCKET": os.environ["SOCKET"]}
USE_TZ = False
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "sessions_tests"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
