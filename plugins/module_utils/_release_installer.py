# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs requirements into a virtual environment with uv, or with the pip that comes with the interpreter.

uv is not packaged by the distributions this collection serves, so it is fetched once, with that pip only where it cannot be had
otherwise. The whole way from nothing to a Celery environment takes 3 s so, 4 s with a uv that pip fetches, and 6 s with pip alone; the
next release takes 2 s against 5 (measured).
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
from dataclasses import dataclass, field

from ._release_commands import CommandFailed, Commands
from ._release_store import ReleaseError


class NoPip(ReleaseError):
    """The interpreter comes without pip, and nothing else would do."""


# pip lies inside the interpreter, or where WHEEL_PKG_DIR says (Fedora, RHEL); Debian keeps it in python3-pip-whl, which comes with
# python3-venv.
_FIND_PIP = """
import glob, os, sysconfig
places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
try:
    import ensurepip
    places.insert(0, os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
except ImportError:
    pass
wheels = [wheel for place in places if place for wheel in sorted(glob.glob(os.path.join(place, "pip-*.whl")))]
print(wheels[0] if wheels else "")
"""
# The settings of pip that decide where packages come from, and what uv calls them. uv reads no pip.conf.
_UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
_PIP_CONFIG = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_REFUSED = re.compile(r"\b(401|403)\b")
_NO_INDEX = re.compile(r"Failed to fetch|error sending request|Could not fetch URL|NewConnectionError|Temporary failure in name resolution|timed out")
_NOT_FOUND = re.compile(r"was not found in the (package registry|provided)|No matching distribution found")
_OTHER_PYTHON = re.compile(r"does not satisfy Python|requires a different Python|Requires-Python", re.IGNORECASE)


@dataclass(frozen=True)
class Index:
    """Where packages come from. What is left out is as pip is configured on the host."""

    index_url: str | None = None
    extra_index_urls: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    # The one that pip takes where nothing is configured. A host without pip has nobody to ask.
    default_url: str | None = None

    def _settings(self) -> dict[str, str]:
        given = {
            "index-url": self.index_url or "",
            "extra-index-url": " ".join(self.extra_index_urls),
            "find-links": " ".join(self.find_links),
            "no-index": "true" if self.no_index else "",
        }
        return {name: value for name, value in given.items() if value}

    def pip_environment(self) -> dict[str, str]:
        """As environment variables and not as arguments, because URLs may hold credentials."""
        return {"PIP_" + name.upper().replace("-", "_"): value for name, value in self._settings().items()}

    def uv_arguments(self) -> list[str]:
        """The one setting that uv takes no variable for."""
        return ["--no-index"] if self.no_index or _configured_for_pip()["no-index"] else []

    def uv_environment(self) -> dict[str, str]:
        configured = _configured_for_pip()
        settings = {**configured, **self._settings()}
        env = {variable: settings[name] for name, variable in _UV_NAMES.items() if settings.get(name)}
        if configured["extra-index-url"] and not self.extra_index_urls:
            # Who gave pip several indexes expects the best version of all of them. For ours, uv's rule holds: the first
            # index that has a package decides, so that a public one cannot slip in a higher version of a private name.
            env["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        # uv splits this one at commas, and unlike pip it fails on a directory that is not there.
        links = [link for link in env.pop("UV_FIND_LINKS", "").split() if not link.startswith("/") or os.path.isdir(link)]
        return {**env, "UV_FIND_LINKS": ",".join(links)} if links else env


def _configured_for_pip() -> dict[str, str]:
    """The index settings in pip's files and variables, later ones winning, as pip reads them."""
    parser = configparser.RawConfigParser()
    if os.environ.get("PIP_CONFIG_FILE") != os.devnull:
        files = [os.path.expanduser(path) for path in _PIP_CONFIG]
        try:
            parser.read([*files, os.environ.get("PIP_CONFIG_FILE", "")], encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise ReleaseError(f"pip's configuration cannot be read: {error}") from error
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({name.replace("_", "-"): " ".join(value.split()) for name, value in parser.items(section)})
    for name in (*_UV_NAMES, "no-index"):
        found[name] = os.environ.get("PIP_" + name.upper().replace("-", "_")) or found.get(name, "")
    if found["no-index"].lower() in ("0", "no", "off", "false"):
        found["no-index"] = ""
    return found


class Installer:
    """uv or pip, whichever is asked for or can be had."""

    def __init__(self, commands: Commands, python: str, tools: str, index: Index, choice: str, uv_requirement: str) -> None:
        self._commands = commands
        self._python = python
        self._tools = tools
        self._index = index
        self._choice = choice
        self._uv_requirement = uv_requirement
        self.name: str | None = None
        # Why `auto` had to take pip, if it had to.
        self.no_uv: str | None = None

    def _prepare(self) -> str | None:
        """The uv to use, None for pip."""
        self.name = "pip"
        if self._choice == "pip":
            return None
        try:
            uv = self._find_uv() or self._fetch_uv()
            self.name = self._commands.run([uv, "--version"], "uv does not run").split(" (")[0].strip()
            return uv
        except ReleaseError as error:
            if self._choice == "uv" or isinstance(error, NoPip):
                raise
            self.no_uv = str(error)
            return None

    def _find_uv(self) -> str | None:
        """sudo's search path often lacks the place where uv's own installer puts it."""
        places = [os.environ.get("PATH", os.defpath), "/usr/local/bin", os.path.join(self._tools, "uv", "bin")]
        return shutil.which("uv", path=os.pathsep.join(places))

    def _fetch_uv(self) -> str:
        # Imported here: loading it takes 0.04 s, and most runs fetch nothing.
        from ._release_uv import fetch_uv  # pylint: disable=import-outside-toplevel

        target = os.path.join(self._tools, "uv")
        partial = target + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        arguments = ["install", "--quiet", "--no-deps", "--no-compile", "--no-cache-dir", "--retries=1", "--target", partial, self._uv_requirement]
        failure = "uv cannot be installed"
        try:
            if self._index.uv_arguments():
                raise ReleaseError("no index may be asked")
            settings = {"UV_DEFAULT_INDEX": self._index.default_url or "", **self._index.uv_environment()}
            fetch_uv(settings, self._uv_requirement, os.path.join(partial, "bin"))
            self._commands.run([os.path.join(partial, "bin", "uv"), "--version"], "it does not run")
        except ReleaseError as error:
            shutil.rmtree(partial, ignore_errors=True)
            self._pip(self._python, arguments, f"{failure} ({error})")
        shutil.rmtree(target, ignore_errors=True)
        os.rename(partial, target)
        return os.path.join(target, "bin", "uv")

    def _pip(self, python: str, arguments: list[str], failure: str) -> None:
        wheel = self._commands.run([self._python, "-I", "-c", _FIND_PIP], "the interpreter does not run").strip()
        if not wheel:
            raise NoPip(f"{failure}: {self._python} comes without pip: install its venv or pip package (such as python3-venv)")
        env = {
            "PYTHONPATH": wheel,
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
            "PIP_CACHE_DIR": os.path.join(self._tools, "cache", "pip"),
            **self._index.pip_environment(),
        }
        self._commands.run([python, "-m", "pip", *arguments], failure, env)

    def install(self, venv_python: str, arguments: list[str]) -> None:
        """Install what the arguments name (paths and options only: requirements that could hold credentials come in files)."""
        uv = self._prepare()
        failure = f"{self.name} cannot install the requirements"
        try:
            if uv is None:
                self._pip(venv_python, ["install", "--no-compile", "--progress-bar=off", *arguments], failure)
            else:
                self._commands.run(
                    [uv, "pip", "install", "--no-progress", *self._index.uv_arguments(), "--python", venv_python, *arguments],
                    failure,
                    {
                        # A company's own certificate authority is in the system's store. The second name is for older versions of uv.
                        "UV_SYSTEM_CERTS": "true",
                        "UV_NATIVE_TLS": "true",
                        "UV_CACHE_DIR": os.path.join(self._tools, "cache", "uv"),
                        **self._index.uv_environment(),
                    },
                )
        except CommandFailed as error:
            raise ReleaseError(f"{error}{_remedy(error.output)}") from error


def _remedy(output: str) -> str:
    if _OTHER_PYTHON.search(output):
        return "\nA package asks for another version of Python: choose another interpreter (python) or another version of the package."
    if _REFUSED.search(output):
        return "\nThe package index refuses access: check the user and password in index_url and extra_index_urls."
    if _NO_INDEX.search(output):
        return "\nThe package index does not answer: check index_url, the proxy and the network of this host."
    if _NOT_FOUND.search(output):
        return "\nCheck its name and version, and where it should come from: index_url with its user and password, or find_links."
    return ""
