"""What Celery's libraries lack for a primary that changes: loaded where the broker is asked for at Sentinels, and nowhere else.

Measured with Celery 5.6 and 5.7, kombu 5.6 and 5.7, redis-py 6.4 and 8.1, while a primary was killed, cut off and switched over:

- NOREPLICAS (min-replicas-to-write, after each failover) ended the worker, and results of tasks were not stored.
- A connection that was lost is made anew by what is sent next, and redis-py then goes where it was before, asking no Sentinel
  (connect_check_health() in send_packed_command()). A primary that handed over answers there as a replica, and kombu's
  restore_by_tag(), a transaction that is repeated when the connection fails, never ends.
- redis-py's own attempts at a primary that is cut off held a worker for 25 seconds. kombu and Celery try again by themselves.
- Each connection asks the Sentinels in their order, and a worker makes a dozen anew. When the first of them was cut off, too, as it is on the
  primary's own host, each of the connections waited for it: 13 seconds in which no task ran.
- kombu waits 2, 4, 6 seconds and so on between its attempts: a primary that was there after 7 was found after 12.
- A part of a chord whose count meets a primary that is away makes the chord fail: Celery tries again to store results, and nothing else.
- redis-py 6.4 says, of each Sentinel that does not answer, the password as well (ConnectionPool.__repr__() in MasterNotFoundError).
- kombu 5.7.0 closes a lost connection twice, and the second time ended the worker: there is none to give anything back by.
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
from functools import partial, partialmethod, wraps

from celery.backends.redis import RedisBackend
from kombu import Connection
from kombu.transport.redis import QoS
from redis import exceptions, sentinel
from redis._parsers import BaseParser
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry


def install() -> None:
    """Let connections follow the primary."""
    BaseParser.EXCEPTION_CLASSES["NOREPLICAS"] = exceptions.ConnectionError
    connection = sentinel.SentinelManagedConnection
    connection.send_packed_command = to_the_primary(connection.send_packed_command)
    connection.__init__ = without_attempts_of_its_own(connection.__init__)
    sentinel.Sentinel.discover_master = from_who_answered(sentinel.Sentinel.discover_master)
    Connection.ensure_connection = partialmethod(Connection.ensure_connection, interval_step=0)
    ConnectionPool.__repr__ = without_secrets
    RedisBackend.on_chord_part_return = as_results_are_stored(RedisBackend.on_chord_part_return)
    QoS.restore_unacked = with_a_connection_only(QoS.restore_unacked)


def to_the_primary(send):
    """Sends by a connection for which the Sentinels have been asked."""

    @wraps(send)
    def send_packed_command(self, command, check_health=True):
        if not self._sock:
            self.connect()
        return send(self, command, check_health)

    return send_packed_command


def without_attempts_of_its_own(initialize):
    """Makes a connection that leaves further attempts to its user."""

    @wraps(initialize)
    def __init__(self, **options):
        initialize(self, **options)
        self.retry = Retry(NoBackoff(), 0)

    return __init__


def from_who_answered(discover):
    """Asks first who answered last, whichever connection asked."""
    answered: dict = {}

    def name(client) -> tuple:
        options = client.connection_pool.connection_kwargs
        return options["host"], options["port"]

    @wraps(discover)
    def discover_master(self, service_name):
        self.sentinels.sort(key=lambda client: name(client) != answered.get(service_name))
        address = discover(self, service_name)
        # There redis-py puts it.
        answered[service_name] = name(self.sentinels[0])
        return address

    return discover_master


def without_secrets(pool) -> str:
    """Which server it is for."""
    options = pool.connection_kwargs
    return f"<{type(pool).__name__}({', '.join(f'{name}={options[name]}' for name in ('host', 'port', 'db', 'path') if name in options)})>"


def as_results_are_stored(call):
    """Tries again without end, as Celery does when it stores a result.

    To count a part twice counts it once where it has a place in a sorted set; in a list, which result_chord_ordered: false makes of it, the number
    of all would never be met. Celery itself catches what fails when the last part was counted, and then the chord has failed.
    """

    @wraps(call)
    def on_chord_part_return(self, *args, **options):
        counted = partial(call, self, **options)
        return self.ensure(counted, args, max_retries=None) if self._chord_zset else counted(*args)

    return on_chord_part_return


def with_a_connection_only(restore):
    """Gives back what a worker had taken, where that is possible. The rest comes back after the visibility timeout."""

    @wraps(restore)
    def restore_unacked(self, client=None):
        if client or self.channel.connection.client:
            restore(self, client)

    return restore_unacked


def with_objects(options: dict) -> dict:
    """Transport options with what JSON has no words for."""
    options = dict(options)
    if "socket_keepalive_options" in options:
        # Options of a socket are numbers that differ between systems. An application may have said them as numbers.
        said = options["socket_keepalive_options"].items()
        numbers = {getattr(socket, name, None) if isinstance(name, str) else name: value for name, value in said}
        options["socket_keepalive_options"] = {number: value for number, value in numbers.items() if number is not None}
    if "sentinel_kwargs" in options:
        # The next Sentinel is asked at once. redis-py would ask one that is away again and again, with pauses.
        options["sentinel_kwargs"] = {**options["sentinel_kwargs"], "retry": Retry(NoBackoff(), 0)}
    return options
