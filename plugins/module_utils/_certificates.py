# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out whether certificate, key and CA go together, by a TLS handshake with itself in memory.

What a peer would refuse later is refused here first, in OpenSSL's judgement and not in ours, with Python's standard library alone.
"""

from __future__ import annotations

import re
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

# The handshake takes four turns.
_TURNS = 10
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?", re.DOTALL)
# X509_V_ERR_... in openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED, _WRONG_PURPOSE = 9, 10, 26
_NO_SUCH_ISSUER = (2, 18, 19, 20, 21)


@dataclass(frozen=True)
class Fault:
    """What is wrong: of which file (`certificate`, `key`, `ca` or `name`), why, and what to do."""

    file: str
    problem: str
    remedy: str


def blocks(text: str, kind: str) -> list[str]:
    """The PEM blocks of a kind, without the words that may stand between them."""
    return [match[0] for match in _BLOCK.finditer(text) if match[1].endswith(kind)]


def is_key(text: str) -> bool:
    """Whether the text holds a private key, and so is nothing to be shown."""
    return bool(blocks(text, "PRIVATE KEY"))


def fault(certificate: str, key: str, ca: str, purpose: str = "server", name: str = "", password: str = "") -> Fault | None:
    """The first thing that would keep a peer from accepting this certificate; None when it would be accepted.

    The texts are PEM. `purpose` is what the certificate is for, server or client; `name` is that by which clients call the server.
    """
    if not blocks(certificate, "CERTIFICATE"):
        return Fault("certificate", "holds no certificate in PEM form", "name a file with -----BEGIN CERTIFICATE----- in it")
    if not blocks(key, "PRIVATE KEY"):
        return Fault("key", "holds no private key in PEM form", "name a file with -----BEGIN PRIVATE KEY----- in it")
    if not blocks(ca, "CERTIFICATE"):
        return Fault("ca", "holds no certificate in PEM form", "name the file of the CA that signed the certificate")
    try:
        trust = "".join(blocks(ca, "CERTIFICATE"))
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=trust)
    except (ssl.SSLError, ValueError) as error:
        return Fault("ca", f"cannot be read as a certificate ({_words(error)})", "name the file of the CA that signed the certificate")
    try:
        owner = _with_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key, password)
    except (ssl.SSLError, ValueError) as error:
        return _unusable(error, key)
    return _judged(owner, certificate, key, trust, purpose, name, password)


def _with_chain(context: ssl.SSLContext, certificate: str, key: str, password: str) -> ssl.SSLContext:
    # Only files will do. The directory is open to nobody else, and gone after the call.
    with tempfile.TemporaryDirectory() as place:
        files = {"certificate": "".join(blocks(certificate, "CERTIFICATE")), "key": "".join(blocks(key, "PRIVATE KEY"))}
        for name, text in files.items():
            Path(place, name).write_text(text, encoding="ascii", errors="replace")
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(f"{place}/certificate", f"{place}/key", password)
    return context


def _unusable(error: Exception, key: str) -> Fault:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH" or reason == "KEY_TYPE_MISMATCH":
        return Fault("key", "is not the key of the certificate", "name the key that the certificate was requested with")
    if "ENCRYPTED" in key:
        return Fault("key", "is encrypted, and its password is missing or wrong", "give the key without one, or the password as tls-key-file-pass (Redis 6.2)")
    return Fault("certificate", f"or its key cannot be used ({_words(error)})", "name a certificate and a key that OpenSSL can read")


def _judged(owner: ssl.SSLContext, certificate: str, key: str, trust: str, purpose: str, name: str, password: str) -> Fault | None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = bool(name)
    if purpose == "client":
        client.verify_mode = ssl.CERT_NONE
        _with_chain(client, certificate, key, password)
        owner.verify_mode = ssl.CERT_REQUIRED
        owner.load_verify_locations(cadata=trust)
    else:
        client.load_verify_locations(cadata=trust)
    try:
        _shake_hands(owner, client, name)
    except ssl.SSLCertVerificationError as error:
        return _refused(error, purpose, name)
    except ssl.SSLError as error:
        return Fault("certificate", f"is refused ({_words(error)})", "have one issued that OpenSSL accepts")
    return None


def _shake_hands(owner: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(down, up, server_hostname=name or None), owner.wrap_bio(up, down, server_side=True)]
    for _turn in range(_TURNS):
        waiting = []
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting.append(side)
        sides = waiting


def _refused(error: ssl.SSLCertVerificationError, purpose: str, name: str) -> Fault:
    code = error.verify_code
    if code == _EXPIRED:
        return Fault("certificate", "has expired, or a CA above it has", "renew it")
    if code == _NOT_YET_VALID:
        return Fault("certificate", "is not valid yet, or a CA above it is not", "wait, or set the clock that made it or this one right")
    if code in _NO_SUCH_ISSUER:
        return Fault("ca", "did not sign the certificate", "name the CA that did; intermediate CAs go below the certificate, in its file")
    if code == _WRONG_PURPOSE:
        return Fault("certificate", f"is not for a {purpose}", f"have it issued with the extended key usage {purpose}Auth, or with none")
    if name and "match" in error.verify_message.lower():
        return Fault("name", f"is {name}, which the certificate does not name", f"have it issued with {name} among its alternative names")
    return Fault("certificate", f"is refused ({error.verify_message})", "have one issued that OpenSSL accepts")


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
