"""Energy in a browser's eyes: describe, send in, plan, approve, print; empty pages, bad files, strangers."""

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from tests.compute.world import World, build
from tests.energy import plant

from huoshui.base import clock, docx
from huoshui.base.access import Actor
from huoshui.compute.models import Site
from huoshui.energy import indicators, queries
from huoshui.energy.describing import Described
from huoshui.energy.models import EnergyPlan, Installation

FORM = {
    "grid_w": "5000", "demand_fen": "48.00", "chiller_w": "3000", "cop_milli": "4.2", "tank_wh": "8000",
    "charge_w": "1500.5", "discharge_w": "1000", "loss_bps": "0.2", "tank_fill_bps": "25", "movable_max_w": "400",
}  # fmt: skip


@pytest.fixture
def world(db: None) -> World:
    return build()


@pytest.fixture
def place(world: World) -> Site:
    return plant.site(world)


@pytest.fixture
def operator(place: Site, people: Callable[..., Actor], client: Client) -> Client:
    person = people("operator", f"party:{place.operator_id}")
    assert person.user is not None
    client.force_login(person.user)
    return client


def test_an_operator_goes_from_nothing_to_a_plan_in_force(place: Site, operator: Client) -> None:
    assert operator.get("/energy/").status_code == 200
    assert operator.get(f"/energy/sites/{place.pk}/").status_code == 200
    assert operator.get(f"/energy/sites/{place.pk}/installation/").status_code == 200
    assert operator.post(f"/energy/sites/{place.pk}/installation/", FORM | {"idempotency_key": "i"}).status_code == 302
    held = Installation.objects.get(site=place)
    assert (held.grid_w, held.charge_w, held.cop_milli, held.loss_bps) == (5_000_000, 1_500_500, 4_200, 20)
    file = SimpleUploadedFile("day.csv", plant.day_file())
    sent = {"name": "示例日", "file": file, "idempotency_key": "c"}
    assert operator.post(f"/energy/sites/{place.pk}/curves/new/", sent).status_code == 302
    curve = place.load_curves.get()
    with clock.moved_to(plant.MORNING):
        made = operator.post(f"/energy/curves/{curve.pk}/plan/", {"idempotency_key": "p"})
        plan = EnergyPlan.objects.get()
        assert made.headers["Location"] == f"/energy/plans/{plan.pk}/"
        page = operator.get(f"/energy/plans/{plan.pk}/").content.decode()
        for shown in ("<svg", f"{plan.saved_fen // 100:,}", plan.digests["problem"]):
            assert shown in page
        operator.post(f"/energy/plans/{plan.pk}/approve/", {"idempotency_key": "a"})
    plan.refresh_from_db()
    assert plan.state == EnergyPlan.State.APPROVED
    for address in ("/energy/", f"/energy/sites/{place.pk}/", f"/energy/plans/{plan.pk}/document/"):
        assert plan.number in operator.get(address).content.decode()


def test_a_bad_file_is_told_by_row_and_leaves_nothing(place: Site, operator: Client) -> None:
    bad = (plant.HEADER + "2026-03-03 00:00,1000,0,0,0,\n2026-03-03 01:00,many,0,0,0,\n").encode()
    sent = {"name": "x", "file": SimpleUploadedFile("a.csv", bad)}
    page = operator.post(f"/energy/sites/{place.pk}/curves/new/", sent)
    assert page.status_code == 200
    assert "many" in page.content.decode()
    assert not place.load_curves.exists()


def test_a_tank_that_charges_at_nothing_is_refused_in_the_form(place: Site, operator: Client) -> None:
    page = operator.post(f"/energy/sites/{place.pk}/installation/", FORM | {"charge_w": "0"})
    assert page.status_code == 200
    assert not Installation.objects.exists()


def test_strangers_see_no_site_and_no_plan(place: Site, people: Callable[..., Actor], client: Client) -> None:
    plant.installed(place)
    plan = plant.planned(place)
    stranger = people("operator", "party:999999").user
    assert stranger is not None
    client.force_login(stranger)
    own = f"/energy/plans/{plan.pk}/"
    for address in (f"/energy/sites/{place.pk}/", own, f"{own}document.docx"):
        assert client.get(address).status_code == 404
    assert client.get(f"/api/energy/plans/{plan.pk}/").status_code == 404


def test_the_document_is_a_docx_that_says_what_the_page_says(place: Site, operator: Client) -> None:
    plant.installed(place)
    plan = plant.planned(place)
    answer = operator.get(f"/energy/plans/{plan.pk}/document.docx")
    assert answer.headers["Content-Type"] == docx.TYPE
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        text = archive.read("word/document.xml").decode()
    ElementTree.fromstring(text)
    for shown in (place.name, plan.digests["result"], f"{plan.cost_fen // 100:,}.{plan.cost_fen % 100:02d}"):
        assert shown in text
    assert operator.get(f"/energy/plans/{plan.pk}/document.docx").content == answer.content


def test_a_document_holds_any_text() -> None:
    made = docx.document([docx.Text('<w:p> & "\x07"'), docx.Table(["a"], [["]]>"]])])
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        found = ElementTree.fromstring(archive.read("word/document.xml"))
    texts = [node.text for node in found.iter() if node.tag.endswith("}t") and node.text]
    assert texts[:3] == ['<w:p> & ""', "a", "]]>"]


def test_measures_move_the_energy_that_the_plan_moves(place: Site) -> None:
    """What is held back runs elsewhere; what the store gives was put into it before, less what is lost."""
    plant.installed(place)
    found = Described(plant.planned(place))
    shift = found.shift.tolist()
    assert sum(shift) == 0
    assert any(shift)
    charged = -found.plan.discharge_w.clip(max=0).sum()
    used = found.plan.discharge_w.clip(min=0).sum()
    assert 0 < used <= charged
    assert found.measures()
    assert len(found.hours) == 24


def test_rest_gives_plans_and_the_prices_of_hours(place: Site, operator: Client) -> None:
    plant.installed(place)
    plan = plant.planned(place, approve=True)
    listed = operator.get("/api/energy/plans/").json()["items"]
    assert [(row["number"], row["cost_fen"]) for row in listed] == [(plan.number, plan.cost_fen)]
    asked = {"first_hour": plan.start_hour - 1, "hours": 3}
    prices = operator.get(f"/api/energy/sites/{place.pk}/prices/", asked).json()
    assert [row["price_mfen"] for row in prices] == [None, *plan.result["energy_price"][:2]]


def test_the_indicator_counts_plans_in_force_of_the_month(place: Site) -> None:
    plant.installed(place)
    end = clock.day_start(plant.DAY.replace(month=4, day=1))
    assert indicators.saved(end) is None
    plan = plant.planned(place, approve=True)
    assert indicators.saved(end) == plan.saved_fen * 10_000 // plan.now_cost_fen
    assert indicators.saved(end - timedelta(days=31)) is None


def test_the_overview_names_the_plan_that_holds_next(place: Site, operator: Client) -> None:
    """Two days approved, the later one last: until the first is over it is the one in force."""
    plant.installed(place)
    first = plant.planned(place, approve=True)
    later = plant.planned(place, approve=True, data=plant.day_file(day=plant.DAY + timedelta(days=1)))
    person = Actor(operator.get("/energy/").context["request"].user)
    for at, expected in ((first.start_hour - 5, first), (first.start_hour + 5, first), (first.end_hour, later)):
        with clock.moved_to(clock.instant_of(at)):
            (row,) = queries.overview(person, list(queries.sites(person)))
        assert (row.in_force, row.latest) == (expected, later)
