"""Forms of the exchange: yuan become 1/1000 fen, local times become hours and instants, one choice says which cards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.book.forms import YuanField
from huoshui.compute.forms import DateInput
from huoshui.compute.forms_deposits import HourField
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.exchange.models import MFEN, Auction, Enquiry, Listing, Side
from huoshui.exchange.prices import Range, limits_of, ranges, shown, terms_in_force
from huoshui.exchange.words import TAKEN_BACK, criterion
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party
from huoshui.terms import ExchangeTerms

ANY = _("any")
REASON_MAX = 500


class PriceField(YuanField):
    """A price in yuan, cleaned to 1/1000 fen."""

    def to_python(self, value: Any) -> int | None:
        fen = super().to_python(value)
        return None if fen is None else fen * MFEN


class MomentField(forms.Field):
    """A local minute, cleaned to an instant."""

    widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            return datetime.fromisoformat(str(value)).replace(tzinfo=clock.LOCAL)
        except ValueError:
            raise forms.ValidationError(gettext("Enter a date and a time.")) from None

    def prepare_value(self, value: Any) -> Any:
        return clock.local(value).strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else value


def set_choices(form: forms.Form, name: str, choices: Sequence[tuple[Any, Any]]) -> None:
    """Choices known only now."""
    form.fields[name].choices = choices  # type: ignore[attr-defined]


def set_rows(form: forms.Form, name: str, rows: QuerySet[Any]) -> None:
    """Rows known only now; an only one is chosen."""
    form.fields[name].queryset = rows  # type: ignore[attr-defined]
    if len(only := rows[:2]) == 1:
        form.fields[name].initial = only[0]


class PricedForm(forms.Form):
    """A form with a price: what is allowed now stands beside it; of several things in a table (`ranges`)."""

    ranges: Sequence[Range] = ()

    def allow(self, ranges: Sequence[Range], said: Any = _("VAT included.")) -> None:
        """Say what is allowed; `said` stands beside the price anyway."""
        told = [str(said)]
        if len(ranges) == 1:
            limits = {"low": shown(ranges[0].low), "high": shown(ranges[0].high)}
            told.insert(0, gettext("From %(low)s to %(high)s yuan.") % limits)
        elif ranges:
            self.ranges = ranges
            told.insert(0, gettext("What is allowed stands below."))
        self.fields["price_mfen"].help_text = " ".join(told)


class BoardFilter(forms.Form):
    """Narrows what is on offer."""

    card_model = forms.ModelChoiceField(
        label=_("Card model"), required=False, queryset=CardModel.objects.order_by("name"), empty_label=ANY
    )
    region = forms.ModelChoiceField(
        label=_("Region"), required=False, queryset=Region.objects.order_by("code"), empty_label=ANY
    )
    side = forms.ChoiceField(
        label=_("Side"), required=False, choices=[("", ANY), ("sell", _("on sale")), ("buy", _("sought"))]
    )


class WindowForm(PricedForm):
    """Hours, lots, price and how long the offer stands."""

    start_hour = HourField(label=_("From (hour)"))
    end_hour = HourField(label=_("To (hour)"))
    lots = forms.IntegerField(label=_("Lots (cards for the whole window)"), min_value=1)
    price_mfen = PriceField(label=_("Price (yuan per card-hour)"))
    expires_at = MomentField(label=_("Open until"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.allow(())
        start = clock.hour_of(clock.day_start(clock.today() + timedelta(days=3))) + 8
        for name, value in (
            ("start_hour", start), ("end_hour", start + 10), ("expires_at", clock.instant_of(start - 24)),
        ):  # fmt: skip
            self.fields[name].initial = value


BILLING = ((Booking.Billing.WHOLE, _("as a whole")), (Booking.Billing.USED, _("by use")))
BILLING_HELP = _("By use: card-seconds of the engine's accounting. As a whole: every hour the cards stand ready.")


class SellForm(WindowForm):
    """Sell cards of a pool of one's own."""

    pool = forms.ModelChoiceField(label=_("Pool"), queryset=Pool.objects.none(), empty_label=None)
    billing = forms.ChoiceField(label=_("How it is billed"), choices=BILLING, help_text=BILLING_HELP)
    field_order = ("pool",)

    def __init__(self, pools: QuerySet[Pool], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        set_rows(self, "pool", pools)
        self.allow(ranges(pools))


class ResellForm(WindowForm):
    """Resell hours of a booking."""

    def __init__(self, booking: Booking, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        start = max(booking.start_hour, clock.hour_of(clock.now()) + 6)
        self.fields["start_hour"].initial, self.fields["end_hour"].initial = start, booking.end_hour
        self.fields["expires_at"].initial = clock.instant_of(start - 3)
        self.fields["price_mfen"].initial = shown(booking.price_mfen)
        self.allow(ranges([booking.pool]))


class SeekForm(WindowForm):
    """Seek cards at a fixed price."""

    party = forms.ModelChoiceField(label=_("Acting for"), queryset=Party.objects.none(), empty_label=None)
    card_model = forms.ModelChoiceField(label=_("Card model"), queryset=CardModel.objects.order_by("name"))
    region = forms.ModelChoiceField(label=_("Region"), queryset=Region.objects.order_by("code"))
    site = forms.ModelChoiceField(
        label=_("Site"), required=False, queryset=Site.objects.order_by("name"), empty_label=ANY
    )
    billing = forms.ChoiceField(label=_("How it is billed"), choices=BILLING, help_text=BILLING_HELP)
    field_order = ("party", "card_model", "region", "site")

    def __init__(self, parties: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        set_rows(self, "party", parties)
        self.allow(ranges())


class BalanceForm(PricedForm):
    """Sell standard card-hours of a compute account."""

    party = forms.ModelChoiceField(label=_("Of"), queryset=Party.objects.none(), empty_label=None)
    lots = forms.IntegerField(label=_("Standard card-hours"), min_value=1)
    price_mfen = PriceField(label=_("Price (yuan per standard card-hour)"))
    expires_at = MomentField(label=_("Open until"))

    def __init__(self, parties: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        set_rows(self, "party", parties)
        self.fields["expires_at"].initial = clock.now() + timedelta(days=7)
        limits = limits_of(None, terms_now(), clock.now())
        self.allow([Range("", limits.low, limits.high)])


class CardsField(forms.ChoiceField):
    """Which cards are sold: a pool with free cards or a booking, cleaned to (pool, booking or None)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label=_("Your cards"), **kwargs)
        self.known: dict[str, tuple[Pool, Booking | None]] = {}

    def offer(self, pools: Sequence[Pool], bookings: Sequence[Booking]) -> None:
        """Say what may be chosen."""
        self.known = {f"pool:{pool.pk}": (pool, None) for pool in pools}
        self.known |= {f"booking:{row.pk}": (row.pool, row) for row in bookings}
        free = [(f"pool:{pool.pk}", str(pool)) for pool in pools]
        rented = [
            (f"booking:{row.pk}", gettext("%(booking)s (rented), %(pool)s") % {"booking": row.number, "pool": row.pool})
            for row in bookings
        ]
        self.choices = [("", "—"), *free, *rented]

    def clean(self, value: Any) -> Any:
        return self.known.get(super().clean(value))


class TakeForm(forms.Form):
    """Take lots of a listing."""

    party = forms.ModelChoiceField(label=_("Acting for"), queryset=Party.objects.none(), empty_label=None)
    lots = forms.IntegerField(label=_("Lots"), min_value=1)
    cards = CardsField()

    def __init__(
        self, listing: Listing, parties: QuerySet[Party], cards: tuple[Sequence[Pool], Sequence[Booking]],
        *args: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        set_rows(self, "party", parties)
        self.fields["lots"].widget.attrs["max"] = listing.left
        self.fields["lots"].initial = 1
        if listing.side == Side.SELL:
            del self.fields["cards"]
        else:
            self.fields["cards"].offer(*cards)  # type: ignore[attr-defined]


class AuctionForm(forms.Form):
    """Announce a call auction."""

    card_model = forms.ModelChoiceField(label=_("Card model"), queryset=CardModel.objects.order_by("name"))
    region = forms.ModelChoiceField(label=_("Region"), queryset=Region.objects.order_by("code"))
    site = forms.ModelChoiceField(
        label=_("Site"), required=False, queryset=Site.objects.order_by("name"), empty_label=_("anywhere in the region")
    )
    start_hour = HourField(label=_("Cards from (hour)"))
    end_hour = HourField(label=_("Cards to (hour)"))
    billing = forms.ChoiceField(label=_("How it is billed"), choices=BILLING, help_text=BILLING_HELP)
    day = forms.DateField(label=_("Day of the session"), widget=DateInput())
    session = forms.ChoiceField(label=_("Session"))

    def __init__(self, terms: ExchangeTerms, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tomorrow = clock.today() + timedelta(days=1)
        start = clock.hour_of(clock.day_start(tomorrow + timedelta(days=2)))
        for name, value in (("day", tomorrow), ("start_hour", start), ("end_hour", start + 24)):
            self.fields[name].initial = value
        set_choices(self, "session", [
            (s.code, f"{s.title} {s.opens_hour:02d}:00–{s.closes_hour:02d}:00") for s in terms.sessions
        ])  # fmt: skip


class OrderForm(PricedForm):
    """A sealed order."""

    party = forms.ModelChoiceField(label=_("Acting for"), queryset=Party.objects.none(), empty_label=None)
    side = forms.ChoiceField(label=_("Side"), choices=Side.choices)
    lots = forms.IntegerField(label=_("Lots (cards for the whole window)"), min_value=1)
    price_mfen = PriceField(label=_("Limit (yuan per card-hour)"))
    cards = CardsField(required=False, help_text=_("For a sale."))

    def __init__(
        self, auction: Auction, parties: QuerySet[Party], cards: tuple[Sequence[Pool], Sequence[Booking]],
        *args: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        set_rows(self, "party", parties)
        allowed = Range("", auction.low_mfen, auction.high_mfen)
        self.allow([allowed], _("You never pay more, or get less; all trade at one price."))
        if any(cards):
            self.fields["cards"].offer(*cards)  # type: ignore[attr-defined]
        else:
            del self.fields["cards"]
            set_choices(self, "side", [(Side.BUY, Side.BUY.label)])


class EnquiryForm(forms.Form):
    """Post a need: what, when, for how much, and by which criteria offers are ranked."""

    party = forms.ModelChoiceField(label=_("Acting for"), queryset=Party.objects.none(), empty_label=None)
    title = forms.CharField(label=_("What it is for"), max_length=120)
    cards = forms.IntegerField(label=_("Cards"), min_value=1)
    start_hour = HourField(label=_("From (hour)"))
    end_hour = HourField(label=_("To (hour)"))
    card_models = forms.ModelMultipleChoiceField(
        label=_("Acceptable card models"), queryset=CardModel.objects.order_by("name"),
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    regions = forms.ModelMultipleChoiceField(
        label=_("Acceptable regions"), queryset=Region.objects.order_by("code"), widget=forms.CheckboxSelectMultiple
    )
    billing = forms.ChoiceField(
        label=_("How it is billed"), choices=BILLING, initial=Booking.Billing.USED, help_text=BILLING_HELP
    )
    budget_fen = YuanField(label=_("Budget (yuan)"), help_text=_("Held while the enquiry is open; everybody sees it."))
    closes_at = MomentField(label=_("Offers until"))

    def __init__(self, terms: ExchangeTerms, parties: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        set_rows(self, "party", parties)
        self.terms = terms
        start = clock.hour_of(clock.day_start(clock.today() + timedelta(days=4))) + 8
        for name, value in (
            ("start_hour", start), ("end_hour", start + 24), ("closes_at", clock.instant_of(start - 48)),
        ):  # fmt: skip
            self.fields[name].initial = value
        for index, known in enumerate(terms.criteria):
            self.fields[f"weight_{known.code}"] = forms.IntegerField(
                label=gettext("Weight of %(what)s (percent)") % {"what": criterion(known.code)},
                min_value=known.weight_min_bps // 100, max_value=known.weight_max_bps // 100,
                initial=0 if index else 100,
            )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in ("card_models", "regions"):
            cleaned[name] = list(cleaned.get(name, ()))
        codes = [known.code for known in self.terms.criteria]
        cleaned["weights"] = {
            code: weight * 100 for code in codes if (weight := cleaned.pop(f"weight_{code}", None))
        }
        return cleaned


class OfferForm(PricedForm):
    """A sealed offer to an enquiry."""

    pool = forms.ModelChoiceField(label=_("Pool"), queryset=Pool.objects.none(), empty_label=None)
    price_mfen = PriceField(label=_("Price (yuan per card-hour)"))
    recall_notice_hours = forms.IntegerField(
        label=_("Recall notice (hours)"), required=False, min_value=1, help_text=_("Empty: the cards stay.")
    )

    def __init__(self, enquiry: Enquiry, pools: QuerySet[Pool], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted = pools.filter(
            card_model__in=enquiry.card_models.all(), site__region__in=enquiry.regions.all()
        )
        set_rows(self, "pool", wanted)
        tick = enquiry.terms.tick_fen * MFEN
        most = enquiry.price_mfen_max // tick * tick
        self.allow([one._replace(high=min(one.high, most)) for one in ranges(wanted) if one.low <= most])


class AwardForm(forms.Form):
    """Which offer, and why when it is not the first."""

    offer = forms.ModelChoiceField(label=_("Offer"), queryset=Enquiry.objects.none(), empty_label=None)
    reason = forms.CharField(
        label=_("Reason"), required=False, max_length=REASON_MAX, help_text=_("Needed when it is not the first.")
    )

    def __init__(self, offers: QuerySet[Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["offer"].queryset = offers  # type: ignore[attr-defined]
        self.fields["offer"].label_from_instance = lambda row: (  # type: ignore[attr-defined]
            gettext("%(rank)s. %(seller)s, %(price)s yuan")
            % {"rank": row.rank, "seller": row.party, "price": shown(row.price_mfen)}
        )


class RecallForm(forms.Form):
    """Which cards of a trade come back from when on, and why."""

    from_hour = HourField(label=_("From (hour)"))
    cards = forms.IntegerField(label=_("Cards"), min_value=1)
    reason = forms.ChoiceField(label=_("Why"), choices=TAKEN_BACK.items())

    def __init__(self, booking: Booking, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["from_hour"].initial = max(clock.hour_of(clock.now()), booking.start_hour)
        self.fields["cards"].initial = booking.cards
        if booking.recall_notice_hours is None:
            set_choices(self, "reason", [("failure", TAKEN_BACK["failure"])])


class ReasonForm(forms.Form):
    """Why something ends."""

    reason = forms.CharField(label=_("Reason"), max_length=REASON_MAX)


def terms_now() -> ExchangeTerms:
    """The terms in force."""
    terms: ExchangeTerms = terms_in_force().loaded()
    return terms
