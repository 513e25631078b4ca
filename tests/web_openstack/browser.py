"""Debian's Chromium for the page's tests. A laptop without it skips them; in CI a missing browser is a failure."""

import base64
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@contextmanager
def chromium():
    """A headless Chromium."""
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{CHROMIUM} is missing, and CI must have it")
        pytest.skip(f"no {CHROMIUM} here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def hand_over(page, event, files):
    """Drop or paste files (bytes by name) on the page, as a DataTransfer that holds them. ``event``: drop or paste."""
    page.get_by_test_id("drop").evaluate(
        """(target, {event, files}) => {
            const held = new DataTransfer();
            for (const [name, data] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                held.items.add(new File([bytes], name, { type: "image/png" }));
            }
            const init = { bubbles: true, cancelable: true };
            target.dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", { ...init, clipboardData: held })
                : new DragEvent(event, { ...init, dataTransfer: held }));
        }""",
        {"event": event, "files": {name: base64.b64encode(data).decode() for name, data in files.items()}},
    )
