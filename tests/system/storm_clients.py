"""Clients that never give up: cut off or refused, they ask again, by the id that they were given where there is one."""

import hashlib
import random
import threading
import time
from collections import Counter
from typing import NamedTuple

import requests

PATIENCE = 40
"""Seconds after which an exchange counts as cut off."""
PLAIN_PATIENCE = 150
LOOK = 2
"""Seconds between two looks at a batch."""


class Job(NamedTuple):
    """One image to send. ``name`` is its own alone."""

    name: str
    data: bytes
    label: str
    """What the engine says of it with no system around it."""

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class Answer(NamedTuple):
    """What a client was told of its image in the end. ``id``: empty where the plain door told none."""

    job: Job
    id: str
    told: str
    """Empty when that is right; else what was wrong."""
    seconds: float


class Clients:
    """Any number of threads may call; each call is one client, which returns once it has its answers."""

    def __init__(self, urls: list[str], deadline: float, seed: int) -> None:
        """``deadline``: monotonic seconds at which an image that has no answer counts as lost."""
        self._urls, self._deadline, self._chance = urls, deadline, random.Random(seed)
        self._lock, self._pause = threading.Lock(), threading.Event()
        self._http = requests.Session()
        self._http.trust_env = False  # else the environment is read anew for each request
        self._http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=100))
        self.troubles: Counter[str] = Counter()
        """Exchanges that were cut off, and refusals by status."""

    def plain(self, job: Job) -> list[Answer]:
        """The plain door; a 503 that names an id is a promise too."""
        began = time.monotonic()
        for answer in self._asking(lambda url: self._post(url, job, {}, "inputFile", PLAIN_PATIENCE)):
            if answer.status_code == 200:
                wanted = f"{job.stem}:{job.label}"
                return [Answer(job, "", "" if answer.text == wanted else answer.text, time.monotonic() - began)]
            if "/v1/images/" in answer.text:
                return [self._fetch(job, answer.text.partition("/v1/images/")[2][:36], began)]
            if answer.status_code != 503:
                return [Answer(job, "", f"{answer.status_code} {answer.text}", time.monotonic() - began)]
            self._wait(answer)
        return [Answer(job, "", "never answered", time.monotonic() - began)]

    def by_id(self, job: Job) -> list[Answer]:
        """POST with an Idempotency-Key, then GET by id."""
        began, headers = time.monotonic(), {"Idempotency-Key": job.name, "Prefer": "wait=10"}
        for answer in self._asking(lambda url: self._post(f"{url}/v1/images", job, headers, "file", PATIENCE)):
            if answer.status_code in {200, 202}:
                return [self._fetch(job, answer.json()["id"], began)]
            if answer.status_code != 503:
                return [Answer(job, "", f"{answer.status_code} {answer.text}", time.monotonic() - began)]
            self._wait(answer)
        return [Answer(job, "", "never answered", time.monotonic() - began)]

    def batch(self, jobs: list[Job]) -> list[Answer]:
        """All in one request; a batch that was cut off is sent again, for nothing of it was promised."""
        began, files = time.monotonic(), [("f", (job.name, job.data)) for job in jobs]
        for answer in self._asking(lambda url: self._http.post(f"{url}/v1/batches", files=files, timeout=PATIENCE)):
            if answer.status_code == 202:
                lines = answer.json()["jobs"]
                taken = [(job, line["id"]) for job, line in zip(jobs, lines, strict=True) if "id" in line]
                refused = [job for job, line in zip(jobs, lines, strict=True) if "id" not in line]
                found = self._follow(answer.json()["id"], dict(taken), began)
                return found + (self.batch(refused) if refused else [])
            if answer.status_code != 503:
                return [Answer(job, "", f"{answer.status_code} {answer.text}", 0.0) for job in jobs]
            self._wait(answer)
        return [Answer(job, "", "never answered", time.monotonic() - began) for job in jobs]

    def _follow(self, batch: str, taken: dict[Job, str], began: float) -> list[Answer]:
        """Ask for a batch until each of its images has its answer."""
        for answer in self._asking(lambda url: self._http.get(f"{url}/v1/batches/{batch}", timeout=PATIENCE)):
            if answer.status_code == 200 and answer.json()["working"] == 0:
                lines = {line["id"]: line for line in answer.json()["jobs"] if "id" in line}
                return [
                    Answer(job, one, _wrong(job, one, lines[one].get("result") or lines[one]), time.monotonic() - began)
                    for job, one in taken.items()
                ]
            if answer.status_code not in {200, 503}:
                return [Answer(job, one, f"{answer.status_code} {answer.text}", 0.0) for job, one in taken.items()]
            self._pause.wait(LOOK)
        return [Answer(job, one, "never answered", time.monotonic() - began) for job, one in taken.items()]

    def _fetch(self, job: Job, one: str, began: float) -> Answer:
        """Ask for a promised image until there is its answer."""
        for answer in self._asking(lambda url: self._http.get(f"{url}/v1/images/{one}?wait=20", timeout=PATIENCE)):
            if answer.status_code == 200:
                return Answer(job, one, _wrong(job, one, answer.json()), time.monotonic() - began)
            if answer.status_code not in {202, 503}:
                return Answer(job, one, f"{answer.status_code} {answer.text}", time.monotonic() - began)
            self._wait(answer)
        return Answer(job, one, "never answered", time.monotonic() - began)

    def _post(self, url, job, headers, field, patience):
        return self._http.post(url, files={field: (job.name, job.data)}, headers=headers, timeout=patience)

    def _asking(self, ask):
        """Answers to the same question, each time at any node, until the deadline."""
        while time.monotonic() < self._deadline:
            with self._lock:
                url = self._chance.choice(self._urls)
            try:
                answer = ask(url)
            except requests.RequestException:
                self._note("cut off")
                self._pause.wait(0.5)
                continue
            if answer.status_code >= 400:
                self._note(str(answer.status_code))
            yield answer

    def _note(self, trouble: str) -> None:
        with self._lock:
            self.troubles[trouble] += 1

    def _wait(self, answer: requests.Response) -> None:
        if answer.status_code != 202:
            self._pause.wait(float(answer.headers.get("Retry-After", 1)))


def _wrong(job: Job, one: str, told: dict) -> str:
    """Why this is not the answer to that image; empty when it is."""
    if "labels" not in told:
        return str(told)
    found = told["id"], told["name"], told["digest"], told["labels"][0]["label"]
    wanted = one, job.name, job.digest, job.label
    return "" if found == wanted else f"{found} instead of {wanted}"
