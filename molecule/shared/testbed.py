# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds, starts and stops the test hosts: containers that boot systemd and are reached by SSH, as real hosts are.

A scenario is a set of hosts on a network of its own, where their names resolve. Its hosts are those of a static
inventory that gives each of them a variable `testbed_image` (see IMAGES) and, if need be, `testbed_options`, a list of
further arguments for the container engine. Beside the inventory that results lies `tls`, with a CA and a certificate for each host.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import certificates

REPOSITORY = Path(__file__).resolve().parents[2]
CONTEXT = REPOSITORY / "molecule/images"
STATE = REPOSITORY / ".cache/testbed"
KEY = STATE / "id_ed25519"
# Shared by all checkouts, because images are. Also short, as the path of a UNIX socket has to be.
SHARED = Path.home() / ".ansible/testbed"
RESTRICTED_HOST = Path(__file__).with_name("restricted-host.sh")
# Tells the hosts of several checkouts apart that run the same scenarios side by side.
INSTANCE = os.environ.get("TESTBED_INSTANCE", "")
START_SECONDS = 90
SETTLED = re.compile("^(running|degraded)$", re.MULTILINE)


def find_engine() -> str:
    """Podman, unless there is only Docker. Its client alone, with no engine that answers, does not count."""
    if shutil.which("podman") or not shutil.which("docker"):
        return "podman"
    answer = subprocess.run(["docker", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return "docker" if answer.returncode == 0 else "podman"


ENGINE = os.environ.get("TESTBED_ENGINE") or find_engine()
BUILD_OPTIONS = {"podman": ["--jobs=0"], "docker": []}  # stages side by side; Docker does so by itself
# --privileged: without it systemd inside cannot give services the sandboxes that are tested here.
ENGINE_OPTIONS = {
    "podman": ["--systemd=always", "--privileged"],
    "docker": ["--privileged", "--cgroupns=private", "--env=container=docker"]
    + [f"--tmpfs={path}" for path in ("/run", "/run/lock", "/tmp:exec")],
}


@dataclasses.dataclass(frozen=True)
class Image:
    """How to build an image. Its base is an image of a registry, one of ours, or a bare Debian: `suite:NAME`."""

    containerfile: str
    base: str
    kind: str
    sources: str = ""  # a requirements file: sdists that the build finds beside it


REAL = {
    "debian11": Image("debian.Containerfile", "docker.io/library/debian:11", "real"),
    "debian12": Image("debian.Containerfile", "docker.io/library/debian:12", "real"),
    "debian13": Image("debian.Containerfile", "docker.io/library/debian:13", "real"),
    "ubuntu2204": Image("debian.Containerfile", "docker.io/library/ubuntu:22.04", "real"),
    "ubuntu2404": Image("debian.Containerfile", "docker.io/library/ubuntu:24.04", "real"),
    "ubuntu2604": Image("debian.Containerfile", "docker.io/library/ubuntu:26.04", "real"),
    "rhel9": Image("el9.Containerfile", "docker.io/rockylinux/rockylinux:9", "real: Rocky Linux 9"),
    "rocky9": Image("el9.Containerfile", "docker.io/rockylinux/rockylinux:9", "real"),
    "ubi9": Image("el9.Containerfile", "registry.access.redhat.com/ubi9/ubi-init", "real"),
}
FROM_DEBIAN_PACKAGES = {
    "debian11": Image("debian.Containerfile", "suite:bullseye", "real, from Debian packages"),
    "debian12": Image("debian.Containerfile", "suite:bookworm", "real, from Debian packages"),
    "debian13": Image("debian.Containerfile", "suite:trixie", "real, from Debian packages"),
    "ubuntu2404": Image(
        "stand-in/ubuntu2404.Containerfile", "debian12", "stand-in: Debian 12 under Ubuntu 24.04's os-release"
    ),
    "rhel9": Image(
        "stand-in/rhel9/Containerfile",
        "suite:bookworm",
        "stand-in: Debian 12 with dnf, and packages laid out as RHEL 9's",
        "stand-in/rhel9/redis-source.txt",
    ),
}
IMAGES = FROM_DEBIAN_PACKAGES if os.environ.get("TESTBED_BASES") == "stand-in" else REAL


class TestbedError(Exception):
    """Something a person has to know, in words for that person."""


def run(*command: str | Path, stdin: str | None = None, check: bool = True) -> str:
    """Return what the command prints; when it fails, say what it printed."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    if check and done.returncode != 0:
        raise TestbedError(f"{shlex.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout if done.returncode == 0 else ""


def engine(*arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
    return run(ENGINE, *arguments, stdin=stdin, check=check)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Images are shared by all checkouts of the machine: one process at a time builds an image."""
    with (SHARED / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*parts: str | bytes) -> str:
    value = hashlib.sha256()
    for part in parts:
        value.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return value.hexdigest()[:16]


# Images


def ingredients(containerfile: Path) -> Iterator[Path]:
    """Yield the Containerfile and the files that it copies from the context."""
    yield containerfile
    for copy in re.findall(r"^COPY (?!--from)(.*)", containerfile.read_text(), re.MULTILINE):
        for source in copy.split()[:-1]:
            path = CONTEXT / source
            yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def build(name: str) -> str:
    """Return the image's tag, which names the content of all it is built from, after building it when it is missing."""
    if name.startswith("suite:"):
        return build_debian(name.removeprefix("suite:"))
    if name not in IMAGES:
        raise TestbedError(f"There is no image {name!r} here; there are: {', '.join(sorted(IMAGES))}.")
    image = IMAGES[name]
    ours = image.base.startswith("suite:") or image.base in IMAGES
    base = build(image.base) if ours else image.base
    files = [path.read_bytes() for path in ingredients(CONTEXT / image.containerfile) if path.is_file()]
    tag = f"localhost/taskqueue-testbed/{name}:{digest(base, image.kind, *files)}"
    with locked(name), announced(name, tag) as missing:
        if missing:
            with tempfile.TemporaryDirectory() as directory:
                context = Path(directory, "context")
                shutil.copytree(CONTEXT, context)
                if image.sources:
                    fetch_sdists(context / image.sources)
                engine(
                    "build", "--quiet", *BUILD_OPTIONS[ENGINE], "--file", context / image.containerfile,
                    "--build-arg", f"BASE={base}", "--label", f"taskqueue.kind={image.kind}", "--tag", tag, context,
                )  # fmt: skip
    return tag


def build_debian(suite: str) -> str:
    """Return the tag of a bare Debian made from its packages, with nothing but apt."""
    tag = f"localhost/taskqueue-testbed/{suite}:minbase"
    with locked(suite), announced(f"Debian {suite}", tag) as missing:
        if missing:
            with tempfile.TemporaryDirectory() as directory:
                tarball = Path(directory, "root.tar")
                run("mmdebstrap", "--variant=minbase", suite, tarball)
                engine("import", tarball, tag)
    return tag


@contextlib.contextmanager
def announced(what: str, tag: str) -> Iterator[bool]:
    """Tell whether the image is missing, and how long it took to build it."""
    missing = not engine("image", "ls", "--quiet", tag)
    start = time.monotonic()
    if missing:
        print(f"building {what}", flush=True)
    yield missing
    if missing:
        print(f"built {what} in {time.monotonic() - start:.0f} s", flush=True)


def fetch_sdists(requirements: Path) -> None:
    """Download through pip: it knows the machine's package index, and checks the hash."""
    run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-binary=:all:", "--require-hashes", "--requirement", requirements, "--dest", requirements.parent,
    )  # fmt: skip


def build_all(names: list[str]) -> dict[str, str]:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(build, names), strict=True))


# Hosts


@dataclasses.dataclass(frozen=True)
class Host:
    scenario: str
    name: str
    image: str
    options: tuple[str, ...] = ()

    @property
    def container(self) -> str:
        return f"{INSTANCE}{self.scenario}-{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        """The container's labels, or none when there is no container."""
        found = engine("container", "inspect", "--format", "{{json .Config.Labels}}", self.container, check=False)
        return json.loads(found) if found else {}

    def execute(self, *command: str, stdin: str | None = None, check: bool = True) -> str:
        return engine("exec", "--interactive", self.container, *command, stdin=stdin, check=check)

    def up(self, tag: str) -> None:
        """Start the host, or leave it alone when it runs as it should."""
        mounts, variables = environment("TESTBED_MOUNTS"), environment("TESTBED_ENV")
        definition = digest(str(REPOSITORY), tag, *self.options, *mounts, *variables)
        labels = self.labels
        if labels.get("taskqueue.definition") == definition and self.boots():
            return
        if labels:
            print(f"replacing {self.container}: it is broken, outdated or of another checkout", flush=True)
            engine("rm", "--force", "--volumes", self.container)
        for attempts_left in (2, 1, 0):
            try:
                self.start(free_port(), tag, definition, mounts)
                break
            except TestbedError as error:
                # Another program may have taken the port since it was found free.
                if "address already in use" not in str(error) or not attempts_left:
                    raise
                engine("rm", "--force", "--volumes", self.container)
        self.wait()
        if self.failed_units():
            raise TestbedError(f"{self.container} did not start as it should:\n{self.journal()}")
        self.execute("sh", "-eus", "--", KEY.with_suffix(".pub").read_text(), *variables, stdin=ADMIT)

    def start(self, port: int, tag: str, definition: str, mounts: list[str]) -> None:
        """Start a new container that is reached at the port."""
        engine(
            "run", "--detach", "--name", self.container, "--hostname", self.name,
            "--network", network(self.scenario), "--network-alias", self.name, "--publish", f"127.0.0.1:{port}:22",
            "--label", f"taskqueue.scenario={self.scenario}", "--label", f"taskqueue.host={self.name}",
            "--label", f"taskqueue.image={self.image}", "--label", f"taskqueue.port={port}",
            "--label", f"taskqueue.definition={definition}", "--label", f"taskqueue.instance={INSTANCE}", "--pids-limit=-1", *ENGINE_OPTIONS[ENGINE],
            *(f"--volume={mount}" for mount in mounts), *self.options, tag,
        )  # fmt: skip

    def boots(self) -> bool:
        """Tell whether the container, started if need be, comes up. One whose processes were killed does not."""
        try:
            engine("start", self.container)
            self.execute("true")
            self.wait()
        except TestbedError:
            return False
        return True

    def wait(self) -> None:
        """Wait until systemd has started everything, or found out what cannot start, and the SSH server answers."""
        deadline = time.monotonic() + START_SECONDS
        # Its exit status repeats what it prints, and execute() gives nothing of a command that failed.
        # With a limit: systemd may say that it has started while systemctl is not yet listening, and it says so once.
        state = "timeout 10 systemctl is-system-running --wait || systemctl is-system-running || true"
        while not SETTLED.search(self.execute("sh", "-c", state, check=False)):
            if time.monotonic() > deadline:
                raise TestbedError(f"{self.container} did not start:\n{self.journal()}")
            time.sleep(0.2)
        port = int(self.labels["taskqueue.port"])
        while not ssh_answers(port):
            if time.monotonic() > deadline:
                raise TestbedError(f"The SSH server of {self.container} does not answer:\n{self.journal()}")
            time.sleep(0.2)

    def failed_units(self) -> str:
        return self.execute("systemctl", "--failed", "--no-legend", "--plain", check=False)

    def journal(self) -> str:
        # Without the kernel's messages: they are the machine's.
        sources = [f"_TRANSPORT={name}" for name in ("journal", "stdout", "syslog")]
        tail = self.execute("journalctl", "--boot", "--no-pager", "--lines=200", *sources, check=False)
        return f"failed units:\n{self.failed_units() or '(none)'}\njournal:\n{tail or '(none)'}"

    def restart(self) -> None:
        """Restart the whole machine, as a reboot would."""
        ssh(self.scenario, "-O", "exit", self.name)
        engine("restart", "-t", "600", self.container)  # no kill: systemd has its own time limits
        self.wait()


# Lets the key in, and gives logins and sudo the variables that the machine's programs need.
ADMIT = """
install -d -m 0700 -o ops -g ops /home/ops/.ssh
printf %s "$1" | install -m 0600 -o ops -g ops /dev/stdin /home/ops/.ssh/authorized_keys
shift
for variable; do
    printf '%s\\n' "$variable" >>/etc/environment
    printf 'Defaults env_keep += "%s"\\n' "${variable%%=*}" >>/etc/sudoers.d/ops
done
"""


def environment(name: str) -> list[str]:
    return os.environ.get(name, "").split()


def network(scenario: str) -> str:
    return f"taskqueue-{INSTANCE}{scenario}"


def free_port() -> int:
    """A port of our choice, so that it stays the same when the container restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def ssh_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            # Without a greeting of ours the server would log an error.
            connection.sendall(b"SSH-2.0-testbed\r\n")
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def ssh(scenario: str, *arguments: str) -> int:
    command = ["ssh", "-F", str(STATE / scenario / "ssh_config"), *arguments]
    return subprocess.run(command, stderr=subprocess.DEVNULL if "-O" in arguments else None, check=False).returncode


def hosts_of(scenario: str) -> list[Host]:
    """The hosts that there are, in order of their names."""
    return [host for host, _kind, _state in containers() if host.scenario == scenario]


def containers() -> list[tuple[Host, str, str]]:
    """All hosts of all scenarios of this instance, what kind they are, and their state."""
    found = engine("ps", "--all", "--quiet", "--filter", "label=taskqueue.host").split()
    form = '{"labels": {{json .Config.Labels}}, "state": {{json .State.Status}}}'
    lines = engine("container", "inspect", "--format", form, *found).splitlines() if found else []
    result = []
    for labels, state in (json.loads(line).values() for line in lines):
        if labels.get("taskqueue.instance", "") != INSTANCE:
            continue
        host = Host(labels["taskqueue.scenario"], labels["taskqueue.host"], labels["taskqueue.image"])
        result.append((host, labels["taskqueue.kind"], state))
    return sorted(result, key=lambda row: row[0].container)


def host_of(scenario: str, name: str) -> Host:
    for host in hosts_of(scenario):
        if host.name == name:
            return host
    names = ", ".join(host.name for host in hosts_of(scenario)) or "none"
    raise TestbedError(f"Scenario {scenario!r} has no host {name!r}; it has: {names}.")


def read_inventory(scenario: str, inventory: Path) -> list[Host]:
    listing = json.loads(run("ansible-inventory", "--inventory", inventory, "--list"))
    variables = listing.pop("_meta")["hostvars"]
    hosts = []
    for name in sorted({name for group in listing.values() for name in group.get("hosts", ())}):
        try:
            image = variables[name]["testbed_image"]
        except KeyError:
            raise TestbedError(f"{inventory}: host {name!r} has no variable testbed_image.") from None
        hosts.append(Host(scenario, name, image, tuple(variables[name].get("testbed_options", ()))))
    if not hosts:
        raise TestbedError(f"{inventory} has no hosts, or does not exist.")
    return hosts


def write_access(hosts: list[Host], inventory: Path) -> None:
    """Write the SSH client's configuration, and an inventory that makes Ansible use it."""
    state = STATE / hosts[0].scenario
    stanzas = [f"""Host {host.name}
    Port {host.labels["taskqueue.port"]}
""" for host in hosts]  # fmt: skip
    (state / "ssh_config").write_text("".join(stanzas) + f"""Host *
    HostName 127.0.0.1
    User ops
    IdentityFile "{KEY}"
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    ControlMaster auto
    ControlPersist 60s
    ControlPath {SHARED}/%C
    ServerAliveInterval 10
""")
    directory = state / "inventory"
    directory.mkdir(exist_ok=True)
    for name in (inventory.name, "group_vars", "host_vars"):
        link = directory / name
        link.unlink(missing_ok=True)
        if inventory.with_name(name).exists():
            link.symlink_to(inventory.with_name(name))
    # Ansible names its own control socket after the inventory's name, which hosts of other scenarios may have too.
    # No ansible_host: names stay those by which the hosts know each other.
    arguments = f"-F {shlex.quote(str(state / 'ssh_config'))} -o ControlPath={SHARED}/%C"
    access = {"all": {"hosts": {host.name: {"ansible_ssh_common_args": arguments} for host in hosts}}}
    (directory / "testbed.yml").write_text(json.dumps(access, indent=2) + "\n")


# Commands


def install() -> None:
    """Install the container engine and what else is missing."""
    packages = []
    if not shutil.which(ENGINE):
        packages += ["podman", "crun", "netavark", "aardvark-dns", "iptables"]
    if not shutil.which("ssh"):
        packages += ["openssh-client"]
    if IMAGES is FROM_DEBIAN_PACKAGES and not shutil.which("mmdebstrap"):
        packages += ["mmdebstrap"]
    if not packages:
        return
    print(f"installing {', '.join(packages)}", flush=True)
    sudo = [] if os.getuid() == 0 else ["sudo"]
    if shutil.which("apt-get"):
        run(*sudo, "apt-get", "update")
        run(*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", *packages)
    elif shutil.which("dnf"):
        run(*sudo, "dnf", "install", "--assumeyes", "podman", "openssh-clients")
    else:
        raise TestbedError(f"Install these by hand: {', '.join(packages)}, or Docker instead of podman.")


def up(scenario: str, inventory: Path) -> None:
    """Build the images that are missing and start the scenario's hosts."""
    hosts = read_inventory(scenario, inventory)
    tags = build_all(sorted({host.image for host in hosts}))
    (STATE / scenario).mkdir(parents=True, exist_ok=True)
    if not KEY.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "taskqueue-testbed", "-f", KEY)
    if not engine("network", "ls", "--quiet", "--filter", f"name=^{network(scenario)}$"):
        engine("network", "create", network(scenario))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: host.up(tags[host.image]), hosts))
    write_access(hosts, inventory.resolve())
    certificates.fill(STATE / scenario / "tls", [host.name for host in hosts])
    for host in hosts:
        print(f"{host.name:<16}{IMAGES[host.image].kind}")


def down(scenario: str) -> None:
    """Remove the scenario's hosts and their network."""
    for host in hosts_of(scenario):
        if (STATE / scenario / "ssh_config").exists():
            ssh(scenario, "-O", "exit", host.name)
        engine("rm", "--force", "--volumes", host.container)
    engine("network", "rm", network(scenario), check=False)
    shutil.rmtree(STATE / scenario, ignore_errors=True)


def journal(scenario: str, name: str | None) -> None:
    """Print the failed units and the end of the journal of one host, or of all."""
    for host in [host_of(scenario, name)] if name else hosts_of(scenario):
        print(f"===== {host.name} ({host.image})\n{host.journal()}")


def list_hosts() -> None:
    """Print all hosts of all scenarios."""
    for host, kind, state in containers():
        print(f"{host.scenario:<12}{host.name:<16}{state:<12}{kind}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install the container engine and what else is missing")
    commands.add_parser("build", help="build images").add_argument("image", nargs="+", choices=sorted(IMAGES))
    for name, text in (
        ("up", "start the hosts of a scenario"),
        ("down", "remove the hosts of a scenario"),
        ("journal", "print failed units and the end of the journal"),
        ("restart", "restart a host and wait until it is up again"),
        ("shell", "log in to a host"),
    ):
        command = commands.add_parser(name, help=text)
        if name == "down":
            which = command.add_mutually_exclusive_group(required=True)
            which.add_argument("--all", action="store_true", help="of every scenario of this checkout")
            which.add_argument("scenario", nargs="?")
            continue
        command.add_argument("scenario")
        if name == "up":
            command.add_argument("inventory", type=Path, metavar="INVENTORY_FILE")
        else:
            command.add_argument("host", nargs="?" if name == "journal" else None)
    commands.add_parser("list", help="list all hosts")
    options = parser.parse_args()

    if "TESTBED_BASES" not in os.environ:
        os.execv(RESTRICTED_HOST, [str(RESTRICTED_HOST), sys.executable, *sys.argv])
    SHARED.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if options.command != "install" and not shutil.which(ENGINE):
            raise TestbedError(f"There is no {ENGINE} here: {Path(__file__).name} install installs podman.")
        match options.command:
            case "install":
                install()
            case "build":
                build_all(options.image)
            case "up":
                up(options.scenario, options.inventory)
            case "down":
                started = sorted(path.parent.name for path in STATE.glob("*/ssh_config"))
                for scenario in started if options.all else [options.scenario]:
                    down(scenario)
            case "journal":
                journal(options.scenario, options.host)
            case "restart":
                host_of(options.scenario, options.host).restart()
            case "shell":
                return ssh(options.scenario, options.host)
            case "list":
                list_hosts()
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
