"""The registry's pages: who sees what, the entity page, the wizard of imports, the second person."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from huoshui.base.access import Actor
from huoshui.registry import actions, demo, panels, uscc
from huoshui.registry.models import ImportBatch, Party, Publication

pytestmark = pytest.mark.django_db
TEMPLATES = Path(__file__).parents[2] / "src/huoshui/registry/templates/registry"


@pytest.fixture
def signed_in(client: Client) -> Callable[[Actor], Client]:
    def enter(actor: Actor) -> Client:
        assert actor.user is not None
        client.force_login(actor.user)
        return client

    return enter


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


@pytest.fixture
def firm(officer: Actor) -> Party:
    return actions.create_party(
        officer, name="示例青禾软件公司", uscc=uscc.invented(101), division="330106", kinds=["entity"]
    )


def page(client: Client, name: str, /, *args: Any, status: int = 200, **query: Any) -> str:
    response = client.get(reverse(f"registry:{name}", args=args), query)
    assert response.status_code == status, response.content.decode()[:400]
    return response.content.decode()


def post(client: Client, name: str, /, *args: Any, **data: Any) -> Any:
    return client.post(reverse(f"registry:{name}", args=args), data)


def test_the_list_is_searched(signed_in: Any, officer: Actor, firm: Party) -> None:
    client = signed_in(officer)
    assert firm.name in page(client, "parties", text="青禾", role="entity", division="330000")
    assert firm.name not in page(client, "parties", text="白鹭")
    assert firm.name in page(client, "parties_export", "csv")


def test_list_pages_take_few_queries(
    signed_in: Any, officer: Actor, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for serial in range(60):
        actions.create_party(officer, name=f"示例{serial}", uscc=uscc.invented(serial), kinds=["entity"])
    client = signed_in(officer)
    with django_assert_max_num_queries(12):
        page(client, "parties")
    with django_assert_max_num_queries(10):
        page(client, "publications")


def test_an_agent_goes_straight_to_the_own_party_and_sees_no_other(
    signed_in: Any, people: Any, officer: Actor, firm: Party
) -> None:
    other = actions.create_party(officer, name="别家")
    client = signed_in(people("agent", f"party:{firm.pk}"))
    assert client.get(reverse("registry:parties")).url == reverse("registry:party", args=[firm.pk])
    assert firm.name in page(client, "party", firm.pk)
    page(client, "party", other.pk, status=404)
    page(client, "party_edit", firm.pk, status=403)
    page(client, "imports", status=403)
    assert "别家" not in page(client, "parties_export", "csv")


def test_nobody_reads_without_signing_in(client: Client, firm: Party) -> None:
    for name, args in (("parties", []), ("party", [firm.pk]), ("imports", []), ("publications", [])):
        page(client, name, *args, status=302)


def test_the_entity_page_shows_what_desks_add(signed_in: Any, officer: Actor, firm: Party, settings: Any,
                                              tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "panel.html").write_text("<p>{{ party.name }} has {{ count }}</p>")
    monkeypatch.setattr(panels, "_panels", {})
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path]}]
    panels.register(panels.Panel("test.one", "One", "panel.html", lambda actor, party: {"count": 3}))
    panels.register(panels.Panel("test.none", "None", "panel.html", lambda actor, party: None))
    actions.state_fact(officer, party=firm, code="industry", value="6510", source="official", source_name="登记机关")
    shown = page(signed_in(officer), "party", firm.pk)
    assert f"{firm.name} has 3" in shown
    assert "登记机关" in shown
    assert 'id="test.none"' not in shown


def test_a_party_is_entered_edited_and_given_roles(signed_in: Any, officer: Actor, firm: Party) -> None:
    client = signed_in(officer)
    bad = post(client, "party_new", name="新公司", uscc="91110000600037342L", kinds=["entity"])
    assert bad.status_code == 200
    assert not Party.objects.filter(name="新公司").exists()
    made = post(client, "party_new", name="新公司", uscc="91110000600037341L", kinds=["entity"], division="330106")
    party = Party.objects.get(name="新公司")
    assert made.url == reverse("registry:party", args=[party.pk])
    post(client, "party_edit", party.pk, name="改名公司", uscc=party.uscc, division="")
    post(client, "party_add", party.pk, "role", kind="operator", since="2026-01-01", until="")
    post(client, "party_add", party.pk, "relation", holder=firm.uscc, kind="ownership", share="51.5",
         since="2026-01-01", source="章程")
    post(client, "party_add", party.pk, "fact", code="revenue", value="12,345.67", period="2025", source="tax",
         source_name="", observed_on="2026-02-01")
    party.refresh_from_db()
    assert party.name == "改名公司"
    assert party.holders.get().share_bps == 5_150
    assert party.facts.get().number == 1_234_567
    role = party.roles.get(kind="operator")
    post(client, "party_end", party.pk, "role", role.pk, until="2026-06-30")
    role.refresh_from_db()
    assert str(role.until) == "2026-06-30"
    assert "51.5%" in page(client, "party", party.pk)
    page(client, "party_end", firm.pk, "role", role.pk, status=404)


def test_an_agent_declares_and_cannot_speak_as_another(signed_in: Any, people: Any, firm: Party) -> None:
    client = signed_in(people("agent", f"party:{firm.pk}"))
    data = {"code": "high-tech", "value": "是", "period": "", "observed_on": "2026-02-01"}
    assert post(client, "party_add", firm.pk, "fact", **data, source="official").status_code == 200
    assert not firm.facts.exists()
    post(client, "party_add", firm.pk, "fact", **data, source="self")
    assert (firm.facts.get().number, firm.facts.get().source) == (1, "self")


def upload(client: Client, text: str, kind: str = "parties") -> ImportBatch:
    file = SimpleUploadedFile("名单.csv", text.encode("gb18030"))
    assert post(client, "imports", kind=kind, file=file).status_code == 302
    return ImportBatch.objects.latest("id")


def test_the_wizard_from_upload_to_activation(signed_in: Any, officer: Actor) -> None:
    client = signed_in(officer)
    text = f"企业名称,统一社会信用代码,备注\n示例甲,{uscc.invented(1)},x\n示例乙,{uscc.invented(2)},y\n"
    batch = upload(client, text)
    assert "企业名称" in page(client, "import", batch.pk)
    assert post(client, "import", batch.pk, column0="", column1="uscc", column2="").status_code == 200
    post(client, "import", batch.pk, column0="name", column1="uscc", column2="")
    assert "示例甲" in page(client, "import", batch.pk)
    assert not Party.objects.exists()
    post(client, "import_activate", batch.pk)
    assert Party.objects.count() == 2
    again = upload(client, text)
    assert again.mapping == {"企业名称": "name", "统一社会信用代码": "uscc"}
    post(client, "import", again.pk, column0="name", column1="uscc", column2="")
    again.refresh_from_db()
    assert again.counts == {"rows": 2, "same": 2}
    page(client, "import", again.pk)
    post(client, "import_discard", again.pk)
    page(client, "import", again.pk)
    assert not again.rows.exists()


def test_bad_rows_are_shown_and_stop_the_file(signed_in: Any, officer: Actor) -> None:
    client = signed_in(officer)
    batch = upload(client, f"企业名称,统一社会信用代码\n示例甲,{uscc.invented(1)}\n示例乙,91110000600037342L\n")
    post(client, "import", batch.pk, column0="name", column1="uscc")
    assert "91110000600037342L" in page(client, "import", batch.pk)
    assert "91110000600037342L" in page(client, "import_problems", batch.pk, "csv")
    assert post(client, "import_activate", batch.pk).status_code == 409
    assert not Party.objects.exists()


def test_an_unreadable_file_is_a_marked_form(signed_in: Any, officer: Actor) -> None:
    response = post(signed_in(officer), "imports", kind="parties", file=SimpleUploadedFile("a.xlsx", b"no workbook"))
    assert response.status_code == 200
    assert not ImportBatch.objects.exists()


def test_a_publication_passes_through_two_hands(signed_in: Any, officer: Actor, people: Any) -> None:
    text = next(demo._shipped()).read_text()
    client = signed_in(officer)
    assert post(client, "publication_new", text="kind: x").status_code == 200
    post(client, "publication_new", text=text)
    found = Publication.objects.get()
    assert post(client, "publication_step", found.pk, "review").status_code == 409
    agent = people("agent", "party:1")
    page(signed_in(agent), "publication", found.pk, status=404)
    client = signed_in(people("officer"))
    page(client, "publication", found.pk)
    post(client, "publication_step", found.pk, "review")
    post(client, "publication_step", found.pk, "activate")
    found.refresh_from_db()
    assert found.state == "in_force"
    client = signed_in(agent)
    assert found.title in page(client, "publications")
    assert page(client, "publication_text", found.pk) == found.text
    assert post(client, "publication_step", found.pk, "withdraw", reason="x").status_code == 403


def test_groups_and_people(signed_in: Any, officer: Actor, people: Any, firm: Party) -> None:
    client = signed_in(officer)
    post(client, "groups", code="park", name="示例园", kind="park", division="330106")
    post(client, "party_add", firm.pk, "group", group="park", since="2026-01-01")
    assert "示例园" in page(client, "groups")
    assert "示例园" in page(client, "party", firm.pk)
    person = {"username": "new", "name": "新人", "password": "correct horse battery", "role": "agent"}
    assert post(client, "party_add", firm.pk, "person", **person).status_code == 403
    client = signed_in(people("administrator"))
    assert post(client, "party_add", firm.pk, "person", **person | {"role": "bank"}).status_code == 200
    post(client, "party_add", firm.pk, "person", **person)
    assert "新人" in page(client, "party", firm.pk)


def test_the_demo_loads_twice_and_adds_nothing(db: None) -> None:
    said = list(demo.load())
    count = Party.objects.count()
    assert list(demo.load()) == said
    assert Party.objects.count() == count == demo.FIRMS + len(demo.OFFICES)
    assert all("示例" in name for name in Party.objects.values_list("name", flat=True))
    assert Party.objects.values_list("name", flat=True).distinct().count() == count
    assert not Publication.objects.exclude(state__in=("in_force", "superseded")).exists()
