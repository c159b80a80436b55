"""Secrets are shown once and kept as digests."""

import hashlib
import secrets

PREFIX = "hs_"


def new_token() -> str:
    """A fresh API token (256 random bits)."""
    return PREFIX + secrets.token_urlsafe(32)


def token_digest(secret: str) -> str:
    """What is stored of it. A random 256-bit secret needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
