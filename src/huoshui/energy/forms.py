"""Forms of energy: kilowatts, kilowatt-hours, per cent and yuan become what the actions take."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _l

from huoshui.base import export
from huoshui.book.forms import YuanField
from huoshui.clearing import energy
from huoshui.compute.uploads import FILE_BYTES_MAX
from huoshui.energy.models import Installation

KILO, PERCENT = 1000, 100
POWER_MAX = Decimal(energy.POWER_MAX_W) / KILO


def _kilo(label: Any, maximum: Decimal = POWER_MAX, **more: Any) -> forms.DecimalField:
    return forms.DecimalField(label=label, min_value=0, max_value=maximum, decimal_places=3, **more)


class InstallationForm(forms.Form):
    """What a site has, in the units of its data sheets."""

    grid_w = _kilo(_l("Contract demand (kW)"))
    demand_fen = YuanField(label=_l("Demand charge (yuan per kW and month)"), help_text=_l("Zero when there is none."))
    chiller_w = _kilo(_l("Chillers, cold made at most (kW)"))
    cop_milli = forms.DecimalField(
        label=_l("Coefficient of performance"), min_value=Decimal(energy.COP_MILLI_MIN) / KILO,
        max_value=Decimal(energy.COP_MILLI_MAX) / KILO, decimal_places=3, initial=Decimal("4"),
        help_text=_l("Cold made for each kWh of electricity; a load curve may say it for each step."),
    )  # fmt: skip
    tank_wh = _kilo(_l("Cold store (kWh of cold)"), Decimal(energy.TANK_MAX_WH) / KILO, initial=0)
    charge_w = _kilo(_l("Charging at most (kW of cold)"), initial=0)
    discharge_w = _kilo(_l("Discharging at most (kW of cold)"), initial=0)
    loss_bps = forms.DecimalField(
        label=_l("Loss of what is stored (% an hour)"), min_value=0, max_value=100, decimal_places=2, initial=0
    )
    tank_fill_bps = forms.DecimalField(
        label=_l("Filled at the start and the end (%)"), min_value=0, max_value=100, decimal_places=2, initial=0
    )
    movable_max_w = _kilo(_l("Load that can wait, at most at once (kW)"), initial=0)

    def __init__(self, *args: Any, row: Installation | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items() if row else ():
            value = getattr(row, name)
            field.initial = export.yuan(value) if name == "demand_fen" else Decimal(value) / self._scale(name)

    @staticmethod
    def _scale(name: str) -> int:
        return PERCENT if name.endswith("_bps") else KILO

    @property
    def named(self) -> dict[str, int]:
        """The arguments of the action."""
        given = self.cleaned_data
        return {name: given[name] if name == "demand_fen" else int(given[name] * self._scale(name)) for name in given}


class CurveForm(forms.Form):
    """A file with a load curve."""

    name = forms.CharField(label=_l("Name"), max_length=120)
    file = forms.FileField(label=_l("File (CSV or XLSX)"), help_text=_l("At most 1 MB; a month of quarter-hours fits."))

    def clean_file(self) -> Any:
        """Within the limit."""
        file = self.cleaned_data["file"]
        if file.size > FILE_BYTES_MAX:
            raise forms.ValidationError(_l("The file is larger than 1 MB."))
        return file
