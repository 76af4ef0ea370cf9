"""The web application from the outside: what it gives, takes and refuses."""

import json
import re

import pytest
from starlette.testclient import TestClient

from inpainting_jax.study import answers, server, store
from inpainting_jax.study.store import Store

CONSENT = {"consent": True, "screen": "phone", "pixel_ratio": 2, "scaled": False}
METHODS = ("quixotic", "zephyrine", "umbrageous")


@pytest.fixture
def serve(make_study):
    """A study, its store, and a client of its server."""
    opened = []

    def start(mode="pair_preference", **options):
        study = make_study(mode, **options)
        opened.append(Store(study))
        return study, opened[-1], TestClient(server.build(study, opened[-1]))

    yield start
    for each in opened:
        each.close()


def answer_to(trial, number, choice="left", **changes):
    fields = {"trial": number, "choice": choice, "response_ms": 812.5}
    fields["client_time"] = 1.7e12
    if trial["exposure_ms"]:
        fields |= {"shown_ms": trial["exposure_ms"] + 0.1, "frame_ms": 16.7}
    return fields | changes


@pytest.mark.parametrize("mode", ["timed_real_fake", "pair_real_fake"])
def test_a_whole_session_is_kept_and_only_practice_tells_what_is_right(serve, mode):
    study, _, client = serve(mode)
    state = client.post("/api/observers", json=CONSENT).json()
    path, right = f"/api/observers/{state['code']}", 0
    assert state["pending"] == list(range(10))
    for number, trial in enumerate(state["trials"]):
        choice = study.choices[number % 2]
        if trial["exposure_ms"]:
            client.post(f"{path}/shown", json={"trial": number})
        done = client.post(f"{path}/answers", json=answer_to(trial, number, choice))
        assert done.status_code == 201
        feedback = done.json()["feedback"]
        assert (feedback is not None) == trial["practice"] == (number < 2)
        truth = study.sessions[0].trials[number].answer
        if feedback:
            assert feedback == {"right": choice == truth, "answer": truth}
        right += choice == truth
        left = client.get(path).json()["pending"]
        assert left == list(range(number + 1, 10))
    found = answers.collect(study, [study.path / store.FILE])
    assert sum(answer.right for answer in found) == right
    assert [answer.trial for answer in found] == list(range(10))
    assert all(answer.counts and answer.response_ms == 812.5 for answer in found)


def test_nothing_that_a_browser_gets_names_a_method_or_a_role(serve):
    _, _, client = serve("pair_preference", reference="original")
    state = client.post("/api/observers", json=CONSENT)
    seen = [client.get("/"), client.get("/api/study"), state]
    seen += [client.get(f"/static/{name}") for name in server._STATIC]
    seen += [client.get(f"/api/observers/{state.json()['code']}")]
    linked = re.findall(r'(?:src|href)="(/[^"]+)"', seen[0].text)
    assert linked and all(client.get(url).status_code == 200 for url in linked)
    for number, trial in enumerate(state.json()["trials"]):
        assert set(trial) == {"practice", "images", "reference", "exposure_ms"}
        for name in [*trial["images"], trial["reference"]]:
            seen.append(client.get(f"/images/{name}"))
            assert re.fullmatch(r"[0-9a-f]{16}\.png", name)
            # signature, header, data, end: no chunk that could hold text
            kinds = re.findall(rb"IHDR|PLTE|tEXt|iTXt|zTXt|eXIf|tIME", seen[-1].content)
            assert set(kinds) == {b"IHDR"}
        url = f"/api/observers/{state.json()['code']}/answers"
        seen.append(client.post(url, json=answer_to(trial, number)))
    seen += [client.get("/images/none.png"), client.post(url, json={})]
    for response in seen:
        headers = "\n".join(f"{k}: {v}" for k, v in response.headers.items())
        everything = headers.encode() + response.content
        for method in METHODS:
            assert method.encode() not in everything
        # the page's own words apart, nothing says what a picture is
        if response.headers["content-type"] == "image/png":
            for role in (b"original", b"damaged", b"masked", b"catch"):
                assert role not in everything
    assert b"damaged" not in state.content and b"catch" not in state.content
    assert b"original" not in state.content


def test_every_response_forbids_caches_and_foreign_sources(serve):
    _, _, client = serve()
    for url in ("/", "/api/study", "/images/none.png", "/nowhere"):
        headers = client.get(url).headers
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "set-cookie" not in headers
    text = client.get("/").text + client.get("/static/study.js").text
    assert not re.search(r"https?://", text)  # it works without a network


def test_a_trial_answered_twice_is_refused_and_the_first_answer_stands(serve):
    _, opened, client = serve()
    state = client.post("/api/observers", json=CONSENT).json()
    url = f"/api/observers/{state['code']}/answers"
    fields = answer_to(state["trials"][4], 4)
    assert client.post(url, json=fields).status_code == 201
    again = client.post(url, json=fields | {"choice": "right"})
    assert again.status_code == 409 and "first answer stands" in again.json()["error"]
    assert opened.observer(state["code"]).answers[4]["choice"] == "left"


@pytest.mark.parametrize(
    "change",
    [
        {"trial": 10},
        {"trial": -1},
        {"trial": True},
        {"trial": "0"},
        {"choice": "real"},
        {"choice": None},
        {"choice": ["left"]},
        {"response_ms": -1},
        {"response_ms": "800"},
        {"response_ms": 10**400},
        {"client_time": None},
        {"shown_ms": 50.0, "frame_ms": 16.7},
        {"method": "quixotic"},
    ],
)
def test_wrong_fields_are_refused_and_not_stored(serve, change):
    study, _, client = serve()
    code = client.post("/api/observers", json=CONSENT).json()["code"]
    before = (study.path / store.FILE).read_bytes()
    fields = {"trial": 0, "choice": "left", "response_ms": 1.0, "client_time": 0.0}
    refused = client.post(f"/api/observers/{code}/answers", json=fields | change)
    assert refused.status_code == 400 and refused.json()["error"]
    assert (study.path / store.FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[1]", 400),
        (b"\xff\xfe", 400),
        (b"[" * 4000, 400),
        (b'{"trial": NaN}', 400),
        (b" " * 5000, 413),
    ],
)
def test_bodies_that_are_no_answers_are_refused(serve, body, status):
    _, _, client = serve()
    code = client.post("/api/observers", json=CONSENT).json()["code"]
    for path in ("shown", "answers"):
        url = f"/api/observers/{code}/{path}"
        assert client.post(url, content=body).status_code == status
    assert client.post("/api/observers", content=body).status_code == status


def test_a_timed_answer_needs_its_measured_exposure(serve):
    _, _, client = serve("timed_real_fake")
    state = client.post("/api/observers", json=CONSENT).json()
    url = f"/api/observers/{state['code']}/answers"
    fields = answer_to(state["trials"][0], 0, "real")
    for name in ("shown_ms", "frame_ms"):
        short = {k: v for k, v in fields.items() if k != name}
        assert client.post(url, json=short).status_code == 400
    assert client.post(url, json=fields).status_code == 201


def test_no_consent_no_code_and_nothing_stored(serve):
    study, _, client = serve()
    for change in ({"consent": False}, {"consent": 1}, {"screen": "watch"}):
        assert client.post("/api/observers", json=CONSENT | change).status_code == 400
    named = CONSENT | {"name": "somebody"}
    assert client.post("/api/observers", json=named).status_code == 400
    assert (study.path / store.FILE).read_bytes() == b""


def test_only_listed_files_can_be_asked_for(serve):
    _, _, client = serve()
    for url in (
        "/images/../key.json",
        "/images/..%2Fkey.json",
        "/images/%2e%2e%2fkey.json",
        "/static/..%2Fserver.py",
        "/key.json",
        "/static/nothing.js",
        "/api/observers/nobody",
    ):
        assert client.get(url).status_code == 404, url
    unknown = client.post("/api/observers/nobody/answers", json={})
    assert unknown.status_code == 404


def test_nothing_of_the_browser_is_stored(serve):
    study, _, client = serve()
    headers = {"user-agent": "Telltale/1.0", "x-forwarded-for": "198.51.100.7"}
    client.post("/api/observers", json=CONSENT, headers=headers)
    kept = (study.path / store.FILE).read_text()
    assert "Telltale" not in kept and "198.51" not in kept and "testclient" not in kept
    fields = set(json.loads(kept))
    assert fields == {"event", "code", "session", "design_sha256", "screen", "time"}


def test_observers_work_through_different_sessions(serve):
    _, _, client = serve(sessions=2)
    states = [client.post("/api/observers", json=CONSENT).json() for _ in range(3)]
    assert len({state["code"] for state in states}) == 3
    assert states[0]["trials"] == states[2]["trials"] != states[1]["trials"]
