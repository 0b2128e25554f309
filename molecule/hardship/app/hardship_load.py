"""Sends short tasks at a steady pace, until a file says that it is enough, and never for longer than SECONDS.

    python -m hardship_load LABEL PER_SECOND

A task counts as sent when Redis has said so; only then its id goes into /var/lib/celery/LABEL.sent. What Redis does not take is sent
again, under the same id. (Redis may have had it all the same: then it is there twice, and the id goes into LABEL.again, too.)
"""

import itertools
import sys
import time
import uuid
from pathlib import Path

from hardship import late
from kombu.exceptions import OperationalError

SECONDS = 240


def main(label: str, per_second: float) -> None:
    sent, again, enough = (Path(f"/var/lib/celery/{label}.{ending}") for ending in ("sent", "again", "enough"))
    start = due = time.monotonic()
    with sent.open("a", buffering=1) as ids, again.open("a", buffering=1) as doubtful:
        for seconds in itertools.cycle([0.01, 0.05, 0.1, 0.2]):
            if enough.exists() or time.monotonic() - start > SECONDS:
                return
            task_id = f"{label}-{uuid.uuid4()}"
            while True:
                try:
                    late.apply_async((seconds,), task_id=task_id, retry=False)
                    break
                except (OperationalError, OSError):
                    print(task_id, file=doubtful)
                    time.sleep(0.2)
            print(task_id, file=ids)
            # What could not be sent is not made up for.
            due = max(due + 1 / per_second, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
