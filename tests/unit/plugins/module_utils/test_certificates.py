# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.taskqueue.stack.molecule.shared.certificates import Authority
from ansible_collections.taskqueue.stack.plugins.module_utils._certificates import fault, is_key


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority()


def test_what_fits_together_has_no_fault(ca) -> None:
    certificate, key = ca.issue("redis1")
    assert fault(certificate, key, ca.pem) is None
    assert fault(certificate, key, ca.pem, name="redis1") is None


def test_words_between_the_blocks_do_no_harm(ca) -> None:
    certificate, key = ca.issue("redis1")
    assert fault(f"Subject: é\n{certificate}", key, f"# Ärger\n{ca.pem}") is None


@pytest.mark.parametrize(
    ("file", "words", "texts"),
    [
        ("certificate", "no certificate in PEM form", {"certificate": "redis1.crt"}),
        ("certificate", "cannot be used", {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}),
        ("key", "no private key in PEM form", {"key": "none"}),
        ("ca", "no certificate in PEM form", {"ca": ""}),
        ("ca", "cannot be read", {"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}),
    ],
)
def test_what_is_no_pem(ca, file, words, texts) -> None:
    certificate, key = ca.issue("redis1")
    found = fault(**{"certificate": certificate, "key": key, "ca": ca.pem, **texts})
    assert found.file == file
    assert words in found.problem


def test_another_key(ca) -> None:
    found = fault(ca.issue("redis1")[0], ca.issue("redis1")[1], ca.pem)
    assert (found.file, found.problem) == ("key", "is not the key of the certificate")


def test_a_key_with_a_password(ca) -> None:
    certificate, key = ca.issue("redis1", password="open sesame")
    assert "encrypted" in fault(certificate, key, ca.pem).problem
    assert fault(certificate, key, ca.pem, password="open sesame") is None


@pytest.mark.parametrize("purpose", ["server", "client"])
@pytest.mark.parametrize(("start", "end", "words"), [(-3, -1, "expired"), (1, 3, "not valid yet")])
def test_time(ca, purpose, start, end, words) -> None:
    found = fault(*ca.issue("redis1", purpose=purpose, start=start, end=end), ca.pem, purpose)
    assert found.file == "certificate"
    assert words in found.problem


@pytest.mark.parametrize("purpose", ["server", "client"])
def test_a_ca_that_did_not_sign_it(ca, purpose) -> None:
    for other in (Authority(), Authority(name="another")):
        found = fault(*ca.issue("redis1", purpose=purpose), other.pem, purpose)
        assert found.file in ("ca", "certificate")
        assert "did not sign" in found.problem or "signature" in found.problem


@pytest.mark.parametrize(("purpose", "other"), [("server", "client"), ("client", "server")])
def test_a_certificate_of_another_purpose(ca, purpose, other) -> None:
    assert fault(*ca.issue("x", purpose=other), ca.pem, purpose).problem == f"is not for a {purpose}"


@pytest.mark.parametrize("name", ["redis2", "192.0.2.1", "2001:db8::1"])
def test_a_name_that_the_certificate_lacks(ca, name) -> None:
    found = fault(*ca.issue("redis1"), ca.pem, name=name)
    assert found.file == "name"
    assert name in found.problem


def test_a_key_is_known_as_one(ca) -> None:
    certificate, key = ca.issue("redis1")
    assert is_key(key) and is_key(certificate + key) and not is_key(certificate)
