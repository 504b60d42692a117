"""The commands of `tdmm` that turn motions into files and files into motions.

Like `cli`: arguments in, library calls, results printed.
"""

import sys

from tdmm_jax.errors import UserError


def add_commands(add, add_json, add_face_model, say) -> None:
  """Adds `render` and `export`.

  Args:
    add: (name, function, text) -> the command's parser.
    add_json, add_face_model: add those options to a parser.
    say: (args, lines, **content) prints a command's result.
  """

  def add_motion(name, function, text, **motion):
    command = add(name, function, text)
    command.set_defaults(say=say)
    command.add_argument("motion", metavar="MOTION", **motion)
    return command

  render = add_motion(
    "render", _render, "Render a face motion to a video.", help="any known layout"
  )
  render.add_argument("-o", "--output", required=True, help="clip.mp4 or clip.gif")
  render.add_argument(
    "--view", choices=("front", "three_quarter", "side"), default="front"
  )
  render.add_argument("--size", type=int, default=512, help="pixels (default: 512)")
  render.add_argument("--caption", help="text above the picture")
  render.add_argument(
    "--identity", action="store_true", help="with the motion's own identity"
  )
  add_face_model(render)
  add_json(render)

  export = add_motion(
    "export",
    _export,
    "Write a motion in a format that other tools open.",
    nargs="?",
    help="any known layout",
  )
  export.add_argument(
    "-o", "--output", metavar="FILE", help="its suffix says the format; see --list"
  )
  export.add_argument("--list", action="store_true", help="show the formats and stop")
  export.add_argument(
    "--light",
    action="store_true",
    help="GLB and USD without pose correctives; prints the error in mm",
  )
  export.add_argument(
    "--signed",
    action="store_true",
    help="GLB with weights of either sign: half the file, but Blender clamps them",
  )
  export.add_argument(
    "--mean_head", action="store_true", help="without the motion's own identity"
  )
  export.add_argument(
    "--fps", type=float, help="of a file that does not say it (default: 25)"
  )
  add_face_model(export)
  add_json(export)


def _render(args) -> None:
  from tdmm_jax.face import face_model, io
  from tdmm_jax.render import scene, video

  motion = io.load_motion(args.motion)
  face = face_model.load_face_model(args.face_model)
  if motion.face_model != face.name:
    raise UserError(
      f"{args.motion}: its coefficients belong to '{motion.face_model}', not to "
      f"'{face.name}'; give that model's file with --face_model"
    )
  if not 64 <= args.size <= 2048 or args.size % 2:
    raise UserError(f"--size {args.size}: give an even number from 64 to 2048")
  vertices = face_model.motion_vertices(face, motion, identity=args.identity)
  frames = scene.render_frames(face, vertices, (args.size, args.size), args.view)
  video.write_video(args.output, frames, motion.fps, args.caption)
  args.say(args, args.output, file=args.output, frames=len(frames), fps=motion.fps)


def _export(args) -> None:
  from tdmm_jax.export import files

  if args.list:
    lines = [f"{suffix:11} {what}" for suffix, what in files.FORMATS.items()]
    args.say(args, "\n".join(lines), formats=files.FORMATS)
    return
  if args.motion is None or args.output is None:
    raise UserError("export: give MOTION and -o FILE, or --list; see --help")
  files.format_of(args.output)
  from tdmm_jax.face import face_model, io

  motion = io.load_motion(args.motion, args.fps)
  face = face_model.load_face_model(args.face_model)
  said = files.export_motion(
    args.output, face, motion, args.light, not args.mean_head, args.signed
  )
  if not (args.quiet or args.json):
    for sentence in said:
      print(f"tdmm: {sentence}", file=sys.stderr)
  args.say(args, args.output, file=args.output, notes=said)
