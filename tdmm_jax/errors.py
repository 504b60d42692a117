"""The one exception that means "the user can mend this"."""


class UserError(Exception):
  """A mistake in the input: one line that says what, where and the mend.

  Entry points print it without a traceback and exit with code 2.
  """
