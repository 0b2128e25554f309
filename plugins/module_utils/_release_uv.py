# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches uv from a package index by itself, since Debian's interpreter comes without pip, and pip takes three times as long.

It asks as pip does (the simple repository API, in JSON or HTML). What few have set up is left to pip: whatever fails here, pip tries next.
"""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import io
import json
import operator
import os
import platform
import re
import ssl
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from ._release_store import ReleaseError

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
# Seconds without a byte. Where nobody answers, pip is going to wait, too.
_PATIENCE = 10
_WHEEL = re.compile(r"uv-(?P<version>\d+(\.\d+)*)-py3-none-(?P<platforms>[\w.]+)\.whl")
_LIMIT = re.compile(r"(==|!=|<=|>=|<|>)(\d+(?:\.\d+)*)")
_REQUIREMENT = re.compile(rf"uv(?:,?{_LIMIT.pattern})*")
_COMPARE = {"==": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class _File:
    """A file that an index offers."""

    name: str
    url: str
    sha256: str

    @property
    def version(self) -> list[int]:
        match = _WHEEL.fullmatch(self.name)
        return _numbers(match["version"]) if match else []

    def fits(self, limits: list[tuple[str, str]]) -> bool:
        """Whether it is a wheel for this machine with glibc, in a version within the limits."""
        match = _WHEEL.fullmatch(self.name)
        platforms = match["platforms"].split(".") if match else []
        return any(each.startswith("manylinux") and each.endswith(f"_{platform.machine()}") for each in platforms) and all(
            _COMPARE[sign](self.version, _numbers(number)) for sign, number in limits
        )


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    return numbers + [0] * (4 - len(numbers))


def _place(address: str) -> tuple[str, str]:
    """What a login is for."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _limits(requirement: str) -> list[tuple[str, str]]:
    """What a requirement says of the version."""
    stripped = requirement.replace(" ", "")
    if not _REQUIREMENT.fullmatch(stripped):
        raise ReleaseError(f"{requirement} is for pip to understand")
    return _LIMIT.findall(stripped)


class _Client:
    """Speaks to indexes, through the proxy and with the certificates that pip is configured to use."""

    def __init__(self, settings: dict[str, str]) -> None:
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=settings.get("SSL_CERT_FILE")))
        ]
        if settings.get("ALL_PROXY"):
            handlers.append(urllib.request.ProxyHandler(dict.fromkeys(("http", "https"), settings["ALL_PROXY"])))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, url: str, login: str = "") -> tuple[bytes, str, str]:
        """What is there, of which type, and where it was found in the end. Only a login for that host goes along."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        request = urllib.request.Request(urlsplit(url)._replace(netloc=host).geturl(), headers={"Accept": _ACCEPT})
        if login:
            # The next host, should this one send us there, does not get it.
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(unquote(login).encode()).decode())
        with self._opener.open(request, timeout=_PATIENCE) as answer:
            return answer.read(), answer.headers.get_content_type(), answer.url


def _offered(content: bytes, kind: str, url: str) -> list[_File]:
    """The files that an index lists, without those that were withdrawn."""
    if kind.endswith("json"):
        return [
            _File(file["filename"], urljoin(url, file["url"]), file["hashes"].get("sha256", ""))
            for file in json.loads(content)["files"]
            if not file.get("yanked")
        ]
    found = []
    for anchor in re.findall(r"<a\s[^>]*>", content.decode("utf-8", "replace")):
        reference = re.search(r"""\bhref=["']([^"']+)""", anchor)
        if reference and "data-yanked" not in anchor:
            address, digest = urldefrag(urljoin(url, html.unescape(reference[1])))
            found.append(_File(unquote(address.rpartition("/")[2]), address, digest[7:] if digest.startswith("sha256=") else ""))
    return found


def fetch_uv(settings: dict[str, str], requirement: str, directory: str) -> None:
    """Put the newest uv that fits into a directory. The settings are those that uv itself is given."""
    try:
        _unpack(_download(_Client(settings), settings, _limits(requirement)), os.path.join(directory, "uv"))
    except (OSError, http.client.HTTPException, zipfile.BadZipFile, ValueError, LookupError, TypeError) as error:
        raise ReleaseError(f"no index gives it: {error}") from error


def _download(client: _Client, settings: dict[str, str], limits: list[tuple[str, str]]) -> bytes:
    """The wheel, from the first index that has uv at all: uv's own rule for several."""
    for index in f"{settings.get('UV_EXTRA_INDEX_URL', '')} {settings.get('UV_DEFAULT_INDEX', '')}".split():
        login = urlsplit(index).netloc.rpartition("@")[0]
        try:
            content, kind, url = client.get(f"{index.rstrip('/')}/uv/", login)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            continue
        files = [file for file in _offered(content, kind, url) if file.fits(limits)]
        if not files:
            raise ReleaseError(f"{url} has none that fits this machine ({platform.machine()})")
        file = max(files, key=lambda each: each.version)
        # Not where the index was found in the end, to which no login went.
        wheel = client.get(file.url, login if _place(file.url) == _place(index) else "")[0]
        if file.sha256 and hashlib.sha256(wheel).hexdigest() != file.sha256:
            raise ReleaseError(f"{file.url} is not what {url} says: its digest is another one")
        return wheel
    raise ReleaseError("no index that is configured has it")


def _unpack(wheel: bytes, program: str) -> None:
    os.makedirs(os.path.dirname(program))
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        with open(program, "wb") as handle:
            handle.write(archive.read(member))
    os.chmod(program, 0o755)
