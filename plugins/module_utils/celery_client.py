# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Celery client for modules: where to connect, connecting within a time limit, and what went wrong in plain words.

Celery is imported by make_app() only: modules start in the host's own Python and respawn into the one that has it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shlex
import socket
import ssl
import sys
import typing as t
from urllib.parse import unquote, urlsplit

DEFAULT_PYTHON = "/opt/celery/current/bin/python"
DEFAULT_ENV_FILE = "/etc/celery/celery.env"
# What modules take that talk to a broker; documented in plugins/doc_fragments/celery_connection.py.
CONNECTION_ARGUMENTS = {
    "env_file": {"type": "path", "default": DEFAULT_ENV_FILE},
    "broker_url": {"type": "str", "no_log": True},
    "transport_options": {
        "type": "dict",
        # The name "global_keyprefix" looks like a secret to Ansible.
        "options": {"master_name": {"type": "str"}, "global_keyprefix": {"type": "str", "no_log": False}},
    },
    "python": {"type": "path", "default": DEFAULT_PYTHON},
}

# What decides where messages and results are. The rest of CELERY_SETTINGS is the workers' business, and settings
# that name classes would make this process, which may be root's, import the application.
TRANSPORT_OPTIONS = ("broker_transport_options", "result_backend_transport_options")
CONNECTION_SETTINGS = (
    *TRANSPORT_OPTIONS, "broker_use_ssl", "control_exchange", "redis_backend_use_ssl", "task_default_queue")

# Seconds until a host that does not answer at all counts as unreachable.
CONNECT_LIMIT = 5.0
# Seconds to wait for the answers of workers that are asked by broadcast.
ANSWER_LIMIT = 1.0
UNREADABLE = "UNREADABLE"
# Own messages are looked for among this many of the newest in a queue, and of so many taken messages is the queue looked up.
SEARCH_DEPTH = 5000
# Steps of the search for the names of queues, and keys a step. A Redis may hold millions of results.
SCAN_STEPS, SCAN_KEYS = 100, 5000

HINTS = {
    "unreachable": "Look at: is Redis running and listening there (systemctl status redis-server or redis, ss -ltn), "
                   "do bind and the firewalls admit this host, and does the port speak TLS (then write rediss://)?",
    "auth_failed": "Look at: the user and password in the URL (of Sentinels: in sentinel_kwargs) against what Redis knows "
                   "(requirepass, ACL LIST).",
    "no_permission": "Look at: ACL LOG on the Redis host, which names the command, key or channel this user lacks.",
    "protected_mode": "Look at: Redis has no password and was asked from another host. Give it a password "
                      "(requirepass or ACL users) and put it in the URL; do not turn protected-mode off.",
    "tls_failed": "Look at: does this port speak TLS, does the certificate name this host, is it still valid, is its CA "
                  "the one given as ssl_ca_certs, and can this user read the files named in the URL?",
    "bad_settings": "Look at: the query of the URL, and the settings in the environment file.",
    "error": "Look at: the log of Redis.",
}


class ClientError(Exception):
    """A failure with a reason that tests can rely on and a message for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Connection(t.NamedTuple):
    broker_url: str
    result_backend: str
    settings: dict[str, t.Any]


def check_arguments(module: t.Any) -> None:
    """What types cannot say of URLs and of names of queues and workers, whichever of them a module takes."""
    params = module.params
    for option in ("broker_url", "result_backend"):
        url = params.get(option)
        # Without a secret in it, the URL may stand in messages as it is.
        if url and redact(url) == url:
            module.no_log_values.discard(url)
    for name in params.get("queues") or []:
        if not re.fullmatch(r"\S+", name):
            module.fail_json(msg=f"queues: {name!r} is empty or has spaces. Write the name of a queue.")
    for name in params.get("workers") or []:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+", name):
            module.fail_json(msg=f"workers: {name!r} is not the name of a worker. Write NAME@HOST.")


def respawn(python: str) -> None:
    """Go on in the interpreter that has Celery; does not return on the first call."""
    # Only here, as nothing else needs Ansible.
    from ansible.module_utils.common.respawn import has_respawned, respawn_module

    if has_respawned():
        # An empty entry is the working directory, where an application may keep a celery.py of its own.
        sys.path[:] = [path for path in sys.path if path]
        return
    if not (os.path.isfile(python) and os.access(python, os.X_OK)):
        raise ClientError(
            "python_missing", f"There is no Python to run at {python}. Look at: has the role celery_app run on this host? "
                              "Or name the interpreter that has Celery with python.")
    try:
        respawn_module(python)
    except OSError as exc:
        raise ClientError(
            "python_missing", f"{python} does not start: {exc.strerror}. Look at: is it a Python for this machine?") from None


def read_env_file(path: str) -> dict[str, str]:
    """Read a systemd EnvironmentFile whose values a POSIX shell could read too."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise ClientError(
            "env_file_missing", f"There is no {path}. Look at: has the role celery_app run on this host? "
                                "Or name the file with env_file, or give broker_url.") from None
    except OSError as exc:
        raise ClientError(
            "env_file_unreadable", f"Cannot read {path}: {exc.strerror}. Look at: its owner and mode against the user "
                                   "this task runs as (become).") from None
    except UnicodeDecodeError:
        raise ClientError("env_file_malformed", f"{path} is not UTF-8. Write it as UTF-8.") from None

    variables = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            words = ["an open", "quote"]
        if not equals or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or len(words) > 1:
            # The line itself is not shown: it may hold a password.
            raise ClientError(
                "env_file_malformed", f"{path}, line {number} is not NAME='value'. Write it so, with the whole value in "
                                      "one pair of quotes.")
        variables[name] = words[0] if words else ""
    return variables


def load_connection(
    env_file: str, broker_url: str | None = None, result_backend: str | None = None,
    transport_options: dict[str, t.Any] | None = None,
) -> Connection:
    """Combine the file with what was given beside it, which wins. The file may be absent when broker_url is given."""
    try:
        env = read_env_file(env_file)
    except ClientError as exc:
        if exc.reason != "env_file_missing" or not broker_url:
            raise
        env = {}

    try:
        settings = json.loads(env.get("CELERY_SETTINGS") or "{}")
    except ValueError as exc:
        raise ClientError("env_file_malformed", f"CELERY_SETTINGS in {env_file} is not JSON: {exc}.") from None
    if not isinstance(settings, dict):
        raise ClientError("env_file_malformed", f"CELERY_SETTINGS in {env_file} is not a JSON object. Write {{...}}.")
    settings = {key: settings[key] for key in CONNECTION_SETTINGS if key in settings}
    added = {key: value for key, value in (transport_options or {}).items() if value is not None}
    for key in TRANSPORT_OPTIONS:
        options = settings.get(key) or {}
        if not isinstance(options, dict):
            raise ClientError("env_file_malformed", f"{key} in CELERY_SETTINGS of {env_file} is not an object. Write {{...}}.")
        settings[key] = {**options, **added}

    backend = result_backend or broker_url
    return Connection(
        choose_url("broker_url", broker_url, "CELERY_BROKER_URL", env, env_file),
        choose_url("result_backend", backend, "CELERY_RESULT_BACKEND", env, env_file),
        settings)


def choose_url(option: str, given: str | None, variable: str, env: dict[str, str], env_file: str) -> str:
    url = given or env.get(variable)
    if not url:
        raise ClientError("env_file_malformed", f"{env_file} does not set {variable}. Add it, or give {option}.")
    check_url(url, option if given else f"{variable} in {env_file}")
    return url


def split_urls(url: str) -> list[str]:
    """Split a list of Sentinels. Only a new scheme starts a new URL: a badly written password may hold a semicolon."""
    return re.split(r";(?=\w+://)", url)


def check_url(url: str, source: str) -> None:
    """Refuse what Celery would read as something else (an unescaped / or # in a password), without showing any of it."""
    for part in split_urls(url):
        try:
            parts = urlsplit(part)
            well_formed = parts.scheme in ("redis", "rediss", "sentinel") and parts.hostname and parts.port != 0 \
                and re.fullmatch("/?[0-9]*", parts.path) and not parts.fragment
        except ValueError:
            well_formed = False
        if not well_formed:
            raise ClientError(
                "bad_url", f"{source} is not a URL of the form redis://user:password@host:port/db, rediss://... or "
                           "sentinel://host:port/db;sentinel://... with user and password percent-encoded. "
                           "The filter taskqueue.stack.redis_url writes such URLs.")


def redact(url: str) -> str:
    """Return the URL without its password and its query, also when it is badly written."""
    shown = []
    for part in split_urls(url):
        scheme, separator, rest = part.partition("://")
        credentials, at, address = rest.rpartition("@")
        user = credentials.partition(":")[0] + ":" if ":" in credentials else ""
        secret = "**" if at or not separator else ""
        shown.append(f"{scheme if separator else ''}{separator}{user}{secret}{at}{address.partition('?')[0]}")
    return ";".join(shown)


def find_secrets(connection: Connection) -> set[str]:
    """Return every password of a connection, as written and as meant."""
    secrets = set()
    for url in connection[:2]:
        for part in split_urls(url):
            password = urlsplit(part).password or ""
            secrets |= {password, unquote(password)}
    values: list[tuple[str, t.Any]] = list(connection.settings.items())
    for key, value in values:
        if isinstance(value, dict):
            values += value.items()
        elif "password" in key:
            secrets.add(str(value))
    return secrets - {""}


def import_celery() -> None:
    """Import what make_app() and a client need, so that it is there when they are wanted. make_app() says what is missing."""
    with contextlib.suppress(Exception):
        for module in ("celery.app.amqp", "celery.app.control", "celery.backends.redis", "celery.loaders.app", "kombu.transport.redis"):
            importlib.import_module(module)


def make_app(connection: Connection, timeout: float) -> t.Any:
    """Return a Celery application of our own that talks to the workers' broker and never loads their code."""
    # Celery prefers CELERY_BROKER_URL and others to what it is told, and imports the module CELERY_CONFIG_MODULE names.
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        del os.environ[name]
    try:
        from celery import Celery
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except Exception as exc:
        raise ClientError(
            "celery_missing", f"{sys.executable} cannot import Celery with Redis: {exc}. Look at: install celery[redis] "
                              "there, or name the interpreter that has it with python.") from None
    # fixups: Django's would load the application's settings.
    app = Celery("taskqueue.stack", set_as_current=False, loader="celery.loaders.app:AppLoader", fixups=())
    limit = min(timeout, CONNECT_LIMIT)
    limits = {"socket_connect_timeout": limit, "socket_timeout": limit}
    app.conf.update(connection.settings)
    for key in TRANSPORT_OPTIONS:
        given = connection.settings.get(key, {})
        # redis-py asks silent Sentinels again and again unless told not to.
        sentinel = {**given.get("sentinel_kwargs", {}), **limits, "retry": Retry(NoBackoff(), 0)}
        # The limits do what keepalive is for; its options have names, which taskqueue_stack.py alone makes numbers of.
        app.conf[key] = {**given, **limits, "socket_keepalive_options": None, "retry_on_timeout": False, "sentinel_kwargs": sentinel}
    app.conf.update(
        broker_url=connection.broker_url,
        result_backend=connection.result_backend,
        # JSON alone: unpickling what a worker stored would run its code as this user.
        accept_content=["json"],
        result_accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        redis_socket_connect_timeout=limit,
        redis_socket_timeout=limit,
        redis_retry_on_timeout=False,
    )
    return app


def find_kind(exc: BaseException, url: str) -> str:
    """Name what a connection failed for, one of HINTS."""
    from redis import exceptions

    cause: BaseException | None = exc
    while cause:
        if isinstance(cause, ssl.SSLError):
            return "tls_failed"
        cause = cause.__cause__ or cause.__context__
    # Of Sentinels that refuse a password, only the words of a MasterNotFoundError tell.
    if isinstance(exc, exceptions.AuthenticationError) or "AuthenticationError" in str(exc):
        return "auth_failed"
    if isinstance(exc, exceptions.NoPermissionError):
        return "no_permission"
    if str(exc).startswith("DENIED"):
        return "protected_mode"
    if isinstance(exc, exceptions.BusyLoadingError):
        return "error"
    if isinstance(exc, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)):
        return probe(url)
    return "error" if isinstance(exc, exceptions.RedisError) else "bad_settings"


def probe(url: str) -> str:
    """Look closer at an address that redis-py failed to use.

    A Redis in protected mode says DENIED and hangs up, often before redis-py has read it; one that speaks no TLS waits.
    """
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 6379), timeout=1) as sock:
            if parts.scheme == "rediss":
                return "tls_failed"
            return "protected_mode" if parts.scheme == "redis" and sock.recv(7) == b"-DENIED" else "unreachable"
    except OSError:
        return "unreachable"


def read_task_id(payload: bytes | str) -> str | None:
    try:
        return json.loads(payload)["headers"]["id"]
    except (ValueError, LookupError, TypeError):
        return None


class Client:
    """The broker and the result backend, by one connection each."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self.urls = connection[:2]
        self.secrets = find_secrets(connection)
        with self.explained("broker"):
            self.app = make_app(connection, timeout)

    @contextlib.contextmanager
    def explained(self, part: str) -> t.Iterator[None]:
        """Raise what fails inside as a ClientError about the broker or the (result) backend."""
        try:
            yield
        except ClientError:
            raise
        except Exception as exc:
            from kombu.exceptions import OperationalError

            # kombu wraps the errors of some calls.
            cause = exc.__cause__ if isinstance(exc, OperationalError) and exc.__cause__ else exc
            url = self.urls[0] if part == "broker" else self.urls[1]
            kind = find_kind(cause, url)
            words = self.scrub(str(cause).strip().rstrip("."))
            if kind == "protected_mode":
                words = "DENIED, Redis is in protected mode"
            elif kind == "bad_settings" or not words:
                words = f"{type(cause).__name__}: {words}"
            name = "broker" if part == "broker" else "result backend"
            raise ClientError(
                f"{part}_{kind}", f"Expected the {name} {redact(url)} to answer; got: {words}. {HINTS[kind]}") from None

    def scrub(self, text: str) -> str:
        """Take passwords out of words that come from elsewhere, redis-py's picture of a client included."""
        text = re.sub("<redis.*>", "...", text)
        for secret in self.secrets:
            text = text.replace(secret, "**")
        return text

    def connect(self) -> None:
        self.connect_broker()
        with self.explained("backend"):
            self.backend = self.app.backend
            self.fetch("no-such-task")

    def connect_broker(self) -> None:
        with self.explained("broker"):
            self.broker = self.app.connection_for_write()
            # Not connect(): that tries again after two seconds. Each further URL is tried once.
            self.broker.ensure_connection(
                max_retries=max(len(self.broker.alt) - 1, 0), interval_start=0, reraise_as_library_errors=False)
            self.channel = self.broker.default_channel
            self.producer = self.app.amqp.Producer(self.channel)

    def send(self, task_id: str, task: str, args: list[t.Any], kwargs: dict[str, t.Any], queue: str, expires: float) -> None:
        """Put a task right into a queue. Unlike send_task() this declares nothing, so a misspelt queue leaves no binding."""
        message = self.app.amqp.as_task_v2(task_id, task, args, kwargs, expires=expires, ignore_result=False)
        with self.explained("broker"):
            self.producer.publish(
                message.body, exchange="", routing_key=queue, serializer="json", headers=message.headers,
                retry=False, **message.properties)

    def fetch(self, task_id: str) -> dict[str, t.Any] | None:
        """Return what the backend holds of a task: status, result and, when the worker says it, worker.

        A result in another format than JSON has the status UNREADABLE.
        """
        with self.explained("backend"):
            payload = self.backend.get(self.backend.get_key_for_task(task_id))
        if not payload:
            return None
        try:
            # Not get_task_meta(): it would make an exception object of what a failed task stored.
            return self.backend.decode(payload)
        except Exception:
            return {"status": UNREADABLE, "result": None}

    def forget(self, task_ids: t.Iterable[str]) -> None:
        with self.explained("backend"):
            for task_id in task_ids:
                self.backend.delete(self.backend.get_key_for_task(task_id))

    def take_back(self, queue: str, task_ids: set[str]) -> tuple[set[str], int]:
        """Remove own messages that nobody took; return their ids and how many messages the queue held.

        A user that may not look into the list (LRANGE is in no worker's repertoire) gets all ids back while the
        list holds anything; the messages then stay until they expire.
        """
        from redis import exceptions

        client = self.redis()
        key = f"{self.channel.global_keyprefix}{queue}"
        with self.explained("broker"):
            length = client.llen(key)
            try:
                payloads = client.lrange(key, 0, SEARCH_DEPTH - 1)
            except exceptions.NoPermissionError:
                return (task_ids if length else set()), length
            found = {task_id: payload for payload in payloads for task_id in task_ids & {read_task_id(payload)}}
            with contextlib.suppress(exceptions.NoPermissionError):
                for payload in found.values():
                    client.lrem(key, 1, payload)
            return set(found), length

    def redis(self) -> t.Any:
        """Return a plain client of the broker: kombu's prefixes the keys of some commands only, this one prefixes none."""
        from redis import Redis

        return Redis(connection_pool=self.channel.pool)

    def ask(self, question: str, workers: list[str] | None = None, timeout: float = ANSWER_LIMIT) -> dict[str, t.Any]:
        """Return what each worker (or each of these) answers to one of the questions of `celery inspect`.

        Named workers end the wait when all have answered; for everybody it takes its full time.
        """
        with self.explained("broker"):
            inspect = self.app.control.inspect(workers, timeout=timeout, connection=self.broker)
            return getattr(inspect, question)() or {}

    def ask_queues(self, workers: list[str] | None = None) -> dict[str, list[str]]:
        """Return the queues that each worker (or each of these) consumes, of those that answer."""
        answers = self.ask("active_queues", workers)
        return {worker: [queue["name"] for queue in queues] for worker, queues in answers.items()}

    def order(self, command: str, arguments: dict[str, t.Any], workers: list[str]) -> None:
        """Give workers one of the orders of `celery control`. Nobody waits for their answers."""
        with self.explained("broker"):
            self.app.control.broadcast(command, arguments=arguments, destination=workers, connection=self.broker)

    def read_waiting(self, queues: t.Iterable[str]) -> dict[str, dict[int, int]]:
        """Return how many messages wait in each queue, by priority: kombu keeps a list for each step.

        A queue that this user may not look into counts as empty.
        """
        from redis import exceptions

        steps = [(queue, step) for queue in queues for step in self.channel.priority_steps]
        with self.explained("broker"):
            pipeline = self.redis().pipeline(transaction=False)
            for queue, step in steps:
                name = f"{queue}{self.channel.sep}{step}" if step else queue
                pipeline.llen(f"{self.channel.global_keyprefix}{name}")
            lengths = pipeline.execute(raise_on_error=False)
            waiting: dict[str, dict[int, int]] = {}
            for (queue, step), length in zip(steps, lengths):
                refused = isinstance(length, exceptions.NoPermissionError)
                if isinstance(length, Exception) and not refused:
                    raise length
                waiting.setdefault(queue, {})[step] = 0 if refused else length
        return waiting

    def read_bindings(self, exchanges: set[str]) -> dict[str, list[tuple[str, str]]]:
        """Return routing key and queue of what is bound to each exchange.

        Queues that nobody consumes are found by their bindings. A user that may not look for keys (SCAN is in no
        worker's repertoire) gets those of the exchanges named.
        """
        from redis import exceptions

        client, cursor = self.redis(), 0
        prefix = self.channel.global_keyprefix + self.channel.keyprefix_queue % ""
        keys = {prefix + exchange for exchange in exchanges}
        with self.explained("broker"):
            with contextlib.suppress(exceptions.NoPermissionError):
                for unused in range(SCAN_STEPS):
                    cursor, found = client.scan(cursor, match=f"{prefix}*", count=SCAN_KEYS)
                    keys |= {key.decode(errors="replace") for key in found}
                    if not cursor:
                        break
            pipeline = client.pipeline(transaction=False)
            for key in sorted(keys):
                pipeline.smembers(key)
            members = pipeline.execute()
        bindings = {}
        for key, entries in zip(sorted(keys), members):
            exchange = key[len(prefix):]
            # Those of remote control and of events hold no tasks.
            if not exchange.endswith(".pidbox") and exchange != "celeryev":
                parts = [entry.decode(errors="replace").split(self.channel.sep) for entry in entries]
                bindings[exchange] = [(part[0], part[-1]) for part in parts]
        return bindings

    def read_unacked(
        self, bindings: dict[str, list[tuple[str, str]]], more: t.Iterable[tuple[str, str]] = (),
    ) -> tuple[int, dict[str, int]]:
        """Return how many messages workers hold and have not acknowledged, in all and by queue.

        A worker may have keys of its own for them: more are pairs of an index and what it is of.
        """
        client, prefix = self.redis(), self.channel.global_keyprefix
        own = self.channel.unacked_index_key, self.channel.unacked_key
        total = 0
        with self.explained("broker"):
            pipeline = client.pipeline(transaction=False)
            for index, messages in sorted({own, *more}):
                # ZCOUNT and not ZCARD: a worker's user may do that in any case.
                total += client.zcount(prefix + index, "-inf", "+inf")
                for tag in client.zrange(prefix + index, 0, SEARCH_DEPTH - 1):
                    pipeline.hget(prefix + messages, tag)
            payloads = pipeline.execute()
        counts: dict[str, int] = {}
        for payload in payloads:
            try:
                exchange, key = json.loads(payload)[1:3]
            except (ValueError, TypeError):
                # Acknowledged in between.
                continue
            # With no such binding, it was sent to the queue by name.
            for queue in {queue for bound, queue in bindings.get(exchange, ()) if bound == key} or {key}:
                counts[queue] = counts.get(queue, 0) + 1
        return total, counts
