"""Creates a TPU slice, trains on it, and creates it anew when it is preempted.

  S="--name face --zone us-west4-a --project my-project"
  python -m launch.tpu create $S --accelerator_type v5litepod-64 --spot
  python -m launch.tpu setup $S
  python -m launch.tpu run $S -- --config configs/lm_base.py --workdir gs://bucket/lm
  python -m launch.tpu status $S        # also: logs, stop, delete
  python -m launch.tpu watch $S --accelerator_type v5litepod-64 --spot --yes \\
      -- --config configs/lm_base.py --workdir gs://bucket/lm

After `--` come the flags of `tdmm_jax.train`. `watch` does everything: it creates the
slice if there is none, sets it up, runs, and whenever the slice is preempted or a
worker is lost it deletes, creates and resumes, until training has ended. With --dry_run
the gcloud command lines are printed instead of run.
"""

import argparse
import itertools
import sys
import time

from launch import slices
from tdmm_jax import errors
from tdmm_jax.cluster import EXIT_PEER_LOST, EXIT_PREEMPTED, EXIT_STALLED
from tdmm_jax.errors import UserError

# States in which a slice will not come back by itself.
_LOST = ("PREEMPTED", "TERMINATED", "STOPPED", "FAILED", "SUSPENDED")
# Exit codes after which the same command resumes; 137 and 143: killed with the machine.
_RESUME = (EXIT_PREEMPTED, EXIT_STALLED, EXIT_PEER_LOST, 137, 143)
# A slice that is READY but refuses the same command this often will not take it later.
_MOST_FAILURES = 10


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m launch.tpu",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  verbs = parser.add_subparsers(dest="verb", required=True)
  for verb, text in {
    "create": "ask for the slice",
    "setup": "copy the code, install uv, Python 3.11 and the pinned requirements",
    "run": "copy the code and start training on all workers",
    "status": "the slice's state, and each worker's",
    "logs": "what training prints",
    "stop": "SIGTERM: training saves, then ends",
    "delete": "delete the slice; asks for its name, or --yes",
    "watch": "all of it, again and again until training has ended",
  }.items():
    add_slice_flags(sub := verbs.add_parser(verb, help=text))
    if verb in ("run", "watch"):
      add_run_flags(sub)
    if verb == "logs":
      sub.add_argument("--worker", default="0", help="a number, or all")
      sub.add_argument("--lines", type=int, default=50)
      sub.add_argument("--follow", action="store_true")
    if verb in ("delete", "watch"):
      sub.add_argument("--yes", action="store_true", help="delete without asking")
    if verb == "watch":
      sub.add_argument("--poll_seconds", type=float, default=60.0)
  return parser


def add_slice_flags(parser) -> None:
  """There are no defaults: a slice in the wrong project or zone costs money."""
  parser.add_argument("--name", required=True)
  parser.add_argument("--zone", required=True, help="for example us-west4-a")
  parser.add_argument("--project", required=True)
  parser.add_argument("--accelerator_type", default="", help="as v5litepod-256")
  parser.add_argument("--spot", action="store_true", help="cheap, can be preempted")
  parser.add_argument("--queued", action="store_true", help="as a queued resource")
  parser.add_argument("--runtime", default="", help="default: by accelerator type")
  parser.add_argument("--dry_run", action="store_true", help="print, do not run")


def add_run_flags(parser) -> None:
  parser.add_argument(
    "--runner",
    choices=slices.RUNNERS,
    default="systemd",
    help="what keeps training alive on a worker; systemd also saves at a shutdown",
  )
  parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
  parser.add_argument("train_flags", nargs="*", metavar="-- TRAIN_FLAGS")


def slice_of(args, name: str | None = None) -> slices.Slice:
  """The slice that the flags describe.

  Raises:
    UserError: a flag is empty, or the accelerator type is missing where it is needed.
  """
  for flag in ("name", "zone", "project"):
    if not getattr(args, flag).strip():
      raise UserError(f"--{flag}: empty; there is no default")
  provisioning = "spot" if args.spot else "on_demand"
  return slices.Slice(
    name or args.name,
    args.zone,
    args.project,
    args.accelerator_type,
    provisioning,
    args.queued,
    args.runtime,
  )


def flag_values(flags: list[str]) -> dict[str, str]:
  """The flags of tdmm_jax.train as {"--name": value}, written with or without "="."""
  return dict(itertools.pairwise(flags)) | dict(
    flag.split("=", 1) for flag in flags if "=" in flag
  )


def check_train_flags(flags: list[str]) -> None:
  """Raises UserError unless the workdir outlives the slice and all workers see it."""
  values = flag_values(flags)
  if "--config" not in values or "--workdir" not in values:
    raise UserError("after --: give --config and --workdir, flags of tdmm_jax.train")
  workdir = values["--workdir"]
  if not workdir.startswith(("gs://", "/")):
    raise UserError(
      f"--workdir {workdir}: is lost with the slice; use gs://BUCKET/PATH, or the "
      "absolute path of a file system that all workers share"
    )


def start(gcloud, tpu, args, flags: list[str]) -> None:
  gcloud.push(tpu)
  gcloud.run(tpu.start(args.runner, args.env, flags))


def _delete(gcloud, tpu, yes: bool, dry_run: bool) -> None:
  if not yes and not dry_run:
    typed = input(f"Type the name of the slice to delete ({tpu.name}): ")
    if typed.strip() != tpu.name:
      raise UserError(f"delete: {typed.strip()!r} is not {tpu.name!r}; nothing deleted")
  for command in tpu.delete():
    gcloud.run(command)


def watch(gcloud, tpu: slices.Slice, args, flags: list[str]) -> int:
  """Keeps the slice and its training alive until training has ended.

  Returns:
    the exit code of training: 0, or that of an error that a restart would not fix.

  Raises:
    UserError: a slice that is READY refused a command _MOST_FAILURES times in a row.
  """
  ready = False  # whether this slice has been set up by us
  failures = 0  # in a row, on a slice that says it is READY
  while True:
    state = gcloud.state(tpu)
    if state in _LOST:
      say(tpu, f"slice is {state}: deleting it and asking for another")
      for command in tpu.delete():
        gcloud.run(command)
      state = "GONE"
    if state == "GONE":
      ready = False
      try:
        gcloud.run(tpu.create())
        continue
      except UserError as error:  # no capacity, as a rule
        say(tpu, f"{error}; trying again in {args.poll_seconds:.0f} s")
    elif state == "READY":
      try:
        code, ready = _attend(gcloud, tpu, args, flags, ready)
        failures = 0
      except UserError as error:  # preempted in the middle: the next look will tell
        failures += 1
        if failures == _MOST_FAILURES:
          raise
        say(tpu, str(error))
        code = None
      if code is not None:
        return code
    time.sleep(args.poll_seconds)


def _attend(gcloud, tpu, args, flags, ready: bool) -> tuple[int | None, bool]:
  """Attends to a running slice; returns the exit code if training has ended.

  Raises:
    UserError: a command failed.
  """
  workers = gcloud.workers(tpu)
  running = any(worker.state == "running" for worker in workers)
  if workers and not ready and not running:
    gcloud.push(tpu)
    gcloud.run(tpu.setup())
    start(gcloud, tpu, args, flags)
    return None, True
  if not workers or running:
    return None, ready or running
  codes = {w.code for w in workers if w.state == "ended"}
  if codes == {0}:
    say(tpu, "training has ended")
    return 0, True
  hopeless = codes - {0, *_RESUME}
  if hopeless:
    gcloud.run(tpu.logs("0", 30, follow=False))
    return min(hopeless), True
  say(tpu, f"training stopped (exit codes {sorted(codes)}): resuming")
  start(gcloud, tpu, args, flags)
  return None, ready


def say(tpu, text: str) -> None:
  print(f"[{time.strftime('%H:%M:%S')}] {tpu.name}: {text}", flush=True)


def _dry_watch(gcloud, tpu, args) -> None:
  """Prints the command lines of one cycle: look, create, set up, run, delete."""
  gcloud.run(tpu.describe())
  gcloud.run(tpu.create())
  gcloud.push(tpu)
  gcloud.run(tpu.setup())
  start(gcloud, tpu, args, args.train_flags)
  gcloud.run(tpu.status())
  for command in tpu.delete():
    gcloud.run(command)


def _act(args) -> int:
  tpu = slice_of(args)
  if args.verb in ("create", "watch") and not args.accelerator_type:
    raise UserError("--accelerator_type: needed, for example v5litepod-16")
  if args.verb in ("run", "watch"):
    check_train_flags(args.train_flags)
  gcloud = slices.Gcloud(args.dry_run)
  if args.verb == "create":
    gcloud.run(tpu.create())
  elif args.verb == "setup":
    gcloud.push(tpu)
    gcloud.run(tpu.setup())
  elif args.verb == "run":
    start(gcloud, tpu, args, args.train_flags)
  elif args.verb == "status":
    if args.dry_run:
      gcloud.run(tpu.describe_queued() if args.queued else tpu.describe())
    else:
      print(f"{tpu.name}: {gcloud.state(tpu)}")
    gcloud.run(tpu.status())
  elif args.verb == "logs":
    gcloud.run(tpu.logs(args.worker, args.lines, args.follow))
  elif args.verb == "stop":
    gcloud.run(tpu.stop())
  elif args.verb == "delete":
    _delete(gcloud, tpu, args.yes, args.dry_run)
  elif args.dry_run:
    _dry_watch(gcloud, tpu, args)
  elif not args.yes:
    raise UserError("watch deletes a preempted slice to create it anew: say --yes")
  else:
    return watch(gcloud, tpu, args, args.train_flags)
  return 0


@errors.entry_point("launch.tpu", "the slice stays as it was")
def main(argv: list[str] | None = None) -> int:
  return _act(_parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
