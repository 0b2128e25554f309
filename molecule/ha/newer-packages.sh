#!/bin/sh
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Run as root on a host of the Debian family: the packages of Redis that it has, once more under a newer version, from a source of its own. They
# differ in nothing else. apt update finds them.
set -eu
suffix=${1:-+taskqueue1} place=/srv/newer-packages
mkdir -p "$place/build"
cd "$place/build"
chmod 755 "$place"
version=$(dpkg-query --show --showformat='${Version}' redis-tools)
for package in redis-server redis-sentinel redis-tools; do
    dpkg-query --show "$package" >/dev/null 2>&1 || continue
    apt-get --quiet=2 download "$package=$version"
    rm -rf tree
    dpkg-deb --raw-extract "$package"_*.deb tree
    # Those that depend on each other name this very version.
    sed -i "s/$(printf %s "$version" | sed 's/[.+]/\\&/g')/&$suffix/" tree/DEBIAN/control
    dpkg-deb -Znone --root-owner-group --build tree "$place/$package.deb" >/dev/null
    rm -rf tree "$package"_*.deb
done
cd "$place"
for file in *.deb; do
    dpkg-deb --field "$file"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat --format=%s "$file")" "$(sha256sum "$file" | cut -d' ' -f1)"
done >Packages
echo "deb [trusted=yes] file:$place ./" >/etc/apt/sources.list.d/newer-packages.list
echo "$version$suffix"
