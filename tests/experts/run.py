#!/usr/bin/env python3
"""How unevenly ranks share the rows of experts, against tokens that choose experts one by one (Monte-Carlo, a fixed seed). A token chooses
by systematic sampling over the experts in random order, which gives each expert exactly its chance; deployc draws nothing of the kind.

    run.py [WORD ...]    only checks whose name contains a word
"""
import json
import os
import pathlib
import subprocess
import sys

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOYC = pathlib.Path(os.environ.get("DEPLOYC", ROOT / "build" / "deployc")).absolute()
SPEC = "tests/experts/experts.deploy"
PEAK = 0.6 * 989.4e12
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def plan(deploy, **settings):
    options = [part for name, value in settings.items() for part in ("-D", f"workload.{name.replace('_', '.')}={value}")]
    done = subprocess.run([DEPLOYC, "plan", SPEC, "--deploy", deploy, "--format=json", *options], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)["plans"][0]


def step(of, program):
    return next(one for one in of["times"]["steps"] if one["program"] == program)


def near(what, one, other, scale):
    assert abs(one - other) <= scale * max(abs(one), abs(other)), f"{what}: {one:.6g} is not {other:.6g}"


# ---- tokens that choose, one by one ---------------------------------------------------------------------------------------
def chances(experts, top, exponent):
    """Shares that fall as a power, none above one choice of a token: the common factor by bisection."""
    powers = numpy.arange(1, experts + 1, dtype=float) ** -exponent
    low, high = 0.0, top / powers[top - 1] + 1
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if numpy.minimum(1, middle * powers).sum() < top else (low, middle)
    return numpy.minimum(1, low * powers)


def choose(generator, chance, top, tokens):
    """How many of the tokens choose each expert."""
    order = numpy.argsort(generator.random((tokens, len(chance))), axis=1)
    ends = numpy.cumsum(chance[order], axis=1)
    start = generator.random((tokens, 1))
    taken = numpy.floor(ends - start) > numpy.floor(ends - chance[order] - start)
    return numpy.bincount(order[taken], minlength=len(chance))


def simulate(chance, top, ranks, tokens, trials, place=True):
    """The busiest rank over the mean, and the experts of a rank that get a row."""
    generator = numpy.random.default_rng(7)
    busiest, hit = 0.0, 0.0
    for _ in range(trials):
        placed = generator.permutation(chance) if place else chance
        rows = choose(generator, placed, top, tokens)
        busiest += rows.reshape(ranks, -1).sum(axis=1).max() / (tokens * top / ranks) / trials
        hit += (rows > 0).sum() / ranks / trials
    return busiest, hit


@check
def the_simulation_gives_each_expert_its_chance():
    chance = chances(16, 4, 1.2)
    rows = choose(numpy.random.default_rng(1), chance, 4, 200_000)
    assert rows.sum() == 800_000 and numpy.abs(rows / 200_000 - chance).max() < 0.01


@check
def tokens_that_choose_one_by_one():
    """A step of decode has few tokens, so that chance counts too."""
    for deploy, experts, top, trials in (("Few", 8, 2, 600), ("Many", 256, 8, 60)):
        for exponent in (0, 0.4, 0.8, 1.2, 2):
            balance = step(plan(deploy, experts_zipf=float(exponent)), "decode")["balance"]
            ranks, tokens = int(balance["ranks"]), int(balance["tokens"])
            assert balance["experts"] * ranks == experts and tokens == {"Few": 64, "Many": 128}[deploy]
            busiest, hit = simulate(chances(experts, top, exponent), top, ranks, tokens, trials)
            near(f"{deploy}, zipf {exponent}: busiest", balance["busiest"], busiest, 0.04)
            near(f"{deploy}, zipf {exponent}: hit", balance["hit"], hit, 0.01)


@check
def many_tokens():
    """Chance averages out: what is left is where the experts lie."""
    generator = numpy.random.default_rng(3)
    for exponent in (0.5, 1, 1.5):
        balance = step(plan("Many", experts_zipf=float(exponent)), "prefill")["balance"]
        chance = chances(256, 8, exponent)
        rows = [generator.permutation(chance).reshape(32, 8).sum(axis=1).max() for _ in range(4000)]
        near(f"zipf {exponent}", balance["busiest"], numpy.mean(rows) / (8 / 32), 0.03)
        near("hit", balance["hit"], 8, 1e-3)
        assert balance["rounds"] == numpy.ceil(balance["busiest"] / 1.25), "a round takes 1.25 times the mean"


SHARES = [30, 5, 20, 5, 10, 10, 15, 5]


@check
def measured_shares():
    """The list says where experts lie: two on each of four ranks."""
    text = "[" + ", ".join(f"{share}%" for share in SHARES) + "]"
    of = plan("Few", experts_shares=text)
    assert of["times"]["routing"] == "shares"
    near("prefill", step(of, "prefill")["balance"]["busiest"], 0.35 * 4, 0.01)
    balance = step(of, "decode")["balance"]
    busiest, hit = simulate(numpy.array(SHARES) / 50, 2, 4, 64, 2000, place=False)
    near("busiest", balance["busiest"], busiest, 0.02)
    near("hit", balance["hit"], hit, 0.01)


# ---- what follows --------------------------------------------------------------------------------------------------------
@check
def even_is_the_default():
    for deploy in ("Few", "Many", "Taught"):
        default, even = plan(deploy), plan(deploy, experts_zipf="none", experts_shares="none")
        assert default == even and default["times"]["routing"] == "even"
        for one in default["times"]["steps"]:
            assert one["balance"]["busiest"] == 1


@check
def more_skew_never_helps():
    for deploy, program in (("Few", "prefill"), ("Many", "prefill"), ("Many", "decode")):
        last = None
        for exponent in (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 100):
            of = plan(deploy, experts_zipf=float(exponent))
            balance = step(of, program)["balance"]
            assert not last or (balance["busiest"] >= last["busiest"] and balance["hit"] <= last["hit"] + 1e-9), (deploy, exponent)
            last = balance
        assert last["busiest"] <= last["ranks"]


def experts_seconds(one):
    layer = [part for part in one["lists"] if any(term["kind"] == "products of experts" for term in part["terms"])][0]
    return [term for term in layer["terms"] if term["kind"] == "products of experts"]


@check
def the_busiest_rank_is_timed():
    """Prompts fill the products, so their time is operations over 60% of the peak: those of the busiest rank in all rounds. Operations that
    the plan counts, and so hfu, stay those of the mean, and so do bounds: no rank can have fewer rows than the mean at best."""
    even, uneven = plan("Few"), plan("Few", experts_zipf=1.0)
    one, other = step(even, "prefill"), step(uneven, "prefill")
    for a, b in zip(experts_seconds(one), experts_seconds(other)):
        mean = b["operations"] * b["rounds"]
        near("operations", a["operations"] * a["rounds"], mean, 1e-3)
        near("seconds", (b["end"] - b["start"]) * b["rounds"], other["balance"]["busiest"] * mean / PEAK, 1e-3)
        near("bound", b["floor"]["compute"] * b["rounds"], a["floor"]["compute"] * a["rounds"], 1e-3)
    assert other["seconds"] > one["seconds"]
    near("bound of ttft", even["times"]["metrics"]["ttft"]["bound"], uneven["times"]["metrics"]["ttft"]["bound"], 1e-3)


@check
def training():
    even, uneven = plan("Taught"), plan("Taught", experts_zipf=0.8)
    balance = uneven["training"]["balance"]
    near("busiest", balance["busiest"], chances(8, 2, 0.8).max() / (2 / 8), 0.01)  # one expert for each rank: the most used one decides
    assert balance["tokens"] * 2 * 4 == 64 * 2048  # two groups of ranks, four microbatches
    for part in ("kernels", "communication"):
        assert uneven["training"]["time"][part] > even["training"]["time"][part], part
    assert uneven["training"]["stages"][0]["bytes"]["saved"] > even["training"]["stages"][0]["bytes"]["saved"]
    for name in ("weights", "gradients", "optimizer"):
        assert uneven["training"]["stages"][0]["bytes"][name] == even["training"]["stages"][0]["bytes"][name]


@check
def latent_attention_has_a_form_for_training():
    """Operations of DeepSeek-V2-Lite by its published shapes; keys of 192 and values of 128 for each of 16 heads, where the form that
    serves has 576 and 512. The library's text says which form; both run in tests/e2e/run_meshes.py and compute the same."""
    length, tokens = 4096, 64 * 4096
    weights = 27 * (2048 * 16 * 192 + 2048 * 576 + 512 * 16 * 256 + 16 * 128 * 2048) + 3 * 2048 * 10944
    weights += 26 * 8 * 3 * 2048 * 1408 + 2048 * 102400                # six experts and two shared ones
    scores = 26 * 2048 * 64 / (8 * 66.9e12)                            # which the model computes in f32
    for form, widths in ((None, 192 + 128), ("false", 576 + 512)):
        options = [] if form is None else ["-D", f"model.training={form}"]
        done = subprocess.run([DEPLOYC, "plan", SPEC, "--deploy", "Latent", "--format=json", *options], cwd=ROOT, capture_output=True,
                              text=True, timeout=60)
        metrics = json.loads(done.stdout)["plans"][0]["times"]["metrics"]
        found = metrics["mfu"]["value"] * metrics["step_time"]["value"]
        near(f"training = {form}", found, 3 * 2 * tokens * (scores + (weights + 27 * length * 16 * widths) / (8 * 989.4e12)), 1e-6)


# ---- what a plan asks for and this version does not do --------------------------------------------------------------------
STEERED = "[30%, 15%, 20%, 5%, 10%, 10%, 5%, 5%]"


def steered(deploy, *options, routing=f"shares={STEERED}"):
    settings = ["-D", f"workload.experts.{routing}"] + [part for option in options for part in ("-D", f"plan.moe.{option}")]
    done = subprocess.run([DEPLOYC, "plan", SPEC, "--deploy", deploy, "--format=json", *settings], cwd=ROOT, capture_output=True, text=True,
                          timeout=60)
    return json.loads(done.stdout)["plans"][0]["times"]


@check
def copies_and_places_by_hand():
    """Two experts lie on each of four ranks; the first rank has 45%, 1.8 times the mean. By load: 30 5, 20 5, 15 5, 10 10. A copy of the
    first expert takes half of its rows to the last rank, which has 10%: 30, 25, 20, 25."""
    for options, then in ((["balance=measured"], 1.4), (["migrate=60 s"], 1.4), (["replicate=1"], 1.2)):
        found = steered("Few", *options)["steering"]["busiest"][0]
        near("as it is", found["now"], 1.8, 0.01)
        near(f"{options}", found["steered"], then, 0.015)
    assert steered("Few")["steering"] is None


@check
def bytes_of_copies_and_moves():
    """DeepSeek-V3 has 58 layers with experts of three matrices; eight experts lie on each of 32 ranks. 16 links of 50 GB/s at 70%."""
    expert = 58 * 3 * 7168 * 2048 * 2
    found = steered("Many", "replicate=40", "migrate=60 s", routing="zipf=0.8")["steering"]
    assert found["copies"] == 40 and found["copy_bytes"] == 2 * expert  # room for 40 copies on 32 ranks: two on some
    near("moved", found["moved_bytes"], 8 * expert * 31 / 32, 1e-9)
    near("seconds", found["seconds"], 8 * expert * 0.75 / (50e9 * 0.7), 0.01)  # three of four nodes are others
    taught = steered("Taught", "replicate=1", "balance=predicted", routing="zipf=0.8")["steering"]
    params = 32 * 3 * 4096 * 14336 / 4                                         # of one expert of Mixtral, over four ranks of tp
    near("moved in training", taught["moved_bytes"], (2 + 3 * 4) * params * 7 / 8, 1e-9)  # two moments and a master weight
    near("copied in training", taught["copy_bytes"], (2 + 4) * params, 1e-9)              # with its gradient
    assert taught["busiest"][0]["steered"] <= taught["busiest"][0]["now"]


@check
def steering_helps_and_counts_for_nothing():
    plain = steered("Many", routing="zipf=0.8")
    last = plain["steps"][0]["balance"]["busiest"]
    for copies in (4, 16, 64, 256):
        found = steered("Many", f"replicate={copies}", routing="zipf=0.8")
        assert found["steering"]["busiest"][0]["steered"] <= last + 1e-9, copies
        last = found["steering"]["busiest"][0]["steered"]
        assert found["metrics"] == plain["metrics"], "a metric counts what is not honoured"
    assert last < 1.1
    even = steered("Many", "replicate=4", routing="zipf=none")["steering"]["busiest"]
    assert all(one["now"] == 1 and one["steered"] == 1 for one in even)


def main():
    failed = 0
    chosen = [one for one in CHECKS if not sys.argv[1:] or any(word in one.__name__ for word in sys.argv[1:])]
    for one in chosen:
        try:
            one()
        except AssertionError as error:
            failed += 1
            print(f"FAIL {one.__name__}: {error}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
