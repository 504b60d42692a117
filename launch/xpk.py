"""Trains on TPU slices of a GKE cluster, through Google's xpk.

  make xpk                                       # .venv-xpk/, once
  W="--cluster faces --zone us-west4-a --project my-project"
  K="--accelerator_type v5litepod-64 --num_slices 2"
  I="--image us-docker.pkg.dev/my-project/tdmm/tpu:1"
  python -m launch.xpk image $I                  # builds docker/tpu.Dockerfile, pushes
  python -m launch.xpk create $W $K --spot       # the cluster
  python -m launch.xpk run $W $K $I --name lm \\
      -- --config configs/lm_base.py --workdir gs://bucket/lm
  python -m launch.xpk status $W --name lm       # also: inspect, stop, delete

After `--` come the flags of `tdmm_jax.train`. GKE starts a container on each host of
each slice, and starts all of them again when one is preempted or lost: the training
resumes from its last checkpoint. With --dry_run the command lines are printed instead
of run.
"""

import argparse
import re
import runpy
import shlex
import shutil
import sys

from launch import slices, tpu
from tdmm_jax import errors
from tdmm_jax.cluster import EXIT_PREEMPTED, EXIT_STALLED
from tdmm_jax.errors import UserError

# GKE's rule for clusters, and xpk's for both (xpk/parser/validators.py).
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
# Chips of a slice, by the start of its type, where they lie in a plane; the type's
# number counts chips. Elsewhere it counts cores, two to a chip, and the chips are a box
# of _SMALL_BOXES, or with sides that are multiples of four.
# Source: xpk 1.16.0, xpk/core/system_characteristics.py.
_PLANES = {
  "v5litepod": ("2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
  "v6e": ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
}
_BOXES = ("v4", "v5p", "tpu7x")
_SMALL_BOXES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")
_ONE_CHIP = ("tpu7x-2", "tpu7x-1x1x1")
_OTHER_NAMES = {"v5e": "v5litepod", "v7x": "tpu7x", "v5lite": "v5litepod"}


def _chips(shape: str) -> int:
  count = 1
  for side in shape.split("x"):
    count *= int(side)
  return count


def check_tpu_type(name: str) -> None:
  """Raises UserError for a type of slice that xpk does not know."""
  generation, _, size = name.rpartition("-")
  known = ", ".join(f"{g}-N" for g in (*_PLANES, *_BOXES))
  if generation not in (*_PLANES, *_BOXES):
    meant = _OTHER_NAMES.get(generation)
    hint = f"did you mean {meant}-{size}?" if meant else f"choose one of {known}"
    raise UserError(f"--accelerator_type {name!r}: unknown to xpk; {hint}")
  if name in _ONE_CHIP:
    return
  if generation in _PLANES:
    shapes = _PLANES[generation]
    sizes = [str(_chips(shape)) for shape in shapes]
    if size not in (*sizes, *shapes):
      raise UserError(
        f"--accelerator_type {name!r}: no such slice; N of {generation}-N is one of "
        f"{', '.join(sizes)} chips"
      )
    return
  sides = size.split("x")
  box = len(sides) == 3 and all(s.isdigit() and int(s) % 4 == 0 < int(s) for s in sides)
  small = [str(2 * _chips(shape)) for shape in _SMALL_BOXES]
  cores = size.isdigit() and int(size) > 0 and int(size) % 128 == 0
  if not (box or cores or size in small or size in _SMALL_BOXES):
    raise UserError(
      f"--accelerator_type {name!r}: no such slice; N of {generation}-N counts cores, "
      f"two a chip: {', '.join(small)}, or a multiple of 128"
    )


def _check_name(flag: str, name: str) -> None:
  if not _NAME.fullmatch(name):
    raise UserError(
      f"{flag} {name!r}: GKE takes 1 to 40 lower-case letters, digits and hyphens, a "
      "letter first and no hyphen last"
    )


def check_train_flags(flags: list[str]) -> None:
  """Raises UserError unless containers can read and write all that is named."""
  values = tpu.flag_values(flags)
  for flag in ("--workdir", "--config.records_dir", "--config.tokenizer_dir"):
    path = values.get(flag, "gs://")
    if not path.startswith("gs://"):
      raise UserError(
        f"{flag} {path}: no container has it; use gs://BUCKET/PATH (gcloud storage cp)"
      )
  tpu.check_train_flags(flags)


def mesh_flags(flags: list[str], num_slices: int) -> list[str]:
  """What spreads the mesh's data axis, and no other, over the slices.

  Nothing where the config or the flags do so already.

  Raises:
    UserError: the flags contradict the slices, or there is no such config.
  """
  if num_slices == 1:
    return []
  values = tpu.flag_values(flags)
  given = values.get("--config.mesh.data")
  if given is not None:
    if given != "-1" and not (given.isdigit() and int(given) % num_slices == 0):
      raise UserError(
        f"--config.mesh.data {given}: must be -1 or a multiple of the {num_slices} "
        "slices; between slices only the data axis runs"
      )
    return []
  path, *row = values["--config"].split(":", 1)  # configs/FILE.py:ROW
  try:
    config = runpy.run_path(path)["get_config"](*row)
  except FileNotFoundError as error:
    raise UserError(f"--config {path}: no such file; name one of configs/") from error
  return [] if config.mesh.data == -1 else [f"--config.mesh.data={num_slices}"]


def _where(args) -> list[str]:
  return [
    f"--cluster={args.cluster}",
    f"--zone={args.zone}",
    f"--project={args.project}",
  ]


def _hardware(args) -> list[str]:
  return [f"--tpu-type={args.accelerator_type}", f"--num-slices={args.num_slices}"]


def create(args) -> list[str]:
  """The command line that makes the cluster."""
  capacity = "--spot" if args.spot else "--on-demand"
  if args.reservation:
    capacity = f"--reservation={args.reservation}"
  return ["xpk", "cluster", "create", *_where(args), *_hardware(args), capacity]


def run(args) -> list[str]:
  """The command line that starts the training, one process a host.

  The shell of xpk's container passes SIGTERM on to the shell that it started, which by
  `exec` becomes the training itself. GKE tells the container its place (TPU_WORKER_ID,
  TPU_WORKER_HOSTNAMES, MEGASCALE_...), where --cluster=auto finds it.
  """
  flags = [*args.train_flags, *mesh_flags(args.train_flags, args.num_slices)]
  train = ["python", "-m", "tdmm_jax.train", "--cluster=auto", *flags]
  return [
    *["xpk", "workload", "create", *_where(args), *_hardware(args)],
    f"--workload={args.name}",
    f"--docker-image={args.image}",
    f"--max-restarts={args.max_restarts}",
    # Besides 127 to 255, which xpk has by itself.
    f"--restart-on-exit-codes={EXIT_PREEMPTED},{EXIT_STALLED}",
    f"--termination-grace-period-seconds={args.grace_seconds}",
    *[f"--env={pair}" for pair in args.env],
    f"--command=exec {shlex.join(train)}",
  ]


def status(args) -> list[str]:
  only = [f"--filter-by-job={args.name}"] if args.name else []
  return ["xpk", "workload", "list", *_where(args), *only]


def inspect(args) -> list[str]:
  only = [f"--workload={args.name}"] if args.name else []
  return ["xpk", "inspector", *_where(args), *only, "--print-to-terminal"]


def stop(args) -> list[str]:
  workload = f"--workload={args.name}"
  return ["xpk", "workload", "delete", *_where(args), workload, "--force"]


def delete(args) -> list[str]:
  return ["xpk", "cluster", "delete", *_where(args), "--force"]


def image(args) -> list[list[str]]:
  """The command lines that build the image and push it."""
  file = ["-f", str(slices.REPO / "docker" / "tpu.Dockerfile")]
  build = ["docker", "build", *file, "--platform=linux/amd64", "-t", args.image]
  return [[*build, str(slices.REPO)], ["docker", "push", args.image]]


_COMMANDS = {
  "create": create,
  "run": run,
  "status": status,
  "inspect": inspect,
  "stop": stop,
  "delete": delete,
}


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m launch.xpk",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  verbs = parser.add_subparsers(dest="verb", required=True)
  for verb, text in {
    "image": "build the container's image and push it",
    "create": "make the cluster, with its slices",
    "run": "start training on all hosts of all slices",
    "status": "the cluster's workloads, or one's",
    "inspect": "what keeps a workload from running: nodes, queues, pods",
    "stop": "delete the workload: SIGTERM, training saves, then ends",
    "delete": "delete the cluster; asks for its name, or --yes",
  }.items():
    sub = verbs.add_parser(verb, help=text)
    sub.add_argument("--dry_run", action="store_true", help="print, do not run")
    if verb in ("image", "run"):
      sub.add_argument("--image", required=True, help="as REGISTRY/PROJECT/NAME:TAG")
    if verb != "image":
      _add_where(sub, verb)
    if verb in ("create", "run"):
      sub.add_argument("--accelerator_type", required=True, help="as v5litepod-256")
      sub.add_argument("--num_slices", type=int, default=1)
    if verb == "create":
      sub.add_argument("--spot", action="store_true", help="cheap, can be preempted")
      sub.add_argument("--reservation", default="", help="the name of one to use")
    if verb == "run":
      _add_run_flags(sub)
    if verb == "delete":
      sub.add_argument("--yes", action="store_true", help="delete without asking")
  return parser


def _add_where(parser, verb: str) -> None:
  """There are no defaults: slices in the wrong project or zone cost money."""
  parser.add_argument("--cluster", required=True)
  parser.add_argument("--zone", required=True, help="for example us-west4-a")
  parser.add_argument("--project", required=True)
  if verb not in ("create", "delete"):
    needed = verb in ("run", "stop")
    parser.add_argument("--name", required=needed, default="", help="of the workload")


def _add_run_flags(parser) -> None:
  parser.add_argument(
    "--max_restarts", type=int, default=100, help="after preemptions and lost hosts"
  )
  parser.add_argument(
    "--grace_seconds", type=int, default=300, help="from SIGTERM until the kill"
  )
  parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE")
  parser.add_argument("train_flags", nargs="*", metavar="-- TRAIN_FLAGS")


def _check(args) -> None:
  for flag in ("zone", "project", "image"):
    if not getattr(args, flag, "given").strip():
      raise UserError(f"--{flag}: empty; there is no default")
  if args.verb != "image":
    _check_name("--cluster", args.cluster)
  if args.verb in ("run", "stop") or getattr(args, "name", ""):
    _check_name("--name", args.name)
  if args.verb in ("create", "run"):
    check_tpu_type(args.accelerator_type)
    if args.num_slices < 1:
      raise UserError(f"--num_slices {args.num_slices}: must be at least 1")
  if args.verb == "create" and args.spot and args.reservation:
    raise UserError("--spot and --reservation: choose one of them")
  if args.verb == "run":
    check_train_flags(args.train_flags)
    for flag in ("max_restarts", "grace_seconds"):
      if getattr(args, flag) < 0:
        raise UserError(f"--{flag} {getattr(args, flag)}: must not be negative")


def _program(name: str) -> str:
  """Where the program is.

  Raises:
    UserError: it is not installed.
  """
  own = slices.REPO / ".venv-xpk" / "bin"
  path = shutil.which(name) or shutil.which(name, path=str(own))
  if path is None:
    how = "run `make xpk`" if name == "xpk" else "install it"
    raise UserError(f"{name}: not on PATH; {how}, or see the commands with --dry_run")
  return path


def _act(args) -> int:
  _check(args)
  if args.verb == "delete" and not (args.yes or args.dry_run):
    typed = input(f"Type the name of the cluster to delete ({args.cluster}): ").strip()
    if typed != args.cluster:
      raise UserError(f"delete: {typed!r} is not {args.cluster!r}; nothing deleted")
  commands = image(args) if args.verb == "image" else [_COMMANDS[args.verb](args)]
  program = "" if args.dry_run else _program(commands[0][0])
  for command in commands:
    slices.run_command(command, args.dry_run, program)
  return 0


@errors.entry_point("launch.xpk", "cluster and workload stay as they were")
def main(argv: list[str] | None = None) -> int:
  return _act(_parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
