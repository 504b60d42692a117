"""The commands of `tdmm` that make motion: generate, edit, inbetween, continue."""

import logging
import pathlib
import sys
import time

from tdmm_jax.cli import options, terminal
from tdmm_jax.errors import UserError
from tdmm_jax.language import examples

_LOG = logging.getLogger(__name__)
MAX_NUM = 10_000  # variants of one prompt; they are written while they are made


def add_commands(add) -> None:
  """Adds `generate`, `edit`, `continue` and `inbetween`; add: see `main`."""
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
    "--key",
    metavar="TIME:POSE",
    action="append",
    default=[],
    help="a pose to be met at a time, s; as often as you like: 0:neutral, "
    "2.0:pose.npz@17 (frame 17 of a motion, or a row of ARKit weights, take.csv@17), "
    '3.5:"eyes closed" (a few words). A pose is of the whole face, head and eyes; '
    "the motion is led to it and back within 0.4 s to each side, a second if it is far",
  )
  generate.add_argument(
    "--strict",
    action="store_true",
    help="refuse prompts with words that are not known, contradict or do not fit",
  )
  generate.add_argument(
    "--rewrite",
    action="store_true",
    help="first have a language model put the prompt, in any language, into plain "
    "words; sends it to an OpenAI-compatible endpoint and shows what was sent",
  )
  generate.add_argument(
    "--rewrite_url",
    metavar="URL",
    help="the endpoint (default: OPENAI_BASE_URL, or OpenAI's); its key, if it wants "
    "one, is OPENAI_API_KEY",
  )
  generate.add_argument(
    "--rewrite_model",
    metavar="NAME",
    help="the endpoint's model (default: OPENAI_MODEL)",
  )
  generate.add_argument(
    "--face_model",
    metavar="FILE",
    help="write it for this face model: generic_model.pkl or flame2023.pkl (default: "
    "the run's own)",
  )
  options.add_sampling(generate)
  generate.add_argument("--out", default=".", help="output directory (default: .)")
  options.add_run(generate)
  options.add_json(generate)

  edit = add(
    "edit",
    _edit,
    "Make some frames of a motion anew, or some parts of the face; copy the others.",
  )
  options.add_motion(edit, help="npz, or SMIRK's pickle")
  edit.add_argument("prompt", metavar="PROMPT", help="what the face does there")
  edit.add_argument(
    "--frames",
    metavar="A-B",
    help="frames A to B - 1, as 40-80; with --keep all of them by default",
  )
  edit.add_argument(
    "--keep",
    action="append",
    default=[],
    metavar="PART",
    help="head, face, lips or upper: a part that stays as it is in the new frames, "
    "too; repeat it for two. head: "
    "its turns are copied, the face is new. face: the other way round. lips: jaw and "
    "lips stay, for dubbing, and brows, lids, gaze and head are new. upper: lids and "
    "gaze are copied and brows stay, mouth and head are new",
  )
  options.add_sampling(edit)
  edit.add_argument("-o", "--output", default="edited.npz", help="default: edited.npz")
  options.add_run(edit)
  options.add_json(edit)

  go_on = add("continue", _continue, "Make a motion longer; what is there is copied.")
  options.add_motion(go_on, help="npz, or SMIRK's pickle")
  go_on.add_argument(
    "prompt", nargs="?", metavar="PROMPT", help="default: the motion's own description"
  )
  go_on.add_argument(
    "--seconds", type=float, default=4.0, help="how much is added (default: 4)"
  )
  options.add_sampling(go_on)
  go_on.add_argument(
    "-o", "--output", default="continued.npz", help="default: continued.npz"
  )
  options.add_run(go_on)
  options.add_json(go_on)

  between = add(
    "inbetween",
    _inbetween,
    "Join two motions by new frames. Writes the first, the new frames, the second, as "
    "one motion; both are copied.",
  )
  between.add_argument("first", metavar="A", help="npz, or SMIRK's pickle")
  between.add_argument("second", metavar="B", help="likewise; takes A's identity")
  options.add_reading(between)
  between.add_argument(
    "prompt", metavar="PROMPT", help="what the face does between A and B"
  )
  between.add_argument(
    "--seconds", type=float, default=2.0, help="between A and B (default: 2)"
  )
  options.add_sampling(between)
  between.add_argument(
    "-o", "--output", default="joined.npz", help="default: joined.npz"
  )
  options.add_run(between)
  options.add_json(between)


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
  if args.key and args.prompts:
    raise UserError("--key: for one PROMPT or --timeline; not with --prompts")
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


def _rewritten(args, requests):
  """The requests with prompts that an endpoint put into other words, if asked for.

  Returns:
    the requests; {prompt now: prompt before}.
  """
  if not args.rewrite:
    if args.rewrite_url or args.rewrite_model:
      raise UserError("--rewrite_url, --rewrite_model: give --rewrite too")
    return requests, {}
  if args.timeline:
    raise UserError("--rewrite: not with --timeline; rewrite its prompts one by one")
  from tdmm_jax.generate import rewriting

  place = rewriting.endpoint_of(args.rewrite_url, args.rewrite_model)
  prompts = list(dict.fromkeys(prompt for _, prompt, _ in requests))
  if not args.quiet:
    for prompt in prompts:
      print(f"tdmm: sent to {place.url}: {prompt}", file=sys.stderr)
  now = {one.sent: one for one in rewriting.rewrite(prompts, place)}
  for one in now.values():
    if one.prompt != one.sent and not args.quiet:
      print(f"tdmm: rewritten as: {one.prompt}", file=sys.stderr)
    for warning in one.warnings:
      _LOG.warning(warning)
  requests = [(name, now[p].prompt, seconds) for name, p, seconds in requests]
  return requests, {one.prompt: one.sent for one in now.values()}


def _generate(args) -> None:
  requests, before = _rewritten(args, _requests(args))
  names, prompts, seconds = zip(*requests)
  said = dict(zip(prompts, seconds))
  if args.timeline:
    from tdmm_jax.language import timeline

    segments = timeline.parse(args.timeline)
    said = {s.prompt: s.stop_s - s.start_s for s in segments}
  if args.strict:
    from tdmm_jax.language import understanding

    for prompt, length in said.items():
      understanding.refuse_doubtful(prompt, length)
  if args.face_model and args.prompts:
    raise UserError(
      "--face_model: not with --prompts; carry the files over with tdmm retarget"
    )
  from tdmm_jax.generate import keys as keys_lib

  keys = [keys_lib.parse(text) for text in args.key]
  face, sampling = options.load(args), options.sampling(args)
  on_model = _carrier(face, args.face_model)
  if keys:
    length = segments[-1].stop_s if args.timeline else args.seconds
    keys = _posed(args, face, keys, length)
  finish = lambda motion: on_model(keys_lib.lead(motion, keys, face.codec.std_P))
  start = time.perf_counter()
  files = [pathlib.Path(args.out) / f"{name}.npz" for name in names]
  from tdmm_jax.generate import batch

  if args.prompts:
    settings = face.sampling(**sampling)
    with terminal.progress(len(requests), "motions", args.quiet) as bar:
      batch.run(face, requests, args.out, args.seed, settings, bar.update)
  elif args.timeline:
    prompts, seconds = [args.timeline] * args.num, [segments[-1].stop_s] * args.num
    for seed, file in enumerate(files, start=args.seed):
      finish(face.timeline(segments, seed, **sampling)).save(file)
  elif args.takes > 1:
    for seed, (file, prompt) in enumerate(zip(files, prompts), start=args.seed):
      how = {"takes": args.takes, "keys": keys, **sampling}
      on_model(face.generate(prompt, args.seconds, seed, **how)).save(file)
  else:
    frames = [face.check_request(p, s) for p, s in zip(prompts, seconds, strict=True)]
    settings = face.sampling(**sampling)
    for codes in batch.draw(face, prompts, frames, args.seed, settings):
      motions = face.motions_of(codes, prompts, args.seed)
      for number, motion in zip(codes, motions, strict=True):
        finish(motion).save(files[number])
  _LOG.info("made %d motions in %.1f s", len(files), time.perf_counter() - start)
  told = {prompt: _say_understood(args, face, prompt, said[prompt]) for prompt in said}
  made = [
    {"file": str(f), "prompt": p, "seconds": s, "seed": args.seed}
    | ({"sent": before[p]} if p in before else {})
    | ({"keys": args.key} if args.key else {})
    | told.get(p, {})
    for f, p, s in zip(files, prompts, seconds)
  ]
  terminal.result(args, "\n".join(map(str, files)), motions=made)


def _posed(args, face, keys, seconds: float) -> list:
  """The keys with their poses; tells what was understood of those in words."""
  from tdmm_jax.generate import keys as keys_lib

  posed = keys_lib.posed(face, keys, face.check_request("keys", seconds))
  for key in keys:
    if isinstance(key.pose, str) and key.pose != keys_lib.NEUTRAL and not args.quiet:
      text = face.understand(key.pose, keys_lib.SECONDS).text
      print(f"tdmm: key {key.seconds:g} understood as: {text}", file=sys.stderr)
  return posed


def _carrier(face, spec: str | None):
  """What brings the run's motions to the face model asked for, if one is."""
  if spec is None:
    return lambda motion: motion
  from tdmm_jax.face import load_model
  from tdmm_jax.face.fit import retarget

  target = load_model.load_face_model(spec)
  return lambda motion: retarget.retarget(motion, face.codec.face, target)


def _edit(args) -> None:
  from tdmm_jax.generate import editing, keeping

  if not (args.frames or args.keep):
    raise UserError("--frames: say which frames are new, as 40-80, or what to --keep")
  keeping.checked(args.keep)
  frames = editing.parse_frames(args.frames) if args.frames else None
  motion = options.read_motion(args)
  start, stop = frames or (0, motion.num_frames)
  where = (start, stop, args.seed, args.motion, args.keep)
  face = options.load(args)
  edited = face.edit(motion, args.prompt, *where, **options.sampling(args))
  told = _say_understood(args, face, args.prompt, (stop - start) / motion.fps)
  edited.save(args.output)
  kept = {"keep": args.keep} if args.keep else {}
  terminal.wrote(args, prompt=args.prompt, frames=[start, stop], **kept, **told)


def _continue(args) -> None:
  motion = options.read_motion(args)
  what = (args.seconds, args.prompt, args.seed, args.motion)
  face = options.load(args)
  longer = face.extend(motion, *what, **options.sampling(args))
  told = _say_understood(args, face, args.prompt, args.seconds) if args.prompt else {}
  longer.save(args.output)
  length = longer.num_frames / longer.fps
  terminal.wrote(args, prompt=args.prompt, seconds=length, **told)


def _inbetween(args) -> None:
  from tdmm_jax.face.files import read

  names = (args.first, args.second)
  motions = [read.load_motion(name, args.fps, args.layout) for name in names]
  face = options.load(args)
  what = (args.seconds, args.prompt, args.seed, names)
  whole = face.inbetween(*motions, *what, **options.sampling(args))
  _say_understood(args, face, args.prompt, args.seconds)
  if not face.knows_endings:
    _LOG.warning(
      "%s was not taught to lead into what comes after (config.told_ending); it is "
      "joined to B by a blend",
      face.name,
    )
  whole.save(args.output)
  new = [motions[0].num_frames, whole.num_frames - motions[1].num_frames]
  terminal.wrote(args, prompt=args.prompt, frames=new)


def _say_understood(args, face, prompt: str, seconds: float) -> dict:
  """Tells what was understood of a prompt; what --json says of it."""
  text, warnings = face.understand(prompt, seconds)
  if text and not args.quiet:
    print(f"tdmm: understood as: {text}", file=sys.stderr)
  for warning in warnings:
    _LOG.warning(warning)
  return {"understood": text, "warnings": warnings}
