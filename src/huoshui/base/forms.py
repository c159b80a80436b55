"""Forms that ask little at first."""

from __future__ import annotations

from django import forms


class MoreForm(forms.Form):
    """A form with fields whose defaults suit most: `folded` names those that stand behind “More settings”.

    `{% form %}` and `{% form_fields %}` fold them; a page of its own shows `plain` and includes `base/_more.html`.
    """

    folded: frozenset[str] = frozenset()

    @property
    def plain(self) -> list[forms.BoundField]:
        """What is always in view."""
        return [field for field in self if field.name not in self.folded]

    @property
    def more(self) -> list[forms.BoundField]:
        """What is folded away."""
        return [field for field in self if field.name in self.folded]

    @property
    def more_is_open(self) -> bool:
        """Whether something is wrong there."""
        return any(field.errors for field in self.more)
