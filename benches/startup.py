#!/usr/bin/env python3
"""Start time and idle memory of our server, beside a socket.io server on Node in the same run.

  OURS_CMD='...' startup.py [--rounds 7]

Start time: from the start of the process until the last of its ports answers, on an empty data directory. Idle memory:
the proportional share (PSS) of the process three seconds later, nothing having connected. Exits 1 when a floor is missed.
"""
import argparse, os, re, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers", "peers.sh")
# What must hold, and what is aimed at: milliseconds, MiB.
FLOORS = {"start ms": (500, 100), "idle MiB": (60, 20)}


def pss_mib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1]) / 1024


def once(target):
    subprocess.run([PEERS, "stop", target], check=True)
    out = subprocess.run([PEERS, "start", target], check=True, stdout=subprocess.PIPE, text=True).stdout
    pid, ms = re.search(r"pid (\d+) .* ready in (\d+) ms", out).groups()
    time.sleep(3)
    mib = pss_mib(pid)
    subprocess.run([PEERS, "stop", target], check=True)
    return {"start ms": float(ms), "idle MiB": mib}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    rounds = p.parse_args().rounds
    found = {t: [once(t) for _ in range(rounds)] for t in ("ours", "sio")}
    missed = False
    print("| what | ours (best) | socket.io on Node | ratio | floor | goal | verdict |\n|---|---|---|---|---|---|---|")
    for what, (floor, goal) in FLOORS.items():
        ours, sio = ([r[what] for r in found[t]] for t in ("ours", "sio"))
        m, n = statistics.median(ours), statistics.median(sio)
        verdict = "goal met" if m <= goal else "met" if m <= floor else "missed"
        missed |= verdict == "missed"
        print(f"| {what} | {m:.1f} ({min(ours):.1f}) | {n:.1f} | {m / n:.2f} | {floor} | {goal} | {verdict} |")
    return 1 if missed else 0


sys.exit(main())
