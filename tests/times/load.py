#!/usr/bin/env python3
"""Deployments under load, held to closed forms, to the metrics of a batch, and to themselves: queues of one server, closed loops, a light
load, rising rates.

    load.py [WORD ...]    only checks whose name contains a word
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
CHECKS = []
SPEC = """
use std.models { Llama_3_1_8B }
use std.clusters { DGX_H100 }
use std.plans { Megatron }
use std.engines { vLLM_2025 }
use std.workload { Inference, LogNormal, Poisson, Spaced, Uniform, Users, Weighted }

deploy D {
  model    = Llama_3_1_8B
  cluster  = DGX_H100
  engine   = vLLM_2025
  plan     = Megatron { PLAN }
  workload = Inference { LENGTHS; arrivals = ARRIVALS }
}
"""
FIXED, LAWS = "batch = 64; seq = 700; output = 20", "batch = 64; seq = 16..4096; output = 1..400; prompts = LogNormal { median = 400; p90 = 1500 }; outputs = Uniform {}"


def check(function):
    CHECKS.append(function)
    return function


def times(lengths, arrivals, plan="tp = 1; dp = 1"):
    text = SPEC.replace("PLAN", plan).replace("LENGTHS", lengths).replace("ARRIVALS", arrivals)
    done = subprocess.run([DEPLOYC, "plan", "-", "--format=json", "-D", "gpus=1" if "tp = 1; dp = 1" in plan else "gpus=8"], cwd=ROOT, input=text,
                          capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["plans"][0]["times"]


def poisson(rate):
    return f"Poisson {{ rate = {rate} requests/s }}"


def value(found, what, percentile):
    return found["load"]["percentiles"][what][percentile]["value"]


def near(what, one, other, scale):
    assert abs(one - other) <= scale * max(abs(one), abs(other)), f"{what}: {one:.9g} is not {other:.9g}"


@check
def one_at_a_time():
    """M/D/1: requests in the system are rho + rho^2 / (2 (1 - rho))."""
    lengths = "batch = 1; seq = 700; output = 1"
    service = times(lengths, poisson(1))["metrics"]["ttft"]["value"]
    for rho in (0.5, 0.8):
        found = times(lengths, poisson(rho / service))
        near("served at most", found["load"]["capacity"], 1 / service, 1e-9)
        near(f"in flight at {rho}", found["load"]["in_flight"], rho + rho**2 / (2 * (1 - rho)), 0.08)
        assert value(found, "ttft", "p50") >= service * (1 - 1e-12)
        assert value(found, "tpot", "p50") is None


@check
def equal_distances():
    """D/D/1: nothing waits."""
    lengths = "batch = 1; seq = 700; output = 1"
    service = times(lengths, poisson(1))["metrics"]["ttft"]["value"]
    found = times(lengths, f"Spaced {{ rate = {0.99 / service} requests/s }}")
    near("p99", value(found, "ttft", "p99"), service, 1e-9)


@check
def a_light_load():
    """Each request is alone: the first token is that of the metric, and the others come as in a batch of one."""
    found, alone = times(FIXED, poisson("1e-12")), times(FIXED.replace("batch = 64", "batch = 1"), poisson("1e-12"))
    first, each = found["metrics"]["ttft"]["value"], alone["metrics"]["tpot"]["value"]
    for p in ("p50", "p90", "p99"):
        near(f"ttft {p}", value(found, "ttft", p), first, 1e-6)
        near(f"tpot {p}", value(found, "tpot", p), each, 5e-3)
        near(f"latency {p}", value(found, "latency", p), first + 19 * value(found, "tpot", p), 1e-6)


@check
def a_long_answer():
    """Steps between those that are evaluated: a user's answer takes as long as Simpson's rule says of a batch of one."""
    found = times("batch = 1; seq = 1000; output = 3000", "Users { count = 1 }")
    near("tpot", value(found, "tpot", "p50"), found["metrics"]["tpot"]["value"], 3e-3)
    near("rate", found["load"]["rate"], 1 / value(found, "latency", "p50"), 1e-2)


@check
def prompts_together():
    """Two equal prompts are read in one step, as a batch of two is."""
    found = times("batch = 2; seq = 700; output = 1", "Users { count = 2 }")
    near("ttft", value(found, "ttft", "p50"), 2 * 700 / found["metrics"]["prefill.throughput"]["value"], 1e-6)


@check
def long_prompts():
    """Prompts that take several steps."""
    found = times("batch = 1; seq = 3000; output = 1; chunk = 500", "Users { count = 1 }")
    near("ttft", value(found, "ttft", "p50"), found["metrics"]["ttft"]["value"], 2e-2)


@check
def closed_loops():
    """More users than run at a time keep the deployment busy; fewer, with time to think, are like requests at random."""
    busy = times(LAWS, "Users { count = 100 }")["load"]
    near("rate", busy["rate"], busy["capacity"], 0.03)
    few = times(LAWS, "Users { count = 200; think = 60 s }")
    open_loop = times(LAWS, poisson(few["load"]["rate"]))
    near("in flight", few["load"]["in_flight"], open_loop["load"]["in_flight"], 0.05)
    near("latency", value(few, "latency", "p90"), value(open_loop, "latency", "p90"), 0.05)
    assert times(LAWS, "Users { count = 10_000_000 }")["load"]["lacks"]


@check
def rising_rates():
    last = None
    capacity = times(LAWS, poisson(1))["load"]["capacity"]
    for share in (0.05, 0.5, 0.8, 0.9):
        found = times(LAWS, poisson(share * capacity))
        now = [value(found, what, p) for what in ("ttft", "tpot", "latency") for p in ("p50", "p90", "p99")]
        assert last is None or all(b >= 0.97 * a for a, b in zip(last, now)), f"{share}: {last} then {now}"
        for what in ("ttft", "tpot", "latency"):
            for e in found["load"]["percentiles"][what].values():
                assert e["bound"] <= e["interval90"][0] <= e["interval80"][0] <= e["value"] * 1.2
                assert e["interval90"][1] is None or e["interval80"][1] <= e["interval90"][1]
        last = now


@check
def too_much():
    found = times(LAWS, poisson(100))["load"]
    assert found["grows"] and found["capacity"] < 100 and found["capacity"] <= found["bound"]
    assert found["percentiles"]["ttft"]["p50"]["value"] is None and "arrive" in found["percentiles"]["ttft"]["p50"]["lacks"]
    assert times(LAWS, poisson(found["capacity"] * 0.98))["load"]["grows"] is False


@check
def owners():
    """Two owners serve twice as much as one, and each sees the same queue at twice the rate."""
    one = times(LAWS.replace("batch = 64", "batch = 32"), poisson(2), "tp = 1; dp = 1")
    two = times(LAWS, poisson(4), "tp = 1; dp = 2; pp = 4")
    assert one["load"]["owners"] == 1 and two["load"]["owners"] == 2
    many = times(LAWS.replace("batch = 64", "batch = 2048"), poisson(4), "tp = 1; dp = 8")
    assert many["load"]["owners"] == 4 and many["load"]["capacity"] > one["load"]["capacity"]


@check
def the_same_each_time():
    assert times(LAWS, poisson(5)) == times(LAWS, poisson(5))


def main():
    words, failed = sys.argv[1:], 0
    chosen = [c for c in CHECKS if not words or any(w in c.__name__ for w in words)]
    for one in chosen:
        try:
            one()
        except (AssertionError, TypeError) as e:
            failed += 1
            print(f"FAIL {one.__name__}: {e}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
