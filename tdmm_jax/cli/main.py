"""The `tdmm` command. Reads arguments, calls the library, prints; no logic of its own.

Exit codes: 0 done, 1 a fault of the program, 2 the user's error, 130 interrupted.
"""

# PYTHON_ARGCOMPLETE_OK

import argparse
import json
import logging
import pathlib
import re
import sys
import time
import traceback

from tdmm_jax import __version__, errors, host
from tdmm_jax.cli import evaluate, live, terminal, tokens
from tdmm_jax.cli import files as cli_files
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.language import examples, subjects
from tdmm_jax.runs import locate

_LOG = logging.getLogger(__name__)
JSON_VERSION = 1  # of everything that --json prints
# They show by themselves what they do.
_SPEAKING = ("evaluate", "codebook", "studio", "live")
MAX_NUM = 10_000  # variants of one prompt; they are written while they are made


def _load(args):
  import tdmm_jax

  start = time.perf_counter()
  face = tdmm_jax.load(args.run)
  title = locate.title(pathlib.Path(face.name))
  _LOG.info("loaded %s in %.1f s", title, time.perf_counter() - start)
  return face


def _print(args, lines: str, /, **content) -> None:
  """A command's result: lines for people, or with --json one JSON document."""
  if args.json:
    lines = json.dumps({"schema_version": JSON_VERSION, **content}, indent=2)
  print(lines)


def _say_understood(args, face, prompt: str, seconds: float) -> dict:
  """Tells what was understood of a prompt; what --json says of it."""
  text, warnings = face.understand(prompt, seconds)
  if text and not args.quiet:
    print(f"tdmm: understood as: {text}", file=sys.stderr)
  for warning in warnings:
    _LOG.warning(warning)
  return {"understood": text, "warnings": warnings}


def _sampling(args) -> dict:
  """The sampling options of a command, as `Face` takes them."""
  names = ("temperature", "top_p", "guidance", "top_k", "repetition_penalty")
  return {name: getattr(args, name) for name in names}


def _requests(args) -> list[tuple[str, str, float]]:
  """(name, prompt, seconds) of what `generate` is asked for."""
  from tdmm_jax.generate import takes as takes_lib

  if sum(x is not None for x in (args.prompt, args.prompts, args.timeline)) != 1:
    raise UserError(
      "PROMPT: give one prompt in quotes, or --prompts FILE, or --timeline TEXT, and "
      "not both"
    )
  takes_lib.check(args.takes)
  if args.takes > 1 and (args.prompts or args.timeline):
    raise UserError("--takes: for one PROMPT; not with --prompts or --timeline")
  if not 1 <= args.num <= MAX_NUM:
    raise UserError(
      f"--num {args.num}: out of range; ask for 1 to {MAX_NUM}, or name more prompts "
      "with --prompts FILE"
    )
  if args.prompts:
    from tdmm_jax.language import prompt_file

    return prompt_file.read(pathlib.Path(args.prompts), args.seconds)
  if args.num == 1:
    return [("motion", args.prompt, args.seconds)]
  return [(f"motion_{i}", args.prompt, args.seconds) for i in range(args.num)]


def _generate(args) -> None:
  requests = _requests(args)
  names, prompts, seconds = zip(*requests)
  said = dict(zip(prompts, seconds))
  if args.timeline:
    from tdmm_jax.language import timeline

    segments = timeline.parse(args.timeline)
    said = {s.prompt: s.stop_s - s.start_s for s in segments}
  if args.strict:
    from tdmm_jax.language import understanding

    for prompt, length in zip(prompts, seconds):
      understanding.refuse_doubtful(prompt, length)
  if args.face_model and args.prompts:
    raise UserError(
      "--face_model: not with --prompts; carry the files over with tdmm retarget"
    )
  face = _load(args)
  on_model = _carrier(face, args.face_model)
  start = time.perf_counter()
  files = [pathlib.Path(args.out) / f"{name}.npz" for name in names]
  from tdmm_jax.generate import batch

  if args.prompts:
    sampling = face.sampling(**_sampling(args))
    with terminal.progress(len(requests), "motions", args.quiet) as bar:
      batch.run(face, requests, args.out, args.seed, sampling, bar.update)
  elif args.timeline:
    prompts, seconds = [args.timeline] * args.num, [segments[-1].stop_s] * args.num
    for seed, file in enumerate(files, start=args.seed):
      on_model(face.timeline(segments, seed, **_sampling(args))).save(file)
  elif args.takes > 1:
    options = {**_sampling(args), "takes": args.takes}
    for seed, (file, prompt) in enumerate(zip(files, prompts), start=args.seed):
      on_model(face.generate(prompt, args.seconds, seed, **options)).save(file)
  else:
    frames = [face.check_request(p, s) for p, s in zip(prompts, seconds, strict=True)]
    sampling = face.sampling(**_sampling(args))
    for codes in batch.draw(face, prompts, frames, args.seed, sampling):
      motions = face.motions_of(codes, prompts, args.seed)
      for number, motion in zip(codes, motions, strict=True):
        on_model(motion).save(files[number])
  _LOG.info("made %d motions in %.1f s", len(files), time.perf_counter() - start)
  told = {prompt: _say_understood(args, face, prompt, said[prompt]) for prompt in said}
  made = [
    {"file": str(f), "prompt": p, "seconds": s, "seed": args.seed} | told.get(p, {})
    for f, p, s in zip(files, prompts, seconds)
  ]
  _print(args, "\n".join(map(str, files)), motions=made)


def _carrier(face, spec: str | None):
  """What brings the run's motions to the face model asked for, if one is."""
  if spec is None:
    return lambda motion: motion
  from tdmm_jax.face import load_model
  from tdmm_jax.face.fit import retarget

  target = load_model.load_face_model(spec)
  return lambda motion: retarget.retarget(motion, face.codec.face, target)


def _edit(args) -> None:
  from tdmm_jax.face.files import read
  from tdmm_jax.generate import editing

  start, stop = editing.parse_frames(args.frames)
  motion = read.load_motion(args.motion, args.fps, args.layout)
  options = (args.prompt, start, stop, args.seed, args.motion)
  face = _load(args)
  edited = face.edit(motion, *options, **_sampling(args))
  _say_understood(args, face, args.prompt, (stop - start) / motion.fps)
  edited.save(args.output)
  _print(args, args.output, file=args.output, prompt=args.prompt, frames=[start, stop])


def _continue(args) -> None:
  from tdmm_jax.face.files import read

  motion = read.load_motion(args.motion, args.fps, args.layout)
  options = (args.seconds, args.prompt, args.seed, args.motion)
  longer = _load(args).extend(motion, *options, **_sampling(args))
  longer.save(args.output)
  length = longer.num_frames / longer.fps
  _print(args, args.output, file=args.output, prompt=args.prompt, seconds=length)


def _describe(args) -> None:
  from tdmm_jax.face.files import read

  if args.timeline and not args.actions:
    raise UserError("--timeline: is the picture of --actions; give that too")
  motion = read.load_motion(args.motion, args.fps, args.layout)
  if args.actions:
    _describe_actions(args, motion)
    return
  face = _load(args)
  if motion.face_model != face.codec.face.name:
    from tdmm_jax.face import load_model
    from tdmm_jax.face.fit import retarget

    own = load_model.own_model(motion, args.face_model, args.motion)
    motion = retarget.retarget(motion, own, face.codec.face, args.motion)
  options = {"where": args.motion, "subject": args.subject}
  text = face.describe(motion, args.question, args.beams, **options)
  content = {"motion": args.motion, "question": args.question, "text": text}
  if args.json:
    from tdmm_jax.language import lexicon

    content["attributes"] = lexicon.parse(text)
  _print(args, text, **content)


def _describe_actions(args, motion) -> None:
  """The FACS reading; needs no trained run."""
  import dataclasses

  from tdmm_jax.face import facs, load_model

  if args.question is not None:
    raise UserError(
      "--actions: reads action units and answers no question; ask without"
    )
  face = load_model.load_face_model(args.face_model)
  actions = facs.read_actions(motion, face)
  if args.timeline:
    from tdmm_jax.render import timeline

    timeline.write(args.timeline, actions, facs.tracks(motion, face), motion.fps)
  rows = [dataclasses.asdict(action) for action in actions]
  _print(args, facs.table(actions), motion=args.motion, actions=rows)


def _studio(args) -> None:
  from tdmm_jax.studio import server

  server.serve(_load(args), args.host, args.port)


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

  def add_json(command):
    command.add_argument(
      "--json", action="store_true", help="print the result as one JSON document"
    )

  def add_run(command):
    command.add_argument(
      "--run", help='run directory (default: "release" if it is there, or runs/train)'
    )

  def add_face_model(command):
    command.add_argument(
      "--face_model",
      default=head_file.DEFAULT,
      help="default_v1, default_v2, or the path of generic_model.pkl or flame2023.pkl",
    )

  def add_sampling(command):
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

  generate = add("generate", _generate, "Turn a sentence into a face motion (npz).")
  generate.add_argument(
    "prompt", nargs="?", metavar="PROMPT", help="what the face does"
  )
  generate.add_argument(
    "--prompts",
    metavar="FILE",
    help="JSON lines of clip_id, prompt[, seconds]; continues an interrupted job",
  )
  generate.add_argument(
    "--seconds", type=float, default=4.0, help="length, up to 600 (default: 4)"
  )
  generate.add_argument("--num", type=int, default=1, help="variants (default: 1)")
  generate.add_argument(
    "--takes",
    type=int,
    default=1,
    metavar="N",
    help="make N of each, keep the one that does most of what the prompt says, by "
    "geometry (default: 1)",
  )
  generate.add_argument(
    "--timeline",
    metavar="TEXT",
    help=f'prompts in their times, s: "{examples.TIMELINE}"',
  )
  generate.add_argument(
    "--strict",
    action="store_true",
    help="refuse prompts with words that are not known, contradict or do not fit",
  )
  generate.add_argument(
    "--face_model",
    metavar="FILE",
    help="write it for this face model: generic_model.pkl or flame2023.pkl (default: "
    "the run's own)",
  )
  add_sampling(generate)
  generate.add_argument("--out", default=".", help="output directory (default: .)")
  add_run(generate)
  add_json(generate)

  edit = add("edit", _edit, "Make some frames of a motion anew; copy the others.")
  edit.add_argument("motion", metavar="MOTION", help="npz, or SMIRK's pickle")
  cli_files.add_reading(edit)
  edit.add_argument("prompt", metavar="PROMPT", help="what the face does there")
  edit.add_argument(
    "--frames", required=True, metavar="A-B", help="frames A to B - 1, as 40-80"
  )
  add_sampling(edit)
  edit.add_argument("-o", "--output", default="edited.npz", help="default: edited.npz")
  add_run(edit)
  add_json(edit)

  go_on = add("continue", _continue, "Make a motion longer; what is there is copied.")
  go_on.add_argument("motion", metavar="MOTION", help="npz, or SMIRK's pickle")
  cli_files.add_reading(go_on)
  go_on.add_argument(
    "prompt", nargs="?", metavar="PROMPT", help="default: the motion's own description"
  )
  go_on.add_argument(
    "--seconds", type=float, default=4.0, help="how much is added (default: 4)"
  )
  add_sampling(go_on)
  go_on.add_argument(
    "-o", "--output", default="continued.npz", help="default: continued.npz"
  )
  add_run(go_on)
  add_json(go_on)

  describe = add("describe", _describe, "Turn a face motion into a sentence.")
  describe.add_argument("motion", metavar="MOTION", help="npz, or SMIRK's pickle")
  cli_files.add_reading(describe)
  describe.add_argument(
    "--question", help='ask about it instead, e.g. "Does the head move?"'
  )
  describe.add_argument(
    "--subject",
    default=subjects.NEUTRAL,
    metavar="WHO",
    help='who it is, "the woman" or a name: a motion does not tell (default: someone)',
  )
  describe.add_argument(
    "--actions",
    action="store_true",
    help="its facial action units (FACS) instead: onset, apex, offset, intensity A-E",
  )
  describe.add_argument(
    "--timeline", metavar="PNG", help="write the action units as a picture too"
  )
  add_face_model(describe)
  describe.add_argument(
    "--beams", type=int, default=1, help="beams of a beam search (default: 1, greedy)"
  )
  add_run(describe)
  add_json(describe)

  cli_files.add_commands(add, add_json, add_face_model, _print)
  tokens.add_commands(add, add_run, add_json, _print)

  evaluate.add_command(add, add_run, add_face_model, _load)

  studio = add("studio", _studio, "Serve a page to make, see and describe motions.")
  studio.add_argument("--port", type=int, default=7860, help="default: 7860")
  studio.add_argument(
    "--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only"
  )
  add_run(studio)

  live.add_command(add, add_run, add_sampling, _load, _sampling)

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
