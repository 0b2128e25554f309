"""Ends a task that takes its worker down each time it runs, so that it does not do so for ever.

Celery (5.6 and 5.7) gives such a task back to the queue without a limit: a process of the pool that dies has its task rejected and
requeued when ``task_reject_on_worker_lost`` is set, and what a whole worker held comes back after the visibility timeout. Nothing
counts how often. So this does, and ends the task as failed when it was begun anew ``CELERY_MAX_REDELIVERIES`` times.

What is counted is the beginning of an execution, of a late-acknowledged message that is marked as redelivered, and the count is
cleared when the message is acknowledged or the task gives itself back (``Reject``). Other moments would be wrong:

- Deliveries, counted when a message arrives, include those that a warm stop gave back before they ran, as do those of tasks with an
  ETA. A worker that is deployed ten times a day would make poison of what only waited.
- The end, counted when a process of the pool is lost, does not exist where the worker itself is what dies: by the kernel's hand, or
  in the pools threads, gevent, eventlet and solo, which have no other process.
- First deliveries, which nearly all messages are, would cost each of them two commands of Redis.

The other thing here is the connection of tasks that outlive it. When Redis goes, a worker gives its tasks back, and acknowledges those that
end later, by a channel that has no connection any more: kombu (5.6, 5.7) has an AttributeError then where Celery is prepared for connection
errors, so the worker dies, and with it the tasks that run. They are in Redis in any case, and come back after the visibility timeout.

A task that acknowledges early is never delivered again after it has begun, so it is left alone. Where the count cannot be had
(Redis is away, or its ACL lacks the key) the task runs: a limit must not be what stops a queue.
"""
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps

from billiard.einfo import ExceptionInfo
from celery import Celery, bootsteps, signals
from celery.exceptions import Reject, WorkerLostError
from celery.utils.log import get_logger
from celery.worker.state import task_ready
from kombu.transport import redis as transport
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

# Seconds that a count outlives the visibility timeout, after which a task that nobody finished is delivered again.
DAY = 24 * 3600

logger = get_logger(__name__)


def install(app: Celery) -> None:
    """Let every worker of this application count, unless there is no limit, and live on when Redis goes."""
    transport.Channel._connparams = expect_its_loss(transport.Channel._connparams)
    if int(os.environ.get("CELERY_MAX_REDELIVERIES", 0)):
        app.steps["consumer"].add(Redeliveries)


def expect_its_loss(connection_parameters: Callable) -> Callable:
    """A channel whose connection was given up says so by an error that everybody expects of a connection."""

    @wraps(connection_parameters)
    def _connparams(channel, *arguments, **options) -> dict:
        if channel.connection is None or channel.connection.client is None:
            raise RedisConnectionError("the connection of this task was lost, and it comes back after the visibility timeout")
        return connection_parameters(channel, *arguments, **options)

    return _connparams


def raised(error: Exception) -> ExceptionInfo:
    """What Celery's signal and event tell of an error, which only one that was raised has."""
    try:
        raise error
    except type(error):
        return ExceptionInfo()


class Redeliveries(bootsteps.StartStopStep):
    """Stands between the consumer and the pool, where each task passes when its time has come: also after an ETA or a rate limit."""

    requires = ("celery.worker.consumer:Connection",)

    def __init__(self, consumer, **kwargs) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._limit = int(os.environ["CELERY_MAX_REDELIVERIES"])
        # Steps are made before any of them starts, and Celery looks this up when the consumer's tasks do.
        consumer.on_task_request = partial(self._pass_on, consumer.on_task_request)

    def _pass_on(self, execute, request) -> None:
        if not request.delivery_info["redelivered"] or not request.task.acks_late:
            return execute(request)
        begun = self._ask(request, "GET")
        if begun is not None and int(begun) >= self._limit:
            return self._end(request, int(begun))
        # On this one request. A process or thread of the pool begins with the first, the worker ends with one of the others.
        request.on_accepted = partial(self._begin, request, request.on_accepted)
        request.acknowledge = partial(self._acknowledge, request, request.acknowledge)
        request.on_failure = partial(self._fail, request, request.on_failure)
        return execute(request)

    def _begin(self, request, on_accepted, *arguments) -> None:
        self._ask(request, "INCRBY", 1)
        on_accepted(*arguments)

    def _acknowledge(self, request, acknowledge) -> None:
        acknowledge()
        self._ask(request, "DEL")

    def _fail(self, request, on_failure, exc_info, *arguments, **options):
        # A task that gives itself back has come to an end, too.
        if isinstance(exc_info.exception, Reject):
            self._ask(request, "DEL")
        return on_failure(exc_info, *arguments, **options)

    def _ask(self, request, command: str, *arguments: int):
        """One command on the key with this task's count. None as well when there is no answer."""
        try:
            # As each step of the consumer, this one outlives connections.
            channel = self._consumer.task_consumer.channel
            # Beside the task's result, where Redis's ACL lets Celery write whatever the inventory says.
            prefix = getattr(self._consumer.app.backend, "task_keyprefix", b"celery-task-meta-").decode()
            key = f"{channel.global_keyprefix}{prefix}{request.id}-redeliveries"
            with channel.conn_or_acquire() as client:
                # kombu's own client puts its prefix before the keys of some commands and not of others.
                plain = Redis(connection_pool=client.connection_pool)
                if command != "INCRBY":
                    return plain.execute_command(command, key, *arguments)
                with plain.pipeline() as pipe:
                    pipe.execute_command(command, key, *arguments)
                    pipe.expire(key, int(channel.visibility_timeout) + DAY)
                    return pipe.execute()[0]
        except Exception as error:  # of any kind: the task is more important
            logger.warning("Cannot count the redeliveries of task %s[%s]: %r", request.name, request.id, error)
            return None

    def _end(self, request, begun: int) -> None:
        """What Celery does with a task whose process was lost, when it does not give the task back."""
        reason = f"Task {request.name} was redelivered and begun anew {begun} times, and ended none of them: it is not run again."
        # As it may be the task that takes the worker down, its arguments stay out of the message.
        logger.error("Task %s[%s] was redelivered and begun anew %d times, and ended none of them: it is not run again.", request.name, request.id, begun)
        task_ready(request)
        failure = WorkerLostError(reason)
        info = raised(failure)
        try:
            request.task.backend.mark_as_failure(request.id, failure, request=request._context, store_result=request.store_errors)
            signals.task_failure.send(
                sender=request.task, task_id=request.id, exception=failure, args=request.args, kwargs=request.kwargs,
                traceback=info.traceback, einfo=info,
            )  # fmt: skip
            request.send_event("task-failed", exception=repr(failure), traceback=info.traceback)
            # Last, so that a worker that dies in between does all of it again.
            request.acknowledge()
            self._ask(request, "DEL")
        except Exception as error:  # not acknowledged, so that it comes back
            logger.warning("Cannot end task %s[%s], which comes back after the visibility timeout: %r", request.name, request.id, error)
