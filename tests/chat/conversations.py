"""Conversations that templates are tested with: fixed ones, and random ones."""

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "The weather at a place.",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string", "description": "A \"place\", such as Zürich"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "array", "items": {"type": "integer"}, "nullable": True}}}}}
SEARCH = {"type": "function", "function": {
    "name": "search", "description": "Finds texts, <b>quickly</b> & well.",
    "parameters": {"type": "object", "properties": {
        "query": {"oneOf": [{"type": "string", "description": "words", "default": "x"}, {"type": "array", "items": {"type": "string"}}],
                  "default": "x"},
        "deep": {"type": "boolean", "default": False},
        "within": {"type": "object", "required": ["from"], "properties": {"from": {"type": "number"}, "to": {"type": ["number", "null"]}}},
        "others": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "array"}}}}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}}}


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def call(name, arguments, number="abcdef123"):
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(content, number="abcdef123"):
    return {"role": "tool", "tool_call_id": number, "content": content}


ODD = "a\tb\r\n\u00a0é\u0301 <|end|> {{ x }} {% y %} \"q\" 'p' \\ \u2028 \U0001F600 \x01\x7f"
HELLO = [user("Hello!")]
TURNS = [system("  Be brief. \n"), user(" What is 2 + 2?\n"), assistant("\n4 "), user("And 3 + 3?")]
THOUGHTS = [user("One?"), assistant("<think>\nhm\n\nhm\n</think>\n\nTwo."), user("Three?"),
            assistant("Four.", reasoning_content="\nlong thoughts\n"), user("Five?")]
CALLS = [system("You can call functions."), user("The weather?"),
         assistant(None, tool_calls=[call("weather", {"place": "Zürich", "days": [1, 2], "deep": None})]),
         result('{"rain": true}'), assistant("It rains."), user("And the time?"),
         assistant("I look.", tool_calls=[call("clock", {}, "clock0001"), call("search", {"query": ["a", "b"], "n": 1.5}, "search002")]),
         result("noon", "clock0001"), result("- a\n- b", "search002")]
ANSWERED = [*CALLS, assistant("<think>done</think>It is noon.")]
PARTS = [system([{"type": "text", "text": "Look."}]), user([{"type": "image"}, {"type": "text", "text": " What is this? "}]),
         assistant([{"type": "text", "text": "A cat"}, {"type": "text", "text": " and a dog."}]), user("Sure?")]
CONVERSATIONS = {
    "hello": {"messages": HELLO, "add_generation_prompt": True},
    "no prompt": {"messages": [*HELLO, assistant("Hi.")], "add_generation_prompt": False},
    "turns": {"messages": TURNS, "add_generation_prompt": True},
    "odd characters": {"messages": [system(ODD), user(ODD + ODD), assistant(ODD), user("")], "add_generation_prompt": True},
    "wrong order": {"messages": [user("a"), user("b"), assistant("c")], "add_generation_prompt": True},
    "two systems": {"messages": [system("a"), user("b"), assistant("c"), system("d"), user("e")], "add_generation_prompt": True},
    "thoughts": {"messages": THOUGHTS, "add_generation_prompt": True},
    "no thinking": {"messages": THOUGHTS, "add_generation_prompt": True, "enable_thinking": False},
    "tools": {"messages": HELLO, "add_generation_prompt": True, "tools": [WEATHER, SEARCH, CLOCK]},
    "tools in front": {"messages": TURNS, "add_generation_prompt": True, "tools": [WEATHER, CLOCK], "tools_with_user": False},
    "calls": {"messages": CALLS, "add_generation_prompt": True, "tools": [WEATHER, SEARCH, CLOCK]},
    "calls without tools": {"messages": CALLS[1:6], "add_generation_prompt": False},
    "answered": {"messages": ANSWERED, "add_generation_prompt": False, "tools": [SEARCH]},
    "parts": {"messages": PARTS, "add_generation_prompt": True},
    "documents": {"messages": HELLO, "add_generation_prompt": True, "documents": [{"title": "A", "text": "b\nc"}, {"doc_id": 7, "text": "ü"}],
                  "controls": {"citations": True, "length": "short"}},
    "effort": {"messages": [{"role": "developer", "content": "Rhyme."}, *HELLO, assistant("Hi.", thinking="greet")],
               "add_generation_prompt": False, "reasoning_effort": "high"},
    "a name": {"messages": [{"role": "user", "name": "ann", "content": "I?"}, assistant("You.", prefix=True)], "add_generation_prompt": True},
    "nothing": {"messages": [], "add_generation_prompt": True},
}


def variables(of):
    """As transformers passes them."""
    return {"tools": None, "documents": None, "bos_token": "<s>", "eos_token": "</s>", **of}


# ---- random ones ------------------------------------------------------------------------------------------------------
WORDS = ["", " ", "\n", "\n\n", "a", "Zürich ", "<think>", "</think>", "<think>\n", "\n</think>\n\n", "hello", "{{ x }}", "\"", "'", "\\", "\t",
         "日本語", "\U0001F600", "é", "e\u0301", "<|end|>", "<result>", "</result>", "/nothink", "\r\n", "\u00a0", "0", "1.5", "None", "[/ASK]"]


def random_text(r):
    return "".join(r.choice(WORDS) for _ in range(r.randrange(7)))


def random_value(r, depth=0):
    kind = r.randrange(8 if depth < 3 else 6)
    if kind == 6:
        return [random_value(r, depth + 1) for _ in range(r.randrange(4))]
    if kind == 7:
        return {random_text(r): random_value(r, depth + 1) for _ in range(r.randrange(4))}
    return [random_text(r), r.randrange(-5, 10**r.randrange(1, 18)), r.choice([0.5, -1e-7, 1e22, 3.0, r.random()]), None, True, False][kind]


def random_content(r):
    kind = r.randrange(12)
    if kind == 0:
        return [r.choice([{"type": "text", "text": random_text(r)}, {"type": "image"}]) for _ in range(r.randrange(3))]
    return None if kind == 1 else random_text(r)


def random_calls(r):
    return [call(r.choice(["weather", "clock", "search"]), {random_text(r): random_value(r) for _ in range(r.randrange(3))},
                 r.choice(["abcdef123", "clock0001", "x"])) for _ in range(r.randrange(1, 3))]


def random_messages(r):
    out = [system(random_text(r))] if r.random() < 0.5 else []
    for _ in range(r.randrange(6)):
        out.append(user(random_content(r)))
        if r.random() < 0.3:
            out.append(assistant(random_content(r), tool_calls=random_calls(r)))
            out += [result(random_content(r)) for _ in range(r.randrange(3))]
        more = {"reasoning_content": random_text(r)} if r.random() < 0.3 else {}
        out.append(assistant(random_content(r), **more))
    if r.random() < 0.2 and len(out) > 1:
        del out[r.randrange(len(out))]
    return out + ([user(random_text(r))] if r.random() < 0.7 else [])


def random_conversation(r):
    out = {"messages": random_messages(r), "add_generation_prompt": r.random() < 0.7}
    if r.random() < 0.4:
        out["tools"] = r.sample([WEATHER, SEARCH, CLOCK], r.randrange(4))
    if r.random() < 0.2:
        out["documents"] = [{"title": random_text(r), "text": random_text(r)} for _ in range(r.randrange(3))]
    for name in ("enable_thinking", "tools_with_user"):
        if r.random() < 0.3:
            out[name] = r.random() < 0.5
    return variables(out)
