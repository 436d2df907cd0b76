#!/usr/bin/env python3
"""Two pools (`serve`) and deployments that share devices (`share`), held to sums by hand: tests/golden/good/pools.deploy states efficiencies, so a transfer takes the latency of its link and
bytes over 70% of the bandwidth. Bytes follow from the published shapes of the models. Nothing here is read from deployc but what one deployment
alone does: the seconds of its first token and of a token, its tokens/s.

    serve.py [WORD ...]    only checks whose name contains a word
"""
import json
import math
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPEC = "tests/golden/good/pools.deploy"
NIC, NIC_LATENCY, WIRE, WIRE_LATENCY, LINK = 50e9, 4e-6, 25e9, 10e-6, 0.7
LLAMA = 2 * 80 * 8 * 128 * 2  # bytes of a position: keys and values, layers, heads, their width, bf16
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def near(what, one, other, scale=1e-9):
    assert abs(one - other) <= scale * max(abs(one), abs(other)), f"{what}: {one:.12g} is not {other:.12g}"


def planned(*words):
    """(deployments, pairs) by name"""
    done = subprocess.run([DEPLOYC, "plan", SPEC, "--format=json", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    return {one["deploy"]: one["times"]["metrics"] for one in found["plans"]}, {one["serve"]: one for one in found["serves"]}


def value(metrics, name):
    return metrics[name]["value"]


def moved(what, one, whole, sent, received, ranks):
    near(f"{what}: bytes", one["bytes"], whole)
    near(f"{what}: sent", one["sent"], sent)
    near(f"{what}: received", one["received"], received)
    assert (one["senders"], one["targets"], one["receivers"], one["sources"]) == ranks, f"{what}: {one}"


@check
def dense_bytes(deploys, pairs):
    """Each of 4 ranks has 2 of 8 heads, and sends one to each of two of the 8 ranks."""
    for which, tokens in (("longest", 8192), ("shortest", 128)):
        moved(which, pairs["Dense"][which], LLAMA * tokens, LLAMA * tokens / 4, LLAMA * tokens / 8, (4, 2, 8, 1))
    assert pairs["Dense"]["longest"]["bytes"] == 2_684_354_560


@check
def windows_bytes(deploys, pairs):
    """62 layers of 16 heads of 128; every sixth sees all positions, the others 1,024 of 4,096. The first stage has layers 0 to 29, with 5 that see
    all, the second 30 to 61, with 5. Each stage has two ranks of 8 heads, and so has the other side."""
    layer = 2 * 16 * 128 * 2
    stages = [layer * (5 * 4096 + 25 * 1024), layer * (5 * 4096 + 27 * 1024)]
    moved("windows", pairs["Windows"]["longest"], sum(stages), stages[1] / 2, sum(stages) / 2, (4, 1, 2, 2))
    near("in windows", pairs["Windows"]["longest"]["windows"], layer * 52 * 1024)


@check
def latent_bytes(deploys, pairs):
    """61 layers of 512 + 64 for a position. Eight ranks have it, one of which sends it to the one that continues the sequence."""
    whole = 61 * 576 * 2 * 1024
    moved("latent", pairs["Apart"]["longest"], whole, whole, whole, (1, 1, 1, 1))


def pipelined(reads, pieces, piece):
    """A piece is sent after it was read, and after the one before it."""
    read = sent = 0.0
    for _ in range(pieces):
        read += reads / pieces
        sent = max(read, sent) + piece
    return sent


def check_ready(pair, reads, most, latency, rate, chunks, layers):
    for way, pieces in (("whole", 1), ("chunks", chunks), ("layers", chunks * layers)):
        one = pair["sending"][way]
        assert one["pieces"] == pieces, f"{way}: {one['pieces']}"
        near(f"ready, {way}", value(pair["sending"][way], "ready"), pipelined(reads, pieces, latency + most / pieces / rate), 1e-6)
    near("handover.time", value(pair["metrics"], "handover.time"), latency + most / rate)


@check
def dense_time(deploys, pairs):
    """The sender has twice as much as the receiver; the pools are in different nodes. A prompt of 8,192 has 4 chunks of 2,048."""
    reads = value(deploys["Reader"], "ttft")
    check_ready(pairs["Dense"], reads, LLAMA * 8192 / 4, NIC_LATENCY, LINK * NIC, 4, 80)
    assert pairs["Dense"]["level"] == "fabric" and pairs["Dense"]["link"] is None
    near("bound of the transfer", pairs["Dense"]["metrics"]["handover.time"]["bound"], LLAMA * 8192 / 4 / NIC)


@check
def stated_link(deploys, pairs):
    check_ready(pairs["Stated"], value(deploys["Reader"], "ttft"), LLAMA * 8192 / 4, WIRE_LATENCY, LINK * WIRE, 4, 80)
    check_ready(pairs["Apart"], value(deploys["Latent"], "ttft"), 61 * 576 * 2 * 1024, WIRE_LATENCY, LINK * WIRE, 1, 61)
    assert pairs["Stated"]["level"] is None and pairs["Stated"]["link"] == "Wire"


@check
def inside_a_node(deploys, pairs):
    """Pools that share a node are joined by NVLink: 450 GB/s, 1.9 us."""
    _, others = planned("-D", "Dense.rate=none", "-D", "Writer.gpus=4", "-D", "Writer.plan.tp=4")
    assert others["Dense"]["level"] == "nvlink" and others["Dense"]["pools"]["decode"]["placed"] == [4, 8]
    near("time", value(others["Dense"]["metrics"], "handover.time"), 1.9e-6 + LLAMA * 8192 / 4 / (LINK * 450e9))


@check
def rates(deploys, pairs):
    """A unit reads its prompts' tokens; a unit continues a sequence in 511 steps. Owners send and receive side by side."""
    for name, reads, grows, prompt, output, owners, sent, received, latency, rate in (
            ("Dense", "Reader", "Writer", 8192, 512, (1, 1), LLAMA * 8192 / 4, LLAMA * 8192 / 8, NIC_LATENCY, NIC),
            ("Apart", "Latent", "Own", 1024, 128, (4, 32), 61 * 576 * 2 * 1024, 61 * 576 * 2 * 1024, WIRE_LATENCY, WIRE)):
        one = pairs[name]["pools"]
        near("prompts", value(one["prefill"], "rate"), value(deploys[reads], "prefill.throughput") / prompt)
        near("generations", value(one["decode"], "rate"), value(deploys[grows], "decode.throughput") / (output - 1))
        near("senders", value(one["prefill"], "links"), owners[0] / (latency + sent / (LINK * rate)))
        near("receivers", value(one["decode"], "links"), owners[1] / (latency + received / (LINK * rate)))


@check
def metrics(deploys, pairs):
    for name, grows, prompt, output in (("Dense", "Writer", 8192, 512), ("Windows", "Whole", 4096, 64), ("Apart", "Own", 1024, 128)):
        pair, found = pairs[name], pairs[name]["metrics"]
        rate = min(min(value(pool, "rate"), value(pool, "links")) * pool["units"] for pool in pair["pools"].values())
        near("sequences", value(found, "throughput.sequences"), rate)
        near("tokens", value(found, "throughput"), rate * (prompt + output))
        near("first token", value(found, "ttft"), value(pair["sending"][pair["send"]], "ready") + value(deploys[grows], "tpot"))
        near("tokens of a sequence", value(found, "tpot"), value(deploys[grows], "tpot"))
    dense, batch = pairs["Dense"], 64 * pairs["Dense"]["pools"]["decode"]["units"]
    near("cost", value(dense["metrics"], "cost"), 2.5 / 3600 * dense["devices"] * batch / value(dense["metrics"], "throughput.sequences"))
    apart = pairs["Apart"]  # devices of 700 and of 500 W
    near("energy", value(apart["metrics"], "energy"), (700 + 500) * 32 * 256 / value(apart["metrics"], "throughput.sequences"))
    assert apart["metrics"]["cost"]["value"] is None and "price" in apart["metrics"]["cost"]["lacks"]


@check
def intervals(deploys, pairs):
    """Ends of a sum are the sums of the ends; the slower pool may be either. All kinds are the widest here: 0.544 .. 8.912 times a time."""
    pair = pairs["Dense"]
    for end in (0, 1):
        reads, token = (deploys[name][metric]["interval90"][end] for name, metric in (("Reader", "ttft"), ("Writer", "tpot")))
        piece = pair["metrics"]["handover.time"]["interval90"][end]
        seconds = NIC_LATENCY + LLAMA * 8192 / 4 / 320 / (LINK * NIC)
        piece = max(seconds * 0.544, LLAMA * 8192 / 4 / 320 / NIC) if end == 0 else seconds * 8.912
        near("first token", pair["metrics"]["ttft"]["interval90"][end], pipelined(reads, 320, piece) + token, 1e-6)
        rate = min(min(pool["rate"]["interval90"][end], pool["links"]["interval90"][end]) * pool["units"] for pool in pair["pools"].values())
        near("sequences", pair["metrics"]["throughput.sequences"]["interval90"][end], rate)


@check
def sizes(deploys, pairs):
    """The fewest units that sustain a rate, and their devices: units of 4 share nodes, units of 8 begin one."""
    each = [min(value(pool, "rate"), value(pool, "links")) for pool in pairs["Dense"]["pools"].values()]
    for rate in (0.5, 1.5, 3, 7, 11, 13):
        _, found = planned("-D", f"Dense.rate={rate} sequences/s")
        units = [pool["units"] for pool in found["Dense"]["pools"].values()]
        assert units == [math.ceil(rate / one) for one in each], f"{rate}: {units}"
        start = math.ceil(4 * units[0] / 8) * 8
        assert [pool["placed"] for pool in found["Dense"]["pools"].values()] == [[0, 4 * units[0]], [start, start + 8 * units[1]]]
    _, found = planned("-D", "Dense.units.prefill=9")
    assert [pool["sized"] for pool in found["Dense"]["pools"].values()] == [False, True]
    assert found["Dense"]["pools"]["prefill"]["units"] == 9


@check
def balances(deploys, pairs):
    """No fewer devices serve 95% of what divisible units would."""
    for pair in pairs.values():
        a, b = (min(value(pool, "rate"), value(pool, "links")) for pool in pair["pools"].values())
        reads, grows = (pool["ranks"] for pool in pair["pools"].values())
        good = [(n * reads + k * grows, n, k) for n in range(1, 65) for k in range(1, 65)
                if min(n * a, k * b) / (n * reads + k * grows) >= 0.95 / (reads / a + grows / b)]
        found = pair["balance"]["prefill"], pair["balance"]["decode"]
        assert found[0] * reads + found[1] * grows == min(good)[0], f"{pair['serve']}: {found}, not {min(good)[1:]}"


@check
def shared_devices(deploys, pairs):
    """Stages of Deep are ranks 0 and 1, 2 and 3, 4 and 5; its middle one has most layers. Flat has ranks on the first four devices, Small on two."""
    done = subprocess.run([DEPLOYC, "plan", "tests/golden/good/shared.deploy", "--format=json"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    plans = {plan["deploy"]: plan for plan in found["plans"]}
    share = next(one for one in found["shares"] if one["share"] == "Three")
    ranks = {"Deep": (6, 2), "Flat": (4, 4), "Small": (2, 2)}  # ranks, ranks of a stage
    peak = [sum(plans[name]["stages"][device // of]["bytes"]["peak"] for name, (n, of) in ranks.items() if device < n) for device in range(6)]
    assert share["fullest"] == peak.index(max(peak)) == 2 and share["devices"] == 6, f"{share['fullest']}: {peak}"
    near("peak", share["bytes"]["peak"], max(peak))
    assert [one["bytes"]["peak"] > 0 for one in share["of"]] == [True, True, False]
    near("headroom", 1 - share["bytes"]["peak"] / (79.6 * 2**30 - 3.5 * 2**30), 1 - max(peak) / share["usable"])
    turns = {"Deep": 0.5, "Flat": 0.3, "Small": 0.1}
    near("throughput", value(share["metrics"], "throughput"),
         sum(turn * plans[name]["times"]["metrics"]["throughput"]["value"] for name, turn in turns.items()))


def main(words):
    deploys, pairs = planned()
    passed = failed = 0
    for function in CHECKS:
        if words and not any(word in function.__name__ for word in words):
            continue
        try:
            function(deploys, pairs)
            passed += 1
        except AssertionError as wrong:
            failed += 1
            print(f"FAIL {function.__name__}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
