"""Whole sessions in a real headless Chromium; skipped where there is none."""

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import pytest
import uvicorn

from inpainting_jax.study import answers, server, store

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
DESKTOP = {"viewport": {"width": 1000, "height": 800}}
PHONE = {
    "viewport": {"width": 360, "height": 640},
    "device_scale_factor": 3,
    "is_mobile": True,
    "has_touch": True,
}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"],  # containers run tests as root
        )
        yield browser
        browser.close()


class Server:
    """A server on a free port: in a thread, or as a process that can be killed."""

    def __init__(self, study, own_process=False):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.study, self.url = study, f"http://127.0.0.1:{self.port}/"
        self.own_process = own_process
        self.start()

    def start(self):
        if self.own_process:
            command = [sys.executable, "-m", "launch.study", "serve"]
            command += [f"--study={self.study.path}", f"--port={self.port}"]
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        else:
            self.store = store.Store(self.study)
            app = server.build(self.study, self.store)
            options = {"port": self.port, "log_level": "warning"}
            self.uvicorn = uvicorn.Server(uvicorn.Config(app, **options))
            self.thread = threading.Thread(target=self.uvicorn.run)
            self.thread.start()
        for _ in range(1200):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def end(self):
        if self.own_process:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        else:
            self.uvicorn.should_exit = True
            self.thread.join()
            self.store.close()

    def answers(self):
        return answers.collect(self.study, [self.study.path / store.FILE])


@pytest.fixture
def serve(make_study):
    servers = []

    def start(*arguments, own_process=False, **options):
        study = make_study(*arguments, **options)
        servers.append(Server(study, own_process))
        return servers[-1]

    yield start
    for each in servers:
        each.end()


def consent(page, url):
    page.goto(url)
    page.wait_for_selector("#consent:visible")
    assert page.is_disabled("#agree")
    page.check("#adult")
    assert page.is_disabled("#agree")
    page.check("#vision")
    page.click("#agree")


def go_on(page):
    page.wait_for_selector("#pause:visible")
    page.click("#continue")


def answer(page, key):
    """Answers one trial as soon as it can be; afterwards the next one is up."""
    page.wait_for_selector("#choices button:enabled", timeout=20_000)
    before = page.inner_text("#progress")
    page.keyboard.press(key)
    page.wait_for_function(
        """before => document.querySelector("#trial").hidden
            || document.querySelector("#progress").textContent !== before""",
        arg=before,
        timeout=20_000,
    )


def test_a_timed_session_by_keyboard_with_a_reload_and_a_second_observer(
    serve, chromium
):
    served = serve("timed_real_fake", exposures=(50, 100), trials=16, catch=4, size=64)
    first, second = (chromium.new_context(**DESKTOP).new_page() for _ in range(2))
    consent(first, served.url)
    go_on(first)
    for _ in range(2):
        answer(first, "f")
    go_on(first)  # now it counts
    for number in range(8):
        answer(first, "fj"[number % 2])
    consent(second, served.url)
    go_on(second)
    answer(second, "j")
    first.reload()
    first.wait_for_selector("#pause:visible")
    assert "Welcome back" in first.inner_text("#pause")
    go_on(first)
    for number in range(12):
        answer(first, "fj"[number % 2])
    first.wait_for_selector("#message:visible")
    assert "Thank you" in first.inner_text("#message")
    code = first.inner_text("#code")
    found = served.answers()
    own = [a for a in found if a.observer == code]
    others = [a for a in found if a.observer != code]
    assert [a.kind == "practice" for a in own] == [True] * 2 + [False] * 20
    assert [a.trial for a in own] == list(range(22))
    assert [a.trial for a in others] == [0]
    assert all(a.response_ms > 0 and a.shown_ms > 0 for a in own)


def frames_are_regular(page):
    """Whether the machine is idle enough to time frames on."""
    gaps = page.evaluate(
        """() => new Promise((resolve) => {
            const times = [];
            const note = (time) => {
                times.push(time);
                if (times.length < 121) requestAnimationFrame(note);
                else resolve(times.slice(1).map((t, i) => t - times[i]));
            };
            requestAnimationFrame(note);
        })"""
    )
    return max(gaps) < 1.5 * statistics.median(gaps)


def test_shown_times_are_those_asked_for(serve, chromium):
    """Each within one frame, where the machine can draw frames in time at all."""
    exposures = (50, 100, 250, 1000)
    options = {"trials": 16, "practice": 0, "size": 64}
    served = serve("timed_real_fake", exposures=exposures, **options)
    page = chromium.new_context(**DESKTOP).new_page()
    consent(page, served.url)
    go_on(page)
    regular = frames_are_regular(page)
    for number in range(18):
        answer(page, "fj"[number % 2])
    page.wait_for_selector("#message:visible")
    regular = regular and frames_are_regular(page)
    found = served.answers()
    assert len(found) == 18
    for asked in exposures:
        shown = [round(a.shown_ms, 1) for a in found if a.exposure_ms == asked]
        print(f"{asked} ms: median {statistics.median(shown):.1f}, all {shown}")
    # Never too short, however busy the machine is; what is too long does not count.
    assert all(a.shown_ms > a.exposure_ms - 18 for a in found)
    assert all(a.counts == (a.shown_ms < a.exposure_ms + 17.7) for a in found)
    if not regular:
        pytest.skip("the machine is too busy to draw frames in time")
    assert all(a.counts for a in found)


def test_killing_the_server_loses_no_answered_trial(serve, chromium):
    served = serve("pair_preference", practice=0, own_process=True)
    page = chromium.new_context(**DESKTOP).new_page()
    consent(page, served.url)
    go_on(page)
    for _ in range(3):
        answer(page, "f")
    page.wait_for_selector("#choices button:enabled")
    served.end()
    page.keyboard.press("j")  # sent again and again until the server is back
    page.wait_for_selector("#feedback:not(:empty)")
    assert len(served.answers()) == 3
    served.start()
    page.wait_for_function(
        "() => document.querySelector('#progress').textContent.startsWith('5')"
    )
    for _ in range(4):
        answer(page, "f")
    page.wait_for_selector("#message:visible")
    assert [a.choice for a in served.answers()] == ["left"] * 3 + ["right"] + [
        "left"
    ] * 4


def test_pairs_fit_a_phone_and_are_answered_by_touch(serve, chromium):
    served = serve("pair_preference", practice=0, size=256, reference="original")
    page = chromium.new_context(**PHONE).new_page()
    consent(page, served.url)
    go_on(page)
    for number in range(8):
        page.wait_for_selector("#choices button:enabled")
        wide = page.evaluate("document.documentElement.scrollWidth")
        high = page.evaluate("document.documentElement.scrollHeight")
        assert wide <= 360 and high <= 640
        before = page.inner_text("#progress")
        page.tap(["#choices button >> nth=1", ".slot.open >> nth=0"][number % 2])
        page.wait_for_function(
            """before => document.querySelector("#trial").hidden
                || document.querySelector("#progress").textContent !== before""",
            arg=before,
        )
    page.wait_for_selector("#message:visible")
    assert [a.choice for a in served.answers()] == ["right", "left"] * 4
    observers = store.read(served.study.path / store.FILE, served.study)
    assert [o.screen["size"] for o in observers.values()] == ["phone"]


def test_a_second_tab_is_told_and_a_hidden_one_voids_the_trial(serve, chromium):
    served = serve("timed_real_fake", exposures=(1000,), practice=0, trials=2, catch=0)
    context = chromium.new_context(**DESKTOP)
    page = context.new_page()
    consent(page, served.url)
    other = context.new_page()
    other.goto(served.url)
    other.wait_for_selector("#message:visible")
    assert "another tab" in other.inner_text("#message")
    other.close()
    go_on(page)
    page.wait_for_selector("#stage img:not(.off)")
    page.evaluate(
        """() => {
            const hide = (value) => Object.defineProperty(
                document, "hidden", {value, configurable: true});
            hide(true);
            document.dispatchEvent(new Event("visibilitychange"));
            hide(false);
        }"""
    )
    page.wait_for_selector("#pause:visible")
    assert "Interrupted" in page.inner_text("#pause")
    go_on(page)
    for _ in range(2):
        answer(page, "f")
    page.wait_for_selector("#message:visible")
    found = served.answers()
    assert [(a.trial, a.showings, a.counts) for a in found] == [
        (0, 2, False),
        (1, 1, True),
    ]


def test_the_page_asks_for_nothing_that_names_a_method(serve, chromium):
    served = serve("pair_preference", practice=0, reference="masked")
    page = chromium.new_context(**DESKTOP).new_page()
    seen = []
    page.on("request", lambda request: seen.append(request.url + str(request.headers)))
    page.on("console", lambda line: seen.append(line.text))
    consent(page, served.url)
    go_on(page)
    for _ in range(8):
        page.wait_for_selector("#choices button:enabled")
        seen.append(page.content())
        answer(page, "j")
    page.wait_for_selector("#message:visible")
    seen.append(json.dumps(page.evaluate("({...localStorage})")))
    assert len(seen) > 30
    assert all(url.startswith(served.url) for url in seen if url.startswith("http"))
    for secret in (*served.study.design.methods, "damaged", "masked", "catch_"):
        assert not [text for text in seen if secret in text]
