"""TLS, as strangers and clients meet it from another host, and the renewal of certificates."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import flavor, redis_cli, result, send, with_celery, workers

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "molecule/shared"))

from certificates import Authority  # pylint: disable=wrong-import-position

testinfra_hosts = ["ansible://all"]

STATE = REPOSITORY / ".cache/testbed" / os.environ["MOLECULE_SCENARIO_NAME"]
TLS = STATE / "tls"

# Tries each way to come in, and says what became of it. TLS 1.3 lets a client believe that it is in until it reads.
KNOCK = """
import json, os, socket, ssl, sys, tempfile
answers = {}
for name, way in json.load(sys.stdin).items():
    with tempfile.TemporaryDirectory() as place:
        for file in ("ca", "certificate", "key"):
            with open(os.path.join(place, file), "w") as stream:
                stream.write(way.get(file, ""))
        context = ssl.create_default_context(cafile=place + "/ca")
        if way.get("certificate"):
            context.load_cert_chain(place + "/certificate", place + "/key")
        try:
            plain = socket.create_connection((way["host"], way["port"]), timeout=10)
            with context.wrap_socket(plain, server_hostname=way["name"]) as secured:
                secured.sendall(b"PING\\r\\n")
                answers[name] = secured.recv(100).decode().strip() or "closed"
        except ssl.SSLCertVerificationError as error:
            answers[name] = "this client refuses: " + error.verify_message
        except (ssl.SSLError, OSError) as error:
            answers[name] = "refused: " + str(error)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The one that the scenario's certificates are from."""
    return Authority(TLS)


@pytest.fixture(scope="module")
def servers() -> dict[str, dict]:
    """The Redis hosts that speak TLS, and their variables as the inventory has them."""
    listing = json.loads(subprocess.check_output(["ansible-inventory", f"--inventory={STATE / 'inventory'}", "--list"]))
    return {name: found for name, found in listing["_meta"]["hostvars"].items() if found.get("redis_tls_port")}


def own_redis(variables: dict) -> str:
    """The name of the Redis that this host's workers use."""
    name = variables["inventory_hostname"]
    return variables.get("celery_app_redis_host", name if name in variables["groups"]["redis"] else variables["groups"]["redis"][0])


def knock(host, ways: dict[str, dict]) -> dict[str, str]:
    python = next(path for path in ("/usr/bin/python3", "/usr/libexec/platform-python") if host.file(path).exists)
    return json.loads(host.check_output(f"printf %%s %s | {python} -c %s", json.dumps(ways), KNOCK))


def pair(certificate: str, key: str) -> dict[str, str]:
    return {"certificate": certificate, "key": key}


def test_who_gets_in_and_who_does_not(host, variables, servers, authority):
    stranger = Authority(name="somebody else's CA")
    for server, settings in servers.items():
        name = settings.get("redis_address", server)
        if name == "localhost" and server != variables["inventory_hostname"]:
            continue
        way = {"host": name, "port": settings["redis_tls_port"], "name": name, "ca": authority.pem}
        mutual = settings.get("redis_tls_auth_clients", "no") == "yes"
        good = {**way, **pair(*authority.issue("somebody", purpose="client"))} if mutual else way
        ways = {"good": good, "wrong CA": {**good, "ca": stranger.pem}, "wrong name": {**good, "name": "elsewhere.example.com"}}
        if mutual:
            ways["no certificate"] = way
            ways["certificate of another CA"] = {**way, **pair(*stranger.issue("somebody", purpose="client"))}
            ways["expired certificate"] = {**way, **pair(*authority.issue("somebody", purpose="client", start=-3, end=-1))}
            ways["a server's certificate"] = {**way, **pair(*authority.issue("somebody", purpose="server"))}
        answers = knock(host, ways)
        # A certificate is no password.
        assert answers.pop("good").startswith("-NOAUTH" if settings.get("redis_password") else "+PONG")
        assert "this client refuses" in answers.pop("wrong CA")
        assert "this client refuses" in answers.pop("wrong name")
        assert [way for way, answer in answers.items() if not answer.startswith(("refused: ", "closed"))] == [], answers


# What the application's own connections make of another CA, and of an address that the certificate does not name.
VERIFY = """
import socket, tempfile
from urllib.parse import urlsplit
from kombu import Connection
url = app.conf.broker_url
server = urlsplit(url).hostname
with tempfile.NamedTemporaryFile("w", suffix=".crt") as other:
    other.write({ca!r})
    other.flush()
    ways = {{"good": url, "wrong CA": url.replace("/etc/celery/tls/ca.crt", other.name)}}
    ways["wrong name"] = url.replace("@" + server, "@" + socket.gethostbyname(server))
    answer = {{}}
    for name, way in ways.items():
        for part in ("broker", "backend"):
            try:
                if part == "broker":
                    Connection(way).ensure_connection(max_retries=1, reraise_as_library_errors=False)
                else:
                    type(app.backend)(app=app, url=way).client.ping()
                answer[name + " " + part] = "connected"
            except Exception as error:
                answer[name + " " + part] = str(error)
"""


def test_workers_verify(host, variables, servers):
    if variables["inventory_hostname"] not in variables["groups"]["celery_worker"] or own_redis(variables) not in servers:
        pytest.skip("no worker here, or none that uses TLS")
    outcome = with_celery(host, VERIFY.format(ca=Authority(name="somebody else's CA").pem))
    for part in ("broker", "backend"):
        assert outcome[f"good {part}"] == "connected"
        assert "CERTIFICATE_VERIFY_FAILED" in outcome[f"wrong CA {part}"]
        assert "CERTIFICATE_VERIFY_FAILED" in outcome[f"wrong name {part}"] and "match" in outcome[f"wrong name {part}"].lower()


def test_keys_are_for_their_services_alone(host, variables, servers):
    with host.sudo():
        if variables["inventory_hostname"] in servers:
            key = host.file(f"/etc/{flavor(variables)}/tls/server.key")
            assert (key.user, key.mode) == (flavor(variables), 0o400)
        if variables.get("celery_app_tls_key"):
            key = host.file("/etc/celery/tls/client.key")
            assert (key.user, key.group, key.mode) == ("root", "celery", 0o640)
    with host.sudo("nobody"):
        for path in (f"/etc/{flavor(variables)}/tls/server.key", "/etc/celery/tls/client.key"):
            assert host.run(f"cat {path}").failed


def served(host, port: int) -> str:
    """The certificate that a server of this host shows, by its digest."""
    code = "import hashlib, ssl; print(hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(('127.0.0.1', {})))).hexdigest())"
    return host.check_output("python3 -c %s", code.format(port))


def digest(certificate: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def processes(host, variables: dict) -> list[str]:
    """The main process of Redis and of each worker."""
    units = [f"{flavor(variables)}.service", *(f"celery-worker@{worker.partition('@')[0]}.service" for worker in workers(variables))]
    return host.check_output(f"systemctl show --property=MainPID {' '.join(units)}").split()


def test_a_renewed_certificate_is_in_force_without_a_restart(host, variables, servers, authority, redis_config):
    """Also where nobody looked after the old one in time."""
    name = variables["inventory_hostname"]
    if name not in servers:
        pytest.skip("no Redis with TLS here")
    port, before = variables["redis_tls_port"], processes(host, variables)
    with host.sudo():
        for directive, text in zip(("tls-cert-file", "tls-key-file"), authority.issue(name, "localhost", start=-3, end=-1)):
            host.check_output(f"printf %%s %s >{redis_config(directive)}", text)
    assert redis_cli(host, variables, "CONFIG", "SET", "tls-cert-file", redis_config("tls-cert-file")) == ["OK"]
    way = {"host": "localhost", "port": port, "name": "localhost", "ca": authority.pem}
    assert "expired" in knock(host, {"expired": way})["expired"]

    for file, purpose in ((name, "server"), (f"{name}-client", "client")):
        for end, text in zip(("crt", "key"), authority.issue(name, "localhost", purpose=purpose)):
            (TLS / f"{file}.{end}").write_text(text)
    playbook = "site" if variables.get("celery_app_tls_certificate") else "redis"
    run = subprocess.run(
        ["ansible-playbook", f"--inventory={STATE / 'inventory'}", f"--limit={name}", f"taskqueue.stack.{playbook}"],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert served(host, port) == digest((TLS / f"{name}.crt").read_text())
    assert processes(host, variables) == before
    # By a new connection, with what the files hold now.
    for worker in workers(variables):
        assert result(host, send(host, "taskqueue_example.add", 20, 22, worker=worker)) == 42
    if variables.get("celery_app_tls_certificate"):
        with host.sudo():
            assert host.file("/etc/celery/tls/client.crt").content_string.strip() == (TLS / f"{name}-client.crt").read_text().strip()
