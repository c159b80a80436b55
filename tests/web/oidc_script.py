"""Runs sign-ins against an issuer made here: `python oidc_script.py CASE…` prints how each ended."""

import json
import logging
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CASE = ""  # the case under way
KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _each in range(2))
nonce = ""


class Issuer(BaseHTTPRequestHandler):
    """Token, user and key addresses of an issuer that knows one code."""

    def _answer(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        if self.path == "/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            self._answer({"keys": [public | {"kid": "one", "alg": "RS256"}]})
        else:
            name = "stranger" if CASE == "unknown" else "lin"
            self._answer({"sub": "17", "preferred_username": name, "roles": ["administrator"]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        now = int(time.time())
        claims = {
            "iss": "https://elsewhere.invalid" if CASE == "other issuer" else ISSUER,
            "aud": "someone-else" if CASE == "other audience" else "huoshui",
            "sub": "17",
            "nonce": nonce,
            "iat": now,
            "exp": now + 60,
        }
        key = OTHER_KEY if CASE == "other key" else KEY
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})
        self._answer({"access_token": "a", "id_token": token, "token_type": "Bearer"})

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Quiet."""


server = HTTPServer(("127.0.0.1", 0), Issuer)
threading.Thread(target=server.serve_forever, daemon=True).start()
ISSUER = f"http://127.0.0.1:{server.server_port}"
os.environ.update(
    DJANGO_SETTINGS_MODULE="huoshui.settings",
    HUOSHUI_OIDC_CLIENT="huoshui",
    HUOSHUI_OIDC_SECRET="s",
    HUOSHUI_OIDC_ISSUER=ISSUER,
    HUOSHUI_OIDC_AUTHORIZATION=f"{ISSUER}/authorize",
    HUOSHUI_OIDC_TOKEN=f"{ISSUER}/token",
    HUOSHUI_OIDC_USER=f"{ISSUER}/user",
    HUOSHUI_OIDC_KEYS=f"{ISSUER}/keys",
)

import django  # noqa: E402

django.setup()
logging.disable(logging.CRITICAL)

from django.test import Client  # noqa: E402
from tests import tables  # noqa: E402

from huoshui.base.models import Assignment, LogRecord, User  # noqa: E402

tables.make()
lin = User.objects.create_user("lin", None, name="Lin")
for CASE in sys.argv[1:]:
    User.objects.filter(pk=lin.pk).update(is_active=CASE != "inactive")
    client = Client(raise_request_exception=False)
    assert b"/oidc/authenticate/" in client.get("/sign-in/").content
    query = parse_qs(urlsplit(client.get("/oidc/authenticate/").headers["location"]).query)
    nonce = query["nonce"][0]
    client.get("/oidc/callback/", {"code": "c", "state": query["state"][0]})
    people = f"{User.objects.count()} people"
    if found := client.session.get("_auth_user_id"):
        entries = LogRecord.objects.filter(action="web.signed_in").count()
        roles = Assignment.objects.count()
        print(f"signed in as {User.objects.get(pk=found).username}, {roles} roles, {people}, {entries} in the log")
    else:
        print(f"refused, {people}")
server.shutdown()
