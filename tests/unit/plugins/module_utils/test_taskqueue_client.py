# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's client of its broker, in the place of kombu's own. Whole workers: each scenario of molecule.

Here, and not among the roles' tests, because these are run by the oldest Python of a host as well, and so with kombu 5.6 and redis-py 6.4.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from kombu.transport.redis import Channel
from redis import ConnectionPool, Redis

FILE = Path(__file__).parents[4] / "roles/celery_app/files/taskqueue_client.py"


class Connected(Channel):
    """As kombu's, and has its pools from nowhere."""

    Client = Redis
    closed = True

    def __init__(self) -> None:
        """Connects to nothing."""

    def _get_pool(self, asynchronous=False):
        return ConnectionPool()

    def client_of_a_command(self):
        with self.conn_or_acquire() as client:
            return client


@pytest.fixture(autouse=True)
def installed(monkeypatch) -> None:
    spec = importlib.util.spec_from_file_location("taskqueue_client", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # Put back after the test.
    monkeypatch.setattr(Channel, "_create_client", Channel._create_client)
    module.install()


def test_client_is_made_once() -> None:
    channel = Connected()
    client = channel.client_of_a_command()
    assert channel.client_of_a_command() is client
    assert client.connection_pool is channel.pool


def test_new_connection_has_a_new_client() -> None:
    channel = Connected()
    lost = channel.client_of_a_command()
    # As kombu does when it disconnects.
    channel._pool = None
    client = channel.client_of_a_command()
    assert client is not lost
    assert client.connection_pool is channel.pool


def test_what_waits_for_messages_is_left_to_kombu() -> None:
    channel = Connected()
    waiting = channel._create_client(asynchronous=True)
    assert waiting is not channel.client_of_a_command()
    assert waiting.connection_pool is channel.async_pool
    assert channel.client_of_a_command().connection_pool is channel.pool


def test_each_channel_has_its_own() -> None:
    assert Connected().client_of_a_command() is not Connected().client_of_a_command()
