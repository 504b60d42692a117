"""What every entry point does with an error."""

import errno

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


def test_faults_of_the_program_keep_their_traceback():
  @errors.entry_point("tool")
  def main():
    raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    main()


def test_a_main_returns_its_exit_code():
  assert errors.entry_point("tool")(lambda argv: argv)(3) == 3
  assert errors.entry_point("tool")(lambda: None)() == 0
