#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds and tests everything on a Debian machine; as root, it first installs what is missing.
#
#   ./test.sh          all of it
#   ./test.sh quick    only the build with its gates and the tests that need nothing installed
#
# Ends with a count of suites, and with status 1 if one failed. Set -e is not used on purpose: a
# suite that fails does not keep the next ones from running.
set -u
cd "$(dirname "$0")" || exit
export MAVEN_OPTS="${MAVEN_OPTS:-}"

.ci/install-tools java:default-jdk-headless javac:default-jdk-headless mvn:maven || exit 1
mvn=(mvn --batch-mode --no-transfer-progress)

passed=0
failed=()
suite() {
  local name=$1 start=$SECONDS
  shift
  echo
  echo "=== $name"
  if "$@"; then
    passed=$((passed + 1))
    echo "=== $name: passed in $((SECONDS - start)) s"
  else
    failed+=("$name")
    echo "=== $name: FAILED after $((SECONDS - start)) s"
  fi
}

finish() {
  echo
  [ ${#failed[@]} -eq 0 ] || printf 'failed: %s\n' "${failed[@]}"
  echo "$passed passed, ${#failed[@]} failed (suites, in $SECONDS s)"
  [ ${#failed[@]} -eq 0 ]
  exit
}

suite "build, gates and default tests" "${mvn[@]}" verify
[ "${1:-}" != quick ] || finish
# Without the launchers nothing below can say anything.
[ ${#failed[@]} -eq 0 ] || [ -e examples/target/ulohttp.jar ] || finish

.ci/install-tools \
  mke2fs:e2fsprogs losetup:mount mount:mount setpriv:util-linux \
  nginx:nginx-light openssl:openssl python3:python3 curl:curl \
  nbdcopy:libnbd-bin nbdfuse:libnbd-bin nbdsh:python3-libnbd nbdkit:nbdkit fusermount3:fuse3 \
  qemu-img:qemu-utils qemu-io:qemu-utils qemu-storage-daemon:qemu-system-common fio:fio \
  qemu-system-x86_64:qemu-system-x86 /usr/share/qemu:qemu-system-data \
  apache2:apache2-bin lighttpd:lighttpd caddy:caddy tinyproxy:tinyproxy \
  mksquashfs:squashfs-tools mkfs.erofs:erofs-utils \
  systemd-socket-activate:systemd systemd-analyze:systemd \
  cpio:cpio depmod:kmod busybox:busybox-static xz:xz-utils lz4:lz4 nbd-client:nbd-client dmsetup:dmsetup \
  || exit 1

# One JVM a module, on the classes that are built; what is tagged slow runs by hand (docs/guide.md).
tagged() {
  "${mvn[@]}" verify -Duloop.groups="$1" -Duloop.excludedGroups="$2" \
    -Dspotless.check.skip=true -Denforcer.skip=true "${@:3}"
}
if [ "$(id -u)" = 0 ]; then
  suite "tests that need root" tagged "root" "kernel,slow"
else
  echo "not root: the tests that need root are left out"
fi
suite "tests with other NBD programs" tagged "interop" "root,kernel,slow" -Duloop.interop.required=true
suite "fuzzing for a minute" env JAZZER_FUZZ=1 "${mvn[@]}" verify -pl uloop-nbd-transport -am \
  -Dtest='SessionFuzzTest#session_anyBytes_*' -Dsurefire.failIfNoSpecifiedTests=false \
  -Dspotless.check.skip=true -Denforcer.skip=true
suite "launchers end to end" examples/src/test/sh/run-all
if [ -x .ci/guest-tests ]; then
  suite "tests in a kernel of their own" .ci/guest-tests
fi
finish
