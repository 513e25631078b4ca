#!/bin/bash
# A small Debian 12 guest for the test cloud, into OUT: image.qcow2 (a bare ext4 root: no partitions, no boot loader),
# and vmlinuz and initrd, which Nova boots it with. What a web node needs from Debian is in it, for guests have no internet.
#   OUT       folder (/var/tmp/skylens-openstack-image); what is there already is left alone
#   PACKAGES  of Debian, beside the base (haproxy chrony)
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
. "$HERE/common.sh"
OUT=${OUT:-/var/tmp/skylens-openstack-image}
PACKAGES=${PACKAGES:-haproxy chrony}
mkdir -p "$OUT"
exec 9>"$OUT/lock"
flock 9
key=$(sha256sum "$HERE/image.sh" "$HERE/configdrive-init" | sha256sum | cut -c1-16)-$PACKAGES
if [ "$(cat "$OUT/key" 2>/dev/null)" = "$key" ]; then
  echo "have $OUT/image.qcow2"
  exit 0
fi
rm -f "$OUT/key"
if ! { command -v debootstrap && command -v qemu-img && command -v mkfs.ext4; } >/dev/null; then
  [ -z "${NOINSTALL:-}" ] || { echo "debootstrap or qemu-utils is missing: run $0 without NOINSTALL" >&2; exit 1; }
  apt-get update -qq >"$OUT/apt.log" 2>&1 || true
  apt-get install -y -qq --no-install-recommends debootstrap qemu-utils e2fsprogs >>"$OUT/apt.log" 2>&1
fi
# the mirror that apt itself uses
MIRROR=${MIRROR:-$(sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' \
  /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true)}
[ -n "$MIRROR" ] || { echo "no Debian mirror among apt's sources: set MIRROR" >&2; exit 1; }
ROOT=$OUT/root
finish() { mountpoint -q "$ROOT/proc" && umount "$ROOT/proc"; rm -rf --one-file-system "$ROOT" "$OUT/image.raw"; }
finish || true
trap 'finish || true' EXIT

debootstrap --variant=minbase --include=systemd,systemd-sysv,udev,dbus,iproute2,openssh-server,python3,python3-apt,sudo,ca-certificates,initramfs-tools,kmod,e2fsprogs,lz4 \
  bookworm "$ROOT" "$MIRROR" >"$OUT/debootstrap.log" 2>&1 || { tail -n 20 "$OUT/debootstrap.log" >&2; exit 1; }
mark debootstrap
printf 'MODULES=list\nCOMPRESS=lz4\n' >"$ROOT/etc/initramfs-tools/conf.d/small" # only what finds a virtio root
printf '%s\n' virtio_pci virtio_blk virtio_net ext4 >>"$ROOT/etc/initramfs-tools/modules"
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
mount -t proc proc "$ROOT/proc"
# shellcheck disable=SC2086
chroot "$ROOT" apt-get install -y --no-install-recommends linux-image-cloud-amd64 $PACKAGES >>"$OUT/debootstrap.log" 2>&1 ||
  { tail -n 20 "$OUT/debootstrap.log" >&2; exit 1; }
umount "$ROOT/proc"
mark packages

rm -rf "$ROOT"/{usr/sbin/policy-rc.d,var/cache/apt/*,var/lib/apt/lists/*,etc/ssh/ssh_host_*} \
  "$ROOT"/usr/share/{doc,man,locale,info}/*
cp "$ROOT"/boot/vmlinuz-* "$OUT/vmlinuz"
cp "$ROOT"/boot/initrd.img-* "$OUT/initrd"
rm -rf "$ROOT"/boot/*
chroot "$ROOT" useradd -m -s /bin/bash -G sudo debian
echo 'debian ALL=(ALL) NOPASSWD:ALL' >"$ROOT/etc/sudoers.d/debian"
echo '/dev/vda / ext4 rw,noatime,discard 0 1' >"$ROOT/etc/fstab"
: >"$ROOT/etc/machine-id"
printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
  >"$ROOT/etc/systemd/network/10-dhcp.network"
for each in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service systemd-pstore.service; do ln -sf /dev/null "$ROOT/etc/systemd/system/$each"; done
install -m 755 "$HERE/configdrive-init" "$ROOT/usr/local/sbin/configdrive-init"
install -d "$ROOT/etc/systemd/system/dev-sr0.device.d" # an emulated guest beside other work is slow to find it
printf '[Unit]\nJobRunningTimeoutSec=900\n' >"$ROOT/etc/systemd/system/dev-sr0.device.d/patience.conf"
cat >"$ROOT/etc/systemd/system/configdrive-init.service" <<'U'
[Unit]
Description=Apply the OpenStack config drive
After=local-fs.target dev-sr0.device
Wants=dev-sr0.device
Before=ssh.service
ConditionPathExists=!/var/lib/configdrive-done
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=/usr/bin/ssh-keygen -q -N "" -t ed25519 -f /etc/ssh/ssh_host_ed25519_key
ExecStart=/usr/local/sbin/configdrive-init
ExecStartPost=-/sbin/resize2fs /dev/vda
ExecStartPost=/bin/touch /var/lib/configdrive-done
StandardOutput=journal+console
StandardError=journal+console
[Install]
WantedBy=multi-user.target
U
chroot "$ROOT" systemctl -q enable ssh systemd-networkd configdrive-init
chroot "$ROOT" systemctl -q disable haproxy 2>/dev/null || true # playbooks start it

truncate -s "${SIZE:-1400M}" "$OUT/image.raw"
mkfs.ext4 -q -F -L root -O ^metadata_csum -d "$ROOT" "$OUT/image.raw"
qemu-img convert -f raw -O qcow2 "$OUT/image.raw" "$OUT/image.qcow2"
echo "$key" >"$OUT/key"
mark image
ls -l "$OUT"
