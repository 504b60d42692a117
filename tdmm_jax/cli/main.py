"""The `tdmm` command: its parser, and what runs a command and reports its errors.

The modules beside it have the commands: they read arguments, call the library and
print; no logic of their own.

Exit codes: 0 done, 1 a fault of the program, 2 the user's error, 130 interrupted.
"""

# PYTHON_ARGCOMPLETE_OK

import argparse
import re
import sys
import traceback

from tdmm_jax import __version__, errors, host
from tdmm_jax.cli import (
  describe,
  evaluate,
  files,
  generate,
  live,
  options,
  terminal,
  tokens,
)
from tdmm_jax.errors import UserError
from tdmm_jax.language import examples
from tdmm_jax.runs import locate

# They show by themselves what they do.
_SPEAKING = ("evaluate", "codebook", "studio", "live")


def _studio(args) -> None:
  from tdmm_jax.studio import server

  server.serve(options.load(args), args.host, args.port)


def _completion(args) -> None:
  print(terminal.completion_code(args.shell))


class _Version(argparse.Action):
  """Prints the program's version and the checkpoint that commands use by default."""

  def __call__(self, parser, *_):
    try:
      checkpoint = locate.title(locate.find())
    except UserError:
      checkpoint = "none; `make train` trains one"
    print(f"tdmm {__version__}\ncheckpoint: {checkpoint}")
    parser.exit()


def _parser() -> argparse.ArgumentParser:
  parser = terminal.Parser(
    prog="tdmm",
    description="Facial motion as a language: text to 3D face motion, and back.",
    epilog=f'Start with: tdmm generate "{examples.FIRST}" --out out/ && tdmm render '
    "out/motion.npz -o clip.mp4",
  )
  parser.add_argument(
    "--version", action=_Version, nargs=0, help="print version and checkpoint, and exit"
  )
  commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

  def add(name, function, text):
    """The parser of a command; `function` is given what it parsed."""
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(function=function)
    command.add_argument(
      "--debug", action="store_true", help="also show the traceback of an error"
    )
    loudness = command.add_mutually_exclusive_group()
    loudness.add_argument(
      "-q", "--quiet", action="store_true", help="no warnings, no progress"
    )
    loudness.add_argument(
      "-v", "--verbose", action="store_true", help="say what is done, and how long"
    )
    return command

  generate.add_commands(add)
  describe.add_command(add)
  files.add_commands(add)
  tokens.add_commands(add)
  evaluate.add_command(add)

  studio = add("studio", _studio, "Serve a page to make, see and describe motions.")
  studio.add_argument("--port", type=int, default=7860, help="default: 7860")
  studio.add_argument(
    "--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only"
  )
  options.add_run(studio)

  live.add_command(add)

  completion = add("completion", _completion, "Print the code of Tab completion.")
  completion.add_argument(
    "shell",
    nargs="?",
    choices=terminal.SHELLS,
    default="bash",
    help='default: bash. Put eval "$(tdmm completion)" into ~/.bashrc',
  )
  return parser


def _as_typed(message: str, argv: list[str]) -> str:
  """A message of the library, the argument that it begins with spelt as an option."""
  option = f"--{re.split('[ :]', message, maxsplit=1)[0]}"
  typed = {word.partition("=")[0] for word in argv}
  return f"--{message}" if option in typed else message


@errors.entry_point("tdmm")
def main(argv: list[str] | None = None) -> None:
  """Runs one command; returns the exit code."""
  host.one_device_a_core()
  host.keep_compiled()
  parser = _parser()
  terminal.complete(parser)
  args = parser.parse_args(argv)
  try:
    busy = args.command in _SPEAKING or getattr(args, "prompts", None)
    sign = terminal.Sign(not (args.quiet or args.verbose or busy))
    with terminal.Log(args.quiet, args.verbose), sign:
      args.function(args)
  except (UserError, OSError) as error:
    if args.debug:
      traceback.print_exc()
    if isinstance(error, UserError):
      raise UserError(_as_typed(str(error), argv or sys.argv)) from error
    raise


if __name__ == "__main__":
  sys.exit(main())
