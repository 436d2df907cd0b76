"""Layout inference (docs/language.md, Layouts and collectives), written again in Python: what dag/ must do for the program of decoder.deploy.

Models layouts only: for a plan, a Run gives the collectives of one step in order, or the code of the mistake. It follows
the executable specification of the design (which simulates all ranks on numpy arrays), except that in the language:

  a  A step is packed. The atoms of `batch` in the caches' region divide the owners. In another region, `batch`'s atoms divide the
     owners up to the first that does not; it and all later ones split each owner's tokens, and are kept in front of those of `seq`
     or `row`. Moving an atom between batch and seq costs nothing.
  b  attend is one operator on a cache, with head_dim and ctx whole. append brings new entries of all positions to the cache's
     layout; a rank knows by the positions' numbers which are in its pages.
  c  dispatch and combine exchange over the atoms that tokens and experts share, in one collective, in any order.
  d  Equal first steps of reshards of one value are shared, even if later steps differ.
"""
import math

SIZE = dict(vocab=16, d=8, kv=2, g=4, hd=4, ffn=8, expert=8, choice=8)     # the others are known at run time
TOKENS = ("batch", "seq")


class Wrong(Exception):
    """The plan is invalid; the text is the code."""


class Value:
    def __init__(self, layout, pending=()):
        self.layout, self.pending = {a: tuple(q) for a, q in layout.items()}, frozenset(pending)
        self.steps = {}         # move -> the value after it

    @property
    def axes(self):
        return list(self.layout)


def common_prefix(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


class Run:
    def __init__(self, mesh, rules):
        self.mesh, self.rules = mesh, rules             # atom -> size; region -> axis -> atoms
        self.log = []                                   # (kind, atoms, cause)
        self.owners = tuple(rules.get("attn", {}).get("batch", ()))
        self.program()

    # ---- rules ------------------------------------------------------------------------------------------------------
    def placed(self, region, axis):
        rule = self.rules.get(region, {})
        if axis == "slot":
            experts = rule.get("expert", ())
            return tuple(q for t in TOKENS for q in rule.get(t, ()) if q not in experts)
        atoms = tuple(rule.get(axis, ()))
        ways = 1
        for q in atoms:
            ways *= self.mesh[q]
        if axis in SIZE and SIZE[axis] % ways:
            raise Wrong("E0503")
        return atoms

    def want(self, region, axes, whole=()):
        tau = {a: () if a in whole else self.placed(region, a) for a in axes}
        used = [q for atoms in tau.values() for q in atoms]
        if len(used) != len(set(used)):
            raise Wrong("E0501")
        return self.canonical(tau)

    def canonical(self, tau):
        tokens = next((a for a in ("seq", "row") if a in tau), None)
        batch, n, ways = tau.get("batch", ()), 0, 1
        owners = math.prod(self.mesh[q] for q in self.owners)
        while tokens and n < len(batch) and owners % (ways * self.mesh[batch[n]]) == 0:
            ways *= self.mesh[batch[n]]
            n += 1
        if tokens and n < len(batch):
            tau[tokens] = batch[n:] + tau[tokens]
            tau["batch"] = batch[:n]
        return tau

    # ---- reshard (3.4) ----------------------------------------------------------------------------------------------
    def next_move(self, now, pending, goal, keep):
        def missing(a):
            return goal[a][len(now[a]):] if goal[a][:len(now[a])] == now[a] else ()

        def surplus(a):
            return now[a][common_prefix(now[a], goal[a]):]

        def head(atoms, holds):
            n = 0
            while n < len(atoms) and holds(atoms[n]):
                n += 1
            return atoms[:n]

        placed = {q for atoms in now.values() for q in atoms}
        for a in goal:
            if atoms := head(missing(a), lambda q: q in pending and q not in keep):
                return "reduce_scatter", atoms, None, a
        for a in goal:
            if atoms := head(missing(a), lambda q: q not in placed and not (q in pending and q not in keep)):
                return "slice", atoms, None, a
        for a in goal:
            for b in goal:
                leave, need = surplus(a), missing(b)
                for k in range(min(len(leave), len(need)), 0, -1):
                    if a != b and leave[-k:] == need[:k]:
                        return "all_to_all", leave[-k:], a, b
        wanted = {q for atoms in goal.values() for q in atoms}
        if atoms := tuple(q for q in self.mesh if q in pending - keep - wanted):
            return "all_reduce", atoms, None, None
        for a in goal:
            if surplus(a):
                return "all_gather", surplus(a), a, None
        if atoms := tuple(q for q in self.mesh if q in pending - keep):
            return "all_reduce", atoms, None, None
        return None

    def reshard(self, value, goal, cause, keep=frozenset()):
        while move := self.next_move(value.layout, value.pending, goal, keep):
            if move not in value.steps:
                kind, atoms, source, to = move
                layout = dict(value.layout)
                if source:
                    layout[source] = layout[source][:-len(atoms)]
                if to:
                    layout[to] = layout[to] + atoms
                if kind != "slice":
                    self.log.append((kind, atoms, cause))
                value.steps[move] = Value(layout, value.pending - set(atoms))
            value = value.steps[move]
        assert value.layout == goal and value.pending == keep, (value.layout, value.pending, goal, keep)
        return value

    def bring(self, value, tau, cause, keep=frozenset()):
        return self.reshard(value, {a: tau.get(a, ()) for a in value.axes}, cause, keep)

    # ---- operators (3.3) --------------------------------------------------------------------------------------------
    def param(self, region, *axes):
        return Value(self.want(region, axes))

    def contract(self, region, x, w, over, name):
        """x @[over] w; a pending sum of x passes if the operator uses none of its atoms."""
        axes = [a for a in x.axes if a not in over] + [a for a in w.axes if a not in over and a not in x.axes]
        tau = self.want(region, axes + list(over))
        used = {q for atoms in tau.values() for q in atoms}
        keep = frozenset(x.pending - used)
        self.bring(x, tau, f"contract {name}", keep)
        self.bring(w, tau, f"contract {name}")
        return Value({a: tau[a] for a in axes}, keep | {q for a in over for q in tau[a]})

    def pointwise(self, region, args, cause, whole=()):
        """Also an operator with a body, by its signature."""
        axes = []
        for x in args:
            axes += [a for a in x.axes if a not in axes]
        tau = self.want(region, axes, whole)
        for x in args:
            self.bring(x, tau, cause)
        return Value({a: tau[a] for a in args[0].axes})

    def anchor(self, value, name):
        return self.reshard(value, self.want("residual", value.axes), f"residual: {name}")

    def residual(self, args, cause, name, whole=()):
        return self.anchor(self.pointwise("residual", args, cause, whole), name)

    def append(self, new, name):
        state = self.want("attn", ("batch", "ctx", "kv", "hd"))
        self.bring(new, {**state, "seq": ()}, f"append {name}")
        return Value(state)

    def attend(self, q, k, v, pos):
        tau = self.want("attn", ("batch", "seq", "kv", "g", "hd", "ctx"), ("hd", "ctx"))
        for x in (q, k, v, pos):
            self.bring(x, tau, "attend o")
        return Value({a: tau[a] for a in q.axes})

    def experts(self, tau):
        """Atoms of the experts: all, those that the tokens have too, the others."""
        mine, tokens = self.placed("moe", "expert"), {q for a in TOKENS for q in tau[a]}
        return mine, tuple(q for q in mine if q in tokens), tuple(q for q in mine if q not in tokens)

    def rows(self, tau, mine):
        return {"expert": mine, "slot": tuple(q for a in TOKENS for q in tau[a] if q not in mine), "d": tau["d"]}

    def dispatch(self, x, r):
        tau = self.want("moe", x.axes)
        mine, exchange, _ = self.experts(tau)
        self.bring(x, tau, "dispatch xe")
        self.bring(r, tau, "dispatch xe")
        if exchange:
            self.log.append(("exchange", exchange, "dispatch"))
        return Value(self.rows(tau, mine))

    def combine(self, y, r):
        tau = self.want("moe", ("batch", "seq", "d"))
        mine, exchange, rest = self.experts(tau)
        rows = self.rows(tau, mine)
        used = {q for t in (rows, tau) for atoms in t.values() for q in atoms}
        keep = frozenset(y.pending - used)
        self.bring(y, rows, "combine y", keep)
        self.bring(r, tau, "combine y")
        if exchange:
            self.log.append(("exchange", exchange, "combine"))
        return Value(tau, keep | set(rest))

    def pick(self, x):
        """Takes x as it is, but with whole owners: atoms that split its positions make the sum pending."""
        goal = dict(x.layout, batch=self.owners)
        for a in goal:
            if a != "batch":
                goal[a] = goal[a][:next((i for i, q in enumerate(goal[a]) if q in self.owners), len(goal[a]))]
        self.reshard(x, goal, "pick")
        return Value({"batch": self.owners, "row": (), "d": goal["d"]}, goal["seq"])

    # ---- decoder.deploy ---------------------------------------------------------------------------------------------
    def program(self):
        ids, pos = (Value({"batch": self.owners, "seq": ()}) for _ in range(2))
        table = self.param("embed", "vocab", "d")
        tau = self.want("embed", ("batch", "seq", "d", "vocab"))
        self.bring(table, tau, "embed x")
        self.bring(ids, tau, "embed x")
        x = Value({a: tau[a] for a in ("batch", "seq", "d")}, tau["vocab"])
        x = Value(self.reshard(x, self.want("residual", x.axes), "carry x").layout)
        last = self.layer(x, pos)
        self.reshard(last, x.layout, "carried x")
        self.head(Value(x.layout))      # after the loop, a value of its own

    def layer(self, x, pos):
        h = self.residual([x], "norm", "h1", ("d",))
        wq, wk, wv = self.param("attn", "d", "kv", "g", "hd"), self.param("attn", "d", "kv", "hd"), self.param("attn", "d", "kv", "hd")
        wo = self.param("attn", "kv", "g", "hd", "d")
        q, k, v = (self.contract("attn", h, w, ("d",), name) for w, name in ((wq, "q"), (wk, "k"), (wv, "v")))
        kc = self.append(k, "kc")
        vc = self.append(v, "vc")
        a = self.contract("attn", self.attend(q, kc, vc, pos), wo, ("kv", "g", "hd"), "a")
        mid = self.residual([x, a], "add mid", "mid")
        h = self.residual([mid], "norm", "h2", ("d",))
        return self.residual([mid, self.moe(h)], "add x", "x")

    def moe(self, h):
        router = self.param("moe", "d", "choice")
        wg, wu, wd = self.param("moe", "expert", "d", "ffn"), self.param("moe", "expert", "d", "ffn"), self.param("moe", "expert", "ffn", "d")
        score = self.contract("moe", h, router, ("d",), "score")
        score = self.pointwise("moe", [score], "softmax", ("choice",))
        tau = self.want("moe", ("batch", "seq", "choice"), ("choice",))
        self.bring(score, tau, "route r")
        r = Value({a: tau[a] for a in TOKENS})
        xe = self.dispatch(h, r)
        gate, up = self.contract("moe", xe, wg, ("d",), "gate"), self.contract("moe", xe, wu, ("d",), "up")
        gate = self.pointwise("moe", [gate], "silu")
        mul = self.pointwise("moe", [gate, up], "mul mul")
        return self.combine(self.contract("moe", mul, wd, ("ffn",), "down"), r)

    def head(self, x):
        w = self.param("head", "d", "vocab")
        h = self.pointwise("head", [self.pick(x)], "norm", ("d",))
        logits = self.contract("head", h, w, ("d",), "logits")
        self.reshard(logits, self.want("", logits.axes), "sample token")
