"""The one exception that means "the user can fix this", and what entry points do."""

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

_RED, _END = "\033[31m", "\033[0m"
MISUSE, INTERRUPTED = 2, 130  # exit codes
_AGAIN_S = 0.02  # until a Ctrl-C that was lost comes again


class UserError(Exception):
  """A mistake in the input: one line that says what is wrong, where, and how to fix it.

  Entry points print it without a traceback and exit with code 2.
  """


def coloured(text: str, colour: str, stream) -> str:
  """`text` in colour where `stream` is a terminal, and as it is elsewhere.

  NO_COLOR (https://no-color.org) and TERM=dumb turn colour off.
  """
  plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
  return text if plain or not stream.isatty() else f"{colour}{text}{_END}"


def report(prog: str, error: Exception | str) -> int:
  """Prints `PROG: error: MESSAGE` on one line of stderr; returns the exit code, 2."""
  message = str(error)
  if isinstance(error, OSError) and error.strerror:
    where = f"{error.filename}: " if error.filename is not None else ""
    message = f"{where}{error.strerror}; check the path, its permissions and the space"
  what = coloured("error:", _RED, sys.stderr)
  print(f"{prog}: {what} {' '.join(message.split())}", file=sys.stderr)
  return MISUSE


def entry_point(prog: str, resume: str = "run it again"):
  """Decorates a `main`, which returns its exit code or None for 0.

  A UserError or an OSError becomes one line on stderr and exit code 2, Ctrl-C exit
  code 130.

  Args:
    prog: what the lines start with.
    resume: what to do after Ctrl-C.
  """

  def decorate(main: Callable[..., int | None]) -> Callable[..., int]:
    @functools.wraps(main)
    def guarded(*args, **kwargs) -> int:
      try:
        with _no_interrupt_is_lost():
          return main(*args, **kwargs) or 0
      except (UserError, OSError) as error:
        return report(prog, error)
      except KeyboardInterrupt:
        print(f"{prog}: interrupted; {resume}", file=sys.stderr)
        return INTERRUPTED

    return guarded

  return decorate


@contextlib.contextmanager
def _no_interrupt_is_lost() -> Iterator[None]:
  """While it lasts, a Ctrl-C that Python had to drop comes again.

  KeyboardInterrupt is raised wherever the program happens to be. In a callback of the
  garbage collector, of which JAX has one, or in a destructor nothing can be raised:
  Python prints it and goes on.
  """
  before, timers = sys.unraisablehook, []

  def hook(unraisable):
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
      before(unraisable)
      return
    # To the main thread itself, so that it wakes up if it waits.
    again = (threading.main_thread().ident, signal.SIGINT)
    timers.append(threading.Timer(_AGAIN_S, signal.pthread_kill, again))
    timers[-1].daemon = True
    timers[-1].start()

  sys.unraisablehook = hook
  try:
    yield
  finally:
    sys.unraisablehook = before
    for timer in timers:
      timer.cancel()
