# The services' configuration files, written anew at each start; sourced by up.sh.
# shellcheck shell=bash
database() { echo "mysql+pymysql://os:$PASSWORD@$LOCAL:$DATABASE_PORT/$1?charset=utf8"; } # PyMySQL here lacks utf8mb3
queue=rabbit://guest:guest@$LOCAL:5672/
stored() { printf '[database]\nconnection = %s\nmax_pool_size = 5\nmax_overflow = 20\nmax_retries = -1\n' "$(database "$1")"; }
as_user() {
  cat <<C
auth_type = password
auth_url = http://$IP:5000/v3
username = $1
password = $PASSWORD
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $REGION
C
}
tokens() { # tokens USER SERVICE_TYPE: without its type a service refuses credentials that have access rules
  printf '[keystone_authtoken]\nwww_authenticate_uri = http://%s:5000/v3\nservice_token_roles_required = true\n' "$IP"
  printf 'service_type = %s\n' "$2"
  as_user "$1"
}
messages() { printf '[oslo_messaging_rabbit]\nheartbeat_in_pthread = false\n[oslo_messaging_notifications]\ndriver = noop\n'; }
helpers() { # helpers FILE SECTION...: as root, without rootwrap and sudo
  local file=$1 section
  shift
  for section; do printf '[%s]\nhelper_command = privsep-helper --config-file %s\n' "$section" "$file"; done
}
locks=$(printf '[oslo_concurrency]\nlock_path = %s\n' "$STATE/lock")

mkdir -p "$ETC"/{keystone,glance,placement,neutron,nova} "$STATE"/{lock,keystone,neutron,glance/{images,staging,tasks},nova/instances}
cp /etc/glance/glance-api-paste.ini "$ETC/glance/"
cp /etc/neutron/api-paste.ini "$ETC/neutron/"
cp /etc/nova/api-paste.ini "$ETC/nova/"

cat >"$ETC/keystone/keystone.conf" <<C
[DEFAULT]
log_file =
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $STATE/keystone/fernet-keys
[credential]
key_repository = $STATE/keystone/credential-keys
[cache]
enabled = true
backend = dogpile.cache.memory
$(stored keystone)
C

cat >"$ETC/glance/glance-api.conf" <<C
[DEFAULT]
bind_host = $IP
bind_port = 9292
workers = 0
enabled_backends = file:file
enabled_import_methods = [glance-direct,web-download]
node_staging_uri = file://$STATE/glance/staging
[glance_store]
default_backend = file
[file]
filesystem_store_datadir = $STATE/glance/images
[os_glance_staging_store]
filesystem_store_datadir = $STATE/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = $STATE/glance/tasks
[paste_deploy]
flavor = keystone
config_file = $ETC/glance/glance-api-paste.ini
$locks
$(stored glance)
$(tokens glance image)
C

cat >"$ETC/placement/placement.conf" <<C
[api]
auth_strategy = keystone
[placement_database]
connection = $(database placement)
max_pool_size = 5
$(tokens placement placement)
C

cat >"$ETC/neutron/neutron.conf" <<C
[DEFAULT]
host = $HOST_NAME
bind_host = $IP
bind_port = 9696
api_paste_config = $ETC/neutron/api-paste.ini
state_path = $STATE/neutron
core_plugin = ml2
service_plugins = router
transport_url = $queue
api_workers = 0
rpc_workers = 0
rpc_state_report_workers = 0
dhcp_agents_per_network = 1
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
interface_driver = linuxbridge
max_l3_agents_per_router = 1
global_physnet_mtu = 1500
[experimental]
linuxbridge = true
[agent]
root_helper = env
report_interval = 20
[nova]
$(as_user nova)
[placement]
$(as_user placement)
$locks
$(stored neutron)
$(tokens neutron network)
$(messages)
$(helpers "$ETC/neutron/neutron.conf" privsep privsep_dhcp_release privsep_ovs_vsctl privsep_namespace privsep_conntrack privsep_link privsep_default)
C
cat >"$ETC/neutron/ml2.ini" <<C
[ml2]
type_drivers = flat,local,vxlan
tenant_network_types = vxlan
mechanism_drivers = linuxbridge,l2population
extension_drivers = port_security
[ml2_type_flat]
flat_networks = public
[ml2_type_vxlan]
vni_ranges = 1:1000
[securitygroup]
enable_security_group = true
enable_ipset = false
firewall_driver = iptables
[linux_bridge]
bridge_mappings = public:$BRIDGE
[vxlan]
enable_vxlan = true
local_ip = $IP
l2_population = true
C
printf '[DEFAULT]\ninterface_driver = linuxbridge\nenable_isolated_metadata = false\nnum_sync_threads = 2\n' >"$ETC/neutron/dhcp.ini"
printf '[DEFAULT]\ninterface_driver = linuxbridge\nagent_mode = legacy\nenable_metadata_proxy = false\n' >"$ETC/neutron/l3.ini"

case $VIRT in fake) driver=fake.FakeDriver ;; libvirt) driver=libvirt.LibvirtDriver ;; *) echo "VIRT=$VIRT?" >&2; exit 1 ;; esac
cat >"$ETC/nova/nova.conf" <<C
[DEFAULT]
host = $HOST_NAME
my_ip = $IP
state_path = $STATE/nova
instances_path = $STATE/nova/instances
transport_url = $queue
compute_driver = $driver
enabled_apis = osapi_compute
osapi_compute_listen = $IP
osapi_compute_workers = 1
force_config_drive = true
force_raw_images = false
reserved_host_memory_mb = 512
reserved_host_disk_mb = 1024
cpu_allocation_ratio = 8
ram_allocation_ratio = 1.0
vif_plugging_is_fatal = true
vif_plugging_timeout = 120
report_interval = 20
[api_database]
connection = $(database nova_api)
max_pool_size = 5
[api]
auth_strategy = keystone
[wsgi]
api_paste_config = $ETC/nova/api-paste.ini
[conductor]
workers = 1
[scheduler]
workers = 1
[glance]
api_servers = http://$IP:9292
[neutron]
$(as_user neutron)
[placement]
$(as_user placement)
[service_user]
send_service_user_token = true
$(as_user nova)
[cinder]
catalog_info = volumev3::internalURL
[vnc]
enabled = false
[spice]
enabled = false
[libvirt]
virt_type = qemu
cpu_mode = custom
cpu_models = Nehalem
hw_machine_type = x86_64=pc
inject_partition = -2
num_pcie_ports = 0
[privsep]
helper_command = privsep-helper --config-file $ETC/nova/nova.conf
$locks
$(stored nova)
$(tokens nova compute)
$(messages)
$(helpers "$ETC/nova/nova.conf" nova_sys_admin vif_plug_linux_bridge_privileged vif_plug_ovs_privileged privsep_osbrick os_brick_privileged)
C
