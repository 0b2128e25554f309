# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a playbook costs, as ratios of things measured side by side in one run: seconds alone mean nothing elsewhere.

Each round takes new hosts. Run it by `make bench`; BENCH_ROUNDS says how many rounds (default 3).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
STATE = REPOSITORY / ".cache/testbed/bench"
INVENTORY = STATE / "inventory"
HOST = "ubuntu2404"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def run(*command: str | Path, stdin: bytes | None = None, **environment: str) -> str:
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout.decode()}")
    return done.stdout.decode()


def testbed(*arguments: str | Path) -> None:
    run(sys.executable, REPOSITORY / "molecule/shared/testbed.py", *arguments)


def fresh_host() -> None:
    testbed("down", "bench")
    testbed("up", "bench", HERE / "inventory.yml")
    # The connection is opened before the clock starts, for the script as for the playbook.
    run("ssh", "-F", STATE / "ssh_config", HOST, "true")


def by_hand() -> None:
    constraints = (REPOSITORY / "roles/celery_app/files/constraints.txt").read_bytes()
    script = (HERE / "by_hand.sh").read_text(encoding="utf-8")
    run("ssh", "-F", STATE / "ssh_config", HOST, "cat >by_hand.sh", stdin=script.encode())
    run("ssh", "-F", STATE / "ssh_config", HOST, "sudo bash by_hand.sh", stdin=constraints)


def playbook(name: str) -> str:
    return run("ansible-playbook", "--inventory", INVENTORY, name)


def seconds(step: Callable[[], object]) -> float:
    start = time.monotonic()
    step()
    return time.monotonic() - start


def round_trip() -> float:
    """The smoke test's warm median in milliseconds."""
    output = run(
        "ansible", "--inventory", INVENTORY, "--become", HOST, "--module-name", "taskqueue.stack.celery_smoke_test",
        "--args", json.dumps({"workers": [f"default@{HOST}"], "count": 51}),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
    )  # fmt: skip
    return json.loads(output[output.index("{"):])["plays"][0]["tasks"][0]["hosts"][HOST]["round_trip_ms"]["median"]


def one_round() -> dict[str, float]:
    fresh_host()
    hand = seconds(by_hand)
    fresh_host()
    first = seconds(lambda: playbook("taskqueue.stack.site"))
    pairs = [(seconds(lambda: playbook("taskqueue.stack.site")), seconds(lambda: playbook(str(HERE / "facts.yml")))) for attempt in range(3)]
    return {
        "first run ÷ shell script": first / hand,
        "no-change run ÷ facts-only playbook": statistics.median(site / facts for site, facts in pairs),
        "smoke test round trip, warm median, ms": round_trip(),
    }


def main() -> None:
    rounds = []
    for number in range(1, ROUNDS + 1):
        print(f"round {number} of {ROUNDS}", flush=True)
        rounds.append(one_round())
    testbed("down", "bench")
    print(f"\n{'':42}{'min':>8}{'median':>8}{'max':>8}")
    for figure in rounds[0]:
        values = [each[figure] for each in rounds]
        print(f"{figure:42}{min(values):8.2f}{statistics.median(values):8.2f}{max(values):8.2f}")


if __name__ == "__main__":
    main()
