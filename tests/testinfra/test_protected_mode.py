"""What protected-mode does on each version, asked from another host: the table of docs/protected-mode.md.

The servers are throw-away ones beside the host's own, since the role would refuse most of these configurations.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

import pytest
from conftest import flavor

testinfra_hosts = ["ansible://redis"]

OPEN, DENIED, NOAUTH, NOBODY = "+PONG", "-DENIED", "-NOAUTH", "refused"
NAMED = "user named on >secret ~* +@all"
UNIT = "protected-mode-trial"

# Of each server: what it says to a PING, and to a PING after a login.
KNOCK = """
import json, socket, time

def say(port, *lines):
    # A server that hangs up while it is spoken to may take its words along.
    for _ in range(20):
        try:
            with socket.create_connection(({address!r}, port), timeout=10) as connection:
                for line in lines:
                    connection.sendall(line.encode() + b"\\r\\n")
                    answer = connection.recv(300).decode().split() or [""]
                    if answer[0] == "-DENIED":
                        break
            return answer[0]
        except ConnectionRefusedError:
            return "refused"
        except ConnectionError:
            time.sleep(0.1)

print(json.dumps([[say(port, "PING"), say(port, login, "PING") if login else ""] for port, login in {knocks}]))
"""


@dataclass(frozen=True)
class Trial:
    """Lines of a configuration, and what a client elsewhere gets of 6.x and of later versions, without and with a login."""

    name: str
    lines: list[str]
    before_7: str
    since_7: str
    login: str = ""
    login_before_7: str = OPEN
    login_since_7: str = OPEN


TRIALS = [
    # The trap: a bind line, any, switches protected-mode off in 6.x.
    Trial("bind_to_all", ["bind 0.0.0.0", "protected-mode yes"], OPEN, DENIED),
    Trial("bind_to_one_address", ["bind ADDRESS", "protected-mode yes"], OPEN, DENIED),
    Trial("no_bind", ["protected-mode yes"], DENIED, DENIED),
    Trial("off", ["bind 0.0.0.0", "protected-mode no"], OPEN, OPEN),
    Trial("password", ["bind 0.0.0.0", "protected-mode yes", "requirepass secret"], NOAUTH, NOAUTH, "AUTH secret"),
    Trial("off_with_a_password", ["bind 0.0.0.0", "protected-mode no", "requirepass secret"], NOAUTH, NOAUTH, "AUTH secret"),
    Trial("named_user", ["bind 0.0.0.0", "protected-mode yes", "user default off", NAMED], NOAUTH, NOAUTH, "AUTH named secret"),
    Trial("default_off_but_nopass", ["bind 0.0.0.0", "protected-mode yes", "user default off nopass", NAMED],
          NOAUTH, DENIED, "AUTH named secret", login_since_7=DENIED),
    Trial("aclfile_without_default", ["bind 0.0.0.0", "protected-mode yes", "requirepass secret", "aclfile FILE"], OPEN, DENIED),
    Trial("loopback", ["bind 127.0.0.1", "protected-mode yes"], NOBODY, NOBODY),
]  # fmt: skip
PORTS = {trial.name: 7001 + number for number, trial in enumerate(TRIALS)}


@pytest.fixture(scope="module")
def answers(host) -> dict[str, list[str]]:
    """What another host of the scenario hears from each trial's server."""
    variables = host.ansible.get_variables()
    name = variables["inventory_hostname"]
    elsewhere = [other for other in variables["groups"]["all"] if other not in (name, "localhost")]
    if not elsewhere:
        pytest.skip("there is no other host to ask from")
    stranger = host.get_host(f"ansible://{elsewhere[0]}", ansible_inventory=host.backend.ansible_inventory)
    address = stranger.check_output(f"getent hosts {name}").split()[0]
    script = f"umask 077; echo {shlex.quote(NAMED)} >users.acl\n"
    for trial in TRIALS:
        text = "\n".join([*trial.lines, f"port {PORTS[trial.name]}", 'save ""', "daemonize no"])
        text = text.replace("ADDRESS", address).replace("FILE", "/tmp/users.acl")
        script += f"echo {shlex.quote(text)} | {flavor(variables)}-server - &\n"
    knocks = [(PORTS[trial.name], trial.login) for trial in TRIALS]
    with host.sudo():
        host.check_output(
            f"systemd-run --quiet --collect --unit={UNIT} --property=DynamicUser=yes --property=PrivateTmp=yes "
            f"--property=WorkingDirectory=/tmp /bin/sh -c {shlex.quote(script + 'wait')}"
        )
        try:
            ready = " && ".join(f"ss -Hltn 'sport = :{port}' | grep -q ." for port in PORTS.values())
            host.check_output(f"for i in $(seq 100); do {ready} && exit; sleep 0.2; done; journalctl --no-pager --unit={UNIT} >&2; exit 1")
            found = json.loads(stranger.check_output("$(command -v python3 /usr/libexec/platform-python | head -1) -c %s",
                                                     KNOCK.format(address=address, knocks=knocks)))
        finally:
            host.check_output(f"systemctl stop {UNIT}")
    return dict(zip(PORTS, found))


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_client_elsewhere(host, variables, answers, trial):
    old = host.check_output(f"{flavor(variables)}-server --version").split("v=")[1].startswith("6.")
    assert answers[trial.name][0] == (trial.before_7 if old else trial.since_7)
    if trial.login:
        assert answers[trial.name][1] == (trial.login_before_7 if old else trial.login_since_7)
