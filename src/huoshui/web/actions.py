"""Writes of `web`: what sign-in leaves behind."""

from datetime import timedelta

from django.utils.crypto import salted_hmac

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.models import User
from huoshui.web.models import SignInFailure

FAILURES_MAX = 5
FAILURES_WINDOW = timedelta(minutes=15)


@action("web.signed_in")
def record_sign_in(act: Act, *, user: User) -> User:
    """Note in the log that a person signed in, and forget their failures."""
    act.checked = True  # the password, or the issuer, was the check
    act.record(user, {"signed_in": True})
    return user


def who(username: str, address: str) -> str:
    """What failures are counted by: a keyed digest, so that neither user name nor address is kept."""
    return salted_hmac("huoshui.sign-in", f"{username.strip().lower()}|{address}").hexdigest()


def count_failure(tried: str) -> None:
    """Remember one wrong password; what is older than the window is dropped on the way."""
    now = clock.real_now()
    SignInFailure.objects.filter(at__lt=now - FAILURES_WINDOW).delete()
    SignInFailure.objects.create(who=tried, at=now)


def forget_failures(tried: str) -> None:
    """After a right password the count begins again."""
    SignInFailure.objects.filter(who=tried).delete()


def locked_out(tried: str) -> bool:
    """True after FAILURES_MAX wrong passwords within the window, whether or not such a person exists."""
    since = clock.real_now() - FAILURES_WINDOW
    return SignInFailure.objects.filter(who=tried, at__gte=since).count() >= FAILURES_MAX
