#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows what uloop does: an image behind HTTP becomes a mounted block device, and what is read once
# is read from the local cache from then on.
#
#   ./demo.sh [--keep] [URL]
#
#   URL      an image on a real server, in place of one that the demo makes and serves itself
#   --keep   leave it mounted and say how to end it
#
# On Debian as root it installs what is missing. Where it may not mount, it copies over NBD instead.
set -euo pipefail
cd "$(dirname "$0")"

keep=
url=
for argument in "$@"; do
  case $argument in
    --keep) keep=yes ;;
    -*) echo "usage: ./demo.sh [--keep] [URL]" >&2; exit 2 ;;
    *) url=$argument ;;
  esac
done

.ci/install-tools java:default-jdk-headless javac:default-jdk-headless mvn:maven \
  mke2fs:e2fsprogs losetup:mount mount:mount blockdev:util-linux cpio:cpio \
  nbdcopy:libnbd-bin nbdfuse:libnbd-bin fusermount3:fuse3
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
export PATH=$PATH:/usr/sbin:/sbin

echo "== Build"
mvn --batch-mode --no-transfer-progress -q -DskipTests -pl examples -am package
ulohttp=$PWD/examples/target/ulohttp.jar

work=$(mktemp -d "${TMPDIR:-/tmp}/uloop-demo.XXXXXX")
origin=
launcher=
mounted=
end() {
  local status=$?
  set +e
  [ -z "$mounted" ] || umount "$work/mnt"
  if [ -n "$launcher" ]; then
    kill "$launcher" 2> /dev/null
    wait "$launcher"
  fi
  if [ -n "$origin" ]; then
    kill "$origin" 2> /dev/null
    wait "$origin" 2> /dev/null
  fi
  [ $status -eq 0 ] || cat "$work"/*.err 2> /dev/null
  rm -rf "$work"
  exit $status
}
trap end EXIT

if [ -z "$url" ]; then
  echo "== Image: 256 MiB of ext4 with files of this machine"
  mkdir -p "$work/served" "$work/tree"
  # Real files, as many as fit well.
  find /usr/share /usr/lib -xdev -type f -size -4M -printf '%s %p\0' 2> /dev/null \
    | awk 'BEGIN { RS = ORS = "\0" } { sum += $1 + 4096; if (sum > 180 * 1048576) exit;
           sub(/^[0-9]+ /, ""); print }' \
    | cpio --null --pass-through --make-directories --quiet "$work/tree" 2> /dev/null || true
  mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$work/tree" "$work/served/demo.img" 256M
  rm -rf "$work/tree"
  "$java" -cp "$ulohttp" io.uloop.examples.FileOrigin "$work/served" > "$work/origin.out" \
    2> "$work/origin.err" &
  origin=$!
  until grep -q '^serving ' "$work/origin.out"; do
    kill -0 $origin
    sleep 0.1
  done
  url=$(sed -n 's/^serving //p' "$work/origin.out")demo.img
fi

# The kernel's nbd if there is one, else a loop device, as in 2008; else no device of the kernel.
device=
if [ "$(id -u)" = 0 ]; then
  modprobe nbd 2> /dev/null || true
  for nbd in /sys/block/nbd*; do
    if [ -b "/dev/${nbd##*/}" ] && [ ! -e "$nbd/pid" ]; then
      device=/dev/${nbd##*/}
      break
    fi
  done
  if [ -z "$device" ] && [ -e /dev/fuse ] && [ -e /dev/loop-control ]; then
    device=$(losetup --find)
  fi
fi
[ -n "$device" ] || echo "== No root, or neither nbd nor FUSE here: reading through NBD with nbdcopy"
place=${device:-unix:$work/socket}

echo "== ulohttp -b bitmap -c cache $place $url"
"$java" -jar "$ulohttp" --stats 1 -b "$work/bitmap" -c "$work/cache" "$place" "$url" \
  > "$work/ulohttp.out" 2> "$work/ulohttp.err" &
launcher=$!
until grep -q '^ready ' "$work/ulohttp.out"; do
  if ! kill -0 $launcher 2> /dev/null; then
    launcher=
    exit 1
  fi
  sleep 0.1
done
size=$(awk '$1 == "ready" { print $3 }' "$work/ulohttp.out")
echo "   $(grep '^ready ' "$work/ulohttp.out")"

# fresh: takes counters that were printed after now; counter NAME: the value of one
fresh() {
  local lines
  lines=$(grep -c '^stats ' "$work/ulohttp.out" || true)
  until [ "$(grep -c '^stats ' "$work/ulohttp.out" || true)" -gt $((lines + 1)) ]; do
    sleep 0.1
  done
  stats=$(grep '^stats ' "$work/ulohttp.out" | tail -n 1)
}
counter() {
  printf '%s\n' "$stats" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

if [ -n "$device" ]; then
  mkdir "$work/mnt"
  if ! mount -o ro,noload "$device" "$work/mnt" 2> /dev/null \
    && ! mount -o ro "$device" "$work/mnt" 2> /dev/null; then
    echo "== No file system that mounts: reading the device itself"
    read_all() { dd if="$device" bs=1M status=none | wc -c; }
  else
    mounted=yes
    read_all() { find "$work/mnt" -type f -exec cat {} + | wc -c; }
  fi
  # What the kernel keeps must not answer in the cache's place.
  forget() {
    blockdev --flushbufs "$device"
    echo 3 > /proc/sys/vm/drop_caches
  }
else
  read_all() { nbdcopy "nbd+unix:///?socket=$work/socket" - | wc -c; }
  forget() { :; }
fi

echo "== Read everything, twice"
printf '   %-6s %14s %14s %14s %9s %10s\n' pass 'bytes read' 'asked of uloop' 'fetched' seconds 'hit ratio'
fresh
for pass in first second; do
  reads=$(counter reads)
  hits=$(counter hits)
  asked=$(counter bytes-read)
  fetched=$(counter bytes-fetched)
  start=$(date +%s%N)
  bytes=$(read_all)
  took=$((($(date +%s%N) - start) / 1000000))
  forget
  fresh
  printf '   %-6s %14d %14d %14d %9s %10s\n' $pass "$bytes" $(($(counter bytes-read) - asked)) \
    $(($(counter bytes-fetched) - fetched)) "$((took / 1000)).$(printf %03d $((took % 1000)))" \
    "$(awk -v h=$(($(counter hits) - hits)) -v r=$(($(counter reads) - reads)) \
      'BEGIN { printf "%.1f %%", r ? 100 * h / r : 100 }')"
done

echo "== The pair on disk (docs/cache-format.md)"
blocks=$(((size + 4095) / 4096))
bitmap=$((((blocks + 7) / 8 + 4095) / 4096 * 4096))
[ $bitmap -gt 0 ] || bitmap=4096
check() {
  local actual
  actual=$(stat -c %s "$work/$1")
  echo "   $1: $actual bytes, expected $2; $(du -k "$work/$1" | cut -f1) KiB on disk"
  [ "$actual" = "$2" ]
}
check cache $((blocks * 4096))
check bitmap $bitmap

if [ -n "$keep" ] && [ -n "$device" ]; then
  echo "== Left running. To end it:"
  echo "   umount $work/mnt; kill $launcher${origin:+ $origin}; rm -r $work"
  mounted=
  trap - EXIT
  exit 0
fi
echo "== Done: unmounting and stopping"
