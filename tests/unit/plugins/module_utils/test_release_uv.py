# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.taskqueue.stack.plugins.module_utils import _release_uv
from ansible_collections.taskqueue.stack.plugins.module_utils._release_store import ReleaseError
from ansible_collections.taskqueue.stack.plugins.module_utils._release_uv import fetch_uv


def wheel(version: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(f"uv-{version}.data/scripts/uv", f"uv {version}")
        archive.writestr(f"uv-{version}.data/scripts/uvx", "uvx")
    return content.getvalue()


class Index(http.server.ThreadingHTTPServer):
    """What it serves, by path: content and its type, or where to go instead. And what it was asked for, with which login."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, tuple[bytes, str]] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def offer(self, name: str, version: str, digest: str = "", index: str = "", **more: object) -> dict:
        self.pages[f"{index}/files/{name}"] = (wheel(version), "application/zip")
        return {"filename": name, "url": f"../files/{name}", "hashes": {"sha256": digest or hashlib.sha256(wheel(version)).hexdigest()}, **more}


class Handler(http.server.BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        content, kind = self.server.pages.get(self.path, (b"", ""))
        self.send_response(302 if kind == "location" else 200 if kind else 404)
        self.send_header("Location" if kind == "location" else "Content-Type", content.decode() if kind == "location" else kind)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        pass


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.setattr(_release_uv.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("no_proxy", "*")
    with Index() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


FITS = "uv-{}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
JSON = "application/vnd.pypi.simple.v1+json"


def fetched(tmp_path: Path, settings: dict[str, str], requirement: str = "uv>=0.8,<1") -> str:
    fetch_uv(settings, requirement, str(tmp_path / "bin"))
    program = tmp_path / "bin/uv"
    assert os.access(program, os.X_OK)
    return program.read_text()


def publish(index: Index, path: str = "") -> None:
    files = [
        index.offer(FITS.format("0.9.10"), "0.9.10", index=path),
        index.offer(FITS.format("0.9.9"), "0.9.9", index=path),
        index.offer(FITS.format("0.10.1"), "0.10.1", index=path, yanked="broken"),
        index.offer(FITS.format("1.0"), "1.0", index=path),
        index.offer("uv-0.9.11-py3-none-musllinux_1_1_x86_64.whl", "0.9.11", index=path),
        index.offer("uv-0.9.12-py3-none-manylinux_2_28_aarch64.whl", "0.9.12", index=path),
        index.offer("uv-0.9.13.tar.gz", "0.9.13", index=path),
    ]
    index.pages[f"{path}/uv/"] = (json.dumps({"files": files}).encode(), JSON)


@pytest.mark.parametrize(
    ("requirement", "version"),
    [("uv>=0.8,<1", "0.9.10"), ("uv >= 0.8, < 0.9.10", "0.9.9"), ("uv==0.9.9", "0.9.9"), ("uv!=0.9.10,<=0.10", "0.9.9"), ("uv", "1.0")],
)
def test_the_newest_that_fits_the_requirement_and_the_machine(tmp_path: Path, index: Index, requirement: str, version: str) -> None:
    publish(index)
    assert fetched(tmp_path, {"UV_DEFAULT_INDEX": index.url}, requirement) == f"uv {version}"


def test_an_index_that_speaks_html(tmp_path: Path, index: Index) -> None:
    old, new, gone = (index.offer(FITS.format(version), version) for version in ("0.9.9", "0.9.10", "0.9.11"))
    anchors = [f'<a href="{f["url"]}#sha256={f["hashes"]["sha256"]}" data-requires-python="&gt;=3.8">{f["filename"]}</a>' for f in (new, old)]
    anchors.append(f'<a href="{gone["url"]}" data-yanked="">{gone["filename"]}</a>')
    index.pages["/uv/"] = ("<html><body>" + "<br/>\n".join(anchors)).encode(), "text/html; charset=utf-8"
    assert fetched(tmp_path, {"UV_DEFAULT_INDEX": f"{index.url}/"}) == "uv 0.9.10"


def test_a_file_is_what_the_index_says_that_it_is(tmp_path: Path, index: Index) -> None:
    index.pages["/uv/"] = json.dumps({"files": [index.offer(FITS.format("0.9.9"), "0.9.9", digest="0" * 64)]}).encode(), JSON
    with pytest.raises(ReleaseError, match="digest"):
        fetched(tmp_path, {"UV_DEFAULT_INDEX": index.url})
    assert not (tmp_path / "bin").exists()


def test_the_first_index_that_has_uv_decides(tmp_path: Path, index: Index) -> None:
    publish(index)
    index.pages["/own/uv/"] = json.dumps({"files": [index.offer(FITS.format("0.9.1"), "0.9.1", index="/own")]}).encode(), JSON
    settings = {"UV_DEFAULT_INDEX": index.url, "UV_EXTRA_INDEX_URL": f"{index.url}/none {index.url}/own"}
    assert fetched(tmp_path, settings) == "uv 0.9.1"


def test_a_login_goes_to_its_own_host_only(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(index)
    other = index.url.replace("127.0.0.1", "localhost")
    index.pages["/moved/uv/"] = f"{other}/uv/".encode(), "location"
    login = "Basic " + base64.b64encode(b"reader:p@ss").decode()
    assert fetched(tmp_path / "a", {"UV_DEFAULT_INDEX": index.url.replace("//", "//reader:p%40ss@")}) == "uv 0.9.10"
    assert [sent for _path, sent in index.asked] == [login, login]
    index.asked.clear()
    assert fetched(tmp_path / "b", {"UV_DEFAULT_INDEX": index.url.replace("//", "//reader:p%40ss@") + "/moved"}) == "uv 0.9.10"
    assert index.asked[0] == ("/moved/uv/", login)
    assert [sent for _path, sent in index.asked[1:]] == ["", ""]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": [{}]}', b"<html>"])
def test_what_makes_no_sense_is_an_error_with_a_message(tmp_path: Path, index: Index, content: bytes) -> None:
    index.pages["/uv/"] = content, JSON
    with pytest.raises(ReleaseError):
        fetched(tmp_path, {"UV_DEFAULT_INDEX": index.url})


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="refused"):
        fetched(tmp_path, {"UV_DEFAULT_INDEX": "http://127.0.0.1:9"})


def test_nobody_is_asked_whom_no_setting_names(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="configured"):
        fetched(tmp_path, {})


@pytest.mark.parametrize("requirement", ["uv~=0.9", "uv==0.9.*", "uv>=0.8rc1", "uvicorn", "uv @ https://x/uv.whl"])
def test_a_requirement_that_only_pip_understands(tmp_path: Path, requirement: str) -> None:
    with pytest.raises(ReleaseError, match="for pip"):
        fetched(tmp_path, {}, requirement)
