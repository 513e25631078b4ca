# What up.sh, down.sh and image.sh share; sourced by them.
#
# STATE  folder for configuration, data, logs and pids of the cloud (/var/tmp/skylens-openstack)
# VIRT   fake (no guests, Nova's fake driver) or libvirt (QEMU without KVM); default fake
# shellcheck shell=bash disable=SC2034
STATE=${STATE:-/var/tmp/skylens-openstack}
VIRT=${VIRT:-fake}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY PYENV_ROOT PYTHONPATH VIRTUAL_ENV
ETC=$STATE/etc LOG=$STATE/log PID=$STATE/pid

LOCAL=127.0.0.1 # database and message queue
IP=172.24.4.1   # the APIs, on the bridge: guests reach them through their router, as in a real cloud
PREFIX=24 BRIDGE=br-ex
DATABASE_PORT=13306 REGION=RegionOne PASSWORD=secret HOST_NAME=all-in-one

[ "$(id -u)" = 0 ] || { echo "run as root: it makes bridges, network namespaces and virtual machines" >&2; exit 1; }
case $STATE in /?*/?*) ;; *) echo "STATE=$STATE must be an absolute path of two parts or more" >&2; exit 1 ;; esac

# mark WHAT: say how long the step took that ends here
BEGAN=$EPOCHREALTIME STEP=$EPOCHREALTIME
mark() {
  local now=$EPOCHREALTIME
  awk -v a="$STEP" -v b="$now" -v c="$BEGAN" -v w="$1" 'BEGIN { printf "%-32s %6.1f s  (%6.1f s)\n", w, b - a, b - c }'
  STEP=$now
}

# ours PID: a live process of this cloud, by the variable that it inherited; those that write their title over it, and
# guests, which are libvirt's, by their arguments. A recycled pid is somebody else's.
ours() {
  grep -qzxF "SKYLENS_TEST_CLOUD=$STATE" "/proc/${1:-none}/environ" 2>/dev/null || {
    tr '\0' ' ' <"/proc/${1:-none}/cmdline" | grep -E '(^|/)(qemu-system-|neutron-|nova-|privsep-helper|dnsmasq)' | grep -qF "$STATE/"
  } 2>/dev/null
}
alive() { [ -s "$PID/$1" ] && ours "$(cat "$PID/$1")"; }

# start NAME COMMAND...: in a session of its own, output to log/NAME.log, pid to pid/NAME
start() {
  local name=$1
  shift
  (cd "$STATE" && SKYLENS_TEST_CLOUD=$STATE exec setsid "$@" >>"$LOG/$name.log" 2>&1 </dev/null 9>&-) &
  echo $! >"$PID/$name"
}

# await NAME SECONDS COMMAND...: until the command succeeds; give up early when the process has died
await() {
  local name=$1 end=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ -s "$PID/$name" ] && ! alive "$name"; then
      echo "$name died; the end of $LOG/$name.log:" >&2
      tail -n 20 "$LOG/$name.log" >&2
      return 1
    elif [ "$SECONDS" -ge "$end" ]; then
      echo "$name is not ready in time; the end of $LOG/$name.log:" >&2
      tail -n 20 "$LOG/$name.log" >&2
      return 1
    fi
    sleep 0.3
  done
}
answers() { # answers PORT: any HTTP status will do
  python3 - "http://$IP:$1/" <<'PY'
import sys, urllib.error, urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=20)
except urllib.error.HTTPError:
    pass
PY
}
listens() { (exec 3<>"/dev/tcp/$LOCAL/$1"); }
sql() { mariadb -S "$STATE/mysql/sock" -N "$@"; }
