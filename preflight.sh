#!/bin/bash
# Names everything that this machine lacks in one message, with the command that gets it. As root on Debian or Ubuntu it runs that
# command itself. Shell, because it must work before there is a Node to run anything else.
set -euo pipefail

missing=() packages=()
need() { # command, package: commands of /sbin count, whatever the caller's PATH is
  PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || { missing+=("$1"); packages+=("$2"); }
}

need npm npm
need node nodejs
need gcc gcc
need g++ g++            # node-pty
need make make
need python3 python3    # node-pty, by node-gyp
need pkg-config pkg-config
need xz xz-utils
need strip binutils
need ip iproute2
need nft nftables
need iptables iptables  # the kubelet probes for it
need unshare util-linux
need mount mount
need ps procps
need git git
[ -e /usr/include/seccomp.h ] || { missing+=("seccomp.h"); packages+=(libseccomp-dev); }
[ -e /usr/include/linux/openat2.h ] || { missing+=("linux/openat2.h"); packages+=(linux-libc-dev libc6-dev); }
[ -d /etc/ssl/certs ] || { missing+=("CA certificates"); packages+=(ca-certificates); }

# Go 1.21 and later fetch by themselves the toolchain that a go.mod asks for.
go_minor() { go env GOVERSION 2>/dev/null | sed -nE 's/^go1\.([0-9]+).*/\1/p'; }
if ! command -v go >/dev/null 2>&1 || [ "$(go_minor)" -lt 21 ]; then
  missing+=("go >= 1.21"); packages+=(golang-go)
fi

# `preflight.sh runtimes`: what the integration tests take besides: containers' runtimes, as daemons of their own, another clock, and shells.
if [ "${1-}" = runtimes ]; then
  need dockerd docker.io
  need docker docker.io
  need containerd containerd
  need ctr containerd
  need runc runc
  need podman podman
  need conmon conmon
  need mkfs.ext3 e2fsprogs
  need faketime faketime  # a build in another year
  need zsh zsh            # the scripts for completion run in the shells that they are for
  need fish fish
fi

# `preflight.sh kernels`: what boots a kernel of its own.
if [ "${1-}" = kernels ]; then
  need qemu-system-x86_64 qemu-system-x86
  need mkfs.ext4 e2fsprogs
fi

if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get update && apt-get install -y --no-install-recommends ${packages[*]}"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing what this machine lacks: ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    if ! command -v go >/dev/null 2>&1 || [ "$(go_minor)" -lt 21 ]; then
      echo "This Debian's Go is too old: install Go 1.21 or later and put it on PATH." >&2
      exit 1
    fi
  else
    echo "This machine lacks: ${missing[*]}" >&2
    echo "Get it with:  sudo sh -c '$install'" >&2
    exit 1
  fi
fi
