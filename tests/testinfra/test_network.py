"""Who can reach Redis from another host."""

from __future__ import annotations

testinfra_hosts = ["ansible://all"]

# What a stranger gets: nobody listens, or a refusal in Redis's words.
KNOCK = """
import socket
try:
    connection = socket.create_connection(({address!r}, {port}), timeout=5)
except ConnectionRefusedError:
    print("refused")
else:
    connection.sendall(b"PING\\r\\n")
    print(connection.recv(200).decode().strip())
"""


def test_nobody_gets_in_over_the_network_without_a_password(host, variables):
    python = next(path for path in ("/usr/bin/python3", "/usr/libexec/platform-python") if host.file(path).exists)
    for name in variables["groups"]["redis"]:
        answer = host.check_output(f"{python} -c %s", KNOCK.format(address=name, port=variables.get("redis_port", 6379)))
        assert answer == "refused" or answer.startswith(("-NOAUTH", "-DENIED")), f"{name} answered {answer}"
