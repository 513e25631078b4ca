#!/bin/bash
# Stop the cloud that up.sh started and take its network plumbing away, whatever state it is in.
#   --purge  delete the databases, images and instances as well
set -u
. "$(dirname "$(readlink -f "$0")")/common.sh"
[ "${QUIET:-}" ] || { exec 9>"$STATE.lock"; flock 9; } # up.sh has it already when it calls this

# every process of this cloud, whoever started it: services, their workers, dnsmasq, privsep helpers, guests
processes() {
  local each
  for each in /proc/[0-9]*; do
    each=${each#/proc/}
    ours "$each" && echo "$each"
  done
}
stop() { # stop NAME...: ask, wait at most 15 s, insist
  local name pid end=$((SECONDS + 15))
  for name; do alive "$name" && kill "$(cat "$PID/$name")" 2>/dev/null; done
  for name; do
    pid=$(cat "$PID/$name" 2>/dev/null)
    while ours "$pid" && [ "$SECONDS" -lt "$end" ]; do sleep 0.2; done
    ours "$pid" && kill -9 "$pid" 2>/dev/null
    rm -f "$PID/$name"
  done
}

if alive libvirtd; then # guests are known by their disks
  for guest in $(virsh -c qemu:///system list --all --name); do
    virsh -c qemu:///system dumpxml "$guest" | grep -qF "$STATE/" || continue
    virsh -c qemu:///system destroy "$guest" >/dev/null 2>&1
    [ "${1:-}" = --purge ] && virsh -c qemu:///system undefine "$guest" >/dev/null 2>&1
  done
fi
stop nova-compute neutron-l3 neutron-dhcp neutron-linuxbridge
stop nova-api nova-scheduler nova-conductor neutron-server glance placement keystone libvirtd
stop rabbitmq epmd mariadb
for signal in TERM KILL; do
  for ((turn = 0; turn < 20; turn++)); do
    left=$(processes)
    [ -z "$left" ] && break 2
    [ "$turn" = 0 ] && for each in $left; do kill -s "$signal" "$each" 2>/dev/null; done
    sleep 0.2
  done
done

for each in $(ip netns list 2>/dev/null | awk '/^q(dhcp|router)-/{print $1}'); do ip netns del "$each"; done
for each in $(ip -o link | awk -F': ' '{print $2}' | sed 's/@.*//' | grep -E '^(brq[0-9a-f]{8}-|tap[0-9a-f]{8}-|vxlan-[0-9]+$)'); do
  ip link del "$each" 2>/dev/null
done
if [ -e "$STATE/made-bridge" ]; then
  ip link del $BRIDGE 2>/dev/null
  rm -f "$STATE/made-bridge"
fi
for each in iptables ip6tables; do
  command -v $each-save >/dev/null && $each-save | grep -q neutron && $each-save | grep -v neutron | $each-restore
done
command -v ebtables >/dev/null && ebtables -t nat -F 2>/dev/null && ebtables -t nat -X 2>/dev/null
[ -s "$STATE/ip_forward" ] && sysctl -q -w net.ipv4.ip_forward="$(cat "$STATE/ip_forward")" && rm -f "$STATE/ip_forward"
[ -e "$STATE/qemu.conf" ] && mv "$STATE/qemu.conf" /etc/libvirt/qemu.conf
if [ "${1:-}" = --purge ] && { [ -e "$STATE/.skylens-openstack" ] || [ ! -e "$STATE" ]; }; then rm -rf "$STATE"; fi
[ "${QUIET:-}" ] || echo "stopped"
