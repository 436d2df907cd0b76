"""Tokenizers as the families publish them: the same normaliser, pre-tokeniser, options of the model, decoder and post-processor, with a
vocabulary to be trained. Needs the package `tokenizers`."""
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")
# Combining marks belong to words (Qwen 3.5).
QWEN_MARKS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CASES = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = f"{CASES}{SUFFIX}|{UPPER}{SUFFIX}|\\p{{N}}{{1,3}}|{ENDS}"
TEKKEN = f"{CASES}|{UPPER}|\\p{{N}}|{ENDS}"
# Cased letters, as ranges: first and last code point, or one.
CASED = """41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376 377 37b-37d 37f 386 388-38a 38c 38e-3a1 3a3-3f5 3f7-481
48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d
1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102
2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183 2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee
2cf2 2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3
104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943"""
DEEPSEEK_V2 = [
    r"[\r\n]", "\\s?[" + "".join("-".join(chr(int(c, 16)) for c in r.split("-")) for r in CASED.split()) + "]+",
    "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", "[一-龥\u0800-一가-\ud7ff]+"]
DEEPSEEK_V3 = [
    r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def special(*texts, **options):
    return [AddedToken(text, normalized=False, special=True, **options) for text in texts]


def plain(*texts, normalized=False, **options):
    return [AddedToken(text, normalized=normalized, special=False, **options) for text in texts]


def template(before=(), after=()):
    def post(t):
        ids = [(text, t.token_to_id(text)) for text in (*before, *after)]
        return processors.TemplateProcessing(single=" ".join([*before, "$A", *after]), special_tokens=ids)
    return post


def byte_level(split, added, size=600, normalizer=None, post=None, use_regex=False, **options):
    """GPT-2's alphabet of bytes, after splits."""
    t = Tokenizer(models.BPE(**options))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    return t, trainer, added, post


def sentence_pieces(added, size=500, normalizer=None, split=None, strip=True, post=None, **options):
    """SentencePiece's BPE: characters, and bytes where a character is unknown."""
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True, **options))
    if normalizer:
        t.normalizer = normalizer
    if split:
        t.pre_tokenizer = split
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                   *([decoders.Strip(" ", 1, 0)] if strip else [])])
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=tokens, limit_alphabet=90, max_token_length=12, show_progress=False)
    return t, trainer, [*special("<unk>", "<s>", "</s>"), *added], post


def unigram(normalizer, split, decoder, added=(), size=400, post=None, pieces=(), **options):
    t = Tokenizer(models.Unigram())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = split
    t.decoder = decoder
    trainer = trainers.UnigramTrainer(vocab_size=size, unk_token="<unk>", special_tokens=["<pad>", "</s>", "<unk>", *pieces],
                                      show_progress=False)
    return t, trainer, [*special("<pad>", "</s>", "<unk>"), *added], post


def regex(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def llama2_normalizer():
    return normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


CHAT = ["<|im_start|>", "<|im_end|>"]
FAMILIES = {
    "gpt2": lambda: byte_level([], special("<|endoftext|>"), use_regex=True),
    "llama3": lambda: byte_level([regex(GPT4)], special("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>"),
                                 ignore_merges=True, post=template(["<|begin_of_text|>"])),
    "llama4": lambda: byte_level([regex(O200K)], special("<|begin_of_text|>", "<|eot|>"), post=template(["<|begin_of_text|>"])),
    "qwen2": lambda: byte_level([regex(QWEN2)], [*special("<|endoftext|>", *CHAT), *plain("<tool_call>", "</tool_call>", "<think>")],
                                normalizer=normalizers.NFC()),
    "qwen_marks": lambda: byte_level([regex(QWEN_MARKS)], special("<|endoftext|>", *CHAT), normalizer=normalizers.NFC()),
    "mistral": lambda: sentence_pieces(special("[INST]", "[/INST]"), normalizer=llama2_normalizer(), post=template(["<s>"])),
    "metaspace": lambda: sentence_pieces(special("[INST]"), split=pre_tokenizers.Metaspace("▁", "first", False), post=template(["<s>"])),
    "tekken": lambda: byte_level([regex(TEKKEN)], special("<unk>", "<s>", "</s>", "[INST]"), ignore_merges=True, post=template(["<s>"])),
    "gemma": lambda: sentence_pieces(
        [*special("<start_of_turn>", "<bos>"), *plain(*("\n" * n for n in range(2, 6)), *("▁" * n for n in range(2, 9)), "<table>")],
        normalizer=normalizers.Replace(" ", "▁"), split=pre_tokenizers.Split(" ", "merged_with_previous"), strip=False,
        post=template(["<bos>"])),
    "deepseek_v2": lambda: byte_level(
        [*(regex(p) for p in DEEPSEEK_V2), pre_tokenizers.Digits(True)],
        [*special("<｜begin▁of▁sentence｜>"), *plain("User:", normalized=True)], normalizer=normalizers.Sequence([]),
        post=template(["<｜begin▁of▁sentence｜>"])),
    "deepseek_v3": lambda: byte_level(
        [regex(p) for p in DEEPSEEK_V3], [*special("<｜begin▁of▁sentence｜>"), *plain("<｜User｜>", "<｜Assistant｜>")],
        normalizer=normalizers.Sequence([]), post=template(["<｜begin▁of▁sentence｜>"])),
    "phi3": lambda: sentence_pieces(special("<|assistant|>", "<|user|>", "<|end|>", rstrip=True), normalizer=llama2_normalizer()),
    "phi4": lambda: byte_level([regex(GPT4, "removed", True)], special("<|im_sep|>", *CHAT, lstrip=True, rstrip=True)),
    "granite": lambda: byte_level([pre_tokenizers.Digits(True)], special("<|end_of_text|>", "<fim_prefix>"), use_regex=True),
    "olmo2": lambda: byte_level([regex(GPT4)], [*special("<|endoftext|>"), *plain("  ", "    ", "\t\t", normalized=True)]),
    "gpt_oss": lambda: byte_level([regex(O200K, "removed", True)], special("<|return|>", "<|channel|>")),
    "unigram": lambda: unigram(
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Metaspace("▁", "always"), decoders.Metaspace("▁", "always"), post=template(after=["</s>"])),
    "unigram_bytes": lambda: unigram(
        None, pre_tokenizers.Metaspace("▁", "never", False), decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace("▁", "never")]),
        size=700, pieces=[f"<0x{b:02X}>" for b in range(256)]),
    # What no family above has: the other steps, and the other options of added tokens.
    "words": lambda: mixed_words(),
    "letters": lambda: mixed_letters(),
    "vowels": lambda: mixed_vowels(),
    "lower": lambda: byte_normalized(),
    "old": lambda: old_file(),
}


def mixed_words():
    """A vocabulary of words with a prefix inside words, after steps that cut at characters."""
    t = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.CharDelimiterSplit("-"),
                                               pre_tokenizers.Punctuation("merged_with_next"), pre_tokenizers.Digits(False)])
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]"], continuing_subword_prefix="##", end_of_word_suffix="</w>",
                                  limit_alphabet=80, show_progress=False)
    return t, trainer, [*special("[UNK]"), *plain("Hello", "THE", single_word=True, normalized=True), *plain("…", lstrip=True)], None


def mixed_letters():
    """No fused unknowns, no decoder, a post-processor in two parts."""
    t = Tokenizer(models.BPE(unk_token="[UNK]"))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Replace(Regex(r"\d+"), "0")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous"),
                                               pre_tokenizers.Split("a", "merged_with_next"), pre_tokenizers.Split("e", "contiguous")])
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["[UNK]", "[CLS]", "[SEP]"], limit_alphabet=60, show_progress=False)

    def post(made):
        return processors.Sequence([processors.ByteLevel(), template(["[CLS]", "[SEP]"], ["[SEP]"])(made)])
    return t, trainer, [*special("[UNK]", "[CLS]"), *plain("[SEP]", single_word=True, rstrip=True)], post


def mixed_vowels():
    """Fused unknowns without bytes; patterns that match nothing or twice in a row. Trained on whole lines, so that tokens depend on the cuts."""
    t = Tokenizer(models.BPE(unk_token="[UNK]", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace("q", "kw")])
    t.decoder = decoders.Sequence([decoders.Replace("e", "3"), decoders.Fuse(), decoders.Replace("k", "[K]"), decoders.Strip("3", 2, 0)])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=["[UNK]"], limit_alphabet=60, max_token_length=6, show_progress=False)

    def post(made):
        made.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(" ", "merged_with_previous"), regex(r"(?=[A-Z])|\d+"), regex("[aeiou]", "merged_with_previous"),
            regex("s|$", "contiguous", True), pre_tokenizers.Split("t", "removed")])
        return processors.ByteLevel()
    return t, trainer, special("[UNK]"), post


def byte_normalized():
    """The alphabet of bytes as a normaliser, which added tokens go through too."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.ByteLevel()])
    t.pre_tokenizer = pre_tokenizers.Split("Ġ", "merged_with_next")
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=450, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    return t, trainer, plain("é à", "Hello", "…", normalized=True), None


def old_file():
    """A space before each word; in the form of old files, see make_tokenizers.py."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=450, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    return t, trainer, special("<|endoftext|>"), None


def make(name, lines):
    """The tokenizer as the value of its file."""
    t, trainer, added, post = FAMILIES[name]()
    t.train_from_iterator(lines, trainer)
    t.add_tokens(added)
    if post:
        t.post_processor = post(t)
    value = json.loads(t.to_str())
    if name == "old":
        del value["model"]["type"], value["model"]["ignore_merges"]
        value["model"]["merges"] = ["#version: 0.2", *(" ".join(merge) for merge in value["model"]["merges"])]
    return value
