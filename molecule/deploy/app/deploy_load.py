"""Sends tasks of all kinds, at a steady pace until it is told that enough has happened, and never more than LIMIT.

    python -m deploy_load AT_LEAST PER_SECOND

After AT_LEAST tasks it goes on five times slower, so that a slow machine is not without load halfway through.
Every id is noted in Redis before its task is sent, so that a task that is lost is known to be.
"""

import itertools
import sys
import time
import uuid
from collections.abc import Iterator

from celery import chord
from celery.canvas import Signature
from deploy_proof import MARKS, early, late, total

LIMIT = 15000
SECONDS = 1200
KINDS = itertools.cycle([early, late])


def batches() -> Iterator[tuple[list[Signature], list[Signature], Signature]]:
    """Endless groups of 40 tasks: short ones, some with an ETA, a chord, and one that runs for 1 to 5 seconds."""
    for seconds in itertools.cycle([1, 2, 3, 4, 5]):
        plain = [next(KINDS).s() for number in range(26)] + [next(KINDS).s(seconds).set(queue="slow")]
        ahead = [next(KINDS).s().set(countdown=5 + number) for number in range(4)]
        yield plain + ahead, [late.s(number) for number in (0, 0.01) * 4], total.s()


def main(at_least: int, per_second: float) -> None:
    sent = 0
    start = due = time.monotonic()
    for signatures, header, body in batches():
        told = bool(MARKS.exists("enough"))
        if sent >= LIMIT or time.monotonic() - start > SECONDS or (told and sent >= at_least):
            break
        everything = [*signatures, *header, body]
        for signature in everything:
            signature.set(task_id=str(uuid.uuid4()))
        MARKS.sadd("expected", *(signature.options["task_id"] for signature in everything))
        for signature in signatures:
            signature.apply_async()
        chord(header)(body)
        sent += len(everything)
        due += len(everything) / per_second * (1 if sent < at_least else 5)
        if not told:
            time.sleep(max(0, due - time.monotonic()))
    MARKS.set("sent", sent)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
