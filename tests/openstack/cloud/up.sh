#!/bin/bash
# A real OpenStack (Debian 12's own: Keystone, Glance, Placement, Neutron, Nova) on this machine, for tests. Needs root.
# Neither systemd nor KVM nor containers. Running it again changes nothing; what an earlier run left half-made, or half
# dead, is taken down first. Afterwards $STATE/clouds.yaml names the clouds `admin` and `demo` (a plain member).
#   NOINSTALL=1  fail when packages are missing instead of installing them
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
. "$HERE/common.sh"

mkdir -p "$STATE"
touch "$STATE/.skylens-openstack"
exec 9>"$STATE.lock"
flock 9

SERVICES="mariadb epmd rabbitmq keystone placement glance neutron-server nova-conductor nova-scheduler nova-api
  neutron-linuxbridge neutron-dhcp neutron-l3 nova-compute"
[ "$VIRT" = fake ] || SERVICES="$SERVICES libvirtd"
whole() { # nothing is missing, nothing has died
  local each
  [ "$(cat "$STATE/whole" 2>/dev/null)" = "$VIRT" ] || return 1
  for each in $SERVICES; do alive "$each" || return 1; done
  for each in 5000 8778 9292 9696 8774; do answers $each >/dev/null 2>&1 || return 1; done
}
if whole; then
  echo "already up: export OS_CLIENT_CONFIG_FILE=$STATE/clouds.yaml"
  exit 0
fi
PACKAGES="mariadb-server rabbitmq-server keystone glance-api placement-api neutron-api neutron-rpc-server
  neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent nova-api nova-conductor nova-scheduler
  python3-openstacksdk iptables ebtables"
if [ "$VIRT" = fake ]; then PACKAGES="$PACKAGES nova-compute"; else PACKAGES="$PACKAGES nova-compute-kvm genisoimage"; fi
# shellcheck disable=SC2086
if ! dpkg -s $PACKAGES >/dev/null 2>&1; then
  [ -z "${NOINSTALL:-}" ] || { echo "packages are missing: run $0 without NOINSTALL" >&2; exit 1; }
  mkdir -p "$LOG"
  [ -e /usr/sbin/policy-rc.d ] || { # no service of the distribution may start by itself
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
  }
  apt-get update -qq >"$LOG/apt.log" 2>&1 || true
  apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confold \
    $PACKAGES >>"$LOG/apt.log" 2>&1 || { tail -n 30 "$LOG/apt.log" >&2; exit 1; }
  mark packages
fi

purge=
[ "$(cat "$STATE/whole" 2>/dev/null)" = "$VIRT" ] || purge=--purge
QUIET=1 "$HERE/down.sh" $purge
mkdir -p "$LOG" "$PID" "$STATE/rabbit"
touch "$STATE/.skylens-openstack"
mark "what an earlier run left"

# The "physical" public network comes first: the APIs listen on it.
if ! ip link show $BRIDGE >/dev/null 2>&1; then
  touch "$STATE/made-bridge"
  ip link add $BRIDGE type bridge
fi
ip link set $BRIDGE up
ip -4 addr show dev $BRIDGE | grep -qF "$IP/" || ip addr add $IP/$PREFIX dev $BRIDGE
cat /proc/sys/net/ipv4/ip_forward >"$STATE/ip_forward"
sysctl -q -w net.ipv4.ip_forward=1
sysctl -q -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1 || true

if [ ! -d "$STATE/mysql" ]; then
  install -d -o mysql -g mysql "$STATE/mysql"
  mariadb-install-db --no-defaults --user=mysql --datadir="$STATE/mysql" --auth-root-authentication-method=socket \
    --skip-test-db >"$LOG/mysql-install.log" 2>&1
fi
start mariadb mariadbd --no-defaults --user=mysql --datadir="$STATE/mysql" --socket="$STATE/mysql/sock" \
  --bind-address=$LOCAL --port=$DATABASE_PORT --pid-file="$STATE/mysql/pid" --skip-log-bin --performance-schema=OFF \
  --max-connections=300 --innodb-buffer-pool-size=96M --innodb-log-file-size=32M --innodb-flush-log-at-trx-commit=0 \
  --innodb-doublewrite=0 --innodb-flush-method=nosync --key-buffer-size=1M --aria-pagecache-buffer-size=8M \
  --character-set-server=utf8mb3 --skip-name-resolve --innodb-use-native-aio=0
R=$STATE/rabbit
printf '[].\n' >"$R/enabled_plugins"
cat >"$R/rabbitmq.conf" <<C
listeners.tcp.1 = $LOCAL:5672
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
log.console = false
log.file = $LOG/rabbitmq-node.log
log.file.level = warning
C
start epmd env HOME="$R" ERL_EPMD_ADDRESS=$LOCAL epmd -address $LOCAL
start rabbitmq env HOME="$R" ERL_EPMD_ADDRESS=$LOCAL RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_NODE_IP_ADDRESS=$LOCAL \
  RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$R/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$R/enabled_plugins" \
  RABBITMQ_MNESIA_BASE="$R/mnesia" RABBITMQ_LOG_BASE="$LOG" RABBITMQ_PID_FILE="$R/beam.pid" RABBITMQ_DIST_PORT=25672 \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}" \
  /usr/lib/rabbitmq/bin/rabbitmq-server
. "$HERE/configure.sh"
await mariadb 60 sql -e 'select 1'
mark "configuration, database"

if [ ! -e "$STATE/whole" ]; then
  for each in keystone glance placement neutron nova nova_api nova_cell0; do
    echo "CREATE DATABASE $each CHARACTER SET utf8mb3;"
  done | sql
  sql -e "CREATE USER os@'$LOCAL' IDENTIFIED BY '$PASSWORD'; GRANT ALL ON *.* TO os@'$LOCAL';"
  keystone=(keystone-manage --config-file "$ETC/keystone/keystone.conf")
  nova=(nova-manage --config-file "$ETC/nova/nova.conf")
  identity() {
    local url=http://$IP:5000/v3/
    "${keystone[@]}" fernet_setup --keystone-user root --keystone-group root &&
      "${keystone[@]}" credential_setup --keystone-user root --keystone-group root &&
      "${keystone[@]}" db_sync &&
      "${keystone[@]}" bootstrap --bootstrap-password $PASSWORD --bootstrap-region-id $REGION \
        --bootstrap-admin-url $url --bootstrap-internal-url $url --bootstrap-public-url $url &&
      placement-manage --config-file "$ETC/placement/placement.conf" db sync &&
      glance-manage --config-file "$ETC/glance/glance-api.conf" db_sync
  }
  compute() {
    "${nova[@]}" api_db sync &&
      "${nova[@]}" cell_v2 map_cell0 --database_connection "$(database nova_cell0)" &&
      "${nova[@]}" cell_v2 create_cell --name cell1 &&
      "${nova[@]}" db sync
  }
  network() { neutron-db-manage --config-file "$ETC/neutron/neutron.conf" --config-file "$ETC/neutron/ml2.ini" upgrade heads; }
  running=
  for each in identity compute network; do
    (cd "$STATE" && $each) >"$LOG/schema-$each.log" 2>&1 9>&- &
    running="$running $!"
  done
  for each in $running; do wait "$each" || { tail -n 15 "$LOG"/schema-*.log >&2; exit 1; }; done
  mark schemas
fi

# uWSGI closes every connection, so it must say so, or clients that keep theirs open get resets
uwsgi=(uwsgi_python3 --add-header Connection:close --plugins python3 --die-on-term --enable-threads --lazy-apps --need-app
  --buffer-size 65535 --disable-logging --no-orphans --master)
start keystone env OS_KEYSTONE_CONFIG_FILES="$ETC/keystone/keystone.conf" \
  "${uwsgi[@]}" --http-socket $IP:5000 --processes 1 --threads 6 --wsgi-file /usr/bin/keystone-wsgi-public
start placement env OS_PLACEMENT_CONFIG_DIR="$ETC/placement" \
  "${uwsgi[@]}" --http-socket $IP:8778 --processes 1 --threads 4 --wsgi-file /usr/bin/placement-api
cat >"$STATE/clouds.yaml" <<C
clouds:
  admin:
    region_name: $REGION
    auth: {auth_url: "http://$IP:5000/v3", username: admin, password: $PASSWORD, project_name: admin,
           user_domain_name: Default, project_domain_name: Default}
  demo:
    region_name: $REGION
    auth: {auth_url: "http://$IP:5000/v3", username: demo, password: $PASSWORD, project_name: demo,
           user_domain_name: Default, project_domain_name: Default}
C
await keystone 60 answers 5000
export OS_CLIENT_CONFIG_FILE=$STATE/clouds.yaml
[ -e "$STATE/whole" ] || /usr/bin/python3 "$HERE/catalogue.py" $IP $REGION $PASSWORD
mark "Keystone, users, catalogue"

neutron=(--config-file "$ETC/neutron/neutron.conf" --config-file "$ETC/neutron/ml2.ini")
await rabbitmq 90 listens 5672
start glance glance-api --config-file "$ETC/glance/glance-api.conf"
start neutron-server neutron-server "${neutron[@]}"
start nova-conductor nova-conductor --config-file "$ETC/nova/nova.conf"
start nova-scheduler nova-scheduler --config-file "$ETC/nova/nova.conf"
start nova-api env OS_NOVA_CONFIG_DIR="$ETC/nova" \
  "${uwsgi[@]}" --http-socket $IP:8774 --processes 2 --threads 1 --wsgi-file /usr/bin/nova-api-wsgi # not thread-safe here
if [ "$VIRT" = libvirt ]; then
  [ -s "$STATE/host-uuid" ] || cat /proc/sys/kernel/random/uuid >"$STATE/host-uuid"
  printf 'host_uuid = "%s"\nlog_level = 3\nlog_outputs = "3:stderr"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n' \
    "$(cat "$STATE/host-uuid")" >"$ETC/libvirtd.conf"
  [ -e "$STATE/qemu.conf" ] || cp /etc/libvirt/qemu.conf "$STATE/qemu.conf" # libvirt reads it from its own place only
  printf '%s\n' 'user = "root"' 'group = "root"' 'dynamic_ownership = 0' 'remember_owner = 0' 'security_driver = "none"' \
    'namespaces = []' 'stdio_handler = "file"' >/etc/libvirt/qemu.conf
  start libvirtd libvirtd --config "$ETC/libvirtd.conf"
fi
await glance 60 answers 9292
await placement 60 answers 8778
await neutron-server 90 answers 9696
await nova-api 90 answers 8774
mark "API servers"

start neutron-linuxbridge neutron-linuxbridge-agent "${neutron[@]}"
start neutron-dhcp neutron-dhcp-agent "${neutron[@]}" --config-file "$ETC/neutron/dhcp.ini"
start neutron-l3 neutron-l3-agent "${neutron[@]}" --config-file "$ETC/neutron/l3.ini"
[ "$VIRT" = fake ] || await libvirtd 60 virsh -c qemu:///system version
start nova-compute nova-compute --config-file "$ETC/nova/nova.conf"
/usr/bin/python3 "$HERE/public.py" "$ETC/nova/nova.conf" "$IP"
echo "$VIRT" >"$STATE/whole"
mark "agents, hypervisor, public network"
echo "up: export OS_CLIENT_CONFIG_FILE=$STATE/clouds.yaml"
