"""Reads about energy that more than one face needs. Each takes the actor and shows only what is theirs."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.compute.models import Site
from huoshui.energy.models import EnergyPlan, Installation, LoadCurve
from huoshui.energy.permissions import READ


def sites(actor: Actor) -> QuerySet[Site]:
    """Sites whose energy the actor may see, by name."""
    return access.visible(Site.objects.all(), actor, READ).select_related("operator", "installation").order_by("name")


def site(actor: Actor, pk: int) -> Site:
    """One of them. Raises Missing."""
    return access.get_visible(Site.objects.select_related("operator", "region"), actor, READ, pk=pk)


def installation(site: Site) -> Installation | None:
    """What the site has; None before anybody said."""
    return Installation.objects.filter(site=site).first()


def curves(site: Site) -> QuerySet[LoadCurve]:
    """Load curves of a site, newest first, without their numbers."""
    return LoadCurve.objects.filter(site=site).defer("columns").order_by("-id")


def curve(actor: Actor, pk: int) -> LoadCurve:
    """One load curve. Raises Missing."""
    return access.get_visible(LoadCurve.objects.select_related("site__operator"), actor, READ, pk=pk)


def plans(actor: Actor, site: Site | None = None) -> QuerySet[EnergyPlan]:
    """Plans that the actor may see, newest first, without their numbers."""
    rows = access.visible(EnergyPlan.objects.all(), actor, READ).select_related("site__operator", "curve")
    rows = rows.defer("problem", "result", "curve__columns")
    return (rows.filter(site=site) if site else rows).order_by("-id")


def plan(actor: Actor, pk: int) -> EnergyPlan:
    """One plan. Raises Missing."""
    rows = EnergyPlan.objects.select_related("site__operator", "site__region", "curve", "approved_by")
    return access.get_visible(rows, actor, READ, pk=pk)


@dataclass(frozen=True)
class SiteRow:
    """A site with its newest plan and the one in force now, or else the next to be."""

    site: Site
    described: bool
    latest: EnergyPlan | None
    in_force: EnergyPlan | None


def overview(actor: Actor, rows: list[Site]) -> list[SiteRow]:
    """The sites of a page with their plans, in two queries."""
    latest: dict[int, EnergyPlan] = {}
    current: dict[int, EnergyPlan] = {}
    now = clock.hour_of(clock.now())
    found = plans(actor).filter(site__in=rows)
    newest = found.model.objects.filter(site__in=rows).order_by("site_id", "-id")
    for row in newest.defer("problem", "result"):
        latest.setdefault(row.site_id, row)
    approved = found.filter(state=EnergyPlan.State.APPROVED, end_hour__gt=now)
    approved = approved.order_by("-start_hour", "approved_at", "id")
    for row in approved:
        current[row.site_id] = row
    return [
        SiteRow(row, hasattr(row, "installation"), latest.get(row.pk), current.get(row.pk)) for row in rows
    ]
