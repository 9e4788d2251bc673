"""Damage: to bytes, to JSON values, to texts; and values that have broken readers before."""

import json
import math
import os

HOSTILE_TEXTS = (
    *(
        "../../evil",
        "../evil",
        "/tmp/fuzz-evil",
        "..",
        ".",
        "",
        " ",
        "a/b",
        "a\\b",
        "C:\\x",
        "a\x00b",
        "a\nb",
        "~root/x",
        "~nobody/x",
    ),
    *(
        "é" * 130,
        "x" * 252,
        "x" * 5000,
        "%s%n{0}{x}",
        "<script>alert(1)</script>",
        "\x1b[2J",
        "\u202e",
        "con",
        "*",
        "?",
        "[a]",
    ),
    *(
        "nan",
        "1e999",
        "1" * 5000,
        "2026-13-45",
        "!!int abc",
        "null",
        "$(x)",
        "`x`",
        "-rf",
        "\ud800",
        "caf\udce9",
        ".partial-1-a",
    ),
)
HOSTILE_NUMBERS = (0, -1, 1, 1e20, -1e300, 10**20, 2**31, 2**63, 2**64, 0.5, 1e-320, math.nan, math.inf, 10**400)
HOSTILE_VALUES = (*HOSTILE_TEXTS, *HOSTILE_NUMBERS, None, True, False, [], {}, [[]], {"": {}}, [None] * 50)
SPLICES = (
    *(
        b"\x00",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"{",
        b"}",
        b"[",
        b'"',
        b"\n",
        b",",
        b":",
    ),
    *(
        b"NaN",
        b"1e999",
        b"\\ud800",
        b"../../evil",
        b"PK\x03\x04",
        b"9" * 400,
        b"[" * 3000,
        b"&a ",
        b"*a",
        b"!!python/object:os.system",
    ),
)


def damage(rng, data):
    """The bytes with one to four faults: flipped, cut, doubled, moved, overwritten or spliced."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at : at + rng.randrange(1, 64)]
        elif kind == 3:
            data[at:at] = data[at : at + rng.randrange(1, 600)] * rng.choice((1, 1, 2, 20))
        elif kind == 4:
            data[at:at] = rng.choice(SPLICES)
        elif kind == 5:
            new = rng.choice(SPLICES)
            data[at : at + len(new)] = new
        elif kind == 6:
            data[at : at + 8] = os.urandom(0) + rng.randbytes(8)
        else:
            other = rng.randrange(len(data) + 1)
            data[at : at + 40] = data[other : other + 40]
    return bytes(data)


def value(rng, depth=0):
    """Any value that JSON or YAML can hold, mostly a hostile one."""
    kind = rng.randrange(10)
    if kind == 0 and depth < 4:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 1 and depth < 4:
        return {str(value(rng, 9))[:300]: value(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 2:
        nested = []
        for _ in range(rng.choice((5, 200, 3000))):
            nested = [nested]
        return nested if depth == 0 else []
    return rng.choice(HOSTILE_VALUES)


def changed(rng, data):
    """A JSON value of which one to three parts are hostile, missing, doubled or under another name."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = _changed_once(rng, data)
    return data


def _changed_once(rng, data):
    if isinstance(data, dict) and data and rng.random() < 0.9:
        key = rng.choice(list(data))
        kind = rng.randrange(8)
        if kind == 0:
            return {name: part for name, part in data.items() if name != key}
        if kind == 1:
            return {**data, str(value(rng, 9))[:300]: data[key]}
        return {**data, key: _changed_once(rng, data[key])}
    if isinstance(data, list) and data and rng.random() < 0.8:
        at = rng.randrange(len(data))
        return [*data[:at], _changed_once(rng, data[at]), *data[at + 1 :]]
    return value(rng)


def as_json(data):
    """The value as JSON bytes; NaN, surrogates and deep nesting as they are."""
    try:
        return json.dumps(data, ensure_ascii=True).encode()
    except (RecursionError, ValueError):
        return b"[" * 5000


def hostile_json(rng, data):
    """A JSON file made of good data: hostile values, or damaged bytes, or one of the known bombs."""
    kind = rng.randrange(12)
    if kind < 7:
        return as_json(changed(rng, data))
    if kind < 10:
        return damage(rng, as_json(data))
    if kind == 10:
        return as_json({**(data if isinstance(data, dict) else {}), **{f"k{n}": n for n in range(30_000)}})
    return rng.choice((b"", b"null", b"[]", b"\xff\xfe{}", b'{"a":' * 50_000, b'"' + b"x" * 10**6, as_json(value(rng))))
