"""Whether a text is plain English prose: no mark-up, no talk about the task, no broken or foreign sentence."""

from __future__ import annotations

import re
from collections import Counter

from dreamkit.captions.language import COMMON_WORDS, is_english
from dreamkit.captions.lexicon import word_set
from dreamkit.captions.split import sentences, without_quotes

_CHATTER = re.compile(
    r"(?i)</?[a-z][^>]{0,60}>|&(?:nbsp|amp|lt|gt|quot);|```|"
    r"^\s*[*#\-{\[]|\*\*|https?://|\\[nu\"]|\[[^\]]{2,40}\]|^\s*(?:none|null|n/a)\W*$|"
    r"\b(?:here is|here's|sure[,!]|certainly[,!]|new caption|rewritten (?:caption|description)|rewrite type|as "
    r"an ai|language model|i'm sorry|i am sorry|"
    r"i (?:can(?:not|'t)|am unable|was unable|apologi[sz]e|have|changed|rewrote|hope)|let me know|as requested|"
    r"note:|json|caption:|description:|the user|assistant)\b"
)
_GARBLED = re.compile(
    r"(?i)\b(?!had\b|that\b)(\w+)\s+\1\b|\s[,.;](?!\d)|,\s*[.;,]|\.\.(?!\.)|\b(?:an?|the|and|with|of|to|or|its|"
    r"their)\s*[.,;]|\b(?:is|are|was|were)\s*(?:[.,;]|$)"
    r"|\b(?:the|an?)\s+(?:the|an?|is|are|and|or|of|in|with|by)\b|\b(?:is|are|was|were)\s+(?:is|are|was|were|"
    r"possibly due|due to|likely due|and the|and there)\b"
    r"|\ba\s+[aeio][a-z]{2,}(?<!\bone)\b(?<!\bone-way)|\ban\s+[bcdfgjklmnpqrstvwxz][a-z]+|\band others?\s*[.,]|"
    r"\b(?:and|or) no [\w ]{3,30} (?:can be|are|is)\b"
    r"|\b(?:with|while)\s*[.;]|\b(?:and|or|but) (?:and|or|but|with the and)\b|\b(?:at|under|of|from|"
    r"with)\s+(?:is|are|and|or|of|with|by)\b|\b(?:in|on)\s+(?:is|are|or|of|with)\b"
)
_MID_SENTENCE = re.compile(r"(?<=[a-z,] )(?:The|There|Several|It|A|An|This)\b(?! [A-Z])")
_FOREIGN = word_set(
    "der die das und ist ein eine auf mit nicht im von el los las una por con del y en es que le les un une des "
    "du est dans sur et il gli della che sono di per "
    "o os uma com não na no mobil jalan är och på het een van zijn"
) - {"die", "no", "on", "a", "in", "per", "es", "en", "van", "o", "het", "de", "y", "di", "un"}
_AUXILIARY = re.compile(
    r"(?i)(?:is|are|was|were|has|have|had|can|could|will|would|may|might|must|do|does|did|isn't|aren't|stood|"
    r"fell|lay|ran|hung|came|went|began)$"
)
_BASE_VERBS = word_set(
    "drive move park line stand lie fall float sink glisten hang cover glow shine reflect cut run walk cross wait "
    "turn stop appear seem look make show gather rest stretch reach form spread shimmer gleam drift "
    "sit rise fill blur fade remain follow ride come go give take begin keep stay continue pass head travel "
    "approach emerge disappear proceed navigate cast crowd cling work separate sway mark "
    "hide touch catch dust roll drip splash filter fly wear burst dance stream mirror swirl press close pick "
    "pool sweep brighten light warm swallow obey use get let lead wind curve melt dissolve blend creep "
    "illuminate provide create surround include vanish contain feature"
)
_NOT_BEFORE_VERB = word_set(
    "the a an of in on at to from by with and or its their his her this these several many two three four five "
    "some few various multiple numerous other more no each both all white black red "
    "blue green yellow gray silver brown parked tall large small bike palm moving residential urban"
)


def text_fault(text: str) -> str | None:
    """Why a text is no plain English prose, as the end of a sentence about it; None when it is."""
    words = re.findall(r"[A-Za-z'’-]+", text)
    if not is_english(text):
        return "is not written in English"
    if chatter := _CHATTER.search(text):
        return f"holds {chatter.group().strip()!r}, which is no part of a description"
    if "\n" in text.strip():
        return "has more than one line"
    plain = without_quotes(text)
    if re.fullmatch(r"\s*[\"“].*[\"”]\s*", text.strip()) and len(words) > 8:
        return "stands in quotation marks"
    if garbled := _GARBLED.search(plain) or _MID_SENTENCE.search(plain):
        return f"is garbled at {plain[max(0, garbled.start() - 12) : garbled.end() + 4].strip()!r}"
    if len(words) > 8 and not re.search(r"[.!?][\"”'’)]?$", text.strip()):
        return "does not end with a full stop"
    if foreign := next((one for one in sentences(text) if _is_foreign(one)), None):
        return f"has a sentence that is not English: {foreign[:40]!r}"
    if len(words) > 8:
        share = sum(word.lower() in COMMON_WORDS for word in words) / len(words)
        if not 0.12 <= share <= 0.75:
            return "does not form English sentences"
        threes = Counter(zip(words, words[1:], words[2:], strict=False))
        if threes.most_common(1)[0][1] > 6:
            return "repeats itself"
    return None


def _is_foreign(sentence: str) -> bool:
    words = re.findall(r"[^\W\d_]+", without_quotes(sentence).lower())
    if len(words) < 4:
        return False
    foreign = sum(word in _FOREIGN for word in words)
    return foreign >= 2 and foreign > sum(word in COMMON_WORDS for word in words)


def repeated_sentence(text: str) -> str:
    """The first sentence of four words or more that stands twice in a text; "" when there is none."""
    counts = Counter(_bare(sentence) for sentence in sentences(text))
    return next((one for one in sentences(text) if counts[_bare(one)] > 1 and len(one.split()) > 3), "")


def _bare(sentence: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", sentence.lower()))


def lacks_verb(sentence: str) -> bool:
    """Whether a sentence of four words or more has no finite verb, as "The street reflecting the lights."."""
    words = re.findall(r"[A-Za-z][\w'’-]*|,", without_quotes(sentence))
    return len(words) > 3 and not any(_is_verb(words, index) for index in range(1, len(words)))


def _is_verb(words: list[str], index: int) -> bool:
    low = words[index].lower()
    before = [one.lower() for one in words[:index] if not one.lower().endswith("ly")]
    last = before[-1] if before else ""
    if _AUXILIARY.match(low):
        return True
    if not last or last in _NOT_BEFORE_VERB or last == ",":
        return False
    plural = last.endswith("s") or last in ("people", "men", "women", "children", "traffic", "that", "police")
    if low in _BASE_VERBS and (plural or any(one.endswith("s") and one not in _NOT_BEFORE_VERB for one in before)):
        return True
    # "a line of cars heads out"
    single = not last.endswith(("s", "ed")) or last.endswith("ss") or last == "bus" or (plural and "of" in before)
    return low.endswith("s") and not low.endswith("ss") and single
