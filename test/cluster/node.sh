#!/bin/bash
# Pid 1 of a node. It runs in mount, pid, network, host name and IPC namespaces of its own and makes them look like a
# machine: default paths, one network card. Then it starts and stops services as it is told through a named pipe.
#
#   NODE      host name                    STATE     the node's directory: lib/ services/ control
#   LOG       what stands at its /var/log
#   IP        its address, without length  GATEWAY   the host's address
#   ROUTES    "subnet=address ..." of the other nodes' pods
#   KEEP      directories that must stay visible wherever they are, parted by colons: the checkout, the cache
set -euo pipefail

# Covers a directory of the host with an empty one, so that nothing is ever written there. What must stay visible below
# it is held open meanwhile and bound back by its descriptor, as its path leads into the new, empty directory.
cover() {
	local top=$1 directory descriptor directories
	local -A kept=()
	IFS=: read -r -a directories <<<"$KEEP"
	for directory in "${directories[@]}"; do
		[[ $directory == "$top"/* ]] || continue
		exec {descriptor}<"$directory"
		kept[$directory]=$descriptor
	done
	mount -t tmpfs -o mode=755 tmpfs "$top"
	for directory in "${!kept[@]}"; do
		descriptor=${kept[$directory]}
		mkdir -p "$directory"
		mount --no-canonicalize --rbind "/proc/self/fd/$descriptor" "$directory"
		exec {descriptor}<&-
	done
}

make_machine() {
	hostname "$NODE"
	local top
	for top in /run /var/lib /etc/cni /opt; do
		if [[ -d $top ]]; then cover "$top"; fi
	done
	# An overlay (a checkout inside a container is on one) carries no other overlay's layers and no id-mapped mounts.
	if [[ $(stat --file-system --format=%T "$STATE/lib") == overlayfs ]]; then mount -t tmpfs tmpfs "$STATE/lib"; fi
	local place
	for place in kubelet containerd cni crashcart; do
		mkdir -p "/var/lib/$place" "$STATE/lib/$place"
		mount --bind "$STATE/lib/$place" "/var/lib/$place"
	done
	mkdir -p "$LOG/pods" "$LOG/containers"
	mount --bind "$LOG" /var/log
	# As systemd does: a pod with mountPropagation Bidirectional needs a shared mount to begin with.
	mount --make-rshared /
}

make_network() {
	until ip link show eth0 >/dev/null 2>&1; do sleep 0.01; done
	ip link set lo up
	ip address add "$IP/24" dev eth0
	ip link set eth0 up
	ip route add default via "$GATEWAY"
	echo 1 >/proc/sys/net/ipv4/ip_forward
	local route
	for route in $ROUTES; do
		ip route add "${route%=*}" via "${route#*=}"
	done
}

start() {
	setsid "$STATE/services/$1" >>"$LOG/$1.log" 2>&1 </dev/null 3>&- &
	echo $! >"/run/$1.pid"
}

stop() { # service, signal
	if [[ -e /run/$1.pid ]]; then kill -s "$2" "$(cat "/run/$1.pid")" || true; fi
}

make_machine
make_network
exec 3<>"$STATE/control"
touch "$STATE/ready"
while read -r -u 3 verb service; do
	case $verb in
	start) start "$service" ;;
	stop) stop "$service" TERM ;;
	kill) stop "$service" KILL ;;
	*) echo "unknown: $verb $service" ;;
	esac
done
