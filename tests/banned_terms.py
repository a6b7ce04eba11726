"""Words that are no names here, and the field's term for each. `docs/glossary.md` defines every term on the right."""

from dataclasses import dataclass

# How a word is recognised in an identifier. Capitals and underscores do not matter, but for the last four kinds.
WORD = "word"  # it is one of the identifier's words
FIRST = "first"  # it is the identifier, or the identifier's first word
NAME = "name"  # it is the whole identifier: a plain English word, fine inside a longer name
CLASS = "class"  # it is a class
FUNCTION = "function"  # it is a function or method
CONSTANT = "constant"  # it is a constant: a bare adjective or noun says neither what is bounded nor the unit
BOUND = "bound"  # it is a constant, or a constant begins with it
MODULE = "module"  # it is a file or folder


@dataclass(frozen=True)
class BannedTerm:
    """A word that is no name.

    Attributes:
        word: lower-case words joined by underscores; a class or constant as it is written.
        kind: how it is recognised.
        terms: the field's terms for what it stood for, each in the glossary.
    """

    word: str
    kind: str
    terms: tuple[str, ...]


def _banned(kind: str, table: dict[str, str]) -> list[BannedTerm]:
    rows = [(words.split(), tuple(terms.split(", "))) for words, terms in table.items()]
    return [BannedTerm(word, kind, terms) for words, terms in rows for word in words]


BANNED: list[BannedTerm] = [
    *_banned(
        WORD,
        {
            "told telling": "fusion input, message",
            "heard": "received features, message",
            "moment moments": "frame",
            "picture pictures": "image, fused scene, thumbnail",
            "thing things": "object",
            "deal dealing": "stratified group split",
            "feed feeds": "data source",
            "floors": "baseline",
            "usefulness": "saliency map",
            "worth": "saliency map",
            "useless": "irrelevant peer",
            "flaws": "impairment",
            "lateness": "latency",
            "everyone": "platform",
            "stranger strangers": "unknown sender",
            "crowd": "peer limit",
            "impostor": "unknown sender",
            "punish punished": "penalty",
            "nonsense": "malformed message",
            "ours": "ego, world frame, baseline",
            "theirs": "peer",
            "dress dressed": "appearance",
        },
    ),
    *_banned(FIRST, {"own": "ego", "most": "maximum", "least": "minimum"}),
    *_banned(
        NAME,
        {
            "found": "detection, match",
            "said": "configuration",
            "say": "log record",
            "tell tells": "message",
            "late": "late fusion, delay",
            "beat beats": "heartbeat",
            "look looks": "render, appearance",
            "again": "render",
            "mine": "ego",
            "alone": "no fusion",
            "wanted asked": "request map",
            "addressed": "message header",
            "answer answers": "logits, prediction",
            "gathered": "head",
            "likelihoods": "probability",
            "absent": "missing class",
            "able": "initialisation",
            "due": "deadline",
            "apart": "time offset",
            "together": "sort window",
            "turns": "heading",
            "settled": "height above ground",
            "slack": "search radius",
            "spread": "standard deviation",
            "in_turn": "batch",
        },
    ),
    *_banned(
        CLASS,
        {
            "Bucket": "token bucket",
            "Budget": "rate control",
            "Enlarged": "patch size",
            "Everything": "full features",
            "Examples": "sample",
            "Exchange": "agent",
            "Floor": "baseline",
            "Headed": "head",
            "Ledger": "bandwidth",
            "Machine": "trainer",
            "Masked": "visibility mask",
            "Memory": "temporal fusion",
            "Newest": "latest value",
            "Objects": "target",
            "Part": "batch",
            "Parts": "split",
            "Pattern": "sparse matrix",
            "Place": "world frame",
            "Placed": "BEV",
            "Runs": "sparse matrix",
            "Sent": "selection mask",
            "Shuffled": "sampler",
            "Steps": "sampler",
            "Trunk": "BEV encoder",
            "Waiting": "message queue",
        },
    ),
    *_banned(
        FUNCTION,
        {
            "content": "message",
            "drawn": "rasterisation",
            "scattered": "saliency map",
            "shifted warped": "pose error",
            "turned": "heading",
            "weigh": "sparse matrix",
        },
    ),
    *_banned(BOUND, {"LARGEST LONGEST": "maximum", "SMALLEST SHORTEST": "minimum", "FLOOR": "baseline"}),
    *_banned(
        CONSTANT,
        {
            "CHANCE": "clutter density",
            "CLEAR SURE LIKELY": "prior",
            "ELSE": "log-odds",
            "ENOUGH": "minimum",
            "FAR FARTHEST NEAR REACH": "range",
            "KEPT SHOWN": "maximum",
            "SECOND": "nanosecond",
            "SOON": "deadline",
            "WIDTHS": "annealing",
        },
    ),
    *_banned(
        MODULE,
        {
            "allocator": "malloc",
            "enlarged": "patch size",
            "everything": "full features",
            "files": "atomic write",
            "forks": "fork server",
            "labelled": "label",
            "newest": "latest value",
            "records": "configuration",
        },
    ),
]

# Terms of the field, or of a language, that a word above is part of.
EXCEPTIONS = (
    "feed_forward",
    "least_common",
    "least_recently_used",
    "least_significant",
    "least_squares",
    "most_common",
    "most_significant",
    "operating_picture",
    "thing_classes",
)

# (kind, name) of identifiers that stay, with the reason: such as keys of weights and cards that are already written.
ALLOWED = {
    ("attribute", "asked"): "a parameter of collaborative models: its name is a key of their weights",
    ("attribute", "spread"): "a layer of collaborative models: its name is a key of their weights",
    ("function", "tell"): "what Python calls the position in a stream",
    ("key", "ours"): "the dual branch in cards of shipped weights, which stay as they are",
}
