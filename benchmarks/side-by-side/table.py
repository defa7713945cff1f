#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the results of peers.py as a table: one row per workload, one column per system, and uloop's ratio to the best other."""
import collections, json, statistics, sys
rows = collections.defaultdict(lambda: collections.defaultdict(list))
for line in open(sys.argv[1]):
    r = json.loads(line)
    v = 2048 / r["seconds"] if "seconds" in r else 1 / r["seconds_boot"] if "seconds_boot" in r else r.get("mib_s", 0) if "seq" in r["workload"] else r.get("iops", 0)
    rows[r["workload"], r["rtt_ms"]][r["system"]].append((v, r["cpu_s"], r["rss_mib"], r["start_s"], r.get("error")))
for (w, rtt), by in rows.items():
    unit = "MiB/s" if "seq" in w else "1/s (start-ups per second)" if "boot" in w else "IOPS"
    med = {s: statistics.median(x[0] for x in v) for s, v in by.items()}
    print(f"{w} (rtt {rtt} ms), {unit}:")
    for s, v in by.items():
        err = next((x[4] for x in v if x[4]), "")
        print(f"  {s:32s} {med[s]:10.4g}   cpu {statistics.median(x[1] for x in v):6.2f} s   anon {max(x[2] for x in v):4d} MiB   ready {statistics.median(x[3] for x in v):.2f} s  {err}")
    others = {s: m for s, m in med.items() if s != "uloop" and not s.startswith("floor") and not (w.startswith("cold") and s.endswith("-file"))}
    if "uloop" in med and others:
        best = max(others, key=others.get)
        print(f"  -> uloop / {best} = {med['uloop'] / max(others[best], 1e-9):.2f}")
