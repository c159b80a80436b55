"""Background work of jobs, safe to repeat: what nobody needs any more leaves the store and the folders."""

from datetime import timedelta

from django_tasks import task

from huoshui.base import clock
from huoshui.jobs import artefacts, folders
from huoshui.jobs.models import Connection

FOLDERS_KEPT = timedelta(days=7)
"""After this the folder of a job that was collected holds its logs only."""


@task
def clear_store() -> int:
    """Take out content that nobody refers to, and what was staged and never kept; returns how many."""
    return artefacts.clear_staged() + artefacts.sweep()


@task
def clear_folders() -> int:
    """Clear folders of jobs on the directories that this machine reaches; returns how many."""
    workdirs = {connection.settings.get("workdir") for connection in Connection.objects.all()} - {None, ""}
    return sum(folders.clear(str(workdir), clock.now() - FOLDERS_KEPT) for workdir in sorted(map(str, workdirs)))
