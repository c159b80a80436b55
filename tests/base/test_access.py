"""Permissions, scopes, tokens: what one may do, where, and for how long; and the clock they are read by."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db.models import Q
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base import access, actions, clock
from huoshui.base.access import ANONYMOUS, Actor
from huoshui.base.errors import Forbidden, Invalid, Missing
from huoshui.base.models import Assignment, Role, Token, User
from huoshui.base.requests import bearer
from huoshui.base.secrets import token_digest

READ, MANAGE = "base.log.read", "base.people.manage"


class Thing:
    """Lies in the scopes it is given."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = set(scopes)

    def access_scopes(self) -> set[str]:
        return self.scopes


@pytest.mark.django_db
class TestPermissions:
    def test_a_role_holds_where_it_was_given_and_nowhere_else(self, people: Any) -> None:
        person = people.holding(READ, scope="party:7")
        assert person.can(READ)
        assert person.can(READ, Thing("party:7", "division:330000"))
        assert not person.can(READ, Thing("party:8"))
        assert not person.can(READ, Thing())
        assert not person.can(MANAGE, Thing("party:7"))

    def test_a_role_for_all_holds_everywhere(self, people: Any) -> None:
        assert people.holding(READ).can(READ, Thing())

    def test_what_concerns_everybody_is_held_everywhere_or_not_at_all(self, people: Any) -> None:
        for permission in ("compute.round.publish", "compute.round.verify", "registry.publication.activate"):
            assert not people.holding(permission, scope="division:330100").can(permission)
            assert people.holding(permission).can(permission)

    def test_who_manages_the_people_of_one_party_cannot_shut_others_out(self, people: Any) -> None:
        manager, other = people.holding(MANAGE, scope="party:7"), people.nobody()
        with pytest.raises(Forbidden):
            actions.set_active(manager, user=other.user, active=False)

    def test_an_assignment_holds_from_its_first_to_its_last_day(self, people: Any, moved_clock: Any) -> None:
        person = people.holding(READ)
        Assignment.objects.filter(user=person.user).update(since=date(2026, 3, 2), until=date(2026, 3, 3))
        days = [
            ("2026-03-01 23:59", False),
            ("2026-03-02 00:00", True),
            ("2026-03-03 23:59", True),
            ("2026-03-04 00:00", False),
        ]
        for at, allowed in days:
            with moved_clock(at):
                assert Actor(person.user).can(READ) is allowed, at

    def test_someone_kept_out_and_someone_unknown_may_nothing(self, people: Any) -> None:
        person = people.holding(READ)
        person.user.is_active = False
        person.user.save()
        for nobody in (Actor(person.user), ANONYMOUS, people.nobody()):
            assert not nobody.can(READ)
            with pytest.raises(Forbidden):
                nobody.require(READ)

    def test_a_permission_nobody_declared_is_a_mistake_in_the_code(self, system_actor: Actor) -> None:
        with pytest.raises(LookupError):
            system_actor.can("no.such")

    def test_a_row_of_others_looks_like_one_that_does_not_exist(self, people: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(
            Role, "scope_filter", classmethod(lambda cls, scopes: Q(pk__in=access.ids(scopes, "role"))), raising=False
        )
        mine, theirs = Role.objects.create(code="m", title="m"), Role.objects.create(code="t", title="t")
        person = people.holding(READ, scope=f"role:{mine.pk}")
        assert access.get_visible(Role.objects.all(), person, READ, pk=mine.pk) == mine
        said = []
        for hidden in (theirs.pk, 10**9):
            with pytest.raises(Missing) as caught:
                access.get_visible(Role.objects.all(), person, READ, pk=hidden)
            said.append(str(caught.value))
        assert len(set(said)) == 1
        assert not access.visible(Role.objects.all(), people.nobody(), READ).exists()


@pytest.mark.django_db
class TestTokens:
    def issue(self, person: Actor, **options: Any) -> str:
        given = {"name": "t", "permissions": [READ]} | options
        return actions.issue_token(person, **given)["secret"]

    def test_a_token_narrows_its_owner(self, people: Any) -> None:
        person = people.holding(READ, MANAGE, scope="party:7")
        actor = bearer(self.issue(person))
        assert actor is not None
        assert actor.scopes(READ) == {"party:7"}
        assert actor.scopes(MANAGE) == set()
        assert actor.label == f"{actor.principal}/token:{actor.token.pk}"

    def test_what_its_owner_loses_the_token_loses(self, people: Any) -> None:
        person = people.holding(READ)
        secret = self.issue(person)
        Assignment.objects.filter(user=person.user).delete()
        assert bearer(secret).scopes(READ) == set()

    def test_only_a_digest_of_the_secret_is_kept(self, people: Any) -> None:
        secret = self.issue(people.holding(READ))
        [token] = Token.objects.all()
        assert token.digest == token_digest(secret)
        assert secret not in str(vars(token))

    def test_a_token_ends(self, people: Any, moved_clock: Any) -> None:
        secret = self.issue(people.holding(READ), days=1)
        assert bearer(secret)
        with clock.moved_to(clock.real_now() + timedelta(days=1, seconds=5)):
            assert bearer(secret) is None

    @pytest.mark.parametrize("secret", ["", "hs_", "hs_unknown", "\x00", "Bearer x"])
    def test_what_is_no_token_is_nobody(self, secret: str) -> None:
        assert bearer(secret) is None

    @pytest.mark.parametrize(
        ("options", "field"),
        [
            ({"permissions": [MANAGE]}, "permissions"),
            ({"permissions": ["no.such"]}, "permissions"),
            ({"days": 0}, "days"),
            ({"days": actions.TOKEN_DAYS_MAX + 1}, "days"),
        ],
    )
    def test_a_token_cannot_hold_more_than_its_owner_or_for_ever(
        self, people: Any, options: dict[str, Any], field: str
    ) -> None:
        with pytest.raises(Invalid) as caught:
            self.issue(people.holding(READ), **options)
        assert caught.value.problems[0].field == field
        assert not Token.objects.exists()

    def test_a_person_has_a_limited_number_of_tokens(self, people: Any) -> None:
        person = people.holding(READ)
        for _number in range(actions.TOKENS_PER_USER_MAX):
            self.issue(person)
        with pytest.raises(Invalid, match=str(actions.TOKENS_PER_USER_MAX)):
            self.issue(person)

    def test_a_token_issues_no_tokens(self, people: Any) -> None:
        actor = bearer(self.issue(people.holding(READ)))
        with pytest.raises(Invalid):
            self.issue(actor)

    def test_one_revokes_ones_own_token_and_a_manager_any(self, people: Any) -> None:
        person, other, manager = people.holding(READ), people.holding(READ), people.holding(MANAGE)
        secrets = [self.issue(person), self.issue(person)]
        mine, second = Token.objects.order_by("pk")
        with pytest.raises(Forbidden):
            actions.revoke_token(other, token=mine)
        actions.revoke_token(person, token=mine)
        actions.revoke_token(manager, token=second)
        assert [bearer(secret) for secret in secrets] == [None, None]


@pytest.mark.django_db
def test_a_person_has_a_salt_of_their_own() -> None:
    salts = {User.objects.create(username=f"u{number}", name="n").salt for number in range(3)}
    assert len(salts) == 3
    assert all(len(salt) == 32 for salt in salts)


class TestClock:
    def test_a_moved_clock_goes_on(self) -> None:
        with clock.moved_to(datetime(2026, 3, 2, 15, 59, 59, 900000, tzinfo=UTC)):
            assert clock.today() == date(2026, 3, 2)
            first = clock.now()
            while clock.today() == date(2026, 3, 2):
                assert clock.now() - first < timedelta(seconds=5)
            assert clock.today() == date(2026, 3, 3)
        assert abs(clock.now() - clock.real_now()) < timedelta(seconds=1)

    def test_what_is_recorded_keeps_the_real_time(self) -> None:
        with clock.moved_to(datetime(2020, 1, 1, tzinfo=UTC)):
            assert clock.real_now().year > 2020

    @given(st.integers(-(10**6), 10**7))
    def test_an_hour_begins_at_its_instant_and_ends_before_the_next(self, hour: int) -> None:
        start = clock.instant_of(hour)
        assert clock.hour_of(start) == hour
        assert clock.hour_of(start + timedelta(hours=1) - timedelta(microseconds=1)) == hour

    def test_a_time_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            clock.local(datetime(2026, 3, 2))  # noqa: DTZ001
