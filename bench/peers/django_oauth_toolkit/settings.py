"""Django with OAuth Toolkit for client credentials and introspection, as in production, and lean.

No middleware that a token endpoint does not need; connections stay open, one a thread, and are never checked.
"""

import os

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "HOST": os.environ["PGHOST"],
        "USER": os.environ["PGUSER"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_I18N = False
USE_TZ = True
LOGGING_CONFIG = None
OAUTH2_PROVIDER = {
    "SCOPES": {"metrics": "metrics", "introspection": "introspection"},
    "DEFAULT_SCOPES": ["metrics"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 86400,
}
