"""A profile of a few steps, for XProf (docs/training.md)."""

import jax

_NUM_STEPS = 5


class Profile:
  """Records the steps after a given one, on this process's devices and host.

  Steps are dispatched long before the devices come to them, so it waits for the devices
  where it starts and where it stops: what is recorded is these steps, all of them.
  """

  def __init__(self, workdir, step: int):
    """The steps after `step` are recorded, to WORKDIR/plugins/profile/TIME/."""
    self._workdir, self._first, self._running = str(workdir), step, False

  def __call__(self, done: int, state) -> None:
    """Call after each step with what it computes, which may not be there yet."""
    if done == self._first:
      jax.block_until_ready(state)
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0  # each call of Python, which slows the host down
      jax.profiler.start_trace(self._workdir, profiler_options=options)
      self._running = True
    elif self._running and done == self._first + _NUM_STEPS:
      jax.block_until_ready(state)
      self.close()

  def close(self) -> None:
    """Writes what is recorded, if it has not been written."""
    if self._running:
      jax.profiler.stop_trace()
      self._running = False
