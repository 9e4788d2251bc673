"""Cutting words on time and weather out of an English sentence so that what is left is still a sentence.

No parser and no model: prepositional phrases, participles, adjectives and clauses are found by their words, from the
surest cut to the roughest. A cut leaves a mark in the text, so that commas, articles and openings next to it can be
mended and nothing else is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from dreamkit.styles.scene import NEW_PLACE, STRUCTURE, USER, holds_scene, without_quotes
from dreamkit.styles.words import Term, found, negated

CUT = "\x00"  # something stood here
SLOT = "\x01"  # a phrase such as "at night" stood here
ADJECTIVE = "\x02"  # an adjective such as "sunny" stood here
NOUN = "\x03"  # "It is ..." went on here

_PREPOSITION = (
    r"in|on|at|under|underneath|beneath|below|during|through|throughout|amid|amidst|among|against|before|after|despite"
    r"|by|into|from|with|without|near|toward|towards|within|since|until|for|over|beyond|between|behind|because[ ]of"
    r"|due[ ]to|owing[ ]to|thanks[ ]to|as[ ]a[ ]result[ ]of|of|to|across|along|around|above|off"
)
_CONDITION = (
    r"skies|sky|sun|sunlight|sunshine|sunbeams|sun's[ ]rays|rays|light|lighting|daylight|glow|glare|hues?|tones?|tints?|weather|conditions?|visibility|air|clouds?|cloud[ ]cover"
    r"|rain|rainfall|drizzle|downpour|showers?|storm|thunderstorm|raindrops|droplets|water|puddles?|spray|moisture|sleet|snow|snowfall|snowflakes|flakes|flurries|blizzard|slush|ice|frost|fog|mist|haze|murk|smog"
    r"|dusk|dawn|twilight|sunset|sunrise|sundown|nightfall|daybreak|night|nighttime|night-time|midnight|dark|darkness|morning|afternoon|evening|noon|midday|day|daytime|daylight[ ]hours|golden[ ]hour|hours?|first[ ]light|time[ ]of[ ]day|time"
    r"|shadows?|shade|moon|moonlight|stars|starlight|horizon|reflections?|umbrellas?|raincoats?|wipers|atmosphere|backdrop|shades|orange|pink|purple|blue|gold|headlights|streetlights|street[ ]lights|streetlamps|lamps|lamplight|lights|illumination|layer|blanket|veil|coat|coating|powder|sheets?|road|surface|pavement|asphalt|ground|street"
)
_NOT_MODIFIER = (
    rf"{_PREPOSITION}|and|or|but|as|while|when|where|which|that|who|is|are|was|were|has|have|be|being|can|may|not|so"
    r"|the|a|an|its|their|his|her|this|these|there|it|both|each|every"
)
_AFTER_HEAD = (
    rf"(?=[{CUT}{SLOT}]|\s*(?:[.,;:!?)—–]|$)|\s(?:{_PREPOSITION}|and|or|but|as|while|when|where|which|that|is|are|was|were|has|have"
    r"|makes?|gives?|casts?|falls?|reflects?|[\w-]+ing|transition\w+|filled|streaked|dotted|overhead|above|ahead|outside|light|conditions)\b)"
)
_MODIFIERS = rf"(?:(?!(?:{_NOT_MODIFIER})\b)[\w'’-]+,?\s+(?:and\s+(?=(?:[\w'’-]+\s+){{1,2}}(?:{_CONDITION})\b))?){{0,4}}?"
_PHRASE = rf"(?:(?:the|a|an|some|its|both|what[ ]looks[ ]like|what[ ]appears[ ]to[ ]be)\s+)?(?:(?:very[ ])?(?:middle|end|start|beginning|midst|height|heart|early[ ]hours|late[ ]hours|first[ ]hours|cover|light|glow|layer|blanket|veil)[ ]of[ ](?:the\s+|a\s+|an\s+)?)?{_MODIFIERS}(?:{_CONDITION})\b(?!['’-]\w){_AFTER_HEAD}"
_DEPENDENT = r"(?:\s+(?:transitioning|turning|shifting|fading|changing|stretching|showing|filled|streaked|dotted|tinged|that|which)\b(?:(?! and | as | while )[^,.;])*)?"
_TAIL = rf"(?:\s*,?\s+(?:and|or|to)\s+{_PHRASE}|\s+of\s+{_PHRASE}|\s+(?:overhead|above|ahead|outside)(?=[.,;]|$))*{_DEPENDENT}"
_PREPOSITIONAL = re.compile(
    rf"(?P<comma>,?\s*)(?<![\w-])(?:just[ ]|shortly[ ]|late[ ]|early[ ]|right[ ]|only[ ]|sometime[ ])?(?P<prep>{_PREPOSITION})\s+{_PHRASE}{_TAIL}",
    re.IGNORECASE,
)
# What people and vehicles carry against the weather.
_GEAR = re.compile(
    r"(?i),?\s+(?:some\s+|many\s+|most\s+|both\s+|all\s+)?(?:of\s+them\s+)?(?:with|under|holding|carrying|using|beneath|and)\s+(?:(?:an?|their|his|her|its|both|open|colorful|colourful|black|red|yellow|large|all|fog)\s+)*"
    r"(?:umbrellas?|raincoats?|(?:head ?lights|headlamps|lights)\s+(?:(?:switched|turned)\s+)?on|(?:windshield\s+)?wipers(?:\s+(?:on|running|going|moving))?)\b"
)
_PARTICIPLES = (
    r"covered|blanketed|dusted|coated|soaked|shrouded|veiled|obscured|hidden|softened|bathed|drenched|illuminated|lit|wrapped|cloaked|slicked|warmed|caked|lined|capped|topped|laden|swallowed|muted"
    r"|enveloped|(?:heavy|white|thick|slippery|slick|shiny|damp|loaded|pale|bright|alive)(?=[ ]with)|brightened|silhouetted|dampened|darkened|streaked|dotted|engulfed|tinted|painted|washed|framed|filtered|flooded|steeped|draped|blurred"
)
_PARTICIPIAL = re.compile(
    rf"(?P<comma>,?\s*)\b(?P<be>(?:is|are|was|were|appears?|remains?|stands?|lies?)\s+)?(?:(?:partially|partly|heavily|lightly|slightly|fully|completely|\w+ly|half|all|still)\s+)?(?:{_PARTICIPLES})(?:\s+(?:up|over|out))?"
    rf"\s+(?:only\s+)?(?:in|by|with|from|under|against)\s+{_PHRASE}{_TAIL}",
    re.IGNORECASE,
)
_WHOLE_PREDICATE = re.compile(r"(?i)(?P<be>\b(?:is|are|was|were|appears?|looks?|remains?|seems?|feels?)(?:\s+to\s+be)?)\s+")
_ADVERB = r"(?:(?:very|quite|slightly|somewhat|rather|mostly|still|clearly|visibly|mainly|fairly|partly|partially|heavily|lightly|densely|thickly|brightly|dimly|softly|bright|heavy|cold|crisp|cool|warm|gloomy|gray|grey|thick|dense|quiet(?=,?\s+(?:night|evening|morning)))[ ,]+)*"
_ADJECTIVES = (
    r"sunny|sun-?lit|sun-?drenched|sun-?dappled|sun-?baked|sun-?soaked|rainy|rain-?(?:soaked|slick(?:ed)?|drenched|washed|streaked|swept|covered)|snowy|snow-?(?:covered|dusted|laden|packed|capped|lined|banked|blanketed)"
    r"|foggy|misty|hazy|murky|fog-?(?:bound|shrouded|covered|filled)|overcast|cloudy|cloudless|gloomy|dreary|stormy|wet|damp|slick|slippery|soaked|drenched|glistening|icy|frosty|frozen|slushy|wintry|dry|dark|darkened|moonlit|starlit|daylit|dimly[ -]lit|brightly[ -]lit|well[ -]lit|softly[ -]lit|lit|illuminated|lighted|glowing|dim"
    r"|shadowy|shaded|shady|dappled|nighttime|night-time|daytime|day-time|lush|blooming|summery|night|early[ -]morning|late[ -]morning|morning|mid-?morning|late[ -]afternoon|afternoon|early[ -]evening|late[ -]evening|evening|midday|late[ -]night|twilight|dusk|dawn|sunset|golden|golden-hour|predawn|pre-dawn|clear|bright"
)
_NOUN_FOLLOWS = rf"(?!(?:{_NOT_MODIFIER}|makes?|gives?|casts?|falls?)\b)(?=[\w\"“'’-])"
_ATTRIBUTE = re.compile(
    rf"(?:(?P<and>(?:,|\s+and|,\s+and)\s+){_ADVERB}(?:{_ADJECTIVES})(?=\s+{_NOUN_FOLLOWS})|\b{_ADVERB}(?:{_ADJECTIVES})(?:(?:,\s+|\s+and\s+|,\s+and\s+|\s+){_ADVERB}(?:{_ADJECTIVES}))*(?:\s+and|,)?\s+{_NOUN_FOLLOWS})",
    re.IGNORECASE,
)
# Adjectives that name time or weather as a whole; another style's can stand in their place.
_WHOLE_SCENE = re.compile(r"(?i)sunny|rainy|snowy|foggy|misty|hazy|overcast|cloudy|stormy|wintry|night|daytime|morning|afternoon|evening|midday|twilight|dusk|dawn|sunset|sunlit|moonlit|golden|cloudless|clear(?=[ ,]*(?:day|morning|night|evening|afternoon))")
_PLACE_FOLLOWS = re.compile(r"(?i)[\s\x00]*(?:[\w-]+\s+){0,2}(?:day|morning|afternoon|evening|night|street|road|highway|intersection|scene|drive|neighbou?rhood|avenue|boulevard|freeway|suburb|city|town|view|commute|boulevard|parking)\b")
_ASIDE = re.compile(
    r"(?i),?\s+(?:casting|reflecting|illuminating|creating|indicating|suggesting|bathing|giving|making|leaving|turning|painting|adding|reducing|limiting|obscuring|softening|covering|soaking|signaling|implying|forming|shining|hinting|producing|highlighting|evoking|(?<=,\s)which)\b(?:(?!\s(?:as|while|and)\s)[^,.;])*(?=[,.;]|\s(?:as|while|and)\s)"
)
_VANISHING = re.compile(
    rf"(?i)\s+(?P<verb>disappears?|fades?|vanish(?:es)?|dissolves?|emerges?|looms?|recedes?|melts?|blends?|appears?)\s+(?:as\s+(?:\w+\s+)?silhouettes\s+)?(?:up\s+|out\s+)?(?:into|in|from|of|through|against|within)\s+{_PHRASE}{_TAIL}"
)
_WEATHER_DOES = re.compile(
    rf"(?i)^\W*(?:the |an? )?(?:(?!(?:{_PREPOSITION}|and|is|are|of)\b)[\w'’-]+,?\s+(?:and\s+)?){{0,3}}?(?:sky|skies|sun|sunlight|sunshine|daylight|light|lighting|air|clouds?|rain|drizzle|raindrops|snow|snowflakes|flakes|fog|mist|haze|shadows?|darkness|moonlight|moon|stars|spray|puddles|water|snow ?banks?|glow|glare|rays|streetlights|street lights|street ?lamps|lamps|headlights|neon signs)\b(?!-| (?:poles?|posts?|fixtures?|traffic|trucks?|rail|turns|is (?:red|green)))"
)
_OPENING = re.compile(
    r"(?i)^(?:as|while|when|after|before|because|since)\s+(?:the\s+|a\s+)?(?:[\w-]+\s+){0,3}?(?:sun|sunlight|rain|snow|snowflakes|fog|mist|haze|night|darkness|dusk|dawn|twilight|evening|morning|sky|light|daylight|clouds|storm|day|it)\b"
)
_IT_IS = re.compile(
    rf"(?i)\b(?P<it>it\s+is|it['’]s|it\s+(?:appears|seems)\s+to\s+be|this\s+is)\s+(?P<what>(?:either\s+)?{_PHRASE}(?:\s+or\s+{_PHRASE})?|(?:{_ADVERB}(?:raining|snowing|drizzling|sunny|foggy|misty|overcast|cloudy|dark)(?:\s+(?:outside|heavily|lightly|steadily|hard|gently))*))"
)
_SUBJECT = re.compile(
    r"(?i)^\W*(?:and |but |with |while |as |where )?(?:overall, )?(?:the |an? |there (?:is|are) (?:no )?(?:an? )?|its )?(?:overall |ambient |natural |artificial |current |general )?(?:sky|skies|weather|lighting|light(?! (?:traffic|pole|rail|turns|at|is (?:red|green|yellow)))|daylight|visibility|shadows|air|time of day|clouds|sun|sunlight)\b"
)
_BOUNDARY = re.compile(
    r"(?:\s*[;—–]\s*|,\s+|\s+)(?=(?:as|while|with|and|but|where|which|when|because|since|though|although|casting|reflecting|illuminating|creating|indicating|suggesting|bathing|giving|making|leaving|turning|painting|adding|reducing|limiting|obscuring|softening|covering|soaking|holding|carrying|wearing|sheltering|signaling|implying|evidenced|judging|typical|so|that|forming|shining|hinting|producing|highlighting|evoking)\b)|\s*[;—–]\s*|,\s+",
    re.IGNORECASE,
)


@dataclass
class Cutter:
    """Cuts what a style contradicts.

    Attributes:
        unwanted: says of a term and whether it is denied if it must go.
        about_sky: whether sentences on sky and light as such must go too, as the style brings its own.
        rescued: what was named only in a sentence that could not be saved.
    """

    unwanted: Callable[[Term, bool], bool]
    about_sky: bool
    rescued: list[str] = field(default_factory=list)

    def wrong(self, text: str) -> list[re.Match[str]]:
        """The matches of unwanted terms, in order."""
        return [match for term, match in found(text) if self.unwanted(term, negated(text, match.start()))]

    def cut(self, sentence: str, keep: bool = False) -> str:
        """The sentence without what is unwanted, marks in it, or "" when nothing is worth keeping.

        Args:
            sentence: one sentence with its full stop.
            keep: the sentence must not vanish, as the first of a caption.
        """
        drops = self.about_sky and _SUBJECT.match(sentence)
        if not self.wrong(sentence) and not drops:
            return sentence
        if not keep and not holds_scene(sentence):
            return ""
        text = self._replace(_GEAR, self._it_is(sentence), lambda _: CUT)
        if self.wrong(text):
            text = re.sub(r"(?i)\b(?:barely|hardly|scarcely|faintly)\s+(?=visible\b)", CUT, text)
        text = self._sky_first(text)
        text = self._asides(text)
        text = self._vanishing(text)
        text = self._participles(text)
        text = self._predicates(text)
        text = self._prepositions(text)
        text = self._attributes(text)
        text = self._clauses(text)
        if not text.strip(" ." + CUT + SLOT) or self.wrong(text):
            self.rescued += things(sentence)
            return ""
        return text

    def _it_is(self, text: str) -> str:
        match = _IT_IS.search(text)
        if match and self.wrong(match["what"]) and not holds_scene(match["what"]):
            return text[: match.start("what")] + NOUN + text[match.end("what") :]
        return text

    def _sky_first(self, text: str) -> str:
        """Drop a first clause about sky, light or weather: "As the sun sets behind the hills, ..."."""
        parts = re.split(_BOUNDARY, text, maxsplit=1)
        opening = re.match(r"(?i)(?:as|while|when|after|before|because|since)\s", text)
        clause = text.split(",", 1)[0] if opening and "," in text else parts[0].rstrip(" .,;")
        bad = self.wrong(clause) or (self.about_sky and _SUBJECT.match(clause))
        about = _OPENING.match(clause) if opening else _WEATHER_DOES.match(clause)
        if not bad or not about or USER.search(clause) and opening:
            return text
        self.rescued += things(clause)
        rest = text[len(clause) :]
        if opening:
            return SLOT + rest
        while rest and (first := next(_BOUNDARY.finditer(rest, 1), None)) and not holds_scene(rest[: first.start()]):
            rest = rest[first.start() :]
        alone = _stand_alone(rest.strip(" ,;—–.")) if holds_scene(rest) else ""
        if not alone:
            self.rescued += things(rest)
        return f"{alone}." if alone else ""

    def _asides(self, text: str) -> str:
        """Drop ", leaving one side of the street in shade" and the like before phrases in them are cut."""
        return self._replace(_ASIDE, text, lambda _: CUT)

    def _vanishing(self, text: str) -> str:
        """ "The towers disappear into the haze" -> "The towers are visible"."""

        def mark(match: re.Match[str]) -> str | None:
            return f" {'is' if match['verb'].lower().endswith('s') else 'are'} visible{CUT}"

        return self._replace(_VANISHING, text, mark)

    def _replace(self, pattern: re.Pattern[str], text: str, mark: Callable[[re.Match[str]], str | None]) -> str:
        """Cut every match of the pattern that is unwanted and names nothing to keep."""
        start = 0
        while match := pattern.search(text, start):
            inner = match.group().strip(" ,")
            # The preposition's own place in the sentence decides denial, so the whole text is looked at.
            hit = any(match.start() <= m.start() and m.end() <= match.end() for m in self.wrong(text))
            if not hit or holds_scene(inner) or (new := mark(match)) is None:
                start = match.start() + max(1, len(match.group()) - len(match.group().lstrip(" ,")) + 1)
                continue
            text = text[: match.start()] + new + text[match.end() :]
            start = match.start() + len(new)
        return text

    def _participles(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str | None:
            if not match["be"]:
                return CUT
            subject = re.split(r"[.,;]| and | as | while ", text[: match.start()])[-1]
            if not holds_scene(subject):
                return None
            rest = text[match.end() :]
            if going_on := re.match(r"\s+and\s+(?=\w+(?:ed|ing)\b)", rest):
                return f" {match['be'].strip()} {CUT}" if going_on else None
            verb = "are" if match["be"].strip() in ("are", "were", "appear", "remain", "stand", "lie") else "is"
            return f" {verb} visible{CUT}"

        text = self._replace(_PARTICIPIAL, text, mark)
        return re.sub(rf"(\b(?:is|are) ){CUT}\s+and\s+", rf"\1{CUT}", text)

    def _predicates(self, text: str) -> str:
        """ "is wet and lined with trees" -> "is lined with trees"; "the parked cars are wet" -> "... are visible"."""
        start = 0
        while be := _WHOLE_PREDICATE.search(text, start):
            start = be.end()
            chain = re.match(
                rf"(?i)(?P<first>{_ADVERB}(?:{_ADJECTIVES}))(?P<joint>,\s+and\s+|\s+and\s+|,\s+(?=[\w-]+(?:,|\s+and\b))|(?=\s*[.,;]|$))", text[be.end() :]
            )
            if not chain or not self._hit(text, be.start(), be.end() + chain.end("first")):
                continue
            end = be.end() + chain.end()
            subject = re.split(r"[.,;]| and | as | while |\x00", text[: be.start()])[-1]
            if re.match(r"(?i)(?:(?:is|are|has|have|\w+s)\b)", text[end:]) and chain["joint"].strip():
                continue
            if chain["joint"].strip() and re.match(r"(?i)(?:(?:the|a|an|there|it|two|several)\b)", text[end:]):
                if holds_scene(subject):
                    text = f"{text[: be.end()]}visible{CUT}{text[be.end() + chain.end('first') :]}"
                continue
            if chain["joint"].strip():
                text = text[: be.end()] + CUT + text[end:]
                start = be.start()
            elif holds_scene(subject):
                text = f"{text[: be.end()]}visible{CUT}{text[end:]}"
        return text

    def _hit(self, text: str, start: int, end: int) -> bool:
        return any(start <= match.start() < end for match in self.wrong(text))

    def _prepositions(self, text: str) -> str:
        def mark(match: re.Match[str]) -> str | None:
            if match["prep"].lower() in ("of", "to") and not match["comma"].strip():
                # "a layer of snow", "changes to rain" hang on a word that would stay behind
                return None
            comma = ", " if match["comma"].startswith(",") and text[match.end() : match.end() + 1] != "," else ""
            if match["comma"].startswith(",") and re.match(r"\s*[.;!?]", text[match.end() :]):
                comma = ""
            if not text[: match.start()].strip(" ," + CUT):
                return SLOT + (CUT if text[match.end() : match.end() + 1] in (",", "") else "")
            time_or_weather = re.search(
                r"(?i)\b(?:night|nighttime|dusk|dawn|twilight|evening|morning|afternoon|noon|midday|day|daylight|daytime|sunset|sunrise|hour|sky|skies|sun|sunshine|sunlight|rain|rainfall|drizzle|downpour|snow|snowfall|blizzard|fog|mist|haze|conditions|weather|storm|darkness|nightfall|light|showers?|dark)\b",
                match.group(),
            )
            place = match["prep"].lower() in ("in", "on", "at", "during", "under", "beneath", "through", "amid", "amidst", "just", "by", "before", "after")
            return comma + (SLOT if time_or_weather and (place or comma) else CUT) + (" " if comma else "")

        return self._replace(_PREPOSITIONAL, text, mark)

    def _attributes(self, text: str) -> str:
        first = True

        def mark(match: re.Match[str]) -> str | None:
            nonlocal first
            if match["and"]:
                return CUT
            after = text[match.end() :]
            if first and _WHOLE_SCENE.search(match.group()) and _PLACE_FOLLOWS.match(after):
                first = False
                return ADJECTIVE
            return CUT

        return self._replace(_ATTRIBUTE, text, mark)

    def _clauses(self, text: str) -> str:
        """Drop clauses that are still unwanted and name nothing to keep."""
        ending = text.rstrip()[-1:] if text.rstrip()[-1:] in ".!?" else ""
        body = text.rstrip().removesuffix(ending) if ending else text
        places = [0, *(match.start() for match in _BOUNDARY.finditer(without_quotes(body)) if match.start()), len(body)]
        chunks = [body[a:b] for a, b in zip(places, places[1:], strict=False)]
        kept: list[str] = []
        opener = ""
        removed_before = lost_main = False
        for index, chunk in enumerate(chunks):
            plain = chunk.strip(" ,;—–" + CUT + SLOT)
            scene = holds_scene(chunk)
            bad = bool(self.wrong(chunk)) or bool(
                self.about_sky and _SUBJECT.match(plain) and not scene
            )
            dangling = removed_before and not scene and not re.match(r"(?i)(?:it|there|they|he|she)\b", plain)
            if (bad and not scene) or dangling:
                lost_main = lost_main or index == 0 or (lost_main and not kept)
                if not removed_before:
                    word = re.match(r"(?i)[\s,;—–]*(with|as|while)\b", chunk)
                    opener = word[1] if word else ""
                removed_before = True
                continue
            if removed_before and opener and re.match(r"(?i)\W*and (?!\w+s\b)", chunk) and opener.lower() == "with" and kept:
                chunk = re.sub(r"(?i)^\W*and", " with", chunk, count=1)
            elif removed_before and kept:
                chunk = CUT + chunk
            removed_before = False
            kept.append(chunk)
        if not kept:
            return ""
        result = "".join(kept)
        if lost_main:
            result = _stand_alone(result)
        if removed_before:
            result += CUT
        return result.rstrip(" ,;") + ending if result else ""


def _stand_alone(text: str) -> str:
    """Make a subordinate clause a sentence of its own, or "" when its words do not allow it."""
    text = text.strip(" ,;—–" + CUT)
    text = re.sub(r"(?i)^(?:and|but|so|while|as|where|when|though|although|because|since)\s+", "", text)
    if match := re.match(r"(?i)^with\s+", text):
        rest = text[match.end() :]
        first = re.split(r"[,;]| and ", rest)[0]
        return f"There {'are' if is_plural(first) or ' and ' in rest else 'is'} {rest}"
    if re.match(r"(?i)^(?:\w+ing|which|that|in|on|at|by|under|to|visible|narrow|or)\b", text) and not re.match(r"(?i)^(?:in|on|at|to)\b.*,", text):
        return ""
    return text


def is_plural(phrase: str) -> bool:
    """Whether a noun phrase takes "are"."""
    head = re.split(r"\s(?:of the|of a|in|on|at|along|near|beside|behind|across|with|from|parked|waiting|that|which|ahead)\b", f" {phrase}")[0].strip().lower()
    if re.match(r"(?:an?|one|another|each|every)\s(?!(?:few|couple|number|pair|row|line|series|handful)\b)", head):
        return False
    if re.search(r"\b(?:people|men|women|children|two|three|four|five|six|several|many|few|some|multiple|rows|police)\b", head):
        return True
    return bool(re.search(r"(?<![su])s$", head)) and not head.endswith("bus")


_STOP = frozenset(
    f"{_PREPOSITION}|and|or|but|as|while|when|where|which|that|who|is|are|was|were|has|have|be|can|may|not|so|both|there|it".split("|")
)
_LIGHT_VERB = re.compile(
    r"(?i)(?:illuminat|cover|blanket|obscur|reflect|glint|cast|coat|soak|streak|hid|veil|shroud|light|highlight|bath|dust|soften|gleam|glisten|envelop|warm|touch|fill|catch|create|mak|giv|fall|stretch|shin|glow|line|paint|reveal|drift|swirl|settl|cling|rest|sparkl|glitter|bounc|beat|pour|wash|reduc|limit|mut|drench)(?:e|s|es|ed|ing|ting|ning)?$"
)
_TRAILING = re.compile(
    r"(?i)^(?:\s+(?:parked|waiting|standing|driving|moving|walking|crossing|riding|stopped|lined up|turning|heading)(?:\s+\w+ly)?)?(?:\s+(?:along|on|at|in|near|beside|behind|across|by|to|of|ahead|around|between)\s+(?:the|a|an|both|its|each)\s+(?:(?:left|right|opposite|other|near|far|same|inner|outer)\s+)?[\w-]+(?=[\s.,;]|$)|\s+(?:ahead|in front|behind)\b)?"
)


def things(sentence: str) -> list[str]:
    """The road users and structures a sentence names, each with its own words before and after it."""
    plain = without_quotes(sentence)
    places: list[tuple[int, int]] = []
    for match in sorted([*USER.finditer(plain), *STRUCTURE.finditer(plain), *NEW_PLACE.finditer(plain)], key=re.Match.start):
        start, end = match.span()
        if re.search(r"(?i)\bego[ -]$", plain[:start]):
            continue
        if places and start < places[-1][1]:
            continue
        user = USER.match(plain, start)
        while after := re.match(r"[ -](?=\w)", plain[end:]):
            more = STRUCTURE.match(plain, end + after.end()) or USER.match(plain, end + after.end())
            if not more:
                break
            end = more.end()
        for word in reversed(list(re.finditer(r"[\w'’-]+,?\s+|[^\w\s]\s*", plain[: match.start()]))):
            token = word.group().strip(" ,").lower()
            if not token or not re.match(r"[\w'’-]+$", token) or token in _STOP or _LIGHT_VERB.match(token) or word.group().rstrip().endswith(","):
                break
            start = word.start()
            if token in ("the", "a", "an", "two", "three", "four", "five", "six", "several", "many", "some", "few", "its"):
                break
        trailing = _TRAILING.match(plain[end:]) if user else None
        end += trailing.end() if trailing else 0
        if places and start < places[-1][1]:
            continue
        places.append((start, end))
    return [sentence[a:b].strip(" ,.") for a, b in places]


def tidy(text: str) -> str:
    """Mend articles, commas and spaces next to cuts, and take the marks away."""
    text = re.sub(rf"\b(a|an)(\s+)[{CUT}\s]*{CUT}\s*(\w[\w-]*)", lambda m: f"{article(m[3], m[1])} {m[3]}", text, flags=re.IGNORECASE)
    text = re.sub(rf"[{CUT}]+", CUT, text)
    text = re.sub(rf"\s*{CUT}\s*([.,;:!?])", r"\1", text)
    text = re.sub(rf"^[\s,;{CUT}]+", "", text)
    text = text.replace(CUT, " ")
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    text = re.sub(r",(?:\s*,)+", ",", text)
    text = re.sub(r",\s*([.;:!?])", r"\1", text)
    text = re.sub(r"\s{2,}", " ", text).strip()
    text = re.sub(r"(?i),\s*(?:some|many|most|others|a few)\s*([.;])", r"\1", text)
    text = re.sub(r"(?i)\b(and|or|with|but|as|while)\s*([.;])", r"\2", text)
    text = re.sub(r"(?i)\b(and|or|with) (?:and|or)\b", r"\1", text)
    return text[:1].upper() + text[1:]


def article(word: str, like: str = "a") -> str:
    """ "a" or "an" before a word, with the capital of `like`."""
    vowel = bool(re.match(r"(?i)[aeiou]|hour|suv\b|hono|mph\b", word)) and not re.match(r"(?i)uni|use|u-|one\b|one-|euro|usu", word)
    form = "an" if vowel else "a"
    return form.capitalize() if like[0].isupper() else form


def sentences(text: str) -> list[str]:
    """Split into sentences; a full stop inside quotation marks or after a usual abbreviation does not count."""
    hidden = without_quotes(text)
    parts, start = [], 0
    for match in re.finditer(r"[.!?]+[\"”']?\s+(?=[\"“A-Z0-9])", hidden):
        before = hidden[start : match.start()].rsplit(" ", 1)[-1]
        if hidden[match.start()] == "." and re.fullmatch(r"(?:St|Ave|Blvd|Dr|Mr|Mrs|No|approx|vs|U\.S|e\.g|i\.e|[A-Z])", before):
            continue
        parts.append(text[start : match.end()].strip())
        start = match.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]
