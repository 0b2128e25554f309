"""Who can reach Redis from another host."""

from __future__ import annotations

from conftest import ports

testinfra_hosts = ["ansible://all"]

# What a stranger gets: nobody listens, or a refusal in Redis's words.
KNOCK = """
import socket
try:
    connection = socket.create_connection(({address!r}, {port}), timeout=5)
except ConnectionRefusedError:
    print("refused")
else:
    try:
        connection.sendall(b"PING\\r\\n")
        print(connection.recv(200).decode(errors="replace").strip())
    except ConnectionResetError:
        print()
"""


def test_nobody_gets_in_over_the_network_without_a_password(host, variables):
    python = next(path for path in ("/usr/bin/python3", "/usr/libexec/platform-python") if host.file(path).exists)
    for name in variables["groups"]["redis"]:
        for port in ports(variables):
            answer = host.check_output(f"{python} -c %s", KNOCK.format(address=name, port=port))
            if port == variables.get("redis_tls_port"):
                # Plain text is no greeting there. It hangs up, without a word or with one of TLS's alerts.
                assert answer == "refused" or "PONG" not in answer and not answer.startswith(("-", "+")), f"{name} answered {answer}"
            else:
                assert answer == "refused" or answer.startswith(("-NOAUTH", "-DENIED")), f"{name} answered {answer}"
