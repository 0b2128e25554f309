"""An account that is there already is left as it is."""

from __future__ import annotations

import pytest
from conftest import run_playbook

testinfra_hosts = ["ansible://all"]


@pytest.fixture
def another_shell(host):
    with host.sudo():
        before = host.user("celery").shell
        host.check_output("usermod --shell /bin/sh celery")
    yield "/bin/sh"
    with host.sudo():
        host.check_output(f"usermod --shell {before} celery")


def test_an_account_that_somebody_made_is_kept(host, another_shell):
    assert run_playbook(host, "celery") == 0
    assert host.user("celery").shell == another_shell
