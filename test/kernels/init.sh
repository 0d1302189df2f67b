#!/bin/busybox sh
# Pid 1 of the guest. Its root directory is the machine's own, read-only, under a layer that goes with the guest, so that the checkout's tests find
# everything where they find it outside. The kernel's command line says what is run.
#
#   crashcart.cgroups=v2|hybrid   crashcart.directory=PATH of the checkout
set -eu
export PATH=/usr/bin
/bin/busybox mkdir -p /usr/bin /proc /sys /dev /host /disk /root
/bin/busybox --install -s /usr/bin

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t securityfs securityfs /sys/kernel/security
trap 'echo "the guest ends: $?"; sync; poweroff -f' EXIT
while read -r module; do insmod "/modules/$module"; done </modules/order

mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=1048576,cache=loose machine /host
mount -t ext4 /dev/vda /disk
mkdir -p /disk/layer /disk/work /disk/tmp
mount -t overlay -o lowerdir=/host,upperdir=/disk/layer,workdir=/disk/work overlay /root

# What the machine keeps there is not the guest's.
for directory in proc sys dev run tmp; do mkdir -p "/root/$directory"; done
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mount -t tmpfs -o mode=755 tmpfs /root/run
mount --bind /disk/tmp /root/tmp
chmod 1777 /root/tmp
mkdir -p /root/dev/pts /root/dev/shm /root/run/disk /root/run/out
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
mount --move /disk /root/run/disk
mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 out /root/run/out
ln -sf /proc/self/fd /root/dev/fd
ip link set lo up

argument() { sed -n "s/.*crashcart\.$1=\([^ ]*\).*/\1/p" /root/proc/cmdline; }
case $(argument cgroups) in
v2)
	mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
	# As systemd does: every controller is there for those below.
	for controller in $(cat /root/sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/root/sys/fs/cgroup/cgroup.subtree_control
	done
	;;
hybrid)
	mount -t tmpfs -o mode=755 tmpfs /root/sys/fs/cgroup
	for name in unified memory pids cpu devices freezer; do mkdir "/root/sys/fs/cgroup/$name"; done
	mount -t cgroup2 cgroup2 /root/sys/fs/cgroup/unified
	for name in memory pids cpu devices freezer; do mount -t cgroup -o "$name" cgroup "/root/sys/fs/cgroup/$name"; done
	;;
esac

# A shared root, again as systemd has it; and a root that runc can pivot away from, which the first one of the kernel is not.
mount --make-rshared /root
trap - EXIT
exec switch_root /root /bin/sh "$(argument directory)/test/kernels/guest.sh"
