#!/bin/sh
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Runs in a bare Debian 12 that has EL9's tools beside its own: takes away what EL9 does not have.
set -eu

# /usr/bin/python3 is Python 3.9, and dnf's own Python, Debian's 3.11, is found under the name that EL9 gives to its
# platform's Python only. (dnf's bindings do not load in 3.9, so Ansible's dnf module has to look for them.)
platform=/usr/lib/platform-python
mkdir -p "$platform/bin" "$platform/lib"
mv /usr/bin/python3.11 "$platform/bin/"
mv /usr/lib/python3 /usr/lib/python3.11 "$platform/lib/"
ln -s "$platform/bin/python3.11" /usr/libexec/platform-python
find /usr/bin /usr/sbin -type f -exec grep -lZE '^#!.*python3' {} + \
    | xargs -r0 sed -i '1s|^#!.*python3.*|#!/usr/libexec/platform-python|'
find /usr/bin -lname '*python3*' -delete
cp -a /python39/. /
ln -s python3.9 /usr/bin/python3

printf '%s\n' 'NAME="Red Hat Enterprise Linux"' 'VERSION="9.6 (Plow)"' 'ID="rhel"' 'ID_LIKE="fedora"' \
    'VERSION_ID="9.6"' 'PLATFORM_ID="platform:el9"' 'PRETTY_NAME="Red Hat Enterprise Linux 9.6 (Plow)"' \
    'CPE_NAME="cpe:/o:redhat:enterprise_linux:9::baseos"' >/usr/lib/os-release
echo 'Red Hat Enterprise Linux release 9.6 (Plow)' >/etc/redhat-release
ln -s redhat-release /etc/system-release
rm -f /etc/debian_version
printf '%s\n' '\S' 'Kernel \r on an \m' | tee /etc/issue >/etc/issue.net
mkdir -p /etc/sysconfig /etc/pki/tls/certs
ln -s /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt

sed -i 's|^%_dbpath\s.*|%_dbpath /var/lib/rpm|' /usr/lib/rpm/macros # Debian's is in the home of whoever calls
rpm --install --force-debian /base/*.rpm
mkdir /etc/yum.repos.d
printf '%s\n' '[stand-in]' 'name=Packages of the stand-in' 'baseurl=file:///usr/share/stand-in/repository' \
    'gpgcheck=0' >/etc/yum.repos.d/stand-in.repo

# sudo finds nothing in /usr/local on EL9, and the SSH service has another name.
sed -i 's|^Defaults.*secure_path=.*|Defaults secure_path="/sbin:/bin:/usr/sbin:/usr/bin"|' /etc/sudoers
systemctl disable --quiet ssh.service
mv /usr/lib/systemd/system/ssh.service /usr/lib/systemd/system/sshd.service
sed -i '/^Alias=/d' /usr/lib/systemd/system/sshd.service
systemctl enable --quiet sshd.service

# On EL9 a service is off until somebody enables it.
mkdir -p /usr/lib/systemd/system-preset
echo 'disable *' >/usr/lib/systemd/system-preset/99-default-disable.preset

# Last, because nothing can be installed afterwards: Debian's package tools and what came with them.
cd /
for package in apt dpkg debconf adduser init-system-helpers; do
    while read -r path; do
        [ -d "$path" ] || rm -f "$path"
    done <"/var/lib/dpkg/info/$package.list"
done
rm -rf /etc/apt /etc/dpkg /usr/lib/apt /usr/lib/dpkg /var/cache/apt /var/lib/apt /var/lib/dpkg
