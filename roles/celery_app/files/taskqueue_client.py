"""Lets a worker keep the object by which it talks to its broker.

kombu (5.6, 5.7) makes a new client of redis-py whenever it takes a message, acknowledges or sends one. The client's connections are those of
the channel's pool in any case, but to make it took 47 of the 790 microseconds that a worker's main process spends on a task, twice (measured).
redis-py's clients keep no state between commands and may be used by all threads, so one for each pool does.
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from kombu.transport import redis as transport


def install() -> None:
    transport.Channel._create_client = once(transport.Channel._create_client)


def once(create: Callable) -> Callable:
    """The same client for as long as the channel has the same pool: a connection that was lost has a new one."""

    @wraps(create)
    def _create_client(channel, asynchronous: bool = False):
        # The one that waits for messages is kept by kombu, together with its connection.
        if asynchronous:
            return create(channel, asynchronous)
        client = vars(channel).get("_taskqueue_client")
        if client is None or client.connection_pool is not channel.pool:
            client = channel._taskqueue_client = create(channel)
        return client

    return _create_client
