# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority for tests.

Of each host NAME it makes NAME.crt for a server (also as localhost), NAME-client.crt for a client and NAME-peer.crt for both, with their keys.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def to_pem(key: ec.EllipticCurvePrivateKey, password: str = "") -> str:
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


class Authority:
    """One CA. The same directory gives the same one again."""

    def __init__(self, directory: Path | None = None, name: str = "taskqueue test CA") -> None:
        kept = directory and directory / "ca.key"
        if kept and kept.exists():
            self.key = serialization.load_pem_private_key(kept.read_bytes(), None)
            self.certificate = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            # All that OpenSSL's strict mode wants, which is Python's own from 3.13 on.
            usage = x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
            )
            builder = self._builder(self.name, self.key, -1, 3650).add_extension(x509.BasicConstraints(True, None), True)
            self.certificate = builder.add_extension(usage, True).sign(self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, start: float, end: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        issuer = self.certificate.subject if hasattr(self, "certificate") else subject
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now + start * DAY).not_valid_after(now + end * DAY)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)

    def issue(self, *names: str, purpose: str = "server", start: float = -1, end: float = 3650, password: str = "") -> tuple[str, str]:
        """Certificate and key as PEM; valid from `start` to `end`, in days from now, for one purpose or two (``server client``)."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key, start, end)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([PURPOSES[each] for each in purpose.split()]), False)
        certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        return certificate, to_pem(key, password)


def fill(directory: Path, names: list[str]) -> None:
    """Makes what is missing there."""
    os.umask(0o077)
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory)
    files = {"ca.crt": authority.pem, "ca.key": to_pem(authority.key)}
    kinds = {"": "server", "-client": "client", "-peer": "server client"}
    for name, purpose, file in [(name, purpose, name + end) for name in names for end, purpose in kinds.items()]:
        if not (directory / f"{file}.key").exists():
            files[f"{file}.crt"], files[f"{file}.key"] = authority.issue(name, "localhost", purpose=purpose)
    for name, text in files.items():
        (directory / name).write_text(text)
