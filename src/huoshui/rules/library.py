"""The packs that are judged together: who fills a field for whom, who judges instead of whom.

A pack with classes (size of enterprise) fills a text field that others read, where no source states it; a transition
sends entities to another pack; a variant gives other parameters to a division. `Library` checks that every pack named
exists and that none waits on itself, and gives the order.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .errors import RuleError
from .fields import Field
from .judging import division_prefix
from .model import NATIONAL, Member, Pack, Stage, Test, Transition, Variant, pack_reads, reads
from .reader import at
from .table import column_of

DIVISION = "division"


@dataclass(frozen=True)
class Branch:
    """Rows for which `test` is met are judged by another pack, or by this one with other parameters (`via` None)."""

    test: Test
    pack: Pack
    via: int | None


class Library:
    """Packs by id; never changes. Raises RuleError (pack_unknown, cycle, unique)."""

    def __init__(self, packs: Iterable[Pack]) -> None:
        found = dict[str, Pack]()
        for pack in packs:
            if pack.id in found:
                raise RuleError("packs", pack.id, "unique")
            found[pack.id] = pack
        self.packs: Mapping[str, Pack] = MappingProxyType(found)
        for pack in found.values():
            for transition in pack.transitions:
                if transition.pack not in found:
                    raise RuleError(f"{pack.id}.body.transitions.{transition.id}.pack", transition.pack, "pack_unknown")
        self._variants = {
            pack.id: tuple((variant, at(pack, variant.id)) for variant in sorted(pack.variants, key=_longest_first))
            for pack in found.values()
        }
        self._order = self._sorted()

    def __getitem__(self, identifier: str) -> Pack:
        """Raises RuleError."""
        if identifier not in self.packs:
            raise RuleError("packs", identifier, "pack_unknown")
        return self.packs[identifier]

    def __iter__(self) -> Iterator[str]:
        return iter(self.packs)

    def __len__(self) -> int:
        return len(self.packs)

    def transitions(self, pack: Pack, on: dt.date) -> list[tuple[int, Transition]]:
        """The transitions that are open on a day, with their index."""
        return [(index, each) for index, each in enumerate(pack.transitions) if each.until is None or on <= each.until]

    def variants(self, pack: Pack) -> tuple[Branch, ...]:
        """The pack with other parameters, by division, the narrowest first."""
        return tuple(
            Branch(Member(DIVISION, (division_prefix(variant.division),), prefix=True), other, None)
            for variant, other in self._variants[pack.id]
        )

    def branches(self, pack: Pack, on: dt.date) -> tuple[Branch, ...]:
        """By whom rows are judged: the first branch that is met, else the pack as it stands."""
        sent = (Branch(each.when, self.packs[each.pack], index) for index, each in self.transitions(pack, on))
        return (*sent, *self.variants(pack))

    def fillers(self, on: dt.date) -> list[Pack]:
        """Packs in effect that fill a field, in the order in which they must."""
        packs = [self.packs[name] for name in self._order]
        return [pack for pack in packs if pack.classes is not None and pack.header.in_effect(on)]

    def columns(
        self, on: dt.date, stage: Stage, packs: Iterable[str] | None = None
    ) -> dict[str, tuple[Field, int | None]]:
        """Every fact that evaluating these packs (None: all) on a day may read: its field and calendar year."""
        wanted = dict[str, tuple[Field, int | None]]()
        waiting = [self[name] for name in (self.packs if packs is None else packs)]
        seen = set[str]()
        while waiting:
            pack = waiting.pop()
            if pack.id in seen:
                continue
            seen.add(pack.id)
            for term in pack_reads(pack, stage):
                year = None if term.year is None else on.year + term.year
                wanted[column_of(term, on)] = (pack.fields[term.field], year)
            if pack.variants or pack.division != NATIONAL:
                wanted[DIVISION] = (pack.fields[DIVISION], None)
            waiting += [self.packs[each.pack] for _, each in self.transitions(pack, on)]
            waiting += [other for other in self.fillers(on) if other.classes and other.classes.field in wanted]
        return wanted

    def _sorted(self) -> list[str]:
        """Every pack after those on which it waits: the packs that fill what it reads, and its transitions."""
        fills = dict[str, list[str]]()
        for pack in self.packs.values():
            if pack.classes is not None:
                fills.setdefault(pack.classes.field, []).append(pack.id)
        done, path = dict[str, None](), list[str]()

        def visit(name: str) -> None:
            if name in done:
                return
            if name in path:
                raise RuleError("packs", name, "cycle", path=" → ".join([*path[path.index(name) :], name]))
            path.append(name)
            pack = self.packs[name]
            needed = [other for field in _needed_by_classes(pack) for other in fills.get(field, [])]
            for other in needed + [each.pack for each in pack.transitions]:
                visit(other)
            path.pop()
            done[name] = None

        for name in self.packs:
            visit(name)
        return list(done)


def _needed_by_classes(pack: Pack) -> list[str]:
    """The fields that decide a pack's class."""
    classes = pack.classes.classes if pack.classes is not None else ()
    return [term.field for each in classes for term in reads(each.test)]


def _longest_first(variant: Variant) -> int:
    return -len(division_prefix(variant.division))
