"""The `tdmm` command, also `python -m tdmm_jax.cli`: minds Ctrl-C, then imports."""

import signal
import sys

from tdmm_jax import errors


@errors.entry_point("tdmm")
def _main() -> int:
  from tdmm_jax.cli import main as command  # takes a while

  return command.main()


def main() -> int:
  """Runs the command that the process was started with; returns its exit code."""
  code = _main()
  signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is left is Python's own end
  return code


if __name__ == "__main__":
  sys.exit(main())
