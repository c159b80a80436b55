"""Pages that belong to no desk: home, sign-in and -out, people and roles, one's tokens, the log."""

from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from huoshui.base.views import page


@page()
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "web/home.html")


class SignIn(LoginView):
    template_name = "web/sign_in.html"
    redirect_authenticated_user = True


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")


@page()
def my_tokens(request: HttpRequest) -> HttpResponse:
    return render(request, "web/tokens.html")
