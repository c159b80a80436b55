"""What sign-in has to remember: failures, so that passwords cannot be guessed one after another."""

from django.db import models


class SignInFailure(models.Model):
    """One wrong password. `who` is a salted digest of user name and address: neither is kept."""

    who = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["who", "at"])]
