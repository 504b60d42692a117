"""How the `tdmm` command talks: colour, how much it says, typos, shell completion."""

import argparse
import difflib
import json
import logging
import os
import re
import sys
import threading
import time
from typing import NoReturn

from tdmm_jax import errors

JSON_VERSION = 1  # of everything that --json prints
SILENCE_S = 1.9  # the longest that nothing is to be seen
SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
_YELLOW = "\033[33m"


class _Handler(logging.Handler):
  """Prints the library's log lines to stderr, as the command's own."""

  def emit(self, record):
    level = record.levelname.lower() + ":"
    if record.levelno >= logging.WARNING:
      level = errors.coloured(level, _YELLOW, sys.stderr)
    print(f"tdmm: {level} {record.getMessage()}", file=sys.stderr)


class Log:
  """While it lasts, the library's log goes to stderr: warnings, more or less.

  Args:
    quiet: errors only.
    verbose: what is being done, too.
  """

  def __init__(self, quiet: bool, verbose: bool):
    self.level = logging.WARNING
    if quiet or verbose:
      self.level = logging.ERROR if quiet else logging.INFO

  def __enter__(self):
    self.logger, self.handler = logging.getLogger("tdmm_jax"), _Handler()
    self.before = (self.logger.level, self.logger.propagate)
    self.logger.addHandler(self.handler)
    self.logger.setLevel(self.level)
    self.logger.propagate = False

  def __exit__(self, *_):
    self.logger.removeHandler(self.handler)
    self.logger.setLevel(self.before[0])
    self.logger.propagate = self.before[1]


class Sign:
  """Tells people at a terminal, while a command is silent, that it is at work.

  Args:
    shown: False where there is something else to be seen, or nothing must be.
  """

  def __init__(self, shown: bool):
    self.shown, self.done = shown and sys.stderr.isatty(), threading.Event()

  def __enter__(self):
    if self.shown:
      self.thread = threading.Thread(target=self._tell, daemon=True)
      self.thread.start()

  def _tell(self):
    start, pause = time.monotonic(), SILENCE_S
    while not self.done.wait(pause):
      seconds = time.monotonic() - start
      text = "loading; what is used for the first time is compiled, which is kept"
      print(f"tdmm: at work for {seconds:.0f} s ({text})", file=sys.stderr)
      pause = 5 * SILENCE_S

  def __exit__(self, *_):
    self.done.set()
    if self.shown:
      self.thread.join()


class Parser(argparse.ArgumentParser):
  """Says what is wrong in one line, like every other error, and guesses at typos."""

  def error(self, message: str) -> NoReturn:
    text = f"{message}{self._guess(message)}; see {self.prog} --help"
    self.exit(errors.report("tdmm", text))

  def _guess(self, message: str) -> str:
    """The known word nearest to the one that argparse complains about."""
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
      word, known = found[1], re.findall(r"[\w.-]+", found[2])
    elif found := re.search(r"unrecognized arguments: .*?(--[\w-]+)", message):
      word, known = found[1], self._options()
    else:
      return ""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""

  def _options(self) -> list[str]:
    """All --options of this parser and of its commands."""
    options = list(self._option_string_actions)
    for action in self._actions:
      if isinstance(action, argparse._SubParsersAction):
        for command in action.choices.values():
          options += command._option_string_actions
    return options


def result(args, lines: str, /, **content) -> None:
  """Prints what a command made: lines for people, or with --json one JSON document."""
  if args.json:
    lines = json.dumps({"schema_version": JSON_VERSION, **content}, indent=2)
  print(lines)


def wrote(args, **content) -> None:
  """`result` of a command that has written `args.output`."""
  result(args, args.output, file=args.output, **content)


def note(args, *sentences: str) -> None:
  """Tells people what else there is to know of a result."""
  if not (args.quiet or args.json):
    for sentence in sentences:
      print(f"tdmm: {sentence}", file=sys.stderr)


def complete(parser: argparse.ArgumentParser) -> None:
  """Answers a shell that asks for completions, and exits; no-op otherwise."""
  if "_ARGCOMPLETE" in os.environ:
    import argcomplete

    argcomplete.autocomplete(parser)


def completion_code(shell: str) -> str:
  """What a shell must run so that Tab completes `tdmm`."""
  import argcomplete

  return argcomplete.shellcode(["tdmm"], shell=shell)


def progress(total: int, unit: str, quiet: bool):
  """A progress bar on stderr, as a context manager; `update(count)` moves it."""
  import tqdm

  return tqdm.tqdm(
    total=total, unit=unit, disable=quiet, file=sys.stderr, mininterval=0.5
  )
