"""`python -m tests.fuzz FORMAT --seconds N`: damaged and hostile files of a format through the code that reads them."""

import argparse
import importlib
import sys
import time

from tests.fuzz.driver import FORMATS, Fuzzer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("format", choices=[*FORMATS, "all"])
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after this time, for each format")
    parser.add_argument("--cases", type=int, default=10**9, help="stop after so many cases, for each format")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first case; the next adds one")
    given = parser.parse_args()
    failed = 0
    for name in FORMATS if given.format == "all" else [given.format]:
        fuzzer = Fuzzer(name, importlib.import_module(f"tests.fuzz.formats.{name}"))
        failed += fuzzer.run(given.seed, given.cases, given.seconds)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
