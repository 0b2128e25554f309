#!/bin/sh
# Copyright: (c) 2026, the taskqueue.stack maintainers
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
#
# Runs while an image is built: what makes a fresh system a test host.
set -eu

# The user Ansible connects as. Its key comes when the host starts: images are shared by all checkouts of a machine.
useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops

# Names of connecting hosts are of no use here, and looking them up costs time at each connection.
echo 'UseDNS no' >>/etc/ssh/sshd_config
ssh-keygen -A >/dev/null

# These belong to the kernel of the machine, or want a terminal or a disk of their own.
systemctl mask --quiet systemd-modules-load.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
    sys-kernel-debug.mount getty.target console-getty.service systemd-remount-fs.service e2scrub_all.timer
# These would hold the package manager's lock, or change packages, at a random moment of a test.
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service dnf-makecache.timer
# Images of containers keep packages from starting services; real hosts do not.
rm -f /usr/sbin/policy-rc.d

# A test must not change the kernel of the machine it runs on. Only the network's settings are a host's own.
cat >/etc/systemd/system/read-only-kernel.service <<'UNIT'
[Unit]
Description=Settings of the machine's kernel, read-only
DefaultDependencies=no
Before=sysinit.target systemd-sysctl.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=mount -o bind,ro /proc/sys /proc/sys
ExecStart=mount --bind /proc/sys/net /proc/sys/net
ExecStart=mount -o remount,bind,rw /proc/sys/net
ExecStart=mount -o bind,ro /sys/kernel/mm /sys/kernel/mm

[Install]
WantedBy=sysinit.target
UNIT
systemctl enable --quiet read-only-kernel.service

# As in an image of a cloud: the first boot gives the machine its identity.
: >/etc/machine-id
