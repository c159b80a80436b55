"""Background work of the book: statements that nobody contested in time become accepted. Safe to repeat."""

from django_tasks import task

from huoshui.base.access import system
from huoshui.book import actions


@task()
def lapse() -> int:
    """Accept what is due; returns how many statements."""
    return actions.lapse_due(system("book.lapse"))
