"""One picture sent through the public API, to show that everything works and where its time went."""

import io
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx2
from PIL import Image, ImageDraw

import skylens
from skylens.client import Client
from skylens.errors import SkylensError
from skylens.messages import Result

TIMEOUT = 120.0


@dataclass(frozen=True)
class Seen:
    """The result and the Unix seconds at which the picture was sent and the result was here."""

    result: Result
    sent: float
    got: float

    def lines(self) -> list[str]:
        """The best label, and each stage with its seconds. Emulators and tiers share one clock here."""
        best, times = self.result.labels[0], self.result.timings
        marks = [self.sent, times.queued.timestamp(), times.started.timestamp(), times.finished.timestamp(), self.got]
        stored, waited, worked, answered = (max(0.0, end - start) for start, end in pairwise(marks))
        stages = (
            f"{stored:.2f} s to store and queue it, {waited:.2f} s until an instance had booted and took it, "
            f"{worked:.2f} s to recognise it, {answered:.2f} s to answer"
        )
        return [f"{self.result.name}: {best.label}, score {best.score:.2f}", f"  {stages}"]


class Sample:
    """Sends one picture in the background.

    Owns the daemon thread ``sample``, which ends with the answer, or when the door closes its connection in a stop. If
    it dies, ``outcome`` says why and the cloud goes on.
    """

    def __init__(self, url: str, picture: Path) -> None:
        self._url, self._picture = url, picture
        self.outcome: Seen | SkylensError | None = None
        self.thread = threading.Thread(target=self._send, name="sample", daemon=True)
        self.thread.start()

    def _send(self) -> None:
        try:
            with httpx2.Client(base_url=self._url, trust_env=False, timeout=TIMEOUT) as http:
                sent = time.time()
                result = Client(http, timeout=TIMEOUT).classify(self._picture)
                self.outcome = Seen(result, sent, time.time())
        except SkylensError as error:
            self.outcome = error
        except Exception as error:  # noqa: BLE001 - the thread's end: whatever it is must be shown, not lost
            self.outcome = SkylensError(f"{type(error).__name__}: {error}")


def picture(folder: Path) -> Path:
    """The first sample of the checkout, or where there is none, a picture drawn into ``folder``."""
    samples = sorted((Path(skylens.__file__).parent.parent / "samples").glob("*.png"))
    return samples[0] if samples else _draw(folder / "ship.png")


def _draw(path: Path) -> Path:
    """A ship on the sea, 256 x 256 pixels."""
    image = Image.new("RGB", (256, 256), (150, 195, 230))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 160, 255, 255), fill=(30, 80, 130))
    draw.polygon([(20, 130), (236, 130), (205, 185), (50, 185)], fill=(60, 60, 70))
    draw.rectangle((70, 95, 170, 130), fill=(235, 235, 235))
    draw.rectangle((95, 55, 125, 95), fill=(180, 50, 40))
    data = io.BytesIO()
    image.save(data, "PNG")
    path.write_bytes(data.getvalue())
    return path
