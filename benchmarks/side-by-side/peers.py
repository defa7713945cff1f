#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Side-by-side bench of read-through NBD servers over one HTTP origin, on loopback only.

usage: peers.py --image IMG --rtt-ms 0|10 --systems a,b --workloads cold-seq,warm-seq,... --out results.jsonl

Every system is started afresh with an empty cache for a cold workload; the warm workloads then run on the
cache that a full sequential read has filled. Figures: wall seconds, MiB/s or IOPS, server CPU seconds, anonymous resident memory.
"""
import argparse, json, os, re, shutil, signal, subprocess, sys, time, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHROOT = os.environ.get("PEERS_CHROOT", "")           # a newer Debian holding nbdkit and qemu-nbd
ULOOP = os.environ.get("ULOOP_JAR", "")               # launcher jar of this project
JAVA = os.environ.get("ULOOP_JAVA", "java")
WORK = os.environ.get("BENCH_WORK", "/tmp/bench/run")

def ch(cmd):
    return (["chroot", CHROOT] if CHROOT else []) + cmd

class System:
    only = None   # the workloads it knows, if not all
    def __init__(self, name, url):
        self.name, self.url = name, url
        self.dir = os.path.join(WORK, name)
        shutil.rmtree(self.dir, ignore_errors=True); os.makedirs(self.dir)
        self.sock = os.path.join(self.dir, "s")
        self.proc = None
    def command(self): raise NotImplementedError
    def start(self):
        if os.path.exists(self.sock): os.unlink(self.sock)
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.t0 = time.time()
        self.proc = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log, cwd=self.dir)
        for _ in range(3000):
            if os.path.exists(self.sock) and subprocess.run(["nbdinfo", "--size", self.uri], capture_output=True).returncode == 0: break
            if self.proc.poll() is not None: raise SystemExit(f"{self.name} died: " + open(self.log.name).read()[-2000:])
            time.sleep(0.01)
        else: raise SystemExit(self.name + " did not start")
        self.started = time.time() - self.t0
        self.pid = self.find_pid()
    def find_pid(self): return self.proc.pid
    @property
    def uri(self): return "nbd+unix:///?socket=" + self.sock
    def cpu(self):
        f = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")
    def rss(self):
        # anonymous memory: pages of mapped files are the page cache's, whoever maps them
        return int(re.search(r"RssAnon:\s+(\d+)", open(f"/proc/{self.pid}/status").read()).group(1)) // 1024
    def present(self): return {}   # what a stopped server tells of its cache
    def stop(self):
        if self.proc:
            self.proc.send_signal(signal.SIGTERM)
            try: self.proc.wait(30)
            except subprocess.TimeoutExpired: self.proc.kill(); self.proc.wait()
        self.proc = None

class NbdkitCurl(System):
    extra = []
    def command(self):
        return ch(["env", "TMPDIR=" + self.dir, "nbdkit", "-f", "-U", self.sock, "--filter=cache"] + self.filters + ["curl", "url=" + self.url, "cache-on-read=true"] + self.extra)
    filters = []
class NbdkitReadahead(NbdkitCurl):
    filters = ["--filter=readahead"]
class NbdkitFile(System):
    def command(self): return ch(["nbdkit", "-f", "-U", self.sock, "file", os.environ["IMAGE"]])
class QemuFile(System):
    def command(self): return ch(["qemu-nbd", "-k", self.sock, "-t", "-e", "16", "-f", "raw", "-r", "--cache=writeback", os.environ["IMAGE"]])
class QemuCor(System):
    def command(self):
        q = os.path.join(self.dir, "o.qcow2")
        if not os.path.exists(q):
            subprocess.run(ch(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.url, "-F", "raw", q]), check=True)
        return ch(["qemu-nbd", "-k", self.sock, "-t", "-e", "16", "--image-opts",
                   f"driver=copy-on-read,file.driver=qcow2,file.file.driver=file,file.file.filename={q}"])
class Floor(System):   # see floor.c
    only = "cold-seq",
    program, options = "floor", "4 1048576 262144 1"
    def command(self):
        host, path = self.url.split("//")[1].split("/", 1)
        return [os.path.join(os.path.dirname(WORK), self.program), self.sock, os.path.join(self.dir, "c"), host.split(":")[1], "/" + path] + self.options.split()
class Floor32(Floor):   # with as many connections as uloop has, for an origin that is not near
    options = "32 1048576 262144 1"
class FloorRandom4k(Floor):   # see floor-random.c
    only = "cold-rand4k-qd1", "cold-rand4k-qd32"
    program, options = "floor-random", "32 4096"
class FloorRandom64k(FloorRandom4k):
    program, options = "floor-random", "32 65536"
class Uloop(System):
    def command(self):
        return [JAVA] + os.environ.get("ULOOP_JAVA_OPTS", "").split() + ["-jar", ULOOP, "-b", os.path.join(self.dir, "b"), "-c", os.path.join(self.dir, "c")] + os.environ.get("ULOOP_OPTS", "").split() + ["unix:" + self.sock, self.url]
    def present(self):
        bits = open(os.path.join(self.dir, "b"), "rb").read()
        return {"present_mib": sum(bin(x).count("1") for x in bits) * 4096 >> 20}

SYSTEMS = {"nbdkit-curl-cache": NbdkitCurl, "nbdkit-curl-cache-readahead": NbdkitReadahead, "nbdkit-file": NbdkitFile,
           "qemu-file": QemuFile, "qemu-copy-on-read": QemuCor, "uloop": Uloop, "floor": Floor, "floor-32": Floor32,
           "floor-random-4k": FloorRandom4k, "floor-random-64k": FloorRandom64k}

def run(cmd, timeout=300):
    t = time.time(); p = subprocess.run(cmd, capture_output=True, text=True, timeout=timeout)
    if p.returncode: raise RuntimeError(f"{cmd}: {p.stderr[-800:]}")
    return time.time() - t, p.stdout

def fio(s, rw, bs, depth, seconds=None, ios=None, jobs=1, size=None, seed=1):
    cmd = ["fio", "--name=j", "--ioengine=nbd", "--uri=" + s.uri, "--rw=" + rw, "--bs=" + bs, f"--iodepth={depth}", f"--numjobs={jobs}", "--group_reporting",
           "--output-format=json", f"--randseed={seed}", "--norandommap=1"]
    if seconds: cmd += ["--time_based", f"--runtime={seconds}", "--ramp_time=2"]
    if ios: cmd += [f"--number_ios={ios}"]
    if size: cmd += ["--size=" + size]
    _, out = run(cmd)
    j = json.loads(out[out.index("{"):])["jobs"][0]["write" if "write" in rw else "read"]
    return {"iops": round(j["iops"]), "mib_s": round(j["bw_bytes"] / 2**20, 1), "p50_us": j["clat_ns"]["percentile"]["50.000000"] / 1e3, "p99_us": j["clat_ns"]["percentile"]["99.000000"] / 1e3}

def nbdcopy(s, conns=1, reqs=64):
    w, _ = run(["nbdcopy", f"--connections={conns}", f"--requests={reqs}", s.uri, "null:"])
    return {"seconds": round(w, 3)}

def boot(s, files=500, seed=7):
    """A start-up's reads: the export as a kernel block device (nbdfuse + loop), mounted read-only, then files read one after the other."""
    d = os.path.join(s.dir, "boot"); m = os.path.join(d, "mnt"); os.makedirs(m, exist_ok=True); f = os.path.join(d, "disk")
    open(f, "w").close(); fuse = subprocess.Popen(["nbdfuse", f, s.uri]); loop = None
    try:
        for _ in range(500):
            if os.path.getsize(f): break
            time.sleep(0.01)
        open("/proc/sys/vm/drop_caches", "w").write("3")
        t = time.time()
        loop = subprocess.run(["losetup", "-r", "-f", "--show", f], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["mount", "-o", "ro", loop, m], check=True)
        names = sorted(os.path.join(r, n) for r, _, ns in os.walk(m) for n in ns)
        import random
        r = random.Random(seed); r.shuffle(names); n = b = 0
        for x in names:
            if n == files: break
            if os.path.islink(x) or os.path.getsize(x) > 2 << 20: continue
            with open(x, "rb") as g: b += len(g.read())
            n += 1
        return {"seconds_boot": round(time.time() - t, 2), "files": n, "bytes": b}
    finally:
        subprocess.run(["umount", m]); loop and subprocess.run(["losetup", "-d", loop]); subprocess.run(["umount", f]); fuse.wait(20)

WORKLOADS = {   # name: (needs a filled cache, function)
    "cold-seq":        (False, lambda s: nbdcopy(s)),
    "cold-seq-qd1":    (False, lambda s: fio(s, "read", "128k", 1, ios=2000)),
    "cold-rand4k-qd1": (False, lambda s: fio(s, "randread", "4k", 1, ios=400)),
    "cold-rand4k-qd32":(False, lambda s: fio(s, "randread", "4k", 32, ios=4000)),
    "boot":            (False, boot),
    "boot-warm":       (True,  boot),
    "warm-seq":        (True,  lambda s: nbdcopy(s)),
    "warm-rand4k-qd1": (True,  lambda s: fio(s, "randread", "4k", 1, seconds=6)),
    "warm-rand4k-qd32":(True,  lambda s: fio(s, "randread", "4k", 32, seconds=6)),
    "warm-rand4k-4x32":(True,  lambda s: fio(s, "randread", "4k", 32, seconds=6, jobs=4)),
}

def main():
    a = argparse.ArgumentParser(); a.add_argument("--url", required=True); a.add_argument("--rtt-ms", type=float, default=0)
    a.add_argument("--systems", required=True); a.add_argument("--workloads", default=",".join(w for w in WORKLOADS if "boot" not in w)); a.add_argument("--out", default="/dev/stdout")
    a.add_argument("--repeat", type=int, default=1)
    o = a.parse_args(); os.makedirs(WORK, exist_ok=True)
    for _ in range(o.repeat):
      for name in o.systems.split(","):
        warm = None
        for w in o.workloads.split(","):
            if w not in (SYSTEMS[name].only or WORKLOADS):
                print(f"{name} is not for {w}", file=sys.stderr); continue
            needs, f = WORKLOADS[w]
            if needs and warm is None:
                warm = SYSTEMS[name](name, o.url); warm.start(); nbdcopy(warm)
            if needs: s = warm
            else:
                if warm: warm.stop(); warm = None
                s = SYSTEMS[name](name, o.url); s.start()
            c = s.cpu()
            try: r = f(s)
            except Exception as e: r = {"error": str(e)[-300:]}
            r.update(system=name, workload=w, rtt_ms=o.rtt_ms, cpu_s=round(s.cpu() - c, 2), rss_mib=s.rss(), start_s=round(s.started, 2))
            if not needs: s.stop(); r.update(s.present())
            with open(o.out, "a") as fo: fo.write(json.dumps(r) + "\n")
            print(json.dumps(r), file=sys.stderr, flush=True)
        if warm: warm.stop()
main()
