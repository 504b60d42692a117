"""Options that several commands have, and what they stand for."""

import logging
import time

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.runs import locate

_LOG = logging.getLogger(__name__)


def add_json(command) -> None:
  """The option of a command that prints with terminal.result."""
  command.add_argument(
    "--json", action="store_true", help="print the result as one JSON document"
  )


def add_run(command) -> None:
  """The option that `load` reads."""
  command.add_argument(
    "--run", help='run directory (default: "release" if it is there, or runs/train)'
  )


def load(args):
  """The Face of --run."""
  import tdmm_jax

  start = time.perf_counter()
  face = tdmm_jax.load(args.run)
  title = locate.title(files.as_path(face.name))
  _LOG.info("loaded %s in %.1f s", title, time.perf_counter() - start)
  return face


def add_face_model(command) -> None:
  """The option that names the file of the motion's own face model."""
  command.add_argument(
    "--face_model",
    metavar="FILE",
    help="of motions in FLAME's basis: generic_model.pkl or flame2023.pkl",
  )


def add_sampling(command) -> None:
  """The seed, and the options that `sampling` reads."""
  command.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
  command.add_argument(
    "--temperature", type=float, default=1.0, help="0 is greedy (default: 1)"
  )
  command.add_argument(
    "--top_p", type=float, default=0.9, help="nucleus sampling (default: 0.9)"
  )
  command.add_argument(
    "--top_k", type=int, default=0, help="the K likeliest tokens only (default: all)"
  )
  command.add_argument(
    "--repetition_penalty",
    type=float,
    default=1.0,
    metavar="R",
    help="above 1: tokens that have occurred become less likely (default: 1)",
  )
  command.add_argument(
    "--guidance",
    type=float,
    metavar="G",
    help="how closely to follow the prompt: 1 is no guidance, 4 exaggerates "
    "(default: the run's own)",
  )


def sampling(args) -> dict:
  """The sampling options of a command, as `Face` takes them."""
  names = ("temperature", "top_p", "guidance", "top_k", "repetition_penalty")
  return {name: getattr(args, name) for name in names}


def add_motion(command, **motion) -> None:
  """MOTION and the options of its file: what `read_motion` needs."""
  command.add_argument("motion", metavar="MOTION", **motion)
  add_reading(command)


def add_reading(command) -> None:
  """The options that say of a motion's file what it does not say itself."""
  command.add_argument(
    "--fps", type=float, help="of a file without a rate; also instead of its own"
  )
  command.add_argument(
    "--layout",
    metavar="NAME",
    help="of a bare array: emoava, mmhead, lm-listener or language-of-motion",
  )


def read_motion(args):
  """The FaceMotion of MOTION; see `add_motion`."""
  from tdmm_jax.face.files import read

  return read.load_motion(args.motion, args.fps, args.layout)


def check_suffix(path: str, suffix: str, what: str) -> None:
  """Raises UserError for the name of a file of another kind."""
  if not path.lower().endswith(suffix):
    raise UserError(f"{path}: {what} is written as {suffix}; end the name in it")
