"""The design's own program (inference/spmd.py of the prototype, which simulates all ranks in numpy) on the decoder layer of decoder.deploy,
for plans that mean the same in it and in deployc:

* tokens are the same sequences in every region, and experts are on none of the tokens' atoms or on all of them: the prototype has no
  packed step and moves atom by atom what deployc exchanges at once;
* `d_model`, `head_dim` and `ctx` stay whole in attention, which the prototype writes as two contractions and a softmax, without a
  cache: its sums may stay pending up to the scores;
* everything after the layer is left out: the prototype's head is on all positions.

`log` gives the collectives, with deployc's names of their causes."""
import collections
import pathlib
import sys

PROTOTYPE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "design" / "prototype" / "inference"
CAUSES = {"residual:x0": "carry x", "residual:norm1": "norm", "attn:scores": "append kc", "attn:pv": "append vc", "attn:o_proj": "contract a",
          "residual:res1": "add mid", "residual:norm2": "norm", "moe:softmax": "softmax", "moe:silu": "silu", "moe:mul": "mul mul", "moe:combine": "combine y", "moe:dispatch": "dispatch xe", "residual:res2": "add x",
          **{f"attn:{name}": f"contract {name}" for name in "qkv"}, **{f"moe:{name}": f"contract {name}" for name in ("score", "gate", "up", "down")}}


def is_here():
    return (PROTOTYPE / "spmd.py").exists()


class Simulation:
    def __init__(self, mesh):
        sys.path.insert(0, str(PROTOTYPE))
        import spmd
        import test_infer
        self.spmd, self.mesh, self.derive = spmd, spmd.Mesh(**mesh), test_infer.derive
        self.out, self.env = self.program(test_infer)

    def program(self, t):
        """As test_infer.layer, with a router of its own."""
        s = self.spmd
        env = {"emb": t.R("vocab", "d"), "wq": t.R("d", "kv", "g", "hd"), "wk": t.R("d", "kv", "hd"), "wv": t.R("d", "kv", "hd"),
               "wo": t.R("kv", "g", "hd", "d"), "wg": t.R("expert", "d", "ffn"), "wu": t.R("expert", "d", "ffn"), "wd": t.R("expert", "ffn", "d"),
               "wr": t.R("d", "choice")}
        ids = {"axes": ("batch", "seq"), "val": t.rng.integers(0, t.SZ["vocab"], (t.SZ["batch"], t.SZ["seq"]))}
        p = lambda name, *axes: s.inp(name, axes)
        x = s.map1(lambda v: v, s.embed(p("emb", "vocab", "d"), ids, "embed", "embed"), "residual", "x0")
        h = s.whole(s.rms, [x], "d", "residual", "norm1")
        q = s.contract(h, p("wq", "d", "kv", "g", "hd"), ["d"], "attn", "q")
        k = s.rename(s.contract(h, p("wk", "d", "kv", "hd"), ["d"], "attn", "k"), {"seq": "ctx"}, "attn")
        v = s.rename(s.contract(h, p("wv", "d", "kv", "hd"), ["d"], "attn", "v"), {"seq": "ctx"}, "attn")
        o = s.contract(s.whole(s.softmax, [s.contract(q, k, ["hd"], "attn", "scores")], "ctx", "attn", "attention"), v, ["ctx"], "attn", "pv")
        mid = s.add(x, s.contract(o, p("wo", "kv", "g", "hd", "d"), ["kv", "g", "hd"], "attn", "o_proj"), "residual", "res1")
        h = s.whole(s.rms, [mid], "d", "residual", "norm2")
        gate = s.whole(s.softmax, [s.contract(h, p("wr", "d", "choice"), ["d"], "moe", "score")], "choice", "moe", "softmax")
        slots = {"batch": "bslot", "seq": "sslot"}
        xe = s.expand(h, gate, "expert", slots, "moe", "dispatch")
        silu = s.map1(s.silu, s.contract(xe, p("wg", "expert", "d", "ffn"), ["d"], "moe", "gate"), "moe", "silu")
        up = s.contract(xe, p("wu", "expert", "d", "ffn"), ["d"], "moe", "up")
        down = s.contract(s.map2(lambda a, b: a * b, silu, up, "moe", "mul"), p("wd", "expert", "ffn", "d"), ["ffn"], "moe", "down")
        return s.add(mid, s.combine(down, gate, "expert", slots, "moe", "combine"), "residual", "res2"), env

    def log(self, rules):
        """Counts of (kind, atoms, cause); for an invalid plan the code of the mistake."""
        rules = self.derive({region: dict(rule) for region, rule in rules.items()})
        rules["in:wr"] = {axis: atoms for axis, atoms in rules["moe"].items() if axis == "d"}
        run = self.spmd.Run(self.mesh, rules, anchors={"residual"}, lazy=True)
        try:
            run.run([self.out], self.env)
        except self.spmd.Conflict as conflict:
            return str(conflict).split()[0]
        found, exchanged = collections.Counter(), {}
        for kind, atoms, cause, _ in run.log:
            if kind == "all_to_all" and cause in ("moe:dispatch", "moe:combine"):
                exchanged.setdefault(cause, set()).update(atoms)
            else:
                found[kind, atoms, CAUSES.get(cause, cause)] += 1
        for cause, atoms in exchanged.items():
            found["exchange", tuple(sorted(atoms)), cause.split(":")[1]] += 1
        return found
