"""`python -m benchmarks.bench_server`: server time of pages and of a quote with 100,000 requests, and of publishing.

Everything runs against a database of its own in a temporary HUOSHUI_HOME: the demo province, on top of it finished
requests written in bulk until there are enough, and one more round of 5,000 requests that hold money in the book and
are frozen, solved and published as any other. Server time is what Django's test client takes: routing, sign-in,
queries and templates, without a network. The first call of each page (which loads templates) is not counted.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from benchmarks.runner import median, publish, table

CALLS = 25
SEED = 7
QUOTE_BAR_MS, PAGE_BAR_MS = 5, 100
BATCH = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_server", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="requests in the database")
    parser.add_argument("--round", type=int, default=5_000, help="requests in the round that is published")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HUOSHUI_HOME": home, "DJANGO_SETTINGS_MODULE": "huoshui.settings", "HUOSHUI_DATABASE": ""}
        parts = tables(options.requests, options.round)
        for part in parts:
            print(part, end="\n\n", flush=True)
        publish("server", *parts)


def tables(requests: int, in_round: int) -> list[str]:
    """The tables, from a fresh database. Django is set up here, so the environment must say where."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from huoshui.base import demo

    for _said in demo.load():
        pass
    fill(requests - in_round)
    steps = clear_and_publish(in_round)
    return [pages(), publishing(in_round, steps)]


# --- data -------------------------------------------------------------------------------------------------------------


def fill(wanted: int) -> None:
    """Finished requests, written in bulk like those that the demo made."""
    from huoshui.base import clock
    from huoshui.compute.models import Request

    dice = random.Random(SEED)
    there = Request.objects.count()
    first = clock.hour_of(clock.now()) - 24 * 365
    ended = (Request.State.COMPLETED, Request.State.REFUSED, Request.State.WITHDRAWN)
    write([_row(dice, first + dice.randrange(24 * 300), dice.choice(ended)) for _row_number in range(wanted - there)])


def _row(dice: random.Random, earliest: int, state: str) -> Any:
    from huoshui.base import clock
    from huoshui.compute.demo import TASKS
    from huoshui.compute.models import Request

    firm, region = dice.choice(_firms()), dice.choice(_regions())
    return Request(
        entity=firm, title=dice.choice(TASKS), cards=dice.choice((1, 1, 2, 2, 4, 8)), earliest_hour=earliest,
        deadline_hour=earliest + dice.randrange(24, 96), mode="rigid", budget_fen=dice.randrange(5_000, 400_000),
        origin=region, state=state, submitted_at=clock.now(),
        refusal={"code": "price", "params": [1, 0, 1], "round": 1} if state == "refused" else None,
    )  # fmt: skip


def write(rows: list[Any]) -> None:
    """Requests with the card models and regions that they accept."""
    from huoshui.compute.models import CardModel, Request, RequestModel

    dice, models = random.Random(SEED + 1), list(CardModel.objects.order_by("id"))
    Request.objects.bulk_create(rows, batch_size=BATCH)
    RequestModel.objects.bulk_create(
        (
            RequestModel(request=row, card_model=model, hours=dice.randrange(2, 12))
            for row in rows
            for model in dice.sample(models, 2)
        ),
        batch_size=BATCH,
    )
    through = Request.regions.through
    through.objects.bulk_create(
        (through(request=row, region=region) for row in rows for region in _regions()), batch_size=BATCH
    )


def _firms() -> list[Any]:
    from huoshui.registry.models import Party

    return _kept("firms", lambda: list(Party.objects.filter(roles__kind="entity").distinct().order_by("id")))


def _regions() -> list[Any]:
    from huoshui.compute.models import Region

    return _kept("regions", lambda: list(Region.objects.order_by("id")))


_read: dict[str, list[Any]] = {}


def _kept(name: str, read: Callable[[], list[Any]]) -> list[Any]:
    if name not in _read:
        _read[name] = read()
    return _read[name]


# --- the round --------------------------------------------------------------------------------------------------------


def clear_and_publish(count: int) -> dict[str, float]:
    """Seconds of each step of a round of `count` requests that hold money."""
    from huoshui.compute import demo
    from huoshui.compute.actions import rounds
    from huoshui.compute.solving import solve

    start = demo.first_day() + timedelta(days=20)
    demo._deposits(9, start)
    ask(count, demo.hour_at(start))
    steps: dict[str, float] = {}

    @contextmanager
    def timed(step: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        steps[step] = time.perf_counter() - begun

    made = rounds.open_round(
        demo.ACTOR, key="bench", title="bench", start_hour=demo.hour_at(start), hours=demo.HOURS, terms=demo.TERMS
    )
    with timed("freeze"):
        made = rounds.freeze(demo.ACTOR, key="bench/freeze", round=made)
    settings = rounds.solver_settings(made) | {"quick": 1, "place_passes": 2}
    with timed("solve (quick options)"):
        content, figures = solve(rounds.problem_bytes(made), settings, lambda *_a, **_f: True)
    with timed("record the result"):
        made = rounds.record_result(demo.ACTOR, key="bench/result", round=made, content=content, figures=figures)
    with timed("publish"):
        rounds.publish(demo.ACTOR, key="bench/publish", round=made)
    steps["served"] = made.figures["served"]
    return steps


def ask(count: int, start: int) -> None:
    """Open requests within the week from an hour on, each with its budget held."""
    from huoshui.base import access
    from huoshui.base.act import Act, action
    from huoshui.book import services
    from huoshui.compute.budgets import subject_of
    from huoshui.registry.queries import centre

    dice = random.Random(SEED + 2)
    rows = [_row(dice, start + dice.randrange(72), "open") for _row_number in range(count)]
    write(rows)

    @action("bench.hold")
    def hold(act: Act, *, size: int) -> None:
        act.checked = True
        record = act.record("bench", {"requests": size})
        for firm in _firms():
            services.set_limit(act, record, firm, centre(), 10**12, "bench")
        services.hold_many(
            act, record, [services.Hold(row.entity, subject_of(row), row.budget_fen) for row in rows]
        )

    hold(access.system("bench"), size=count)


def publishing(count: int, steps: dict[str, float]) -> str:
    served = steps.pop("served")
    rows = [(step, f"{seconds:.1f}") for step, seconds in steps.items()]
    return table(f"A round of {count:,} requests ({served:,} served)", ("step", "seconds"), rows)


# --- pages ------------------------------------------------------------------------------------------------------------


def pages() -> str:
    """Median, 95th percentile and queries of each page, by who looks."""
    from django.test import Client

    from huoshui.base.models import Assignment
    from huoshui.compute.models import CardModel, Request

    def person(role: str) -> Any:
        assignment = Assignment.objects.filter(role__code=role).select_related("user").first()
        client = Client()
        client.force_login(assignment.user)
        return client

    officer, auditor, agent, operator = (person(role) for role in ("officer", "auditor", "agent", "operator"))
    anyone = Client()
    model = CardModel.objects.order_by("id").first()
    newest = Request.objects.order_by("-id").first()
    assert model is not None
    assert newest is not None
    need = f"need={model.code}:8"
    looked: list[tuple[str, Any, str, int]] = [
        ("quote (REST)", anyone, f"/api/compute/quote?cards=4&{need}", QUOTE_BAR_MS),
        ("estimate (REST)", anyone, "/api/compute/estimate?text=7B", PAGE_BAR_MS),
        ("requests, officer", officer, "/compute/requests/", PAGE_BAR_MS),
        ("requests, officer, page 3,000", officer, "/compute/requests/?page=3000", PAGE_BAR_MS),
        ("requests, officer, refused only", officer, "/compute/requests/?state=refused", PAGE_BAR_MS),
        ("requests, officer, words", officer, "/compute/requests/?text=渲染", PAGE_BAR_MS),
        ("requests, agent", agent, "/compute/requests/", PAGE_BAR_MS),
        ("requests (REST), officer", officer, "/api/compute/requests?limit=50", PAGE_BAR_MS),
        ("one request, officer", officer, f"/compute/requests/{newest.pk}/", PAGE_BAR_MS),
        ("deposits, officer", officer, "/compute/deposits/", PAGE_BAR_MS),
        ("deliveries, operator", operator, "/compute/deliveries/", PAGE_BAR_MS),
        ("accounts, officer", officer, "/compute/accounts/", PAGE_BAR_MS),
        ("rounds, officer", officer, "/compute/rounds/", PAGE_BAR_MS),
        ("public rounds, anyone", anyone, "/compute/public/", PAGE_BAR_MS),
        ("to-dos, officer", officer, "/cases/to-do/", PAGE_BAR_MS),
        ("entities, officer", officer, "/registry/parties/", PAGE_BAR_MS),
        ("log, auditor", auditor, "/log/", PAGE_BAR_MS),
        ("overview, officer (figures)", officer, "/compute/", PAGE_BAR_MS),
    ]
    shown = []
    for name, client, address, bar in looked:
        status, wall, high, cpu, queries = measured(client, address)
        missed = " missed" if wall > bar else ""
        shown.append((name, status, f"{wall:.1f}", f"{high:.1f}", f"{cpu:.1f}", queries, f"{bar}{missed}"))
    header = ("page", "status", "median ms", "p95 ms", "median CPU ms", "queries", "bar ms")
    note = f"{CALLS} calls each, SQLite, warm. CPU: what the process used, whatever else the machine did meanwhile."
    return table(f"Server time with {Request.objects.count():,} requests", header, shown, note)


def measured(client: Any, address: str) -> tuple[int, float, float, float, int]:
    """Status; median and 95th percentile of the time, and median of the CPU time, in milliseconds; queries a call."""
    from django.db import connection

    asked = [0]

    def count(execute: Any, *arguments: Any) -> Any:
        asked[0] += 1
        return execute(*arguments)

    status = client.get(address).status_code
    with connection.execute_wrapper(count):
        client.get(address)
    times, used = [], []
    for _call in range(CALLS):
        begun, cpu = time.perf_counter(), time.process_time()
        client.get(address)
        times.append((time.perf_counter() - begun) * 1000)
        used.append((time.process_time() - cpu) * 1000)
    return status, median(times), sorted(times)[CALLS * 95 // 100 - 1], median(used), asked[0]


if __name__ == "__main__":
    main()
