"""The words a caption uses for time, weather, light, sky, surface and shadow, and the states in which each may stand.

A state is a pair (time, weather). Every term lists the states it fits; in any other state it contradicts the scene.
The rules use the table to find what must go, the checks use it to find what must not be there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

TIMES = ("morning", "day", "golden", "dusk", "night")
WEATHERS = ("clear", "cloudy", "rain", "snow", "fog")

# Words that look like weather or light and are not: vehicle colours, lamps as objects, names.
_HARMLESS = re.compile(
    r"""(?ix) \b(?:
      traffic[ -](?:lights?|signals?) | (?:stop|signal|crossing|warning|hazard|emergency|indicator|turn)[ ]?lights?
    | (?:brake|tail|rear|parking|flashing|school|beacon)[ -]?lights? | light[ -](?:poles?|posts?|rail|standards?|fixtures?)
    | (?:green|red|amber|yellow)[ ]lights?\b(?![ ]of) | street[ -]?(?:light|lamp)[ ]poles?
    | light[ -]?colou?red | dark[ -]?colou?red | bright[ -]?colou?red | brightly[ -]?colou?red | golden[ -]?colou?red
    | (?<!sky[ ]is[ ])(?<!skies[ ]are[ ])(?:light|dark|bright|deep|pale)[ -](?:gr[ae]y|blue|green|red|brown|silver|beige|yellow|orange|white|maroon|pink|tan)(?![ ](?:sky|skies|horizon|hues?|light|glow|evening|morning)\b)
    | (?:dark|light)[ ](?=(?:sedan|suv|car|van|truck|hatchback|pickup|coupe|minivan|vehicle|bus|jacket|clothing)s?\b)
    | light[ ](?:traffic|trucks?|duty|commercial|industry|industrial|vehicles?) | (?:relatively|moderately|fairly)[ ]light
    | ice[ -]cream | snow[ -]?plou?ws? | snow[ ]?plou?w[ ]trucks? | snow[ ]removal | night[ -]?clubs? | day[ -]?care | sunday
    | dry[ -]clean\w* | rain[ ]gutters? | sun[ -]?visors? | sun[ ]?roofs? | sun[ -]?shades? | rush[ ]hour | blue[ ](?:line|lane)s?
    | clear(?:ly)?[ ](?:visible|view|path|lane|lines?|markings?|way|marked|road[ ]markings?|lane[ ]markings?)
    | (?:is|are|remains?|stays?|it[ ]is|road[ ]is|way[ ]is)[ ]clear[ ](?=of|ahead|to|for) | (?:clear[ ]of|clears|clearing|cleared)
    | star[ ]shaped | all[- ]day | every[ ]day | day[ ](?=after[ ]day|labou?rers?) | days | daily
    | light(?=[ ](?:turns?|is[ ]green|is[ ]red|is[ ]yellow|changes?)\b) | (?:at|through|past|toward|towards)[ ](?:a|the)[ ]light\b
    | (?:cloud|rain|snow|fog)(?=[ ](?:street|avenue|road|lane)s?\b[ ]sign)
    )\b | "[^"]*" | “[^”]*”
    """
)


@dataclass(frozen=True)
class Term:
    """A pattern, the times and weathers it fits, and what it says about the state when it is found.

    `fits` is a tuple of alternatives (times, weathers); an empty set means any.
    """

    name: str
    pattern: re.Pattern[str]
    fits: tuple[tuple[frozenset[str], frozenset[str]], ...]
    time: str = ""
    weather: str = ""

    def allows(self, time: str, weather: str) -> bool:
        """Whether the term may stand in a scene of this time and weather."""
        return any((not t or time in t) and (not w or weather in w) for t, w in self.fits)


def _term(name: str, pattern: str, *fits: str, time: str = "", weather: str = "") -> Term:
    """`fits` entries are written "times / weathers", each a list of words or * for any."""
    alternatives = []
    for entry in fits:
        times, weathers = (frozenset(part.split()) - {"*"} for part in entry.split("/"))
        alternatives.append((times, weathers))
    return Term(name, re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE | re.VERBOSE), tuple(alternatives), time, weather)


_SUN = "morning day golden / clear"
_LAMP = "night dusk / *"

TERMS: tuple[Term, ...] = (
    # time
    _term("night", r"(?:mid|late[ ]|all[ ])?night(?:time|-time|s)?|after[ ]dark|nocturnal|midnight", "night / *", time="night"),
    _term("darkness", r"darkness|pitch[ -](?:black|dark)|moonless", "night / *", time="night"),
    _term("dark sky", r"(?:dark|black|inky|starry|darkened)(?:[ ]\w+)?[ ](?:sky|skies|horizon|background|backdrop)"
          r"|(?:sky|skies|horizon)[ ](?:is|are|above[ ]is|overhead[ ]is|has[ ]turned|turns)[ ](?:\w+[ ])?(?:dark|black)",
          "night / *", time="night"),
    _term("dark road", r"dark(?:,)?[ ](?:\w+[ ])?(?:road|roads|street|streets|highway|roadway|asphalt|road[ ]surface|surroundings|scene|area"
          r"|environment|landscape|shoulder|tree[ ]?line|silhouettes?)"
          r"|(?:it[ ](?:is|has[ ]become)|road[ ](?:\w+[ ])?is|street[ ]is|surroundings[ ]are|area[ ]is|outside[ ]is|otherwise)[ ]dark", "night / *", time="night"),
    _term("stars", r"stars|starlight|starlit|moon|moonlight|moonlit", "night / clear", time="night"),
    _term("dusk or dawn", r"dusk[ ]or[ ](?:early[ ])?dawn|dawn[ ]or[ ](?:early[ ])?dusk", "dusk morning / *"),
    _term("dusk", r"dusk|twilight|nightfall", "dusk / *", time="dusk"),
    _term("sunset", r"sunset|sundown|setting[ ]sun|sun[ ](?:sets|is[ ]setting|has[ ](?:just[ ])?set|goes[ ]down|dips)", "golden dusk / clear cloudy", time="dusk"),
    _term("evening", r"evenings?", "dusk golden night / *", time="dusk"),
    _term("fading light", r"fading[ ](?:light|daylight)|(?:light|daylight)[ ](?:is[ ])?(?:fades|fading)|darkening|darker[ ]shades|waning[ ]light|remaining[ ]light", "dusk golden / *", time="dusk"),
    _term("dawn", r"dawn|daybreak|sunrise|rising[ ]sun|sun[ ](?:rises|is[ ]rising|has[ ]just[ ]risen|comes[ ]up)|first[ ]light", "morning / *", time="morning"),
    _term("morning", r"(?:early[ -]|mid-?|late[ -])?mornings?", "morning / *", time="morning"),
    _term("late afternoon", r"late[ -]afternoon", "golden day / *", time="day"),
    _term("noon", r"(?<!late[ ])(?<!late-)(?:early[ ]|mid-?)?afternoon|noon|midday|mid-day|high[ ]noon", "day / *", time="day"),
    _term("daytime", r"day(?:time|light|-time|lit)|broad[ ]daylight|daylight[ ]hours", "day morning golden / *", time="day"),
    _term("day", r"(?<!of[ ])(?<!of[ ]the[ ])(?<!rainy[ ])(?<!snowy[ ])(?<!foggy[ ])(?<!cloudy[ ])(?<!overcast[ ])(?<!gloomy[ ])(?<!sunny[ ])(?<!the[ ]same[ ])day(?=[.,;]|$|[ ](?:on|in|at|with|as|and|under))|(?:sunny|bright|clear|beautiful|dry|summer)[ ]day", "day / *", time="day"),
    _term("dull day", r"(?:cloudy|gloomy|overcast|gr[ae]y|rainy|snowy|foggy|misty|hazy|stormy)[ ]day", "day morning dusk golden / *", time="day"),
    _term("golden hour", r"golden[ ](?:hour|light|glow|sun|sunlight|hues?|tones?|sky|rays|evening|afternoon|morning|haze)|golden-hour", "golden / clear", time="golden"),
    _term("low sun", r"(?:low|low-angled|low-hanging|slanting|angled)[ ](?:evening[ ]|afternoon[ ]|winter[ ])?(?:sun|sunlight|light)"
          r"|sun[ ](?:is[ ]|hangs[ ]|sits[ ]|hanging[ ]|sitting[ ])?(?:very[ ])?low|long(?:,)?[ ](?:\w+[ ])?shadows", "golden morning / clear", weather="clear"),
    _term("warm sky", r"(?:orange|pink|purple|red|warm|pinkish|amber|crimson)(?:[ ](?:and|to)[ ]\w+)?[ ](?:sky|skies|hues?|tones?|glow|horizon|light|tint|clouds|streaks?)"
          r"|(?:sky|skies|horizon)[ ](?:is|are|glows?|turns?)[ ](?:\w+[ ])?(?:orange|pink|purple|red|amber)"
          r"|(?:orange|pink|purple|amber)(?=,?[ ](?:and|or)[ ](?:orange|pink|purple|gold|amber|red)\b)", "morning golden dusk / clear cloudy"),
    # sun and sky
    _term("sunny", r"sunny|sun-?lit|sun-?drenched|sun-?baked|sun-?soaked|sun-?dappled|sun-?bleached", _SUN, weather="clear"),
    _term("sun", r"sun|sunlight|sunshine|sunbeams?|sun[’']s|sun[ ]glare|solar[ ]glare", _SUN, weather="clear"),
    _term("glare", r"(?<!of[ ]headlights[ ])(?:\w+[ ])?glare(?![ ](?:of|from)[ ](?:\w+[ ])?head)", _SUN),
    _term("blue sky", r"(?:blue|azure)(?:[ ]\w+)?[ ](?:sky|skies)|(?:sky|skies)(?:[ ](?:above|overhead))?[ ](?:is|are)(?:[ ]\w+){0,3}[ ]blue", "morning day / clear", time="day", weather="clear"),
    _term("clear sky", r"clear(?:,|[ ]and)?(?:[ ]\w+){0,2}[ ](?:sky|skies|weather|day|night|morning|evening|afternoon|conditions|air|horizon)"
          r"|(?:sky|skies|weather|air|conditions|day|night|morning|evening)(?:[ ](?:above|overhead|conditions))?[ ](?:is|are|appears?|remains?|seems?|looks?|stays?)"
          r"(?:[ ]to[ ]be)?(?:[ ](?:mostly|completely|largely|quite|very|perfectly))?[ ](?:\w+[ ]and[ ])?clear|cloudless|under[ ]clear|clear[ ]and[ ](?:sunny|bright|dry|blue|calm)"
          r"|clear,[ ](?:sunny|bright|dry|blue|cold|cool|crisp)|weather[ ]is[ ](?:fine|fair|good|pleasant)|fair[ ]weather|good[ ]weather|clear[ ](?=[.,;]|$)|clear$", "* / clear", weather="clear"),
    _term("bright day", r"bright(?:ly)?(?:,|[ ]and)?(?:[ ]\w+)?[ ](?:day|daylight|sky|skies|conditions|light|sunlight|sunshine|afternoon|scene|weather|surroundings)|(?:light(?:ing)?|sky|day|scene|it|weather|conditions)[ ](?:is|are)[ ](?:\w+[ ])?bright"
          r"|(?:clear|sunny)[ ]and[ ]bright|bright[ ]and[ ](?:clear|sunny|even|natural)|natural[ ](?:light|lighting|daylight)", "morning day / clear", weather="clear"),
    _term("few clouds", r"(?:partly|slightly|lightly|mostly)[ ]cloudy|(?:few|scattered|wispy|fluffy|puffy|light|thin|some)(?:[ ]\w+)?[ ]clouds|wisps[ ]of[ ]cloud", "* / clear cloudy"),
    _term("clouds", r"overcast|clouds?|cloudy|cloud[ -]cover(?:ed)?|gr[ae]y[ ]?(?:ish)?[ ](?:sky|skies|day|weather|light|morning|afternoon)|(?:sky|skies)(?:[ ](?:above|overhead))?[ ](?:is|are)[ ](?:\w+[ ])?gr[ae]y"
          r"|gloomy|dreary|leaden|diffused?[ ](?:light|lighting|daylight)|(?:light|lighting|daylight)[ ](?:is[ ])?(?:soft[ ]and[ ]|flat[ ]and[ ]|even(?:ly)?[ ](?:and[ ])?)?diffused?|muted[ ](?:light|lighting|tones|colou?rs)|flat[ ](?:light|lighting)", "* / cloudy rain snow fog", weather="cloudy"),
    # rain
    _term("rain", r"rain(?!bow)|rains|rained|rainy|raining|rainfall|rain-?(?:soaked|slick(?:ed)?|drenched|washed|streaked|swept|covered)|rain-?drops?|rain-?water|drizzl\w*|downpours?|showers?|storm(?:y|s)?|thunderstorm\w*", "* / rain", weather="rain"),
    _term("past rain", r"rain(?:fall)?[ ]has[ ](?:just[ ])?(?:stopped|ended|passed)|after[ ](?:a|the|recent|some|heavy)[ ](?:\w+[ ])?(?:rain\w*|shower|storm)|recent(?:ly)?[ ]rain\w*", "* / clear cloudy"),
    _term("wet", r"wet(?:ness)?|puddles?|(?:water-?)?soaked|slick(?:ed)?|damp|(?:tire|tyre|wheel|road)[ ]spray|spray(?=[ ](?:from|behind|off|kicked|rises))|drenched|water[ ](?:droplets?|pooling|pools)|droplets?|standing[ ]water|rivulets|soaking"
          r"|glisten\w*|umbrellas?|rain[ ]?coats?|moisture|(?:windshield[ ]|windscreen[ ])?wipers?", "* / rain", weather="rain"),
    # snow
    _term("snow", r"snow\w*|snow-(?:covered|dusted|lined|laden|packed|capped|cleared|banked)|blizzard|flurries|flakes|slush\w*|icy|ice|iced|frost\w*|wintry|frozen|sleet", "* / snow", weather="snow"),
    _term("summer", r"summer\w*|lush|blossom\w*|blooming", "* / clear cloudy rain fog"),
    _term("white ground", r"(?:white|fresh)[ ](?:blanket|powder|layer|coating)", "* / snow", weather="snow"),
    # fog
    _term("fog", r"fog(?:gy|s)?(?![ ]lights?)|mist(?:y|s)?|haz(?:e|y)|fog-?(?:bound|shrouded|covered|filled)|murk(?:y)?|smog(?:gy)?", "* / fog", weather="fog"),
    _term("low visibility", r"(?:low|poor|limited|reduced|restricted|bad)(?:[ ]\w+)?[ -]visibility|visibility[ ](?:is|remains|appears)[ ](?:\w+[ ])?(?:low|poor|limited|reduced|restricted|bad)|(?:reduc|limit|restrict|lower)(?:ing|es?|s)[ ](?:the[ ])?visibility", "* / fog rain snow"),
    _term("good visibility", r"(?:good|excellent|high|clear)[ ]visibility|visibility[ ](?:is|remains|appears)[ ](?:\w+[ ])?(?:good|excellent|high|clear)|(?:ensuring|providing|offering|allowing)[ ](?:\w+[ ])?visibility", "day morning golden / clear"),
    # surface
    _term("dry road", r"dry(?:[ ]\w+)?[ ](?:road|roads|roadway|pavement|asphalt|surface|conditions|weather|street|highway|tarmac|concrete)|(?:road|roadway|pavement|asphalt|surface|street|highway|roads)(?:[ ]surface)?[ ](?:is|are|looks?|appears?|appears?[ ]to[ ]be|remains?)[ ](?:\w+[ ])?(?:\w+[ ]and[ ])?dry|dry(?=,?[ ](?:and|but)[ ])|(?:clean|smooth|bright|clear)[ ]and[ ]dry", "* / clear cloudy"),
    # shadow and lamps
    _term("shadow", r"shadows?|shadowy|shade|shaded|dappled", _SUN),
    _term("lamp light", r"(?:lit|illuminated|brightened)(?:[ ]\w+)?[ ](?:up[ ])?(?:only[ ]|mainly[ ]|mostly[ ]|primarily[ ]|dimly[ ])?by(?![ ](?:the[ ])?(?:sun|daylight|natural))|(?:dimly|brightly|well|softly|poorly|faintly|fully)[ -]?(?:lit|illuminated)|(?:pools|cones|halos?|circles|beams)[ ]of[ ](?:\w+[ ])?(?:light|lamplight)"
          r"|lamplight|artificial[ ](?:light|lighting|lights|illumination)|city[ ]lights|(?:lit|illuminated|lighted)[ ](?:\w+[ ])?(?:windows?|signs?|storefronts?|shops?|buildings?|billboards?)|(?:windows|storefronts|signs|shops)[ ](?:are[ ])?(?:lit|glow|glowing|illuminated)|illuminat\w+|neon[ ]glow|street[ ]lighting|dim|dimly|dimming|yellow[ ]light[ ]of|lights[ ]reflect\w*",
          _LAMP),
    _term("glow", r"glow(?:s|ing)?", "night dusk golden morning / *", "* / rain snow fog"),
    _term("lamps come on", r"(?:lights|lamps|streetlights|headlights|streetlamps)[ ](?:have|are|begin|start)[ ](?:just[ ]|already[ ]|now[ ]|to[ ])?(?:come|coming|been[ ]switched|been[ ]turned)[ ]on", "dusk / *"),
    _term("barely visible", r"(?:barely|hardly|scarcely|faintly)[ ](?:be[ ])?(?:visible|seen|discernible|made[ ]out)|only[ ]the[ ](?:closest|nearest)", "night dusk / *", "* / rain snow fog"),
    _term("lamps on", r"(?:head(?:light|lamp)s?|street[ -]?(?:light|lamp)s?|fog[ ]lights|lamps)[ ](?:are[ ]|is[ ]|have[ ]been[ ])?(?:all[ ]|still[ ])?(?:turned[ ]|switched[ ]|already[ ]|now[ ])?(?:on|shining|glare|reflect\w*|cast\w*|cut\w*|pierc\w*|sweep\w*|shine|shines|beams?|flare\w*|light|lights|provid\w*|create\w*|come|sparkle)|(?:bright|shining|glaring|glowing)[ ]head(?:light|lamp)s?|(?:glare|beams?|light|reflections?)[ ](?:of|from)(?:[ ]\w+)?[ ](?:head|street|lamp)\S*|(?:switched|turned)[ ]on[ ](?:\w+[ ])?(?:head|fog[ ])?lights|(?:head|fog[ ])?lights[ ]switched[ ]on|only[ ](?:by[ ])?the[ ]headlights|headlights(?:[ ]\w+){0,4}[ ](?:reveal|illuminat|light|pierc|cut|sweep|shin|reflect)\w*",
          "night dusk morning / *", "* / rain snow fog"),
)


@lru_cache(maxsize=4096)
def masked(text: str) -> str:
    """The text with harmless expressions and quotations blanked out, same length."""
    return _HARMLESS.sub(lambda match: "_" * len(match.group()), text)


def found(text: str, terms: tuple[Term, ...] = TERMS) -> list[tuple[Term, re.Match[str]]]:
    """Every term in the text, in order of place; harmless expressions and quotations do not count."""
    hidden = masked(text)
    hits = [(term, match) for term in terms for match in term.pattern.finditer(hidden)]
    # "a few scattered clouds" is not "clouds": what lies within a longer term is part of it.
    spans = {match.span() for _, match in hits}
    whole = [h for h in hits if h[0].name not in _GENERIC or not any(_within(h[1].span(), span) for span in spans)]
    return sorted(whole, key=lambda hit: hit[1].start())


_GENERIC = frozenset({"clouds", "sun", "daytime", "shadow", "rain", "glow", "darkness", "dawn", "dusk"})


def _within(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


LAMPS = frozenset({"lamp light", "glow", "lamps on", "lamps come on"})
_NEGATION = re.compile(r"(?i)\b(?:no|without|hardly any|neither|nor|not|free of|absence of)(?: \w+){0,2} ?(?:of )?$")


def negated(text: str, start: int) -> bool:
    """Whether what begins at `start` is denied: "no hard shadows", "no signs of rain"."""
    return bool(_NEGATION.search(text[max(0, start - 40) : start]))


ENCLOSED = re.compile(
    r"(?i)\b(?:in(?:side)?|through|within|enters?|entering|along|down)\s+(?:a|an|the|this)\s+(?:[\w-]+,?\s+(?:and\s+)?){0,4}"
    r"(?P<place>tunnel|underpass|parking garage|garage|car park|parking structure)\b"
)


def contradictions(text: str, time: str, weather: str) -> list[str]:
    """The words of the text that do not fit a scene of this time and weather.

    A denied word contradicts exactly where the style asserts it. Lamps light a tunnel or a garage at every hour.
    """
    wrong = []
    enclosed = ENCLOSED.search(text)
    for term, match in found(text):
        if enclosed and term.name in LAMPS:
            continue
        if negated(text, match.start()):
            if (term.time or term.weather) and term.time in ("", time) and term.weather in ("", weather):
                wrong.append(f"no {match.group()}")
        elif not term.allows(time, weather):
            wrong.append(match.group())
    return wrong


def read_state(text: str) -> tuple[str, str]:
    """The time and weather a caption tells, each "" where it says nothing; the most frequent wins, then the first."""
    times: dict[str, int] = {}
    weathers: dict[str, int] = {}
    for term, match in found(text):
        if negated(text, match.start()):
            continue
        if term.time:
            times[term.time] = times.get(term.time, 0) + 1
        if term.weather:
            weathers[term.weather] = weathers.get(term.weather, 0) + 1
    if any(term.name == "past rain" for term, _ in found(text)):
        weathers.pop("rain", None)
    # Night with its sunset or its evening is still night; clouds in the rain are still rain.
    if times.keys() >= {"day", "golden"}:
        times.pop("day")
    if len(weathers) > 1:
        for weaker in ("cloudy", "clear"):
            if len(weathers) > 1:
                weathers.pop(weaker, None)
    time = max(times, key=times.__getitem__, default="")
    weather = max(weathers, key=weathers.__getitem__, default="")
    return time, weather
