"""Django settings: one environment variable for each thing an operator may choose, sound defaults for the rest.

| variable | default | meaning |
|---|---|---|
| HUOSHUI_HOME | ./var | embedded database, secret key, backups, staged files |
| HUOSHUI_DATABASE | (SQLite in HUOSHUI_HOME) | `postgresql://user:password@host:port/name` for production |
| HUOSHUI_ENGINES | local,slurm,ray | kinds of job engine that sites may connect; `local` runs jobs on this machine |
| HUOSHUI_ENGINE_PATHS | (none) | directories beside HUOSHUI_HOME/jobs, joined by `:`, that engine settings may name |
| HUOSHUI_ENGINE_ADDRESSES | (none) | addresses, joined by `,`, that engine settings may name: `http://ray:8265` |
| HUOSHUI_STORE | (files in HUOSHUI_HOME/store) | `s3://bucket/prefix` for data and artefacts, with AWS_* variables |
| HUOSHUI_HOSTS | localhost,127.0.0.1,[::1] | host names under which the console is reached |
| HUOSHUI_DEBUG | 0 | developer pages; never in production |
| HUOSHUI_DEMO | 0 | shows the demo mark on pages and exports |
| HUOSHUI_OIDC_CLIENT, _SECRET, _ISSUER | (none) | sign-in through an OpenID Connect issuer |
| HUOSHUI_OIDC_AUTHORIZATION, _TOKEN, _USER, _KEYS | (none) | the issuer's four addresses |
| HUOSHUI_OIDC_CLAIM | preferred_username | the claim that holds the user name |
"""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HOME = Path(os.environ.get("HUOSHUI_HOME") or "var").resolve()
PACKAGE = Path(__file__).resolve().parent


def _secret_key() -> str:
    """The key is made once and kept readable by its owner only."""
    if key := os.environ.get("HUOSHUI_SECRET_KEY"):
        return key
    file = HOME / "secret_key"
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return file.read_text()
    with os.fdopen(descriptor, "w") as out:
        key = secrets.token_urlsafe(48)
        out.write(key)
    return key


def database(url: str) -> dict[str, Any]:
    """Database settings for a `postgresql://` address, or the embedded SQLite file when it is empty."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": HOME / "huoshui.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
            "TEST": {"NAME": os.environ.get("HUOSHUI_TEST_SQLITE")},
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 20}},
    }


SECRET_KEY = _secret_key()
DEBUG = os.environ.get("HUOSHUI_DEBUG") == "1"
DEMO = os.environ.get("HUOSHUI_DEMO") == "1"
STORE = os.environ.get("HUOSHUI_STORE", "")
ENGINE_KINDS = os.environ.get("HUOSHUI_ENGINES", "local,slurm,ray").split(",")
ENGINE_PATHS = [Path(path) for path in os.environ.get("HUOSHUI_ENGINE_PATHS", "").split(":") if path]
ENGINE_ADDRESSES = [url.rstrip("/") for url in os.environ.get("HUOSHUI_ENGINE_ADDRESSES", "").split(",") if url]
ALLOWED_HOSTS = os.environ.get("HUOSHUI_HOSTS", "localhost,127.0.0.1,[::1],testserver").split(",")
DATABASES = {"default": database(os.environ.get("HUOSHUI_DATABASE", ""))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "huoshui.base",
    "huoshui.registry",
    "huoshui.book",
    "huoshui.cases",
    "huoshui.indicators",
    "huoshui.compute",
    "huoshui.policy",
    "huoshui.jobs",
    "huoshui.market",
    "huoshui.exchange",
    "huoshui.maas",
    "huoshui.energy",
    "huoshui.mcp",
    "huoshui.web",
    "huoshui.api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "huoshui.base.middleware.ContentPolicy",
]
ROOT_URLCONF = "huoshui.web.urls"
WSGI_APPLICATION = "huoshui.web.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "huoshui.base.context.page",
            ],
            "builtins": ["huoshui.base.templatetags.kit", "django.templatetags.i18n", "django.templatetags.static"],
        },
    }
]

AUTH_USER_MODEL = "base.User"
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if OIDC_RP_CLIENT_ID := os.environ.get("HUOSHUI_OIDC_CLIENT", ""):
    INSTALLED_APPS.append("mozilla_django_oidc")
    AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "huoshui.web.oidc.IssuerBackend"]
    OIDC_RP_CLIENT_SECRET = os.environ["HUOSHUI_OIDC_SECRET"]
    OIDC_OP_ISSUER = os.environ["HUOSHUI_OIDC_ISSUER"]
    OIDC_OP_AUTHORIZATION_ENDPOINT = os.environ["HUOSHUI_OIDC_AUTHORIZATION"]
    OIDC_OP_TOKEN_ENDPOINT = os.environ["HUOSHUI_OIDC_TOKEN"]
    OIDC_OP_USER_ENDPOINT = os.environ["HUOSHUI_OIDC_USER"]
    OIDC_OP_JWKS_ENDPOINT = os.environ["HUOSHUI_OIDC_KEYS"]
    OIDC_CLAIM = os.environ.get("HUOSHUI_OIDC_CLAIM", "preferred_username")
    OIDC_RP_SIGN_ALGO, OIDC_RP_SCOPES, OIDC_CREATE_USER, OIDC_TIMEOUT = "RS256", "openid profile", False, 10
    LOGIN_REDIRECT_URL_FAILURE = "/sign-in/"
CSRF_FAILURE_VIEW = "huoshui.base.views.csrf_failure"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
if os.environ.get("HUOSHUI_HTTPS") == "1":
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "中文"), ("en", "English")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_TEMP_DIR = None

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default"]}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
