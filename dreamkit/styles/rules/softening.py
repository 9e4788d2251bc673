"""Leave out words about conditions: adjectives, and prepositional phrases about time, weather and light."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from dreamkit.captions.conditions import Term, found, negated, of_lamps
from dreamkit.captions.lexicon import alternatives, lexicon, structures_pattern, users_pattern, word_set
from dreamkit.styles.rules.actions import plain_actions, without_origin
from dreamkit.styles.rules.clauses import finite, is_clause
from dreamkit.styles.table import Style, has_word

# Marks in a cut text: a place for the style's lead, and one for its adjective.
LEAD, ADJECTIVE = "\x00", "\x01"
_DAY_NAMES = {"morning": "morning", "dusk": "evening", "golden": "evening", "night": "night", "day": "day"}
_LIGHT, _BY_DAY = ("bright", "dry", "gray", "grey"), ("by day", "by night")
_WEATHER = {"rain": "rainy", "snow": "snowy", "fog": "foggy", "cloudy": "cloudy", "clear": "clear"}
DAY_PHRASE = re.compile(
    r"(?i)\b(?P<det>an?|the|this)\s+(?P<mods>(?:(?!(?:an?|the|of|in|on|depicts|captures|shows|"
    r"is)\b)[\w-]+,?\s+(?:(?:and|or)\s+)?){1,4}?)(?P<noun>day|afternoon|evening|night|morning)\b"
    r"(?=[.,;]|$|\s+(?:in|on|at|with|along|under|near|as|where|and|scene|drive|down|through|from|outside)\b)"
)
# Before these, "right" is a direction: "turns right at dusk", but "stops right at dusk".
_TURNING = re.compile(
    r"(?i)\b(?:(?:turn|bear|veer|curv|bend|merg|swerv|steer|pull|mov|shift|drift|fork|head|keep|angl|wind|peel|"
    r"branch|point|look|slop|swing|sweep|lean)(?:e|s|es|ed|ing)?"
    r"(?: \w+ly| hard| sharp| back| off| over)?|the|an?|its|to|slight|hard|sharp|left and|left or|far)$"
)
# What every car or house has: "with a snow-covered roof" goes whole.
_BODY = re.compile(r"(?:roof|window|hood|windshield)s?\b")
_NEEDS_ADJECTIVE = word_set(
    "conditions condition weather day atmosphere effect ambiance ambience mood appearance look feel tone environment "
    "light sun sunlight glow haze air hours hour sky skies"
)
_SETTING = re.compile(
    r"(?i)\b(?:is|are|was|being) (?:set|filmed|taken|captured|recorded)$|\btak(?:es?|ing) place$|\boccurs?$"
)
_NEUTRAL = re.compile(
    r"(?i)^(?:quiet|calm|typical|busy|regular|normal|peaceful|beautiful|cold|cool|warm|hot|late|early|what|"
    r"appears|to|be|a|bustling|chilly|windy|breezy|humid|mild|crisp|long|wide|narrow|straight|empty)$"
)
_PARTICIPLE_BEFORE = re.compile(
    r"(?i)\b(?!(?:parked|stopped|located|seen|shown|depicted|captured|recorded|filmed|positioned|lined|situated|"
    r"need|red)$)"
    r"(?:\w+ed|lit|hidden|caught|set|wet|slick|heavy|white|bright|dark|thick|due|alive|loaded|laden|coping|"
    r"dealing|compared|associated|navigating|braving|struggling|peeking|shining|breaking|filtering|poking|"
    r"glowing|piercing)$"
)
_HOUR = re.compile(r"(?i)(?:the )?(?:early |late )?(?:evening|afternoon|dusk|twilight|sunset|sundown)$")
_PREDICATIVE = re.compile(
    r"(?i)\b(?:(?<!there )(?:is|are)|was|were|be|being|appears?|seems?|looks?|becomes?|remains?|to be|and|or|"
    r"not|very|quite|overly)$"
)
_ADVERBS = (
    r"(?:(?:very|quite|slightly|somewhat|rather|mostly|partly|heavily|lightly|densely|dimly|brightly|already)\s+)?"
)


@lru_cache(maxsize=1)
def _phrase() -> re.Pattern[str]:
    """A prepositional phrase whose last noun is about time, weather or light."""
    heads, after = alternatives("clauses", "heads"), alternatives("clauses", "after_noun")
    after = f"{after}|{alternatives('clauses', 'finite')}"
    word = (
        r"(?:(?:of\s+(?:the|an?)|(?!(?:and|or|but|while|with|that|which|is|are|on|in|at|under|by|from|as|for|along|"
        r"through|during|was|to|between|past|around|near|behind|beside|the|an?)\b)[\w'’-]+),?\s+)"
    )
    noun = rf"(?:{heads})\b(?:\s+of\s+(?:the\s+|an?\s+)?(?:[\w-]+\s+){{0,2}}?(?:{heads}|lights?|sky|rain|storm)\b)?"
    more = rf"(?:,?\s+(?:or|and|to|into)\s+{word}{{0,4}}?{noun})*"
    return re.compile(
        rf"(?i)(?P<comma>,?)\s*\b(?P<prep>{alternatives('clauses', 'prepositions')})\s+"
        rf"(?P<noun>(?:what (?:appears|seems) to be\s+)?(?:(?:the|an?)\s+)?{word}{{0,7}}?{noun}{more})"
        rf"(?P<tail>(?:\s+(?:overhead|above|outside|visible|present|in view|in the sky|in sight|in motion|in use|"
        rf"o[nf]f?(?=[.,;]|$)))*)(?=[.,;:\x00]|$|\s+(?:{after})\b)"
    )


@lru_cache(maxsize=1)
def _finite() -> re.Pattern[str]:
    return re.compile(rf"(?i) (?:{alternatives('clauses', 'finite')})\b")


@lru_cache(maxsize=1)
def _and_phrase() -> re.Pattern[str]:
    heads = alternatives("clauses", "heads")
    return re.compile(
        rf"(?i),?\s+and\s+(?P<noun>(?:an?\s+|the\s+|"
        rf"some\s+)?(?:[\w-]+,?\s+){{0,3}}?(?:{heads}))(?:\s+(?:overhead|above))?(?=[.,;]|$)"
    )


@lru_cache(maxsize=1)
def _adjective() -> re.Pattern[str]:
    return re.compile(
        rf"(?i)(?P<and>(?<=[a-z])\s+and\s+|,\s+|"
        rf"\b){_ADVERBS}(?P<word>{alternatives('clauses', 'adjectives')})(?P<sep>(?:,\s+|\s+and\s+|,\s+and\s+|\s+))"
        rf"(?=(?P<next>[a-z][\w'’-]*))"
    )


@lru_cache(maxsize=1)
def _not_noun() -> re.Pattern[str]:
    return re.compile(
        rf"(?i)(?!(?:driv|park|build|cross|shopp|lodg|dwell)ing)"
        rf"(?:{alternatives('clauses', 'after_noun')}|because|than|enough|it|they|the|a|an|up)$"
    )


@dataclass
class Softener:
    """Leaves out adjectives and prepositional phrases that contradict a style.

    Attributes:
        style: the style.
        time: the rewrite's time, "" for unknown.
        weather: its weather, "" for unknown.
        was: the time that the caption states, "" for unknown.
        lamps_stay: the caption is inside a tunnel or garage, where lamps shine at any time.
    """

    style: Style
    time: str
    weather: str
    was: str = ""
    lamps_stay: bool = False
    _seen: dict[str, list[re.Match[str]]] = field(default_factory=dict, repr=False)

    def unwanted(self, text: str) -> list[re.Match[str]]:
        """The words of the text that contradict the style."""
        if text not in self._seen:
            self._seen[text] = [
                m for term, m in found(text) if self._contradicts(term, negated(text, m.start(), m.end()))
            ]
        return self._seen[text]

    def _contradicts(self, term: Term, denied: bool) -> bool:
        if self.lamps_stay and of_lamps(term):
            return False
        time = self.time if self.style.time else ""
        weather = self.weather if self.style.weather else ""
        if denied:
            wet = ("rain", "snow", "fog")
            near = wet if weather in wet else (weather,)
            about_weather = bool(self.style.weather) and term.tied_to_weather
            return (bool(time) and term.tied_to_time) or (about_weather and any(term.allows("", one) for one in near))
        if term.name == "well lit" and time == "night":
            return self.was in ("day", "golden", "morning")
        if len(term.fits) > 1 and time and not weather:
            # Headlights are on in the morning where the caption has rain or fog.
            weather = self.weather or "clear"
        return not term.allows(time, weather)

    def soften(self, text: str, first: bool) -> str:
        """The text without adjectives and prepositional phrases that contradict the style."""
        text = DAY_PHRASE.sub(lambda match: self._other_day(match) or match.group(), text)
        text = re.sub(r"(?i)\b(?:on|in|during) (?:a|the) (night)\b", r"at \1", text)
        if not (self.unwanted(text) or self._other_hour(text)):
            return text
        text = plain_actions(text, self.unwanted)
        text = self._without_phrases(text, first)
        while self.unwanted(clean(text)):
            shorter = self._without_adjective(text, first)
            if shorter is None:
                break
            text = shorter
        return text

    def _other_hour(self, text: str) -> bool:
        """Whether the text names an hour that fits the style, as an evening fits the golden hour, in other words."""
        return bool(self.style.time) and any(term.time not in ("", self.style.time) for term, _ in found(text))

    def _other_day(self, match: re.Match[str]) -> str | None:
        """ "a rainy day" in the words of the style, such as "a rainy night"; None when it may stay."""
        mods = [mod for mod in re.findall(r"[\w-]+", match["mods"]) if mod.lower() not in ("and", "or")]
        noun = match["noun"].lower()
        other = _DAY_NAMES[self.time] if self.style.time else noun
        if self.time == "night" and noun == "day" and "night" not in match.string.lower():
            other = "night"
        states = [mod for mod in mods if found(mod) or mod.lower() in (*_WEATHER.values(), *_LIGHT)]
        if set(mods) & {*_DAY_NAMES.values()} or not all(mod in states or _NEUTRAL.match(mod) for mod in mods):
            return None
        falls = self.style.weather in ("rain", "snow", "fog")
        bad = [mod for mod in states if self.unwanted(f"{mod} {'day' if mod.lower() in _LIGHT else 'scene'}")]
        bad += [mod for mod in states if falls and mod.lower() in ("cloudy", "overcast", "gray", "grey", "gloomy")]
        golden = self.style.time == "golden" and noun == "evening" and "golden" not in mods
        if not golden and (
            (not bad and other == noun)
            or (not states and (match["det"].lower() == "the" or not self.unwanted(f"a {noun}.")))
        ):
            return None
        kept = [mod for mod in mods if mod not in bad and mod.lower() not in ("late", "early")]
        if falls or self.time == "night":
            kept = [mod for mod in kept if mod.lower() not in ("hot", "warm")]
        if self.style.time == "golden":
            kept = [mod for mod in kept if mod not in states]
        if self.style.weather and (self.style.adjective not in kept):
            same = self.style.weather  # "a drizzly morning" becomes a rainy one
            kept = [mod for mod in kept if all(term.weather != same for term, _ in found(mod))]
            place = kept.index("summer") if "summer" in kept else len(kept)
            kept.insert(place, self.style.adjective.removesuffix("-hour"))
        elif self.style.time and not [mod for mod in kept if mod in states] and self.weather in ("clear", "cloudy"):
            kept.append(_WEATHER[self.weather])
        words = " ".join([*kept, other])
        return f"{article(words, match['det']) if match['det'].lower() in ('a', 'an') else match['det']} {words}"

    def _without_phrases(self, text: str, first: bool) -> str:
        start = 0
        while match := _phrase().search(text, start):
            start = match.end()
            noun = match["noun"]
            bad = any(m.start() < match.end() and m.end() > match.start("noun") for m in self.unwanted(text))
            hour = match["prep"].lower() in ("during", "in", "at") and _HOUR.match(noun)
            bad = bad or (bool(hour) and self._other_hour(noun) and not has_word(self.style, text))
            if not bad or _keeps(noun) or "sound" in noun:
                start = match.start("noun") + 1
                continue
            before, after = text[: match.start()], text[match.end() :]
            prep = match["prep"].lower()
            if prep.startswith("right ") and _TURNING.search(before):
                before, prep = before + match["comma"] + " right", prep[6:]
            if prep == "on" and re.search(r"(?i)\b(?:turn|switch)(?:s|es|ed|ing)?$", before.rstrip()):
                continue  # "turns on the headlights"
            of_noun = prep in ("of", "from", "over", "into", "by") and f"{prep} {noun.lower()}" not in _BY_DAY
            if of_noun and (moved := without_origin(before, prep)):
                text, start = moved + after, len(moved)
                continue
            if of_noun or (
                prep in ("with", "in", "through", "on")
                and _PARTICIPLE_BEFORE.search(before.rstrip())
                and not _SETTING.search(before)
            ):
                continue
            if prep in ("due to", "because of", "owing to") and (found(before) or not users_pattern().search(before)):
                continue
            if prep == "with" and (other := re.match(r"(?i)\s+and\s+(?=\w)", after)):
                text = f"{before}{' ' if before else ''}{match['prep']} {after[other.end() :]}"
                start = len(before)
                continue
            timely = prep not in ("with", "without", "despite", "until")
            timely = timely and not has_word(self.style, before) and not _finite().match(after)
            # "two women in raincoats and a child are crossing": before the verb there is no room.
            timely = timely and not (
                after.startswith(" and ") and users_pattern().search(before) and not finite(before)
            )
            mark = LEAD if timely and (_SETTING.search(before) or (first and LEAD not in text)) else ""
            text = f"{before}{mark}{after}"
            start = len(before)
        if match := _and_phrase().search(text):
            listed = re.search(
                r"(?i)\b(?:with|has|have|having|features?|under|beneath)\b(?!.* of [\w]+$)", text[: match.start()]
            )
            if (
                listed
                and self.unwanted(match["noun"])
                and not _keeps(match["noun"])
                and not is_clause(match.group().lstrip(" ,")[4:])
            ):
                text = text[: match.start()] + text[match.end() :]
        return text

    def _without_adjective(self, text: str, first: bool) -> str | None:
        """The text without its first adjective that contradicts the style; None when there is none to leave out."""
        spans = [m.span() for m in self.unwanted(text)]
        for match in _adjective().finditer(text):
            if not any(a < match.end("word") and b > match.start("word") for a, b in spans):
                continue
            before = text[: match.start("and")] if match["and"].strip() else text[: match.start()]
            joined = match["and"].strip()
            after = text[match.end() :]
            after = f"road {after}" if match["word"] == "wet" and re.match("surface(?! of)", after) else after
            if match["next"].startswith("window") and re.search(r"(?i)\bha(?:s|ve|ving)$", before.rstrip()):
                continue
            if (
                re.match(r"(?i)(?:approach|near|draw|com|fall|set|begin|settl|deepen|arriv)(?:e?s|ing)$", match["next"])
                or match["next"] in _NEEDS_ADJECTIVE
                or _not_noun().match(match["next"])
                or (not joined and _PREDICATIVE.search(before.rstrip()))
            ):
                continue
            last = re.search(r"([\w-]+)$", before)
            listed = last and not (found(f"{last[1]} scene") or _NEUTRAL.match(last[1]))
            if _BODY.match(match["next"]) and (bare := re.search(r"(?i)\s+with (?:an? |its |their )?$", before)):
                return before[: bare.start()] + after[len(match["next"]) :]
            if joined:
                # "cars and wet roads" is a list of nouns; "a long and wet road" one of adjectives.
                return f"{before}{match['and'] if listed or match['sep'].strip() else ' '}{after}"
            user = users_pattern().match(match["next"])
            if (
                first
                and not user
                and ADJECTIVE not in text
                and match["word"].lower() in lexicon()["clauses"]["whole_scene"]
            ):
                return f"{before}{ADJECTIVE} {after}"
            return with_article(before, after)
        return None


def _keeps(text: str) -> bool:
    lamps = re.sub(r"(?i)street ?(?:lights|lamps)|exit", "", text)
    return bool(users_pattern().search(lamps) or structures_pattern().search(lamps))


def with_article(before: str, after: str) -> str:
    """The two put together; an article at the end of the first suits the second."""
    if match := re.search(r"(?i)\b(an?)\s+$", before):
        return f"{before[: match.start()]}{article(after, match[1])} {after}"
    return before + after


def clean(text: str) -> str:
    """The text without its marks."""
    if ADJECTIVE in text:
        head, tail = text.split(ADJECTIVE + " ", 1)
        text = with_article(head, tail)
    text = re.sub(r"\s*\x00", "", text)
    text = re.sub(r"^[\s,]+", "", re.sub(r"(?:\s+|,\s*(?=,))([.,;])", r"\1", text))
    return re.sub(r"\s{2,}", " ", text)


def article(word: str, like: str = "a") -> str:
    """The article "a" or "an" for a word, capitalised as `like` is."""
    vowel = bool(re.match(r"(?i)[aeiou]|hour|suv\b|hono|mph\b", word)) and not re.match(
        r"(?i)uni|use|u-|one\b|one-|euro|usu", word
    )
    form = "an" if vowel else "a"
    return form.capitalize() if like[0].isupper() else form
