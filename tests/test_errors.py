"""What every entry point does with an error."""

import errno
import subprocess
import sys

import pytest

from tdmm_jax import errors


def run(raised, capsys):
  @errors.entry_point("tool", "the same command resumes")
  def main():
    raise raised

  code = main()
  out, err = capsys.readouterr()
  assert not out and err.count("\n") == 1
  return code, err.strip()


@pytest.mark.parametrize(
  ("raised", "expected"),
  [
    (errors.UserError("a.npz: broken;\n  export again"), "a.npz: broken; export again"),
    (
      FileNotFoundError(errno.ENOENT, "No such file", "a/b"),
      "a/b: No such file; check",
    ),
    (OSError(errno.ENOSPC, "No space left"), "No space left; check the path"),
    (OSError("handle is closed"), "handle is closed"),
  ],
)
def test_errors_are_one_line_and_exit_code_2(raised, expected, capsys):
  code, line = run(raised, capsys)
  assert code == 2 and line.startswith(f"tool: error: {expected}")


def test_an_interrupt_is_exit_code_130(capsys):
  assert run(KeyboardInterrupt(), capsys) == (
    130,
    "tool: interrupted; the same command resumes",
  )


def test_an_interrupt_that_python_drops_comes_again():
  script = """
import gc, signal, time
from tdmm_jax import errors

# Where the tests run in the background, it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def collected(*_):
  gc.callbacks.clear()
  raise KeyboardInterrupt  # as Ctrl-C does, if it comes while this runs

@errors.entry_point("tool")
def main():
  gc.callbacks.append(collected)
  gc.collect()
  time.sleep(60)

raise SystemExit(main())
"""
  done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (130, "tool: interrupted; run it again\n")


def test_an_interrupt_while_the_command_is_imported():
  script = """
import sys

class Interrupting:
  def find_spec(self, name, *_):
    if name == "tdmm_jax.cli.main":
      raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from tdmm_jax.cli import __main__
sys.exit(__main__.main())
"""
  done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (130, "tdmm: interrupted; run it again\n")


def test_faults_of_the_program_keep_their_traceback():
  @errors.entry_point("tool")
  def main():
    raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    main()


def test_a_main_returns_its_exit_code():
  assert errors.entry_point("tool")(lambda argv: argv)(3) == 3
  assert errors.entry_point("tool")(lambda: None)() == 0
