"""The publications that ship with Huoshui: YAML texts by kind, and nothing that interprets them.

They are a start, not an authority: the registry stores, activates and supersedes publications; these are what a fresh
installation offers it. `huoshui.terms` reads the text.
"""

from importlib import resources


def shipped(kind: str | None = None) -> dict[str, str]:
    """Texts of the shipped publications by name (`tariff/zhejiang-2026.yaml`), of one kind or of all, sorted."""
    folders = [entry for entry in resources.files(__name__).iterdir() if entry.is_dir() and kind in (None, entry.name)]
    texts = {
        f"{folder.name}/{file.name}": file.read_text(encoding="utf-8")
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items()))
