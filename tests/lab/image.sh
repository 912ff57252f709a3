#!/bin/sh
# SPDX-FileCopyrightText: The postmaster.mta_sts authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# image.sh SUITE TARBALL: make the root file system of the lab's hosts. lab.py names images after the
# content of this file, so that a change here makes new ones.
set -eu

# The servers are there but disabled: site.yml starts those that a host plays.
installed=systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,iproute2,ca-certificates,openssl
installed=$installed,bind9,bind9-dnsutils,curl,postfix,pebble

# What the collection's roles install: downloaded only, with all that it recommends, so that the real
# installation needs no network.
downloaded='nginx certbot unbound postfix-mta-sts-resolver python3-dnspython python3-venv'

# $1 is the root of the image. Timers go because some of them take apt's lock whenever they like.
# shellcheck disable=SC2016
customize='
set -eu
rm -f "$1"/etc/ssh/ssh_host_*_key* "$1"/var/cache/apt/archives/*.deb
printf "%s\n" "HostKey /etc/ssh/ssh_host_ed25519_key" "PasswordAuthentication no" > "$1/etc/ssh/sshd_config.d/lab.conf"
chroot "$1" systemctl --quiet disable named postfix
rm -f "$1"/etc/systemd/system/timers.target.wants/*
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet=2 --download-only --install-recommends install '"$downloaded"

# Postfix is told what it would ask for before it is configured.
# shellcheck disable=SC2016
exec mmdebstrap --quiet --variant=apt --include="$installed" --skip=cleanup/apt/lists,cleanup/apt/cache \
    --essential-hook='echo postfix postfix/main_mailer_type select Local only | chroot "$1" debconf-set-selections' \
    --customize-hook="$customize" "$1" "$2"
