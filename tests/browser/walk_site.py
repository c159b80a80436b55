"""Makes a small world to walk through, in its own process: one site with a real engine, one firm with a booking."""

import os
import sys
from datetime import date
from pathlib import Path

import django


def main(home: Path) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "huoshui.settings"
    django.setup()
    from tests import tables
    from tests.compute.world import build
    from tests.jobs import site

    from huoshui.base import messages
    from huoshui.base.demo import DEMO_PASSWORD
    from huoshui.base.models import Assignment, Role, User

    messages.compile_all()
    tables.make()
    world = build()
    person = User(username="trainer", name="示例经办人")
    person.set_password(DEMO_PASSWORD)
    person.save()
    agent = Role.objects.get(code="agent")
    Assignment.objects.create(user=person, role=agent, scope=f"party:{world.entity.pk}", since=date(2020, 1, 1))
    site.connect(world, home / "jobs")
    site.book(world, cards=2, hours=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
