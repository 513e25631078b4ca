"""The page against the real system, in a real browser: three images dropped, three labels out, the fleet grows."""

import pytest
from browser import chromium, hand_over
from crowd import SAMPLES

SHOWN = ("ship", "truck", "frog")


@pytest.mark.system
def test_three_dropped_images_become_three_labels_while_the_fleet_grows(start):
    cloud = start("--max", "2", "--boot", "1")
    complaints = []
    with chromium() as browser, browser.new_context(viewport={"width": 360, "height": 740}) as context:
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(cloud.url)
        assert page.get_by_test_id("worker").count() == 0
        hand_over(page, "drop", {f"{name}.png": (SAMPLES / f"{name}.png").read_bytes() for name in SHOWN})
        page.get_by_test_id("worker").first.wait_for(timeout=30_000)
        page.get_by_test_id("label").nth(2).wait_for(timeout=60_000)
        labels = [entry.strip().lower() for entry in page.get_by_test_id("label").all_inner_texts()]
        assert sorted(labels) == sorted(SHOWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert complaints == []
