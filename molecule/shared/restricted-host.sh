#!/usr/bin/env bash
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# restricted-host.sh COMMAND [ARGUMENT...]: runs COMMAND where podman, molecule and ansible-test work.
#
# On an ordinary machine that is COMMAND and nothing else. On a restricted one (a sandbox with old cgroups, fixed
# limits, or neither image registry nor Ansible's servers in reach) each section finds its own restriction and works
# around it. All of it is found out anew at each call, so calls may be nested. Every call of podman goes through here.
set -euo pipefail

cache=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.cache/testbed
machine=/run/taskqueue-testbed # shared by all checkouts on the machine, as podman's storage is
mkdir -p "$cache"

# Any answer counts, also "401 Unauthorized". An answer, or none, is remembered for an hour.
answers() {
    local memory=$cache/answers-$1
    if [ -z "$(find "$memory" -mmin -60 2>/dev/null)" ]; then
        python3 -c '
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(f"https://{sys.argv[1]}/", timeout=5)
except urllib.error.HTTPError:
    print("yes")
except OSError:
    print("no")
else:
    print("yes")' "$1" >"$memory.$$"
        mv "$memory.$$" "$memory"
    fi
    [ "$(cat "$memory")" = yes ]
}

# No image registry: the test hosts are built from Debian packages instead.
if [ -z "${TESTBED_BASES:-}" ]; then
    TESTBED_BASES=real
    answers registry-1.docker.io || TESTBED_BASES=stand-in
    export TESTBED_BASES
fi

# A certificate authority of the machine's own: programs in the test hosts must trust what the machine trusts.
# uv reads SSL_CERT_FILE, pip PIP_CERT. The file lies outside /etc/ssl, which belongs to the hosts' own packages.
if [ -n "${SSL_CERT_FILE:-}" ] && [ -z "${TESTBED_MOUNTS:-}" ]; then
    export TESTBED_MOUNTS="$SSL_CERT_FILE:/usr/local/share/machine-ca.crt:ro"
    export TESTBED_ENV="SSL_CERT_FILE=/usr/local/share/machine-ca.crt PIP_CERT=/usr/local/share/machine-ca.crt"
fi

# ansible-test fetches get-pip.py from a server of its own before it can use the machine's package index. A stub that
# runs pip from a wheel does the same. (The name is that of ansible-test's cache: 24.2 for ansible-core up to 2.19.)
pips=$HOME/.ansible/test/cache
if ! [ -e "$pips/get_pip_25_2.py" ] && command -v ansible-test >/dev/null && ! answers ci-files.testing.ansible.com
then
    for version in 24.2 25.2; do
        python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$pips" "pip==$version"
        cat >"$pips/get_pip_${version/./_}.py" <<PYTHON
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-$version-py3-none-any.whl"))
from pip._internal.cli.main import main

options = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "pip==$version", *options]))
PYTHON
    done
fi

# Where Python cannot be downloaded, the versions that pyenv has must do: its own commands answer for the chosen one alone.
for versions in "$HOME"/.pyenv/versions/*/bin; do
    [ ! -d "$versions" ] || case ":$PATH:" in *":$versions:"*) ;; *) PATH=$PATH:$versions ;; esac
done
export PATH

# Limits below podman's defaults for root that even root may not raise: podman has to ask for no more than there is.
# (For processes: than the 32768 to which its build part limits itself.)
if [ "$(id -u)" = 0 ] && [ -z "${CONTAINERS_CONF:-}" ] && ! (ulimit -Hn 1048576) 2>/dev/null; then
    mkdir -p "$machine"
    export CONTAINERS_CONF=$machine/containers.conf
    export BUILDAH_ISOLATION=chroot # "podman build" has no such setting
    cat >"$CONTAINERS_CONF.$$" <<CONF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
CONF
    mv "$CONTAINERS_CONF.$$" "$CONTAINERS_CONF" # in one step: other calls may be reading it
fi

# cgroups of version 1, or of both: containers need version 2 alone. A mount namespace of its own has it, without
# touching the machine. It must be the same one each time, because podman's network namespaces are mounts in it.
if [ "$(id -u)" = 0 ] && [ -d /sys/fs/cgroup ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "$machine"
    exec 9>"$machine/lock"
    flock 9
    if ! nsenter --mount="$machine/namespace" true 2>/dev/null; then
        mountpoint --quiet "$machine" || mount --bind "$machine" "$machine"
        mount --make-private "$machine"
        touch "$machine/namespace"
        unshare --mount="$machine/namespace" --propagation private \
            sh -c 'umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup'
        rm -rf /run/libpod /run/containers /run/crun # to podman this is a reboot: nothing runs, nothing is mounted
    fi
    exec 9>&-
    exec nsenter --mount="$machine/namespace" env --chdir="$PWD" -- "$@" # nsenter itself would start in /
fi

exec "$@"
