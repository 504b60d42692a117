"""The command `tdmm describe`: a motion's sentence, answers, or action units."""

from tdmm_jax.cli import options, terminal
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.language import subjects


def add_command(add) -> None:
  """Adds `describe`; add: see `main`."""
  describe = add("describe", _describe, "Turn a face motion into a sentence.")
  options.add_motion(describe, help="npz, or SMIRK's pickle")
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
  options.add_face_model(describe)
  describe.add_argument(
    "--beams", type=int, default=1, help="beams of a beam search (default: 1, greedy)"
  )
  options.add_run(describe)
  options.add_json(describe)


def _describe(args) -> None:
  if args.timeline and not args.actions:
    raise UserError("--timeline: is the picture of --actions; give that too")
  motion = options.read_motion(args)
  if args.actions:
    _describe_actions(args, motion)
    return
  face = options.load(args)
  models = {motion.face_model, face.codec.face.name}
  if len(models) > 1 and not models <= set(head_file.NAMES):
    from tdmm_jax.face import load_model
    from tdmm_jax.face.fit import retarget

    own = load_model.own_model(motion, args.face_model, args.motion)
    motion = retarget.retarget(motion, own, face.codec.face, args.motion)
  about = {"where": args.motion, "subject": args.subject}
  text = face.describe(motion, args.question, args.beams, **about)
  content = {"motion": args.motion, "question": args.question, "text": text}
  if args.json:
    from tdmm_jax.language import lexicon

    content["attributes"] = lexicon.parse(text)
    families = face.emotions(motion, args.motion)
    content["families"] = {name: round(x, 4) for name, x in families.items()}
  terminal.result(args, text, **content)


def _describe_actions(args, motion) -> None:
  """The FACS reading; needs no trained run."""
  import dataclasses

  from tdmm_jax.face import facs, load_model

  if args.question is not None:
    raise UserError(
      "--actions: reads action units and answers no question; ask without"
    )
  face = load_model.load_for(motion, args.face_model)
  actions = facs.read_actions(motion, face)
  if args.timeline:
    from tdmm_jax.render import timeline

    timeline.write(args.timeline, actions, facs.tracks(motion, face), motion.fps)
  rows = [dataclasses.asdict(action) for action in actions]
  terminal.result(args, facs.table(actions), motion=args.motion, actions=rows)
