"""Addresses of the book, mounted under /book/."""

from django.urls import path

from huoshui.book import views

app_name = "book"
urlpatterns = [
    path("", views.accounts, name="accounts"),
    path("party/<int:pk>/", views.party, name="party"),
    path("party/<int:pk>/credit/", views.grant, name="grant"),
    path("accounts/<int:pk>/", views.account, name="account"),
    path("statements/", views.statements, name="statements"),
    path("statements/<int:pk>/", views.statement, name="statement"),
    path("statements/<int:pk>/print/", views.statement_print, name="statement_print"),
    path("statements/<int:pk>/lines.<str:kind>", views.statement_file, name="statement_file"),
    path("statements/<int:pk>/accept/", views.accept, name="accept"),
    path("statements/<int:pk>/contest/", views.contest, name="contest"),
    path("statements/<int:pk>/answer/", views.answer, name="answer"),
    path("statements/<int:pk>/invoice/", views.invoice, name="invoice"),
    path("bank/", views.bank, name="bank"),
    path("bank/files/<int:pk>/", views.bank_file, name="bank_file"),
    path("bank/<int:pk>/fetch/", views.fetch, name="fetch"),
    path("exceptions/", views.exceptions, name="exceptions"),
    path("exceptions/<int:pk>/", views.resolve, name="resolve"),
    path("proof/", views.proofs, name="proofs"),
    path("proof/<int:pk>/", views.proof, name="proof"),
    path("proof/<int:pk>/receipt.json", views.receipt, name="receipt"),
]
