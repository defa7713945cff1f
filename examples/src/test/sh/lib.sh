#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the end-to-end tests share; each sources this file first. A test is one script that exits
# with 0 if the behaviour in its name holds. It runs in an empty directory of its own, $work, and
# everything that it starts with the functions below is ended with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../../.." && pwd)
target=$root/examples/target
java=${JAVA_HOME:+$JAVA_HOME/bin/}java

work=$(mktemp -d "${TMPDIR:-/tmp}/uloop-test.XXXXXX")
cd "$work"
export XDG_CACHE_HOME=$work/user-cache
socket=$work/socket
uri="nbd+unix:///?socket=$socket"
pids=()

end() {
  local status=$?
  set +e
  for pid in "${pids[@]}"; do
    kill -9 "$pid" 2> /dev/null
    wait "$pid" 2> /dev/null
  done
  if [ $status -ne 0 ]; then
    echo "-- failed with status $status; what was said:"
    tail -n 20 "$work"/*.out "$work"/*.err 2> /dev/null
  fi
  cd /
  rm -rf "$work"
  exit $status
}
trap end EXIT
trap 'echo "$0:$LINENO: $BASH_COMMAND" >&2' ERR

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# equal WHAT EXPECTED ACTUAL
equal() {
  [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# at_most WHAT LIMIT ACTUAL
at_most() {
  [ "$3" -le "$2" ] || fail "$1: expected at most $2, got $3"
}

# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "waited in vain for: $*"
    sleep 0.05
  done
}

sha() {
  sha256sum | cut -d' ' -f1
}

# random_image FILE BYTES: the same bytes each time
random_image() {
  openssl enc -aes-128-ctr -nosalt -pass pass:uloop -md sha256 -in /dev/zero 2> /dev/null \
    | head -c "$2" > "$1" || true
  equal "size of $1" "$2" "$(stat -c %s "$1")"
}

# ext4_image FILE MEBIBYTES: a file system with real files in it
ext4_image() {
  mkdir -p tree
  cp -r "$root"/uloop-core/src tree/
  random_image tree/random $(($2 * 1024 * 1024 / 2))
  mke2fs -q -F -t ext4 -d tree "$1" "$2M"
  rm -rf tree
}

# origin_start: nginx serves $work at $origin; requests are logged to origin.log
origin_start() {
  origin_port=${origin_port:-$(free_port)}
  origin=http://127.0.0.1:$origin_port
  {
    [ "$(id -u)" != 0 ] || echo "user root;"
    echo "daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.err; events {}"
    echo "http { log_format bytes '\$request_method \$status \$body_bytes_sent';"
    echo "access_log $work/origin.log bytes; sendfile on; keepalive_requests 100000;"
    for kind in client_body proxy fastcgi uwsgi scgi; do
      echo "${kind}_temp_path $work/nginx-$kind;"
    done
    echo "server { listen 127.0.0.1:$origin_port; root $work; ${origin_extra:-} } }"
  } > nginx.conf
  nginx -c "$work/nginx.conf" -e "$work/nginx.err" &
  origin_pid=$!
  pids+=("$origin_pid")
  wait_for 10 reached "$origin_port"
}

origin_stop() {
  kill "$origin_pid"
  wait "$origin_pid" || true
}

# The sum of the bodies that the origin sent.
origin_bytes() {
  awk '{ sum += $3 } END { printf "%d\n", sum }' origin.log
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

reached() {
  (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# launch PROGRAM ARGUMENTS...: starts a launcher and waits until it serves; it is $launcher then
launch() {
  local program=$1
  shift
  : > launcher.out
  # With job control: without, a shell starts background programs with SIGINT ignored, and a JVM
  # respects that.
  set -m
  "$java" -jar "$target/$program.jar" "$@" > launcher.out 2> launcher.err &
  launcher=$!
  set +m
  pids+=("$launcher")
  local deadline=$((SECONDS + 30))
  until grep -q '^ready ' launcher.out; do
    kill -0 "$launcher" 2> /dev/null || fail "$program ended: $(cat launcher.err)"
    [ $SECONDS -lt $deadline ] || fail "$program is not ready after 30 s"
    sleep 0.02
  done
}

# stop [SIGNAL]: ends the launcher, which must then be gone with status 0 and no word
stop() {
  local status=0
  kill "-${1:-TERM}" "$launcher"
  wait_for 30 ended "$launcher"
  wait "$launcher" || status=$?
  equal "exit status after SIG${1:-TERM}" 0 "$status"
  equal "standard error" "" "$(cat launcher.err)"
}

ended() {
  ! kill -0 "$1" 2> /dev/null || grep -q '^State:.Z' "/proc/$1/status"
}

# The sha256 of the whole export.
export_sha() {
  nbdcopy "$uri" - | sha
}

# right_blocks IMAGE CACHE BITMAP: every block whose bit is set must be the image's; prints how many are
right_blocks() {
  python3 - "$@" << 'PY'
import os
import sys

image, cache, bitmap = (open(name, "rb") for name in sys.argv[1:])
bits = bitmap.read()
found = 0
for block in range((os.fstat(image.fileno()).st_size + 4095) // 4096):
    if bits and bits[block // 8] >> block % 8 & 1:
        image.seek(block * 4096)
        cache.seek(block * 4096)
        right = image.read(4096)
        if cache.read(len(right)) != right:
            sys.exit(f"the bit of block {block} is set, its data is wrong")
        found += 1
print(found)
PY
}

# refused STATUS TEXT PROGRAM ARGUMENTS...: ends with the status and one line that has the text
refused() {
  local expected=$1 text=$2 program=$3 status=0
  shift 3
  timeout 60 "$java" -jar "$target/$program.jar" "$@" > refused.out 2> refused.err || status=$?
  echo "exit $status: $(cat refused.err)"
  equal "exit status" "$expected" "$status"
  equal "lines on standard error" 1 "$(wc -l < refused.err)"
  equal "standard output" "" "$(cat refused.out)"
  grep -qF -- "$text" refused.err || fail "'$(cat refused.err)' does not say '$text'"
}
