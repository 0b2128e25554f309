"""Flower, as a user would look at it: by a browser, with a password."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from conftest import exposure, workers

testinfra_hosts = ["ansible://celery_flower"]

UNIT = "celery-flower.service"
SSH_CONFIG = Path(__file__).parents[2] / ".cache/testbed" / os.environ["MOLECULE_SCENARIO_NAME"] / "ssh_config"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What Flower answers to a request with these credentials, or with none.
ASK = """
import sys, urllib.error, urllib.request
headers = {{"Authorization": {authorization!r}}} if {authorization!r} else {{}}
try:
    print(urllib.request.urlopen(urllib.request.Request({url!r}, headers=headers), timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="session")
def browser() -> str:
    """A real browser on the control node, installed when there is none."""
    if not any(map(shutil.which, BROWSERS)):
        sudo = [] if os.getuid() == 0 else ["sudo"]
        install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        done = [subprocess.run([*sudo, *command], capture_output=True, text=True, check=False) for command in (["apt-get", "update"], install)]
        assert any(map(shutil.which, BROWSERS)), f"There is no browser ({', '.join(BROWSERS)}), and apt cannot install one: {done[-1].stderr}"
    return next(path for path in map(shutil.which, BROWSERS) if path)


@pytest.fixture
def port(variables) -> int:
    return variables.get("celery_flower_port", 5555)


@pytest.fixture
def tunnel(variables, port):
    """A port of the control node that leads to Flower's loopback, as the documentation has it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = probe.getsockname()[1]
    options = ["-F", SSH_CONFIG, "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
    with subprocess.Popen(["ssh", *options, "-N", "-L", f"{local}:127.0.0.1:{port}", variables["inventory_hostname"]]) as process:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", local), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "ssh -L gave no tunnel"
                time.sleep(0.2)
        yield local
        process.terminate()


def _ask(host, port: int, path: str, authorization: str = "") -> str:
    code = ASK.format(url=f"http://127.0.0.1:{port}{path}", authorization=authorization)
    return host.check_output("/opt/celery/current/bin/python -c %s", code)


def test_service_runs_and_starts_at_boot(host):
    assert host.service(UNIT).is_running
    assert host.service(UNIT).is_enabled


def test_sandbox(host):
    assert exposure(host, UNIT) <= 2.0


def test_listens_on_loopback_alone(host, variables, port):
    listening = host.check_output(f"ss --no-header --listening --numeric --tcp 'sport = :{port}'").splitlines()
    assert [line.split()[3] for line in listening] == [f"{variables.get('celery_flower_bind', '127.0.0.1')}:{port}"]


def test_asks_for_the_password(host, port):
    for path in ("/", "/workers?json=1", "/tasks", "/broker", "/api/workers", "/api/tasks"):
        assert _ask(host, port, path) == "401"
        assert _ask(host, port, path, "Basic Zmxvd2VyOg==") == "401"


def test_password_is_for_root_and_celery_alone(host, variables):
    password = variables["celery_flower_password"]
    with host.sudo():
        file = host.file("/etc/celery/celery-flower.env")
        assert (file.user, file.group, file.mode) == ("root", "celery", 0o640)
        seen = host.check_output(f"systemctl cat {UNIT}; systemctl show {UNIT}; ps -eo args")
    assert password not in seen
    with host.sudo("nobody"):
        assert host.run("cat /etc/celery/celery-flower.env").failed


def test_a_browser_shows_the_workers(variables, browser, tunnel, tmp_path):
    user, password = variables.get("celery_flower_username", "flower"), quote(variables["celery_flower_password"], safe="")
    online: set[str] = set()
    deadline = time.monotonic() + 90
    while not online >= set(workers(variables)):
        assert time.monotonic() < deadline, f"Flower's page shows {online or 'no worker'} online"
        page = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}",
             "--virtual-time-budget=10000", "--dump-dom", f"http://{user}:{password}@127.0.0.1:{tunnel}/"],
            capture_output=True, text=True, check=False, timeout=120,
        )
        assert page.returncode == 0, page.stderr
        # The table is filled by the page's own script.
        rows = re.findall(r"<tr.*?</tr>", page.stdout, re.DOTALL)
        online = {name for name in workers(variables) for row in rows if f"/worker/{quote(name, safe='')}" in row and ">Online<" in row}
