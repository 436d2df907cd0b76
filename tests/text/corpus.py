"""Awkward texts, and sequences of ids that are not the tokens of any text."""
import random

SCRIPTS = [
    "Hello, world!", "The quick brown fox jumps over the lazy dog.", "naïve café résumé — coöperate", "Straße ÜBER Ärger ẞ ß",
    "Łódź, Kraków, Gdańsk", "İstanbul ığdır Iı", "Привет, как дела?", "Ελληνικά, Ὀδυσσεύς, ἄνθρωπος", "Հայերեն", "ქართული ენა",
    "שָׁלוֹם עֲלֵיכֶם", "السَّلامُ عَلَيْكُم", "فارسی‌زبان", "हिन्दी में क्षेत्र", "বাংলা ভাষা", "தமிழ் மொழி", "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල",
    "ภาษาไทยไม่มีวรรค", "ພາສາລາວ", "བོད་སྐད", "မြန်မာဘာသာ", "ភាសាខ្មែរ", "አማርኛ", "ᏣᎳᎩ", "ᠮᠣᠩᠭᠣᠯ", "汉字和漢字", "中文,没有空格。还有English和123", "ひらがなとカタカナ、半角ｶﾞｷﾞ",
    "한국어 조선말 각 가", "Tiếng Việt có dấu", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𝒜", "𐌰𐌱𐌲 𒀀𒁀 𓀀", "㍿ ㈱ ½ ² ³ ① Ⅷ ﬁ ﬆ ŉ", "Å Å Å", "ǅ ǆ Ǆ Ǳ", "ſtreet Kelvin K",
]
EMOJI = [
    "😀😃😄", "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 👨🏿‍🚀", "🇩🇪🇫🇷🇯🇵🇺", "❤️ ❤ ☺︎ 1️⃣ #️⃣", "a😀b 😀c", "‍​‌⁠﻿", "🧑‍💻writes code", "🫠🫶🏻",
]
MARKS = [
    "é à ñ", "à́̂̃̄̅", "Zalgo: Z̵̡̢̛̗̘̙̜̝̞̟̠̀́̂̃̄̅̆̇̈̉", "q̣̇ q̣̇", "ḍ̇ ḍ̇ ḍ̇", "각 각", "ཱྀ ཱི", "́starts with a mark", "a" + "̖̀" * 40,
    "क़ ख़ ड़", "שּׁ שּׁ", "か゛ が が", "ª º ͺ ΐ", "Ω Ω K K",
]
CONTROL = [
    "\0", "a\0b\0\0c", "\x01\x02\x03\x04\x05\x06\x07\x08", "\x0b\x0c\x0e\x1b[31mred\x1b[0m\x7f", "\x80\x85\x8f\x9f\xa0", "tab\tnew\nreturn\rboth\r\nend",
    "\n", "\n\n", "\n\n\n\n\n\n\n", "\r\n\r\n", " \n \n  \n", "\t\t\t  \t", " leading", "trailing ", "  both  ", " ", "  ", "   ", "        x",
    "a b\tc\nd\re\x0bf\x0cg\x85h\xa0i\u1680j\u2000k\u2003l\u2028m\u2029n\u202fo\u205fp\u3000q\u180er\u200bs", "﻿BOM", "�￾￿", "\ud7ff\ue000\uf8ff",
    "\U0010ffff\U000f0000\U0001f600", "‮right to left‬", "line one\n\n\n    indented\n\t\ttabs\n", "a  b   c    d     e", "end with newlines\n\n", "x\n y\n  z",
]
CODE = [
    "def f(x):\n    return x ** 2  # square\n", "for (int i=0;i<n;i++) { a[i] += b[i]; }", "if (a && b || !c) { return; }", "<div class=\"x\">text</div>",
    "{\"a\": [1, 2.5, -3e10], \"b\": null}", "https://example.com/path?q=1&r=%20#frag", "C:\\Users\\name\\file.txt", "/usr/bin/env", "a//b/*c*/", "$x = @y[%z];",
    "SELECT * FROM t WHERE a='b''c';", "$$\\sum_{i=0}^{n} x_i^2$$", "#!/bin/sh\nset -eu\n", "---\ntitle: x\n---\n", "| a | b |\n|---|---|\n", "camelCaseAndHTTPServer2XML",
    "snake_case_name __init__", "1+1=2;3*4/5-6%7", "0x1F 0b101 1_000_000 1e-10", "!!!???...,,,;;;:::", "'quoted' \"double\" `back` «guil» „low“ ‚x‘",
]
WORDS = [
    "it's don't we'll they'd I'm you've he'd we're", "IT'S DON'T WE'LL THEY'D I'M YOU'VE", "it’s don’t", "'s 't 're 've 'm 'll 'd 'S 'T", "x's'tt'rer'vev",
    "'ſ 'ſt", "1 12 123 1234 12345 123456 1234567", "1234567890" * 5, "٠١٢٣ ४५६ ０１２ ⅓ ⅳ ㉑", "3.14159 1,000,000 12:34:56 2026-11-30", "a1b2c3 x86-64 IPv6 h2o",
    "ALL CAPS AND MiXeD cAsE", "Hello THE Hello, xHello Hellox THE. aTHE", "…before … after", "a" * 200, "ab" * 150, "aaa bbb " * 30, " " * 100, "\n" * 60,
    "!" * 90, "é" * 80, "中" * 100, "😀" * 40, "0" * 77, "the " * 60, "-" * 64 + ">", "=" * 40 + "\n" + "=" * 40, "word" * 100, "abcdefghijklmnopqrstuvwxyz" * 8,
    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch", "Donaudampfschifffahrtsgesellschaft", "supercalifragilisticexpialidocious", "antidisestablishmentarianism",
]
SPECIAL = [
    "<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", " <|endoftext|> ", "<|begin_of_text|>Hi<|eot_id|>", "<s>text</s>", "<s> <unk> </s>",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "[INST] Hi [/INST] answer</s>", "<start_of_turn>user\nHi\n", "<｜begin▁of▁sentence｜>User: Hi",
    "User:User: user:", "<｜User｜>Hi<｜Assistant｜>", "  <|assistant|>  \n Hi <|end|>\n\n<|user|>", "a  <|im_sep|>  b", "  <|im_start|>\t<|im_end|>\n x", "<tool_call>{}</tool_call>",
    "<think>\nhmm\n</think>", "<|endoftext", "|endoftext|>", "<<|endoftext|>>", "<|im_start|", "[UNK] [CLS] [SEP]", "x[SEP]  y [SEP]z[SEP]", "<0x41><0xE4>", "▁ ▁▁ ▁▁▁ a▁b", "Ġ Ċ Ä",
    "<table><table>\n\n\n<bos>", "<pad></s>", "<|return|><|channel|>x", "\n\n\n\n\n\n\n\n▁▁▁▁▁▁▁▁▁▁",
]
# Cuts whose scores are equal but for rounding (unigram_bytes).
TIES = ["e сеут<0xF7≯̪̎̔͂XeD    🏾🏿🏽", "ter     xレリュン", "\u2009\u2002\u200fန်မာဘာသာץףפ'LL\x10\x1f\x0e\x02\x00\x10\x0b\x15\x06\x14\x1b\r\n's's<0x40><0x7D><0x25>ם▁▁  ა"]
TEXTS = ["", *SCRIPTS, *EMOJI, *MARKS, *CONTROL, *CODE, *WORDS, *SPECIAL, *TIES]

# Not UTF-8; the position of the first byte that is not.
INVALID = [
    (b"\xff", 0), (b"abc\x80", 3), (b"abc\xc3", 3), (b"\xc3(", 0), (b"\xe4\xb8", 0), (b"ok \xe4\xb8x", 3), (b"\xf0\x9f\x98", 0), (b"\xc0\x80", 0),
    (b"\xe0\x80\x80", 0), (b"\xed\xa0\x80", 0), (b"\xf4\x90\x80\x80", 0), (b"\xf5\x80\x80\x80", 0), ("é".encode() + b"\xa9", 2), (b"x" * 100 + b"\xfe", 100),
]

# Code points for random texts, all in Unicode 8, by which every library here agrees on their properties.
RANGES = [(0x20, 0x7e), (0x20, 0x7e), (0x20, 0x7e), (0, 0x1f), (0xa0, 0x17f), (0x300, 0x345), (0x370, 0x373), (0x391, 0x3a1), (0x3b1, 0x3c9), (0x410, 0x44f),
          (0x5d0, 0x5ea), (0x621, 0x63a), (0x64b, 0x669), (0x905, 0x939), (0x93c, 0x94d), (0xe01, 0xe3a), (0xe40, 0xe4e), (0x1100, 0x1112), (0x1161, 0x1175),
          (0x11a8, 0x11c2), (0x1e00, 0x1eff), (0x2000, 0x200f), (0x2010, 0x2027), (0x2028, 0x202f), (0x2070, 0x2071), (0x2150, 0x2188), (0x2200, 0x22ff),
          (0x2460, 0x24ff), (0x2581, 0x2581), (0x3000, 0x303f), (0x3041, 0x3096), (0x3099, 0x309e), (0x30a1, 0x30fe), (0x3220, 0x3243), (0x4e00, 0x4eff),
          (0xac00, 0xacff), (0xfb00, 0xfb06), (0xff01, 0xff5e), (0x10330, 0x1034a), (0x1d400, 0x1d44f), (0x1f1e6, 0x1f1ff), (0x1f3fb, 0x1f3ff),
          (0x1f600, 0x1f640), (0xfe0e, 0xfe0f), (0x20000, 0x20040)]


def random_text(r, added):
    """Runs of one range, of one character, of spaces and newlines, pieces of the corpus, added tokens."""
    out = []
    for _ in range(r.choice([1, 2, 4, 8, 20])):
        kind = r.random()
        if kind < 0.45:
            first, last = r.choice(RANGES)
            out.append("".join(chr(r.randint(first, last)) for _ in range(r.randint(1, 12))))
        elif kind < 0.6:
            out.append(r.choice([" ", "  ", "\n", "\r\n", "\t", " \n", "'s", "'LL", "\u00a0", "-", "'"]) * r.randint(1, 4))
        elif kind < 0.7:
            first, last = r.choice(RANGES)
            out.append(chr(r.randint(first, last)) * r.randint(1, 40))
        elif kind < 0.9:
            text = r.choice(TEXTS)
            at = r.randint(0, len(text))
            out.append(text[at:at + r.randint(1, 30)])
        else:
            out.append(r.choice(added) if added else "x")
    return "".join(out)


def random_ids(r, size):
    return [r.randrange(size + 2) for _ in range(r.choice([1, 2, 3, 8, 20]))]


def id_sequences(size):
    """Sequences that every tokenizer has to decode: all ids one by one would be too long."""
    r = random.Random(size)
    return [[], *([i] for i in range(0, size, max(1, size // 25))), *(random_ids(r, size) for _ in range(25))]
