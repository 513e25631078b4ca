"""The page in a real browser, against a scripted door that keeps the API's contract and the strict CSP.

A laptop without Chromium skips these tests; in CI a missing browser is a failure.
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from browser import chromium, hand_over
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Locator, Page, expect
from scripted_door import WORKING, Answer, Door, problem, serving, status, worker

HOSTILE = '<img src=x onerror="window.hacked=1">.png'
PATIENCE = 15_000  # milliseconds until something expected counts as missing
WIDEST = 6  # connections that a browser opens to one host


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@dataclass
class Site:
    """A door, a page at it, and what the browser complained about. ``expected``: console errors that a test causes."""

    door: Door
    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    expected: str = r"$^"

    def visit(self) -> Page:
        self.page.goto(self.address)
        return self.page


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    """Fails a test whose page wrote an error, broke the policy or asked another host."""
    door = Door()
    with serving(door) as address, browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        site = Site(door, context.new_page(), address)
        site.page.on("console", lambda said: said.type in {"error", "warning"} and site.complaints.append(said.text))
        site.page.on("pageerror", lambda error: site.complaints.append(str(error)))
        site.page.on("request", lambda request: site.requests.append(request.url))
        expect.set_options(timeout=PATIENCE)
        yield site
        complaints = [text for text in site.complaints if not re.search(site.expected, text)]
        hosts = [url for url in site.requests if not url.startswith((address, f"blob:{address}"))]
    assert complaints == []
    assert hosts == []


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something that happens at the door, letting the browser's events through."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, "the door never saw it"
        page.wait_for_timeout(20)


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(made, "PNG")
    return made.getvalue()


def choose(page: Page, *names: str) -> None:
    files = [{"name": name, "mimeType": "image/png", "buffer": picture()} for name in names]
    page.get_by_test_id("file-input").set_input_files(files)  # type: ignore[arg-type]


def transfer(page: Page, event: str, *names: str) -> None:
    """Drop or paste pictures."""
    hand_over(page, event, {name: picture() for name in names})


def card(page: Page, name: str) -> Locator:
    return page.get_by_test_id("card").filter(has_text=name)


def test_three_dropped_pictures_come_back_as_three_labels_with_thumbnails_scores_and_timings(site):
    page = site.visit()
    transfer(page, "drop", "a.png", "b.png", "c.png")
    expect(page.get_by_test_id("label")).to_have_text(["a.png", "b.png", "c.png"])
    expect(page.get_by_test_id("summary")).to_have_text("3 of 3 recognised")
    first = page.get_by_test_id("card").first
    expect(first).to_contain_text("91 %")
    expect(first).to_contain_text("312 ms · door 12 ms · queue 188 ms · work 112 ms")
    page.wait_for_function("[...document.querySelectorAll('.thumb img')].every((img) => img.naturalWidth === 40)")
    expect(page.get_by_test_id("announcer")).to_contain_text("3 pictures finished. 3 of 3 recognised")


def test_pasted_pictures_are_recognised_and_announced_by_name(site):
    page = site.visit()
    transfer(page, "paste", "pasted.png")
    expect(page.get_by_test_id("label")).to_have_text("pasted.png")
    expect(page.get_by_test_id("announcer")).to_have_text("pasted.png: pasted.png, 91 %")


def test_the_keyboard_alone_opens_the_file_chooser(site):
    choosers: list[FileChooser] = []
    # Before the visit: Chromium takes a moment to hand choosers over. Playwright takes no built-in listener.
    site.page.on("filechooser", lambda chooser: choosers.append(chooser))  # noqa: PLW0108 - see above
    page = site.visit()
    page.get_by_test_id("contact").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, lambda: len(choosers) == 1)
    assert choosers[0].is_multiple()


def test_an_image_still_worked_on_is_asked_for_until_it_is_there(site):
    site.door.script["slow.png"] = [WORKING, WORKING, WORKING, Answer(label="a snail")]
    page = site.visit()
    choose(page, "slow.png")
    expect(page.get_by_test_id("label")).to_have_text("a snail")
    assert len(site.door.keys) == 1


def test_a_failed_image_shows_the_doors_own_words_and_can_be_tried_again(site):
    site.expected = "status of 422"
    site.door.script["bad.png"] = [problem(422, "The image ends in the middle of a row"), Answer(label="a frog")]
    page = site.visit()
    choose(page, "bad.png")
    expect(page.get_by_test_id("detail")).to_have_text("The image ends in the middle of a row")
    expect(page.get_by_test_id("summary")).to_have_text("0 of 1 recognised, 1 failed")
    page.get_by_role("button", name="Try bad.png again").click()
    expect(page.get_by_test_id("label")).to_have_text("a frog")


def test_a_failure_found_later_by_the_worker_is_shown_as_well(site):
    site.expected = "status of 422"
    site.door.script["late.png"] = [WORKING, problem(422, "Every worker that tried this image failed")]
    page = site.visit()
    choose(page, "late.png")
    expect(page.get_by_test_id("detail")).to_have_text("Every worker that tried this image failed")


@pytest.mark.parametrize("code", [503, 429])
def test_a_busy_door_is_left_alone_as_long_as_it_asks_and_then_gets_the_same_job_again(site, code):
    site.expected = f"status of {code}"
    site.door.script["busy.png"] = [problem(code, "About 2 s of work waits already", "2"), Answer(label="a bee")]
    page = site.visit()
    choose(page, "busy.png")
    expect(card(page, "busy.png")).to_contain_text(re.compile(r"next try in [12] s"))
    expect(page.get_by_test_id("detail")).to_have_text("About 2 s of work waits already")
    expect(page.get_by_test_id("label")).to_have_text("a bee")
    assert len(site.door.keys) == 2
    assert len(set(site.door.keys)) == 1


def test_a_door_that_stays_busy_makes_the_image_fail_after_some_tries(site):
    site.expected = "status of 503"
    site.door.script["never.png"] = [problem(503, "The queue cannot be reached", "60")]
    site.page.clock.install()
    page = site.visit()
    choose(page, "never.png")
    for tries in range(1, 5):
        until(page, lambda tries=tries: len(site.door.keys) == tries)
        expect(card(page, "never.png")).to_contain_text("next try in 60 s")
        page.clock.run_for(61_000)
    expect(page.get_by_test_id("detail")).to_have_text("The queue cannot be reached (tried 5 times)")


def test_a_door_with_keys_asks_for_one_once_and_remembers_it_in_the_tab(site):
    site.expected = "status of 401"
    site.door.key = "letmein"
    page = site.visit()
    choose(page, "a.png", "b.png")
    page.get_by_label("This service needs an API key").fill("letmein")
    page.get_by_role("button", name="Use key").click()
    expect(page.get_by_test_id("label")).to_have_count(2)
    expect(page.get_by_test_id("key-form")).to_be_hidden()
    page.reload()
    expect(page.get_by_test_id("outstanding")).to_have_text("0")
    expect(page.get_by_test_id("key-form")).to_be_hidden()


def test_a_hostile_file_name_is_shown_as_text(site):
    page = site.visit()
    choose(page, HOSTILE)
    expect(page.get_by_test_id("label")).to_have_text(HOSTILE)
    expect(card(page, HOSTILE).locator(".name")).to_have_text(HOSTILE)
    assert page.evaluate("window.hacked") is None


def test_what_cannot_be_read_says_so(site):
    page = site.visit()
    page.evaluate("() => { Blob.prototype.arrayBuffer = () => Promise.reject(new DOMException('gone')); }")
    choose(page, "folder")
    expect(page.get_by_test_id("detail")).to_contain_text("could not be read")


def test_a_big_drop_on_a_cold_fleet_is_all_sent_and_leaves_room_for_the_live_numbers(site):
    site.door.open.clear()
    page = site.visit()
    names = [f"{number}.png" for number in range(200)]
    choose(page, *names)
    until(page, lambda: len(site.door.keys) == len(names))
    seen = site.door.asked
    until(page, lambda: site.door.asked > seen + 1)
    site.door.open.set()
    expect(page.get_by_test_id("summary")).to_have_text("200 of 200 recognised", timeout=4 * PATIENCE)
    expect(page.get_by_test_id("label")).to_have_text(names)
    assert site.door.most_at_once < WIDEST


def test_finished_cards_can_be_cleared_and_give_their_thumbnails_back(site):
    page = site.visit()
    choose(page, "a.png", "b.png")
    expect(page.get_by_test_id("summary")).to_have_text("2 of 2 recognised")
    page.wait_for_function("[...document.querySelectorAll('.thumb img')].every((img) => img.naturalWidth === 40)")
    thumb = page.locator(".thumb img").first.get_attribute("src")
    page.get_by_role("button", name="Clear finished").click()
    expect(page.get_by_test_id("card")).to_have_count(0)
    expect(page.get_by_test_id("summary")).to_be_hidden()
    site.expected = "ERR_FILE_NOT_FOUND"
    load = (
        "(src) => new Promise((done) => Object.assign(new Image(), { onload: done, onerror: () => done('gone'), src }))"
    )
    assert page.evaluate(load, thumb) == "gone"


def test_the_fleet_is_drawn_as_it_grows_with_its_states_in_words(site):
    page = site.visit()
    expect(page.get_by_test_id("reason")).to_have_text("No autoscaler has reported yet.")
    expect(page.get_by_test_id("worker")).to_have_count(0)
    site.door.status = status([worker(1, "pending")], outstanding=4)
    expect(page.get_by_test_id("worker")).to_contain_text(["pending"])
    states = ["busy", "idle", "ready", "booting", "draining", "stopping"]
    site.door.status = status([worker(n, state) for n, state in enumerate(states, 1)], outstanding=23)
    expect(page.get_by_test_id("worker")).to_contain_text(states)
    expect(page.locator(".place")).to_have_count(2)
    expect(page.get_by_test_id("outstanding")).to_have_text("23")
    expect(page.get_by_test_id("reason")).to_have_text(
        "The autoscaler (greedy) wants 6 instances: 23 outstanding / 4 an instance."
    )
    expect(page.get_by_test_id("census")).to_contain_text("1 busy · 1 idle · 1 ready")
    expect(page.get_by_test_id("fleet-count")).to_have_text("6 of at most 8")
    site.door.status = status([worker(2, "idle")])
    expect(page.get_by_test_id("worker")).to_contain_text(["idle"])


def test_the_demand_is_drawn_by_uplot_under_the_strict_policy(site):
    page = site.visit()
    expect(page.get_by_test_id("outstanding")).to_have_text("0")
    for chart in ("#chart-outstanding", "#chart-rates"):
        painted = """(selector) => {
            const canvas = document.querySelector(`${selector} canvas`);
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.some((value) => value !== 0);
        }"""
        page.wait_for_function(painted, arg=chart)


def test_a_silent_autoscaler_is_said_and_its_last_report_marked_as_old(site):
    site.door.status = status([worker(1, "busy", 3)], age=42.0)
    page = site.visit()
    expect(page.get_by_test_id("alert")).to_contain_text("Autoscaler silent for 42 s")
    expect(page.get_by_test_id("fleet")).to_have_class(re.compile("stale"))
    site.door.status = status([worker(1, "busy", 3)])
    expect(page.get_by_test_id("alert")).to_be_hidden()


def test_a_door_that_does_not_answer_is_said_until_it_is_back(site):
    site.expected = "ERR_EMPTY_RESPONSE"
    page = site.visit()
    expect(page.get_by_test_id("contact")).to_contain_text("0 outstanding")
    site.door.silent = True
    expect(page.get_by_test_id("alert")).to_contain_text("No contact with the door")
    site.door.silent = False
    expect(page.get_by_test_id("alert")).to_be_hidden()


def test_a_hidden_tab_stops_asking_and_a_seen_one_asks_at_once(site):
    site.page.clock.install()
    page = site.visit()
    expect(page.get_by_test_id("outstanding")).to_have_text("0")
    hide = "(state) => { Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); }"
    page.evaluate(hide, "hidden")
    seen = site.door.asked
    page.clock.run_for(30_000)
    assert site.door.asked == seen
    page.evaluate(hide, "visible")
    until(page, lambda: site.door.asked == seen + 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_at_any_width(site, width, scheme):
    site.expected = "status of 422"
    site.page.set_viewport_size({"width": width, "height": 800})
    site.page.emulate_media(color_scheme=scheme)
    long = "x" * 180 + ".png"
    site.door.script[long] = [problem(422, "y" * 300)]
    site.door.script["wordy.png"] = [Answer(label="soft-coated-wheaten-terrier-of-the-highlands")]
    site.door.status = status([worker(n, "draining", 4) for n in range(8)], outstanding=123_456, age=900.0)
    page = site.visit()
    choose(page, long, "wordy.png")
    expect(page.get_by_test_id("detail").first).to_be_visible()
    expect(page.get_by_test_id("label")).to_be_visible()
    expect(page.get_by_test_id("worker")).to_have_count(8)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    over = """() => [...document.querySelectorAll("body *:not(.unseen, .unseen *)")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.className)"""
    assert page.evaluate(over) == []
