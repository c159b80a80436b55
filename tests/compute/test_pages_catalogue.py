"""Pages of the catalogue: an operator keeps its own sites, the centre all of them, card models and regions."""

from typing import Any

import pytest
from django.urls import reverse
from tests.compute.world import NOON, World, build, party, publish

from huoshui.base import clock
from huoshui.compute.models import CardModel, Pool, Region, Site

pytestmark = pytest.mark.django_db
QUERIES_MAX = 14
TARIFF = "tariff-guangdong-2021"
KEY = {"idempotency_key": "form/1"}


@pytest.fixture
def world(people: Any) -> World:
    made: Any = build()
    made.rival = party("别家算力", "operator")
    made.people = {
        "operator": people("operator", f"party:{made.operator.pk}").user,
        "rival": people("operator", f"party:{made.rival.pk}").user,
        "officer": people("officer").user, "agent": people("agent", f"party:{made.entity.pk}").user,
        "auditor": people("auditor").user,
    }  # fmt: skip
    with clock.moved_to(NOON):
        publish("tariff", "guangdong-2021")
        yield made


@pytest.fixture
def browser(world: Any, client: Any) -> Any:
    """`browser("operator")` is that person's browser."""

    def sign_in(who: str) -> Any:
        client.force_login(world.people[who])
        return client

    return sign_in


def at(name: str, *keys: int) -> str:
    return reverse(f"compute:{name}", args=keys)


def site_filled(world: World, **changes: Any) -> dict[str, Any]:
    """What the form of a site sends."""
    fields = {
        "operator": world.operator.pk, "code": "new", "name": "新站", "region": world.region.pk, "division": "440100",
        "tariff": TARIFF, "pue_bps": "1.25",
    }  # fmt: skip
    return KEY | fields | changes


def model_filled(**changes: Any) -> dict[str, Any]:
    fields = {
        "code": "card-x", "name": "卡甲", "vendor": "示例厂", "memory_gib": 64, "fp16_tflops": 320, "domestic": "on",
        "watts": 400, "source": "示例规格书",
    }  # fmt: skip
    return KEY | fields | changes


def errors(page: Any) -> dict[str, Any]:
    assert page.status_code == 200
    return dict(page.context["form"].errors)


# --- who sees and changes what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh-hans", "en"])
@pytest.mark.parametrize("who", ["operator", "officer"])
def test_every_page_stands(world: World, browser: Any, who: str, language: str) -> None:
    site = world.pool.site
    own = [
        at("sites"), at("site_new"), at("site", site.pk), at("site_change", site.pk), at("pool_new", site.pk),
        at("pool_change", world.pool.pk), at("card_models"), at("regions"),
    ]  # fmt: skip
    central = [
        at("card_model_new"), at("card_model", world.pool.card_model.pk), at("region", world.region.pk),
    ]  # fmt: skip
    start = browser(who)
    spoken = {"accept-language": language}
    assert {start.get(path, headers=spoken).status_code for path in own} == {200}
    assert {start.get(path, headers=spoken).status_code for path in central} == {200 if who == "officer" else 403}


def test_sites_of_others_look_like_those_that_do_not_exist(world: World, browser: Any) -> None:
    rival = browser("rival")
    assert world.pool.site.name not in rival.get(at("sites")).content.decode()
    site = world.pool.site.pk
    for name, own in (("site", site), ("site_change", site), ("pool_new", site), ("pool_change", world.pool.pk)):
        assert [rival.post(at(name, key), KEY).status_code for key in (own, 10**6)] == [404, 404]
    assert browser("officer").get(at("card_model", 10**6)).status_code == 404
    assert browser("officer").get(at("region", 10**6)).status_code == 404


@pytest.mark.parametrize("who", ["agent", "auditor"])
def test_others_have_no_catalogue(world: World, browser: Any, who: str) -> None:
    assert {browser(who).get(at(name)).status_code for name in ("sites", "site_new", "card_models", "regions")} == {403}
    assert at("sites") not in browser(who).get(at("overview")).content.decode()


def test_the_navigation_leads_operators_and_officers_to_it(world: World, browser: Any) -> None:
    for who in ("operator", "officer"):
        page = browser(who).get(at("overview"), headers={"accept-language": "zh-hans"}).content.decode()
        assert at("sites") in page
        assert "算力中心与卡型号" in page


def test_operators_read_card_models_and_regions_and_change_none(world: World, browser: Any) -> None:
    operator = browser("operator")
    assert world.pool.card_model.name in operator.get(at("card_models")).content.decode()
    page = operator.get(at("regions")).content.decode()
    assert world.region.name in page
    assert "idempotency_key" not in page.partition("<main")[2]
    assert operator.post(at("card_model_new"), model_filled()).status_code == 403
    assert operator.post(at("regions"), KEY | {"code": "west", "name": "西部"}).status_code == 403
    assert (CardModel.objects.count(), Region.objects.count()) == (1, 1)


# --- sites ------------------------------------------------------------------------------------------------------------


def test_an_operator_defines_its_site_once_however_often_it_is_sent(world: World, browser: Any) -> None:
    operator = browser("operator")
    for _again in range(2):
        answer = operator.post(at("site_new"), site_filled(world))
        made = Site.objects.get(code="new")
        assert answer.url == at("site", made.pk)
    assert (made.operator, made.division, made.tariff, made.pue_bps) == (world.operator, "440100", TARIFF, 12_500)


def test_an_operator_defines_no_site_for_another(world: Any, browser: Any) -> None:
    assert "operator" in errors(browser("operator").post(at("site_new"), site_filled(world, operator=world.rival.pk)))
    assert browser("officer").post(at("site_new"), site_filled(world, operator=world.rival.pk)).status_code == 302
    assert Site.objects.get(code="new").operator == world.rival


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "s"), ("code", "两 字"), ("name", " "), ("region", ""), ("division", "990000"), ("division", ""),
        ("tariff", "tariff-zhejiang-2026"), ("tariff", ""), ("pue_bps", "0.9"), ("pue_bps", "3.1"),
        ("pue_bps", "1.23456"), ("operator", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_site_stands_beside_its_field(world: World, browser: Any, field: str, value: str) -> None:
    assert list(errors(browser("officer").post(at("site_new"), site_filled(world, **{field: value})))) == [field]
    assert Site.objects.count() == 1
    assert Site.objects.get().name == "测试站"


def test_a_site_is_changed_and_keeps_its_code_and_operator(world: Any, browser: Any) -> None:
    site = world.pool.site
    operator = browser("operator")
    assert "operator" not in operator.get(at("site_change", site.pk)).context["form"].fields
    sent = site_filled(world, operator=world.rival.pk, name="改名站")
    assert operator.post(at("site_change", site.pk), sent).url == at("site", site.pk)
    site.refresh_from_db()
    assert (site.code, site.operator, site.name, site.tariff) == ("s", world.operator, "改名站", TARIFF)
    page = operator.get(at("site", site.pk), headers={"accept-language": "zh-hans"}).content.decode()
    assert "440100" in page
    assert "未生效" not in page


def test_a_tariff_that_is_not_in_force_is_marked_and_must_be_chosen_anew(world: World, browser: Any) -> None:
    operator = browser("operator")
    for name, keys in (("sites", ()), ("site", (world.pool.site.pk,))):
        assert "not in force" in operator.get(at(name, *keys), headers={"accept-language": "en"}).content.decode()
    page = operator.post(at("site_change", world.pool.site.pk), site_filled(world, tariff="-"))
    assert list(errors(page)) == ["tariff"]


# --- pools ------------------------------------------------------------------------------------------------------------


def test_cards_are_added_with_their_price_in_yuan_and_changed(world: World, browser: Any) -> None:
    operator, site = browser("operator"), world.pool.site
    model = CardModel.objects.create(code="b", name="乙卡", memory_gib=48, fp16_tflops=119, domestic=True, watts=275)
    sent = KEY | {"card_model": model.pk, "cards": 16, "list_price_fen": "5.60"}
    for _again in range(2):
        assert operator.post(at("pool_new", site.pk), sent).url == at("site", site.pk)
    pool = Pool.objects.get(card_model=model)
    assert (pool.site, pool.cards, pool.list_price_fen) == (site, 16, 560)
    assert 'value="5.60"' in operator.get(at("pool_change", pool.pk)).content.decode()
    changed = {"idempotency_key": "form/2", "cards": 24, "list_price_fen": "6"}
    assert operator.post(at("pool_change", pool.pk), changed).url == at("site", site.pk)
    pool.refresh_from_db()
    assert (pool.card_model, pool.cards, pool.list_price_fen) == (model, 24, 600)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cards", "0"), ("cards", "1000001"), ("cards", ""), ("list_price_fen", "0"), ("list_price_fen", "1000.01"),
        ("list_price_fen", "1.234"), ("list_price_fen", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pool_stands_beside_its_field(world: World, browser: Any, field: str, value: str) -> None:
    sent = KEY | {"cards": "5", "list_price_fen": "3"} | {field: value}
    assert list(errors(browser("operator").post(at("pool_change", world.pool.pk), sent))) == [field]
    world.pool.refresh_from_db()
    assert (world.pool.cards, world.pool.list_price_fen) == (1000, 2000)


def test_a_model_that_the_site_has_is_not_added_over_it(world: World, browser: Any) -> None:
    sent = KEY | {"card_model": world.pool.card_model.pk, "cards": 5, "list_price_fen": "3"}
    assert list(errors(browser("operator").post(at("pool_new", world.pool.site.pk), sent))) == ["card_model"]
    assert Pool.objects.get().cards == 1000


# --- card models and regions ------------------------------------------------------------------------------------------


def test_the_centre_defines_and_corrects_card_models(world: World, browser: Any) -> None:
    officer = browser("officer")
    for _again in range(2):
        assert officer.post(at("card_model_new"), model_filled()).url == at("card_models")
    made = CardModel.objects.get(code="card-x")
    assert (made.memory_gib, made.domestic, made.vendor) == (64, True, "示例厂")
    sent = model_filled(code="ignored", memory_gib=48, idempotency_key="form/2")
    del sent["domestic"]
    assert officer.post(at("card_model", made.pk), sent).url == at("card_models")
    made.refresh_from_db()
    assert (made.code, made.memory_gib, made.domestic) == ("card-x", 48, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [("code", "test"), ("name", ""), ("memory_gib", "0"), ("fp16_tflops", "-1"), ("watts", "1.5"), ("watts", "")],
)
def test_what_is_wrong_with_a_card_model_stands_beside_its_field(
    world: World, browser: Any, field: str, value: str
) -> None:
    assert list(errors(browser("officer").post(at("card_model_new"), model_filled(**{field: value})))) == [field]
    assert CardModel.objects.get().name == "测试卡"


def test_the_centre_defines_and_renames_regions(world: World, browser: Any) -> None:
    officer = browser("officer")
    assert officer.post(at("regions"), KEY | {"code": "west", "name": "西部"}).url == at("regions")
    assert list(errors(officer.post(at("regions"), KEY | {"code": "east", "name": "西部"}))) == ["code"]
    sent = {"idempotency_key": "form/2", "name": "东部沿海"}
    assert officer.post(at("region", world.region.pk), sent).url == at("regions")
    assert dict(Region.objects.values_list("code", "name")) == {"east": "东部沿海", "west": "西部"}


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_takes_the_same_queries_however_long_and_is_narrowed(
    world: World, browser: Any, django_assert_max_num_queries: Any
) -> None:
    models = [
        CardModel.objects.create(code=f"m{n}", name=f"卡{n}", memory_gib=48, fp16_tflops=1, domestic=True, watts=1)
        for n in range(4)
    ]
    for number in range(30):
        site = Site.objects.create(
            operator=world.operator, code=f"s{number}", name=f"站{number:02}", region=world.region, division="330100",
            tariff=TARIFF,
        )  # fmt: skip
        Pool.objects.bulk_create(Pool(site=site, card_model=model, cards=8, list_price_fen=100) for model in models)
    officer = browser("officer")
    for path in (at("sites"), at("site", site.pk), at("card_models"), at("regions")):
        with django_assert_max_num_queries(QUERIES_MAX):
            officer.get(path)
    assert len(officer.get(at("sites")).context["rows"]) == 25
    found = officer.get(at("sites"), {"text": "站07", "region": world.region.pk}).context["rows"]
    assert [site.name for site, _tariff in found] == ["站07"]
    assert not officer.get(at("sites"), {"text": "没有"}).context["rows"]
