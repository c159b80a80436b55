"""A small compute bank for tests: parties, one pool, prices, and allocations that need no solver.

Everything goes through the product's own functions, except that the result of a round is written down, not solved.
Works in a test and in a sandbox process alike. Hours count from `World.start`, the first hour of the round.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Any

from huoshui.base import access, clock
from huoshui.base.act import Act, action
from huoshui.book import services
from huoshui.compute import allocate, problems, solving
from huoshui.compute.actions import rounds
from huoshui.compute.actions.requests import submit_request
from huoshui.compute.models import (
    Allocation,
    CardModel,
    Deposit,
    DepositStretch,
    Pool,
    Region,
    Request,
    Round,
    Site,
    SlotPrice,
)
from huoshui.registry import actions as registry
from huoshui.registry.models import Party, PartyRole, Publication
from huoshui.registry.uscc import invented

SYSTEM = access.system("test")
NOON = datetime(2026, 3, 2, 12, tzinfo=clock.LOCAL).astimezone(UTC)
"""When requests are submitted and the round is published; the round begins twelve hours later."""
HOURS = 48
LIMIT_FEN = 10**9
numbers = itertools.count(1)


def moment(world: "World", hour: float) -> datetime:
    """The instant of an hour of the round."""
    return clock.instant_of(world.start) + timedelta(hours=hour)


@action("test.prepare")
def _prepare(act: Act, *, number: int, step: Any) -> None:
    act.checked = True
    step(act, act.record("test.world", {"number": number}))


def run(step: Any) -> None:
    """Run a step (act, record) inside an action."""
    _prepare(SYSTEM, number=next(numbers), step=step)


def party(name: str, *kinds: str) -> Party:
    """A party with roles."""
    made = Party.objects.create(name=name, uscc=invented(70_000 + next(numbers) % 20_000))
    for kind in kinds:
        PartyRole.objects.create(party=made, kind=kind, since=date(2020, 1, 1))
    return made


def publish(kind: str, name: str, **changes: str) -> Publication:
    """Put a shipped publication in force, with values of its text replaced."""
    text = resources.files("huoshui.publications").joinpath(kind, f"{name}.yaml").read_text()
    for old, new in changes.items():
        before = next(line for line in text.splitlines() if line.strip().startswith(f"{old}:"))
        text = text.replace(before, f"  {old}: {new}")
    publication = registry.submit_publication(access.system("first"), text=text)
    registry.review_publication(access.system("second"), publication=publication)
    return registry.activate_publication(access.system("second"), publication=publication)


@dataclass
class World:
    """What there is. `offer` and `give` add deposits and allocations."""

    centre: Party
    carrier: Party
    bank: Party
    operator: Party
    entity: Party
    pool: Pool
    round: Round
    start: int
    region: Region
    deposits: list[Deposit] = field(default_factory=list)

    def offer(
        self, cards: int, depositor: Party | None = None, *, settle_in: str = "money", notice: int = 0,
        resold_from: Allocation | None = None, hours: tuple[int, int] = (0, HOURS), base: int = 100,
    ) -> Deposit:  # fmt: skip
        """A deposit over hours of the round."""
        made = Deposit.objects.create(
            depositor=depositor or self.operator, pool=self.pool, base_price_fen=base, energy=False,
            settle_in=settle_in, recall_notice_hours=notice, resold_from=resold_from, submitted_at=NOON,
        )  # fmt: skip
        DepositStretch.objects.create(
            deposit=made, start_hour=self.start + hours[0], end_hour=self.start + hours[1], cards=cards
        )
        self.deposits.append(made)
        return made

    def give(
        self, runs: Sequence[tuple[int, int]], shares: Sequence[tuple[Deposit, int, int, int]], *,
        entity: Party | None = None, transfer_fen: int = 0, pay_with: str = "money", mode: str = "rigid",
        window: tuple[int, int] = (0, HOURS), spare_fen: int = 12_345,
    ) -> Allocation:  # fmt: skip
        """A served request: `shares` = (deposit, start, end, cards), payment from the slot prices."""
        cards = sum(count for _d, first, _e, count in shares if first == runs[0][0])
        prices = dict(SlotPrice.objects.filter(round=self.round).values_list("hour", "price_mfen"))
        gross = (
            sum(count * prices[self.start + hour] for _d, first, last, count in shares for hour in range(first, last))
            // 1000
        )
        concession = gross * problems.terms_of(self.round).concession_bps // 10_000
        entity = entity or self.entity
        with clock.moved_to(NOON):
            request = submit_request(
                SYSTEM, key=f"request/{next(numbers)}", entity=entity, title="测试", cards=cards,
                hours={self.pool.card_model: sum(last - first for first, last in runs)},
                earliest_hour=self.start + window[0], deadline_hour=self.start + window[1], pay_with=pay_with,
                budget_fen=gross + transfer_fen + spare_fen, origin=self.region, regions=[self.region], mode=mode,
                min_piece_hours=1,
            )  # fmt: skip
            Request.objects.filter(pk=request.pk).update(round=self.round, state=Request.State.IN_ROUND)
            built = problems.Built(None, [self.pool], self.deposits, [Request.objects.get(pk=request.pk)])  # type: ignore[arg-type]
            index = {deposit.pk: place for place, deposit in enumerate(self.deposits)}
            served = allocate.Served(
                0, 0, gross + transfer_fen - concession, transfer_fen, concession, list(runs),
                [(index[deposit.pk], first, last, count) for deposit, first, last, count in shares],
            )  # fmt: skip
            run(lambda act, record: allocate.save(act, record, self.round, built, [served]))
        return Allocation.objects.select_related("request", "round").get(request=request)

    def limit(self, firm: Party, amount: int = LIMIT_FEN) -> None:
        """The bank says what a firm has."""
        run(lambda act, record: services.set_limit(act, record, firm, self.bank, amount, "test"))


def build(price_mfen: Sequence[int] = (800_000,), **terms: str) -> World:
    """A world whose slot prices repeat `price_mfen` over the hours; `terms` replaces values of the demo terms."""
    centre, carrier = party("示例中心", "centre"), party("示例网络", "carrier")
    bank, operator, entity = party("示例银行", "bank"), party("示例算力", "operator"), party("示例企业", "entity")
    with clock.moved_to(NOON):
        publication = publish("round_terms", "demo-2026", **terms)
        publish("calendar", "cn-2026")
        publish("calendar", "cn-2027")
    region = Region.objects.create(code="east", name="东部")
    model = CardModel.objects.create(
        code="test", name="测试卡", memory_gib=80, fp16_tflops=300, domestic=True, watts=400
    )
    site = Site.objects.create(operator=operator, code="s", name="测试站", region=region, division="330100", tariff="-")
    pool = Pool.objects.create(site=site, card_model=model, cards=1000, list_price_fen=2000)
    start = clock.hour_of(NOON) + 12
    round_ = Round.objects.create(
        number=1, title="测试", start_hour=start, end_hour=start + HOURS, state=Round.State.PUBLISHED,
        terms_digest=publication.digest, index_price_mfen=800_000, created_at=NOON, published_at=NOON,
        digests={"statement": f"test {next(numbers)}"},
    )  # fmt: skip
    SlotPrice.objects.bulk_create(
        SlotPrice(
            round=round_, pool=pool, hour=start + hour, price_mfen=price_mfen[hour % len(price_mfen)],
            shadow_price_mfen=0, offered_cards=100, sold_cards=0,
        )
        for hour in range(HOURS)
    )  # fmt: skip
    world = World(centre, carrier, bank, operator, entity, pool, round_, start, region)
    for firm in (entity, centre):
        world.limit(firm)
    return world


def ask(
    world: World, cards: int, hours: int, window: tuple[int, int] = (0, HOURS), *, mode: str = "rigid",
    price_fen: int = 2000, entity: Party | None = None,
) -> Request:  # fmt: skip
    """A request that waits for a round."""
    with clock.moved_to(NOON):
        return submit_request(
            SYSTEM, key=f"ask/{next(numbers)}", entity=entity or world.entity, title="测试", cards=cards,
            hours={world.pool.card_model: hours}, earliest_hour=world.start + window[0],
            deadline_hour=world.start + window[1], budget_fen=cards * hours * price_fen, origin=world.region,
            regions=[world.region], mode=mode, min_piece_hours=1,
        )  # fmt: skip


def clear(world: World) -> Round:
    """Open, clear and publish a round over the world's hours with the real solver."""
    with clock.moved_to(NOON):
        terms = Publication.objects.get(kind="round_terms").identifier
        round_ = rounds.open_round(
            SYSTEM, key=f"open/{next(numbers)}", title="测试", start_hour=world.start, hours=HOURS, terms=terms
        )
        rounds.freeze(SYSTEM, key=f"{round_.pk}/freeze", round=round_)
        settings = rounds.solver_settings(round_) | {"quick": 1}
        content, figures = solving.solve(rounds.problem_bytes(round_), settings, lambda *_a, **_k: True)
        rounds.record_result(SYSTEM, key=f"{round_.pk}/result", round=round_, content=content, figures=figures)
        return rounds.publish(SYSTEM, key=f"{round_.pk}/publish", round=round_)
