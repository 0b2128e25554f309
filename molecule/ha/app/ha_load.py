"""Sends tasks at a steady pace, as an application does that does not give up, and notes when each was accepted.

    python -m ha_load NUMBER PER_SECOND FILE

NUMBER at least, and until there is a FILE.enough. A line of FILE: id, when it was accepted, and how often it had to be sent.
"""

import itertools
import os
import sys
import time
import uuid

from taskqueue_stack import app


def main(number: int, per_second: float, path: str) -> None:
    task = app.tasks["ha_proof.work"]
    due = time.monotonic()
    with open(path, "w", encoding="utf-8", buffering=1) as accepted:
        for sent in itertools.count():
            if sent >= number and os.path.exists(f"{path}.enough"):
                break
            task_id, attempts = str(uuid.uuid4()), 0
            while True:
                attempts += 1
                try:
                    task.apply_async(task_id=task_id)
                except Exception as error:
                    print(f"{time.time():.3f} {type(error).__name__}: {error}", flush=True)
                    time.sleep(0.2)
                else:
                    break
            accepted.write(f"{task_id} {time.time():.3f} {attempts}\n")
            due += 1 / per_second
            time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
