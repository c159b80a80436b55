"""The subsidy never changes who wins a clearing round: problem and result are the same bytes with and without it."""

from django.db import transaction
from tests.compute.world import NOON, World, ask, build, clear, party
from tests.policy import money

from huoshui.base import clock
from huoshui.compute.models import Allocation, Round
from huoshui.registry.models import Party


def funded(world: World, firm: Party) -> None:
    """A fund for the only supplier, and a voucher for one of the firms that ask."""
    authority = party("示例市经济和信息化局", "institution")
    with clock.moved_to(NOON):
        publication = money.pack()
        fund = money.fund(publication, authority, 10_000_000)
        funding = money.Money(authority, world.bank, firm, world.operator, world.carrier, publication, fund)
        funding.supply(world.operator, "a")
        funding.voucher(100_000)


def outcome(world: World) -> tuple[dict[str, str], list[tuple[str, int]]]:
    """Digests of problem and result of a round, and who was served at what payment. Nothing of it stays."""
    with transaction.atomic():
        round_ = Round.objects.get(pk=clear(world).pk)
        served = Allocation.objects.filter(round=round_).values_list("request__entity__name", "payment_fen")
        found = {name: round_.digests[name] for name in ("problem", "result")}, sorted(served)
        transaction.set_rollback(True)
    return found


def test_a_voucher_moves_nobody_in_a_round(db) -> None:
    world = build()
    firms = [party(f"示例企业{number}", "entity") for number in range(4)]
    for firm in firms:
        world.limit(firm)
    world.offer(3)
    for place, firm in enumerate(firms):
        ask(world, 1, 40, entity=firm, price_fen=150 + 10 * (3 - place))
    without = outcome(world)
    loser = next(firm for firm in firms if firm.name not in dict(without[1]))
    funded(world, loser)
    assert outcome(world) == without
    assert 0 < len(without[1]) < len(firms)
