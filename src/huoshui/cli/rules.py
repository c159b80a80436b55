"""Rule packs on files, without the server: `huoshui rules lint | show | diff | test | check | schema | fields`.

A pack is named by its file, by a folder of packs, or by the id of one that ships. Sentences are Chinese unless the
locale (or `--language`) says English. Status 1: the packs have errors or their tests fail; status 2: a file cannot be
read.
"""

from __future__ import annotations

import datetime as dt
import os
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from huoshui.publications import shipped

rules_app = typer.Typer(no_args_is_help=True, help="Rule packs: check, read, compare, test and evaluate them.")
console = Console()
errors = Console(stderr=True)
FILE_BYTES_MAX = 1 << 20
PACKS_MAX = 1_000
COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}
ROWS_SHOWN = 200

PACKS = Annotated[list[str], typer.Argument(help="Files, folders of *.yaml, or ids of packs that ship")]
LANGUAGE = Annotated[str, typer.Option(help="zh or en; by the locale if left out", envvar="HUOSHUI_LANGUAGE")]
ON = Annotated[str, typer.Option("--on", help="Day of evaluation, YYYY-MM-DD; today if left out")]


@rules_app.command("lint")
def lint_packs(
    packs: PACKS,
    text: Annotated[Path | None, typer.Option(help="Text of the notice: every quote must stand in it")] = None,
    on: ON = "",
    notes: Annotated[bool, typer.Option(help="Show notes too")] = True,
    language: LANGUAGE = "",
) -> None:
    """Find what looks wrong: numbers that the quote does not say, gaps in bands, criteria that nobody can meet …"""
    from huoshui.rules import FIELDS, lint_words
    from huoshui.rules.lint import lint

    day, tongue = _day(on), _language(language)
    notice = _text_of(text) if text else None
    texts = _texts(packs)
    loaded = _loaded(texts, strict=False)
    known = _by_id(_loaded(_shipped())) | _by_id(loaded)
    worst = False
    for name, content in texts.items():
        found = lint(content, on=day, known_packs=known, notice=notice)
        worst |= any(each.level == "error" for each in found)
        shown = [each for each in found if notes or each.level != "note"]
        table = Table(title=_plain(name), title_justify="left", show_header=False, box=None, pad_edge=False)
        fields = loaded[name].fields if name in loaded else FIELDS
        for each in shown:
            level = f"[{COLOURS[each.level]}]{lint_words.level(each.level, tongue)}[/]"
            sentence = lint_words.sentence(each, tongue, fields)
            table.add_row(level, _plain(_where(each.path, content)), _plain(sentence))
        console.print(table if shown else f"{_plain(name)}  [green]{_say(tongue, '没有发现问题', 'nothing found')}[/]")
    if worst:
        raise typer.Exit(1)


@rules_app.command("show")
def show_pack(
    pack: Annotated[str, typer.Argument(help="File or id")],
    html: Annotated[Path | None, typer.Option(help="Write a print-ready HTML file instead")] = None,
    on: ON = "",
    language: LANGUAGE = "",
) -> None:
    """Print a pack as a page that people read."""
    from huoshui.rules import show_words

    tongue, read = _language(language), _one(pack)
    day = _day(on) if on else None
    if html is not None:
        html.write_text(show_words.html(read, tongue, day), encoding="utf-8")
        console.print(f"{_say(tongue, '已写入', 'written to')} {_plain(str(html))}")
        return
    console.print(f"[bold]{_plain(read.header.title)}[/]")
    for block in show_words.page(read, tongue, day):
        console.print(f"\n[bold]{_plain(block.heading)}[/]")
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(overflow="fold", ratio=1, max_width=30)
        table.add_column(overflow="fold", ratio=3)
        for line in block.lines:
            cited = f"\n[dim]{_plain(line.clause)}：“{_plain(line.quote)}”[/]" if line.clause else ""
            table.add_row(_plain(line.label), f"{_plain(line.text)}{cited}".strip())
        console.print(table)


@rules_app.command("diff")
def diff_packs(
    old: Annotated[str, typer.Argument(help="The pack before: file or id")],
    new: Annotated[str, typer.Argument(help="The pack after: file or id")],
    entities: Annotated[Path | None, typer.Option(help="Entities, to see whom it concerns: CSV, Parquet, XLSX")] = None,
    out: Annotated[Path | None, typer.Option(help="Write each entity's change to this Parquet file")] = None,
    on: ON = "",
    language: LANGUAGE = "",
) -> None:
    """What a change of law changes; with entities, who gains and who loses how much."""
    from huoshui.rules import diff_words
    from huoshui.rules.diff import diff

    tongue, day = _language(language), _day(on)
    before, after = _one(old), _one(new)
    known = _by_id(_loaded(_shipped())) | {before.id: before, after.id: after}
    frame = None
    if entities is not None:
        from huoshui.cli import rules_check

        frame = rules_check.whole(entities, [before, after], known, day, lambda line: errors.print(_plain(line)))
    found = diff(before, after, None if frame is None else frame.drop("row"), day, known_packs=known)
    table = Table(show_lines=True)
    for heading, ratio in ((_say(tongue, "变化", "change"), 2), (before.id, 4), (after.id, 4)):
        table.add_column(_plain(heading), overflow="fold", ratio=ratio)
    for line in diff_words.changes(found, tongue, day if on else None):
        table.add_row(_plain(line.label), _plain(line.before), _plain(line.after))
    console.print(table)
    if found.effect is not None and frame is not None:
        _print_effect(found.effect, tongue)
        if out is not None:
            found.effect.entities.insert_column(0, frame["row"]).write_parquet(out)
            console.print(f"{_say(tongue, '已写入', 'written to')} {_plain(str(out))}")


def _print_effect(effect: Any, tongue: str) -> None:
    from huoshui.rules import words

    table = Table(_say(tongue, "之前", "before"), _say(tongue, "之后", "after"), _say(tongue, "家数", "entities"))
    for (before, after), count in effect.verdicts.items():
        table.add_row(words.verdict(before, tongue), words.verdict(after, tongue), f"{count:,}")
    console.print(table)
    gained, lost = words.money(effect.gained_fen, tongue), words.money(effect.lost_fen, tongue)
    zh = f"新符合 {effect.becomes_met:,} 家，不再符合 {effect.no_longer_met:,} 家；"
    zh += f"增加 {effect.gained:,} 家共 {gained}，减少 {effect.lost:,} 家共 {lost}；金额未定 {effect.open:,} 家"
    en = f"{effect.becomes_met:,} come to qualify, {effect.no_longer_met:,} no longer do; "
    en += f"{effect.gained:,} gain {gained}, {effect.lost:,} lose {lost}; the amount is open for {effect.open:,}"
    console.print(_say(tongue, zh, en))


@rules_app.command("test")
def run_test_files(
    packs: PACKS,
    tests: Annotated[Path | None, typer.Option(help="Test file, or folder of <pack id>.yaml")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each criterion was seen as")] = False,
    language: LANGUAGE = "",
) -> None:
    """Run the test files of packs: what failed, and which verdicts of which criteria no case shows."""
    from huoshui.rules import words
    from huoshui.rules.testing import run_tests
    from huoshui.terms.errors import TermError

    tongue = _language(language)
    texts = _texts(packs)
    loaded = _loaded(texts)
    known = _by_id(_loaded(_shipped())) | _by_id(loaded)
    passed = True
    for name, pack in loaded.items():
        file = _test_file(pack.id, name, tests)
        try:
            report = run_tests(pack, file, known)
        except TermError as error:
            _fail(f"{name}: {error.field}: {error}", 2)
        mark = "[green]✓[/]" if report.passed else "[red]✗[/]"
        done = sum(not each.mismatches for each in report.results)
        console.print(f"{mark} {_plain(name)}  {_say(tongue, '用例', 'cases')} {done}/{len(report.results)}")
        for result in report.results:
            for each in result.mismatches:
                expected, found = _say(tongue, "应为", "expected"), _say(tongue, "实为", "found")
                says = f"{each.what}: {expected} {each.expected}, {found} {each.found}"
                console.print(f"    [red]{_plain(result.case.name)}[/] {_plain(says)}")
        for line in report.coverage:
            seen = "、".join(words.verdict(each, tongue) for each in sorted(line.seen))
            if line.missing:
                missing = "、".join(words.verdict(each, tongue) for each in sorted(line.missing))
                never = _say(tongue, "没有见到", "not seen")
                console.print(f"    [yellow]{_plain(line.criterion)}[/] {never}: {missing}")
            elif verbose:
                console.print(f"    {_plain(line.criterion)}: {seen}")
        passed &= report.passed
    if not passed:
        raise typer.Exit(1)


@rules_app.command("check")
def check_entities(
    packs: PACKS,
    entities: Annotated[Path, typer.Option(help="Entities: CSV, Parquet or XLSX; columns by field code or title")],
    out: Annotated[Path, typer.Option(help="Folder for the results; must not exist, or hold earlier results")],
    on: ON = "",
    stage: Annotated[str, typer.Option(help="entitlement or claim")] = "entitlement",
    language: LANGUAGE = "",
) -> None:
    """Evaluate packs for every entity of a file: verdict, sole blocker, margin, amount; one Parquet file a pack."""
    from huoshui.cli import rules_check

    texts = _texts(packs)
    chosen = _by_id(_loaded(texts))
    known = _by_id(_loaded(_shipped())) | chosen
    rules_check.run(list(chosen.values()), known, entities, out, _day(on), stage, _language(language))


@rules_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a pack, for editors that complete while you type."""
    print((resources.files("huoshui.rules") / "pack.schema.json").read_text(encoding="utf-8"))


@rules_app.command("fields")
def list_fields(
    word: Annotated[str, typer.Argument(help="Only fields with this in code or title")] = "", language: LANGUAGE = ""
) -> None:
    """List the fields that packs may read, with unit and kind."""
    from huoshui.rules import FIELDS, words

    tongue = _language(language)
    heads = _say(tongue, "代码|名称|类型|单位|按年", "code|title|kind|unit|by year").split("|")
    table = Table(*heads)
    for field in FIELDS.values():
        title = words.field(field.code, FIELDS, tongue)
        if word in field.code or word in title:
            table.add_row(field.code, _plain(title), field.kind, field.unit, "✓" if field.periodic else "")
    console.print(table)


# --- reading ----------------------------------------------------------------------------------------------------------


def _shipped() -> dict[str, str]:
    """Texts of the packs that ship, by id."""
    return {name.split("/")[1].removesuffix(".yaml"): text for name, text in shipped("rule_pack").items()}


def _texts(names: list[str]) -> dict[str, str]:
    """Texts by the name under which they are shown: the file, or the id of a pack that ships."""
    ready, found = _shipped(), dict[str, str]()
    for name in names:
        path = Path(name)
        if name == "all" or name in ready and not path.exists():
            found |= ready if name == "all" else {name: ready[name]}
        elif path.is_dir():
            found |= {str(file): _text_of(file) for file in sorted(path.glob("*.yaml"))}
        else:
            found[name] = _text_of(path)
    if not found or len(found) > PACKS_MAX:
        _fail(f"{len(found)} packs; at least 1 and at most {PACKS_MAX}", 2)
    return found


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            _fail(f"{path}: more than {FILE_BYTES_MAX:,} bytes", 2)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"{path}: {error}", 2)


def _loaded(texts: dict[str, str], strict: bool = True) -> dict[str, Any]:
    """Packs by the name under which they were given; one that cannot be read ends the command if `strict`."""
    from huoshui.rules import load
    from huoshui.terms.errors import TermError

    found = dict[str, Any]()
    for name, text in texts.items():
        try:
            found[name] = load(text)
        except TermError as error:
            if strict:
                _fail(f"{name}: {error.field} = {error.value!r}: {error}", 2)
    return found


def _by_id(packs: dict[str, Any]) -> dict[str, Any]:
    return {pack.id: pack for pack in packs.values()}


def _one(name: str) -> Any:
    texts = _texts([name])
    if len(texts) != 1:
        _fail(f"{name}: {len(texts)} packs; name one", 2)
    return next(iter(_loaded(texts).values()))


def _test_file(identifier: str, name: str, given: Path | None) -> str:
    """The test file of a pack: given, beside it, or shipped."""
    file = Path(name)
    candidates = [given, given / f"{identifier}.yaml"] if given else [
        file.with_name(f"{file.stem}.tests.yaml"), file.parent / "tests" / f"{identifier}.yaml",
        file.parent / ".." / "rule_pack_tests" / f"{identifier}.yaml",
    ]  # fmt: skip
    for candidate in candidates:
        if candidate.is_file():
            return _text_of(candidate)
    ours = resources.files("huoshui.publications") / "rule_pack_tests" / f"{identifier}.yaml"
    if given is None and ours.is_file():
        return ours.read_text(encoding="utf-8")
    return _fail(f"{identifier}: no test file; looked for {', '.join(map(str, candidates))}", 2)


def _day(text: str) -> dt.date:
    if not text:
        from huoshui.base import clock

        return clock.today()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        _fail(f"--on {text}: write YYYY-MM-DD", 2)


# --- saying -----------------------------------------------------------------------------------------------------------


def _language(given: str) -> str:
    """Chinese unless the locale is English."""
    if given:
        return given
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "en" if locale.startswith("en") else "zh"


def _say(language: str, zh: str, en: str) -> str:
    return zh if language.startswith("zh") else en


def _where(path: str, text: str) -> str:
    """A path with the id of the criterion that it points into."""
    import re

    from huoshui.terms.errors import TermError
    from huoshui.terms.publication import parse_yaml

    match = re.match(r"body\.criteria\[(\d+)\]", path)
    try:
        rows = parse_yaml(text)["body"]["criteria"] if match else []
        return f"{rows[int(match.group(1))]['id']}{path[match.end() :]}" if match else path
    except (TermError, KeyError, IndexError, TypeError):
        return path


def _plain(text: str) -> str:
    """Text of a file is shown as it is, never as markup or control codes."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in text))


def _fail(message: str, status: int) -> NoReturn:
    errors.print(message, markup=False)
    raise typer.Exit(status)
