"""Pictures of the console's pages, both languages, desk and phone width, into out/.

    python tools/screenshots.py http://127.0.0.1:8000 officer PASSWORD [/path/ …]

Without paths: every page of that person's navigation. HUOSHUI_CHROMIUM names the browser (/usr/bin/chromium).
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OUT = Path("out")
LANGUAGES = ("zh-CN", "en-US")
WIDTHS = (1280, 390)


def main(site: str, username: str, password: str, *paths: str) -> None:
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("HUOSHUI_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        for language in LANGUAGES:
            for width in WIDTHS:
                page = browser.new_context(viewport={"width": width, "height": 900}, locale=language).new_page()
                page.goto(f"{site}/sign-in/")
                page.fill("#id_username", username)
                page.fill("#id_password", password)
                page.click("main button.primary")
                links = page.eval_on_selector_all(".side nav a", "all => all.map(a => a.getAttribute('href'))")
                for path in paths or links:
                    page.goto(site + path)
                    name = path.strip("/").replace("/", "-") or "home"
                    file = OUT / f"{username}-{name}-{language[:2]}-{width}.png"
                    page.screenshot(path=file, full_page=True)
                    print(file)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
