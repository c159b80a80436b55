"""How the registry's values read on a page."""

from datetime import date
from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.base import clock
from huoshui.base.templatetags.kit import badge, value
from huoshui.registry.models import FactSource, FactType, Publication, PublicationState, ValueKind
from huoshui.registry.precedence import Statement, Value

register = template.Library()
KINDS = {
    "calendar": gettext_lazy("working-day calendar"),
    "exchange_terms": gettext_lazy("exchange terms"),
    "market_terms": gettext_lazy("supermarket terms"),
    "rate_series": gettext_lazy("rate series"),
    "round_terms": gettext_lazy("round terms"),
    "rule_pack": gettext_lazy("rule pack"),
    "tariff": gettext_lazy("electricity tariff"),
}
LEVELS = {PublicationState.DRAFT: "watch", PublicationState.REVIEWED: "info", PublicationState.IN_FORCE: "good"}


@register.simple_tag
def fact_value(kind: FactType, found: Value | None) -> str:
    """`{% fact_value fact.type fact.value %}`: a value with its unit; nothing reads as —."""
    if found is None or isinstance(found, bool | str | date):
        return str(value(found.isoformat() if isinstance(found, date) else found))
    number = f"{Decimal(found).scaleb(-kind.places):,f}" if kind.kind == ValueKind.DECIMAL else f"{found:,}"
    return f"{number} {kind.unit}".strip()


@register.simple_tag
def source_name(said: Statement) -> str:
    """`{% source_name statement %}`: who says so."""
    label = str(FactSource(said.source).label)
    return f"{label}（{said.source_name}）" if said.source_name else label


@register.simple_tag
def publication_kind(code: str) -> str:
    """`{% publication_kind publication.kind %}`: the kind in words."""
    return str(KINDS.get(code, code))


@register.simple_tag
def publication_state(found: Publication) -> SafeString:
    """`{% publication_state publication %}`: how far a document is, and whether its day has come."""
    today = clock.today()
    shown = badge(PublicationState(found.state).label, LEVELS.get(PublicationState(found.state), "none"))
    if found.state == PublicationState.IN_FORCE and found.effective_from > today:
        return format_html("{} {}", shown, _("from its date on"))
    if found.effective_to is not None and found.effective_to < today:
        return format_html("{} {}", shown, _("has ended"))
    return shown
