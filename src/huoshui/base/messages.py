"""Translations: what the code says (msgids), what each module's `django.po` translates, and compiling them.

Babel does the work, so no gettext tools need be installed. A module with a `locale` folder translates its own msgids.
What `base` translates (the words of the page kit) holds for all and is not repeated. Django merges all catalogues into
one, so a msgid must read the same in all of them: `faults` reports a missing translation and a msgid that two modules
translate differently. Needs no Django set up.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import cast

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).resolve().parent.parent
LANGUAGE = "zh_Hans"
_PLURAL = ("ngettext", "ngettext_lazy", "_n")
_CONTEXT = ("pgettext", "pgettext_lazy")
KEYWORDS = {
    **dict.fromkeys(("_", "_l", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(_PLURAL, (1, 2)),
    **dict.fromkeys(_CONTEXT, ((1, "c"), 2)),
}
Msgid = str | tuple[str, str]
Key = tuple[Msgid, str | None]  # with the context of pgettext


def modules() -> list[str]:
    """Modules that translate: those with a `locale` folder."""
    return sorted(folder.parent.name for folder in PACKAGE.glob("*/locale"))


def po_file(module: str) -> Path:
    return PACKAGE / module / "locale" / LANGUAGE / "LC_MESSAGES" / "django.po"


def used(module: str) -> dict[Key, str]:
    """Every msgid in the module's Python and templates, with the file that says it first."""
    found: dict[Key, str] = {}
    for file in sorted((PACKAGE / module).rglob("*")):
        if file.suffix == ".py" and "migrations" not in file.parts:
            method, content = "python", file.read_bytes()
        elif file.suffix in (".html", ".txt") and "templates" in file.parts:
            # What templatize leaves is no valid Python; the lexer for JavaScript reads its calls all the same.
            method, content = "javascript", templatize(file.read_text(), origin=file.name).encode()
        else:
            continue
        for _line, message, _comments, context in extract(method, BytesIO(content), keywords=KEYWORDS):
            found.setdefault(cast(Key, (message, context)), str(file.relative_to(PACKAGE)))
    return found


def catalogue(module: str) -> Catalog:
    """The module's translations; empty when it has none yet."""
    file = po_file(module)
    if not file.exists():
        return Catalog(locale=LANGUAGE, charset="utf-8", project="huoshui", fuzzy=False)
    with file.open("rb") as stream:
        return read_po(stream, locale=LANGUAGE, charset="utf-8")


def _translated(catalog: Catalog, key: Key) -> Message | None:
    msgid, context = key
    found = catalog.get(msgid if isinstance(msgid, str) else msgid[0], context)
    if found is None or found.fuzzy:
        return None
    strings = [found.string] if isinstance(found.string, str) else list(found.string or ())
    return found if strings and all(strings) else None


def faults() -> Iterator[str]:
    """Sentences on what is not translated, or translated in two ways."""
    said: dict[Key, tuple[str, str]] = {}
    shared = catalogue("base")
    for module in modules():
        catalog = catalogue(module)
        for key, file in used(module).items():
            found = _translated(catalog, key) or _translated(shared, key)
            if found is None:
                yield f"{file}: {key[0]!r} has no {LANGUAGE} translation in {module}"
                continue
            text = str(found.string)
            other, before = said.setdefault(key, (module, text))
            if before != text:
                yield f"{key[0]!r} is {before!r} in {other} and {text!r} in {module}"


def add_missing() -> int:
    """Add an entry for each msgid without one, translated when another module has it. Returns how many."""
    catalogs = {module: catalogue(module) for module in modules()}
    shared, added = catalogs["base"], 0
    for module, catalog in catalogs.items():
        wanted = [key for key in used(module) if not _translated(catalog, key) and not _translated(shared, key)]
        for key in wanted:
            known = next((found for other in catalogs.values() if (found := _translated(other, key))), None)
            catalog.add(key[0], known.string if known else "", context=key[1])
            added += 1
        if wanted:
            po_file(module).parent.mkdir(parents=True, exist_ok=True)
            with po_file(module).open("wb") as stream:
                write_po(stream, catalog, width=110, omit_header=False, ignore_obsolete=True)
    return added


def compile_all() -> int:
    """Write a .mo beside every .po that is newer. Returns how many were written."""
    written = 0
    for source in PACKAGE.glob("*/locale/*/LC_MESSAGES/*.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime > source.stat().st_mtime:
            continue
        with source.open("rb") as stream:
            catalog = read_po(stream, locale=source.parent.parent.name)
        with target.open("wb") as out:
            write_mo(out, catalog)
        written += 1
    return written
