"""Keys, upstreams and prices: what is checked, what is kept, who may."""

import json
from datetime import timedelta

import pytest
from tests.compute.world import NOON, World, party
from tests.compute.world import build as compute_world
from tests.jobs.site import book
from tests.maas.service import SYSTEM, Service

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.canonical import label
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.base.models import IdempotencyKey, LogRecord
from huoshui.base.secrets import token_digest
from huoshui.compute.models import Region
from huoshui.jobs.actions import endpoints
from huoshui.jobs.models import Artefact, Endpoint, TrainedModel
from huoshui.maas import measuring, queries
from huoshui.maas.actions import keys, upstreams
from huoshui.maas.actions.keys import Scope
from huoshui.maas.instants import ms_of
from huoshui.maas.models import UFEN, Key, Offer, Upstream


def fields(refused: "pytest.ExceptionInfo[Invalid]") -> set[str]:
    return {problem.field for problem in refused.value.problems}


def test_a_secret_is_shown_once_and_kept_nowhere(service: Service) -> None:
    made = keys.make_key(SYSTEM, wallet=service.wallet, name="客服", days=30)
    assert made.secret.startswith("hsk_")
    assert made.key.digest == token_digest(made.secret)
    assert made.key.prefix == made.secret[: keys.PREFIX_SHOWN]
    rest = made.secret[keys.PREFIX_SHOWN :]
    kept = [*LogRecord.objects.values_list("payload", flat=True)]
    kept += [json.dumps(row) for row in IdempotencyKey.objects.values_list("response", flat=True)]
    kept += [str(row) for row in Key.objects.values()]
    assert not any(rest in text for text in kept)
    assert rest not in repr(made)
    with pytest.raises(Conflict) as refused:
        keys.make_key(SYSTEM, key="again", wallet=service.wallet, name="客服", days=30)
    assert refused.value.code == "shown_once"


def test_a_rotated_key_keeps_its_budget_and_loses_its_old_secret(service: Service) -> None:
    made = keys.make_key(SYSTEM, wallet=service.wallet, name="k", days=30, scope=Scope(budget_fen=500))
    Key.objects.filter(pk=made.key.pk).update(spent_ufen=7)
    again = keys.rotate_key(SYSTEM, target=made.key)
    assert again.secret != made.secret
    assert not Key.objects.filter(digest=token_digest(made.secret)).exists()
    assert (again.key.budget_ufen, again.key.spent_ufen) == (500 * UFEN, 7)
    keys.revoke_key(SYSTEM, target=again.key)
    for ended in (keys.rotate_key, lambda actor, target: keys.change_key(actor, target=target, scope=Scope())):
        with pytest.raises(Conflict):
            ended(SYSTEM, target=Key.objects.get(pk=again.key.pk))


def test_what_a_key_may_do_is_checked_field_by_field(service: Service) -> None:
    wrong = Scope(
        models=("no-such-model",), regions=("moon",), routing="luck", period="year", budget_fen=0,
        calls_per_minute=-1, tokens_per_minute=0,
    )  # fmt: skip
    with pytest.raises(Invalid) as refused:
        keys.make_key(SYSTEM, wallet=service.wallet, name="k", days=30, scope=wrong)
    assert fields(refused) == {
        "models", "regions", "routing", "period", "budget_fen", "calls_per_minute", "tokens_per_minute",
    }  # fmt: skip
    for given in ({"name": " ", "days": 1}, {"name": "k", "days": 0}, {"name": "k", "days": keys.DAYS_MAX + 1}):
        with pytest.raises(Invalid):
            keys.make_key(SYSTEM, wallet=service.wallet, **given)
    good = Scope(models=("example-chat",), regions=("east",), period=Key.Period.DAY, budget_fen=100)
    changed = keys.change_key(SYSTEM, target=service.key, scope=good)
    assert (changed.allowed_models, changed.allowed_regions, changed.budget_ufen) == (
        ["example-chat"], ["east"], 100 * UFEN,
    )  # fmt: skip


def test_keys_of_another_firm_do_not_exist(service: Service, people: object) -> None:
    stranger = people("agent", f"party:{party('示例别家', 'entity').pk}")  # type: ignore[operator]
    assert list(queries.keys(stranger)) == []
    assert list(queries.wallets(stranger)) == []
    assert list(queries.calls(stranger)) == []
    with pytest.raises(Forbidden):
        keys.revoke_key(stranger, target=service.key)
    with pytest.raises(Forbidden):
        keys.make_key(stranger, wallet=service.wallet, name="k", days=1)
    mine = people("agent", f"party:{service.firm.pk}")  # type: ignore[operator]
    assert [row.pk for row in queries.keys(mine)] == [service.key.pk]


def test_a_key_expires_soon_before_it_expires(service: Service) -> None:
    now = clock.now()
    assert queries.key_state(service.key, now) == "live"
    assert queries.key_state(service.key, now + timedelta(days=20)) == "soon"
    assert queries.key_state(service.key, now + timedelta(days=31)) == "expired"


def test_nobody_learns_of_a_private_model_by_naming_it(service: Service) -> None:
    Offer.objects.update(private=True)
    with pytest.raises(Invalid) as refused:
        keys.change_key(SYSTEM, target=service.key, scope=Scope(models=("example-chat",)))
    assert fields(refused) == {"models"}
    Upstream.objects.update(provider=service.firm)
    assert keys.change_key(SYSTEM, target=service.key, scope=Scope(models=("example-chat",)))


# --- upstreams and prices ---------------------------------------------------------------------------------------------


def register(service: Service, **changes: object) -> Upstream:
    given = {
        "provider": service.provider, "name": "another", "base_url": "https://models.example.com/api/v1/",
        "secret": "HUOSHUI_UPSTREAM_ANOTHER", "region": service.region,
    }  # fmt: skip
    return upstreams.register_upstream(SYSTEM, **(given | changes))


def test_an_address_takes_calls_after_somebody_looked_at_it(service: Service, people: object) -> None:
    made = register(service)
    assert made.base_url == "https://models.example.com/api"
    offer = service.offer_of(made, "m", 1, 2, 1)
    assert offer not in queries.offers()
    operator = people("operator", f"party:{service.provider.pk}")  # type: ignore[operator]
    with pytest.raises(Refused) as refused:
        upstreams.switch_upstream(operator, upstream=made, active=True)
    assert refused.value.code == "not_approved"
    with pytest.raises(Forbidden):
        upstreams.approve_upstream(operator, upstream=made)
    upstreams.approve_upstream(people("officer"), upstream=made)  # type: ignore[operator]
    assert offer in queries.offers()
    upstreams.switch_upstream(operator, upstream=Upstream.objects.get(pk=made.pk), active=False)
    assert offer not in queries.offers()


def test_what_the_centre_paused_takes_calls_when_the_centre_approves_it_again(
    service: Service, people: object
) -> None:
    operator, officer = people("operator", f"party:{service.provider.pk}"), people("officer")  # type: ignore[operator]
    upstreams.switch_upstream(operator, upstream=service.upstream, active=False)
    upstreams.switch_upstream(operator, upstream=service.upstream, active=True)
    upstreams.switch_upstream(officer, upstream=service.upstream, active=False)
    with pytest.raises(Refused) as refused:
        upstreams.switch_upstream(operator, upstream=service.upstream, active=True)
    assert refused.value.code == "not_approved"
    assert service.offer not in queries.offers()
    upstreams.approve_upstream(officer, upstream=Upstream.objects.get(pk=service.upstream.pk))
    assert service.offer in queries.offers()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "ftp://models.example.com"), ("base_url", "https://user:pass@models.example.com"),
        ("base_url", "https://"), ("base_url", "https://models.example.com/?a=b"), ("base_url", "models.example.com"),
        ("base_url", "http://models.example.com:99999"), ("base_url", "https://模型.example.com"),
        ("secret", "HUOSHUI_OIDC_SECRET"), ("secret", "PATH"), ("name", "Has Spaces"), ("name", "example-one"),
        ("concurrency_max", 0), ("gap_seconds", 10**6),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_upstream_is_named(service: Service, field: str, value: object) -> None:
    with pytest.raises(Invalid) as refused:
        register(service, **{field: value})
    assert fields(refused) == {field}
    assert Upstream.objects.count() == 1


def test_the_key_of_another_provider_is_not_sent_to_ones_own_address(service: Service) -> None:
    made = register(service)
    assert json.loads(LogRecord.objects.get(subject=label(made)).payload)["secret"] == made.secret
    register(service, name="another-2")
    with pytest.raises(Invalid) as refused:
        register(service, name="spy", provider=party("示例别家", "operator"))
    assert fields(refused) == {"secret"}


def test_a_firm_registers_no_address(service: Service) -> None:
    with pytest.raises(Invalid) as refused:
        register(service, provider=service.firm)
    assert fields(refused) == {"provider"}


def test_prices_follow_one_another_without_gap(service: Service) -> None:
    ahead = clock.now() + timedelta(days=3)
    given = {
        "upstream": service.upstream, "model": "example-chat", "upstream_model": "m", "input_fen": 100,
        "output_fen": 500, "cached_fen": 10, "context_tokens": 4_096, "output_tokens_max": 1_024,
    }  # fmt: skip
    later = upstreams.publish_offer(SYSTEM, since=ahead, **given)
    service.offer.refresh_from_db()
    assert service.offer.until_ms == later.since_ms == ms_of(ahead)
    assert list(queries.offers()) == [service.offer]
    with clock.moved_to(ahead + timedelta(minutes=1)):
        assert list(queries.offers()) == [later]
    with pytest.raises(Conflict) as refused:
        upstreams.publish_offer(SYSTEM, **given)
    assert refused.value.code == "price_ahead"
    with pytest.raises(Invalid):
        upstreams.publish_offer(SYSTEM, since=clock.now() - timedelta(hours=1), **(given | {"model": "other"}))
    upstreams.end_offer(SYSTEM, offer=later)
    later.refresh_from_db()
    assert later.until_ms == later.since_ms, "a price that never began has no time"


def test_what_is_wrong_with_a_price_is_named(service: Service) -> None:
    given = {
        "upstream": service.upstream, "model": "m", "upstream_model": "m", "input_fen": 10, "output_fen": 10,
        "cached_fen": 5, "context_tokens": 100, "output_tokens_max": 100,
    }  # fmt: skip
    for changes, wrong in (
        ({"cached_fen": 11}, {"cached_fen"}), ({"input_fen": -1, "cached_fen": -1}, {"input_fen", "cached_fen"}),
        ({"output_fen": upstreams.PRICE_FEN_MAX + 1}, {"output_fen"}), ({"model": "<b>"}, {"model"}),
        ({"upstream_model": " "}, {"upstream_model"}), ({"output_tokens_max": 101}, {"output_tokens_max"}),
        ({"kind": "image"}, {"kind"}),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            upstreams.publish_offer(SYSTEM, **(given | changes))
        assert fields(refused) == wrong
    assert Offer.objects.count() == 1


# --- endpoints of the platform ----------------------------------------------------------------------------------------


def endpoint_of(world: World) -> Endpoint:
    """A firm's served model: rows only, nothing runs."""
    booking = book(world)
    artefact = Artefact.objects.create(
        party=world.entity, name="m.gguf", kind=Artefact.Kind.MODEL, digest="0" * 64, bytes=1, created_at=NOON
    )
    model = TrainedModel.objects.create(party=world.entity, name="m", artefact=artefact, created_at=NOON)
    return Endpoint.objects.create(
        party=world.entity, name="own", model=model, booking=booking, created_at=NOON, state=Endpoint.State.ASLEEP
    )


def test_a_firm_offers_its_own_endpoint_at_once(db: None, people: object) -> None:
    world = compute_world()
    endpoint = endpoint_of(world)
    agent = people("agent", f"party:{world.entity.pk}")  # type: ignore[operator]
    stranger = people("agent", f"party:{party('示例别家', 'entity').pk}")  # type: ignore[operator]
    assert list(queries.free_endpoints(agent)) == [endpoint]
    assert list(queries.free_endpoints(stranger)) == []
    with pytest.raises(Forbidden):
        upstreams.take_endpoint(stranger, endpoint=endpoint, name="taken")
    made = upstreams.take_endpoint(agent, endpoint=endpoint, name="own-model")
    assert (made.provider, made.region, made.base_url, made.state) == (
        world.entity, world.region, "", Upstream.State.ACTIVE,
    )  # fmt: skip
    given = {
        "upstream": made, "model": "own", "upstream_model": "own", "input_fen": 1, "output_fen": 2, "cached_fen": 1,
        "context_tokens": 100_000, "output_tokens_max": 100,
    }  # fmt: skip
    private = upstreams.publish_offer(agent, **given)
    assert private.private, "an endpoint is its owner's own unless it is said"
    assert list(queries.offers()) == list(queries.price_history("own")) == []
    assert list(queries.open_offers()) == [private]
    assert (queries.model_names([]), queries.model_names([world.entity])) == ([], ["own"])
    assert (queries.priced_models(stranger), queries.priced_models(agent)) == ([], ["own"])
    public = upstreams.publish_offer(agent, **given, private=False)
    assert list(queries.offers()) == list(queries.price_history("own")) == [public]
    _no_name_of_another_provider(agent, made, world)
    assert measuring.cells() == [], "a sleeping endpoint is not woken to be measured"
    Endpoint.objects.update(state=Endpoint.State.READY, address="http://127.0.0.1:9", key="k")
    (cell, *_rest) = measuring.cells()
    assert (measuring.target(cell.offer).url, measuring.target(cell.offer).key) == ("http://127.0.0.1:9", "k")
    with pytest.raises(Conflict) as refused:
        upstreams.take_endpoint(agent, endpoint=endpoint, name="again")
    assert refused.value.code == "endpoint_taken"


def test_an_endpoint_that_moves_takes_the_region_of_its_new_booking_along(db: None) -> None:
    """A key may allow some regions only: where its calls may run."""
    world = compute_world()
    upstream = upstreams.take_endpoint(SYSTEM, endpoint=endpoint_of(world), name="own-model")
    west = Region.objects.create(code="west", name="西部")
    pool = world.pool
    pool.site.pk, pool.site.code, pool.site.region = None, "t", west
    pool.site.save()
    pool.pk, pool.site = None, pool.site
    pool.save()
    endpoints.move_endpoint(SYSTEM, endpoint=upstream.endpoint, booking=book(world, pool=pool))
    assert Upstream.objects.get(pk=upstream.pk).region == west


def _no_name_of_another_provider(agent: Actor, own: Upstream, world: World) -> None:
    """Calls for a provider's model never reach an endpoint that nobody looked at."""
    given = {
        "model": "example-chat", "upstream_model": "m", "input_fen": 1, "output_fen": 1, "cached_fen": 0,
        "context_tokens": 100, "output_tokens_max": 100,
    }  # fmt: skip
    other = upstreams.register_upstream(
        SYSTEM, provider=world.operator, name="other", base_url="http://127.0.0.1:9", secret="", region=world.region
    )
    upstreams.publish_offer(SYSTEM, upstream=other, **given)
    upstreams.approve_upstream(SYSTEM, upstream=other)
    with pytest.raises(Conflict) as refused:
        upstreams.publish_offer(agent, upstream=own, **given, private=False)
    assert refused.value.code == "name_taken"
    upstreams.end_offer(SYSTEM, offer=upstreams.publish_offer(agent, upstream=own, **given))
    Offer.objects.filter(upstream=other).update(until_ms=1, since_ms=0)
    upstreams.end_offer(SYSTEM, offer=upstreams.publish_offer(agent, upstream=own, **given, private=False))
