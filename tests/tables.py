"""The tables as the models say, in a tenth of the migrations' time (tests/base/test_migrations.py compares the two)."""

from django.apps import apps
from django.conf import settings
from django.core.management import call_command


def make() -> None:
    """In the empty database of the settings; its migrations count as applied."""
    settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
    call_command("migrate", run_syncdb=True, verbosity=0)
    settings.MIGRATION_MODULES = {}
    call_command("migrate", fake=True, verbosity=0)
