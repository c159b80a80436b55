"""Reads of models and endpoints that more than one face needs. Each takes the actor and shows only what is theirs."""

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Attempt, Booking, Endpoint, TrainedModel
from huoshui.jobs.permissions import READ, RUN
from huoshui.registry.models import Party


def models(actor: Actor) -> QuerySet[TrainedModel]:
    """Trained models that the actor may see, newest first, with `served`, the number of endpoints not closed."""
    found = access.visible(TrainedModel.objects.all(), actor, READ).select_related("party", "artefact__made_by")
    served = Count("endpoints", filter=~Q(endpoints__state=Endpoint.State.CLOSED))
    return found.annotate(served=served).order_by("-pk")


def model(actor: Actor, pk: int) -> TrainedModel:
    """One trained model. Raises Missing."""
    rows = TrainedModel.objects.select_related("party", "artefact__made_by")
    return access.get_visible(rows, actor, READ, pk=pk)


def endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """Endpoints that the actor may see, newest first."""
    found = access.visible(Endpoint.objects.all(), actor, READ)
    return found.select_related("party", "model", "booking__pool", "job").order_by("-pk")


def endpoint(actor: Actor, pk: int) -> Endpoint:
    """One endpoint. Raises Missing."""
    rows = Endpoint.objects.select_related("party", "model__artefact", "booking__pool", "job")
    return access.get_visible(rows, actor, READ, pk=pk)


def places(actor: Actor, party: Party) -> QuerySet[Booking]:
    """Bookings of a party in which the actor may serve, the one that lasts longest first."""
    now = clock.hour_of(clock.now())
    found = access.visible(Booking.objects.filter(party=party, state__in=LIVE, end_hour__gt=now), actor, RUN)
    return found.select_related("pool__site", "pool__card_model").order_by("-end_hour", "pk")


def place(actor: Actor, party: Party, pk: int) -> Booking:
    """One of these bookings. Raises Missing."""
    found = places(actor, party).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def is_wanted(endpoint: Endpoint) -> bool:
    """Has somebody asked for it just now?"""
    return endpoint.wanted_until is not None and endpoint.wanted_until > clock.now()


def card_seconds(endpoint: Endpoint) -> int:
    """Card-seconds that the engine has accounted to the endpoint's jobs so far."""
    attempts = Attempt.objects.filter(
        job__booking__party=endpoint.party_id, job__template="serve", job__parameters__alias=endpoint.name
    )
    return attempts.aggregate(total=Sum("card_seconds"))["total"] or 0
