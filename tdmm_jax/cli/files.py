"""The commands of `tdmm` that turn motions into files and files into motions."""

import logging

from tdmm_jax.cli import options, terminal
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file

_LOG = logging.getLogger(__name__)
# Those of render.scene, which takes seconds to import; a test compares the two.
VIEWS = (
  *("front", "three_quarter", "side", "three_quarter_right", "side_right"),
  *("face", "mouth"),
)


def add_commands(add) -> None:
  """Adds `render`, `export`, `cut`, `fit` and `retarget`; add: see `main`."""

  def add_motion(name, function, text, **motion):
    command = add(name, function, text)
    options.add_motion(command, **motion)
    return command

  render = add_motion(
    "render",
    _render,
    "Render motions to a video or a contact sheet.",
    nargs="+",
    help="any known layout; several are shown side by side",
  )
  render.add_argument(
    "-o", "--output", required=True, help="clip.mp4, clip.gif or sheet.png"
  )
  render.add_argument("--view", choices=VIEWS, default="front", help="(default: front)")
  render.add_argument("--size", type=int, default=512, help="pixels (default: 512)")
  render.add_argument("--caption", default="", help="text under the picture")
  render.add_argument(
    "--label", action="append", default=[], help="label above a motion; repeat for each"
  )
  render.add_argument("--video", metavar="FILE", help="a real video, shown first")
  render.add_argument("--audio", metavar="FILE", help="add the sound of a wav or mp4")
  render.add_argument("--wireframe", action="store_true", help="draw the mesh's edges")
  render.add_argument(
    "--error",
    action="store_true",
    help="colour the others by their distance to the first motion, with a bar in mm",
  )
  render.add_argument(
    "--error_max", type=float, metavar="MM", help="the end of the bar"
  )
  render.add_argument(
    "--frames", type=int, default=8, help="pictures in a row of a sheet (default: 8)"
  )
  render.add_argument(
    "--identity", action="store_true", help="with the motion's own identity"
  )
  options.add_face_model(render)
  options.add_json(render)

  export = add_motion(
    "export",
    _export,
    "Write a motion in a format that other tools open.",
    nargs="?",
    help="any known layout",
  )
  export.add_argument(
    "-o", "--output", metavar="FILE", help="its suffix chooses the format; see --list"
  )
  export.add_argument("--list", action="store_true", help="list the formats and exit")
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
  options.add_face_model(export)
  options.add_json(export)

  cut = add_motion(
    "cut", _cut, "Cut some frames out of a motion.", help="any known layout"
  )
  cut.add_argument(
    "--frames", required=True, metavar="A-B", help="frames A to B - 1 of 25 a second"
  )
  cut.add_argument("-o", "--output", default="cut.npz", help="default: cut.npz")
  options.add_json(cut)

  fit = add("fit", _fit, "Fit a motion to meshes, ARKit curves, landmarks or a video.")
  fit.add_argument(
    "source",
    nargs="+",
    metavar="SOURCE",
    help="a folder of .obj or .ply (the face model's topology), such files, an npz of "
    "vertices, ARKit's csv, an npz of mediapipe landmarks, or a video",
  )
  fit.add_argument("-o", "--output", required=True, help="motion.npz")
  fit.add_argument("--fps", type=float, help="of meshes (default: 25), or of a csv")
  fit.add_argument(
    "--scale", type=float, default=1.0, help="metres per unit of the meshes"
  )
  fit.add_argument(
    "--mean_head", action="store_true", help="do not fit the meshes' identity"
  )
  fit.add_argument(
    "--neutral",
    metavar="FRAMES|FILE",
    help="of landmarks: frames A-B in which the face rests, or a landmark file of the "
    "same person at rest",
  )
  fit.add_argument(
    "--person",
    nargs="+",
    default=[],
    metavar="FILE",
    help="more landmark files of the same person, to know identity and rest by",
  )
  fit.add_argument(
    "--face_model",
    default=head_file.DEFAULT,
    metavar="FILE",
    help="the model to fit: generic_model.pkl, flame2023.pkl or default_v1 "
    f"(default: {head_file.DEFAULT})",
  )
  options.add_json(fit)

  retarget = add_motion(
    "retarget",
    _retarget,
    "Carry a motion over to another face model (FLAME, or back), or to a character.",
    help="any known layout",
  )
  retarget.add_argument(
    "-o",
    "--output",
    required=True,
    help="motion.npz; of a character a file of its kind",
  )
  target = retarget.add_mutually_exclusive_group(required=True)
  target.add_argument(
    "--face_model",
    metavar="FILE",
    help=f"the model to move: generic_model.pkl, flame2023.pkl or {head_file.DEFAULT}",
  )
  target.add_argument(
    "--character",
    metavar="FILE",
    help="the .glb, .vrm or .gltf to move: a head with ARKit's blend shapes or VRM's "
    "expressions",
  )
  retarget.add_argument(
    "--eyes",
    choices=("auto", "shapes", "bones", "both"),
    default="auto",
    help="what turns the character's eyes (default: auto)",
  )
  retarget.add_argument(
    "--from",
    dest="source",
    metavar="FILE",
    help="the motion's own model, where that is FLAME",
  )
  options.add_json(retarget)


def _render(args) -> None:
  from tdmm_jax.render import clip

  style = clip.Style(
    view=args.view,
    size=args.size,
    identity=args.identity,
    wireframe=args.wireframe,
    error=args.error,
    error_max_mm=args.error_max,
    caption=args.caption,
    labels=tuple(args.label),
    sheet_frames=args.frames,
  )
  clip.check(args.output, style, len(args.motion), args.audio)
  from tdmm_jax.face import load_model
  from tdmm_jax.face.files import read
  from tdmm_jax.face.fit import between_heads

  motions = [read.load_motion(path, args.fps, args.layout) for path in args.motion]
  face = load_model.load_for(motions[0], args.face_model)
  for i, (path, motion) in enumerate(zip(args.motion, motions)):
    if {motion.face_model, face.name} <= set(head_file.NAMES):
      motions[i] = between_heads.adopt(motion, face.name, path)
    elif motion.face_model != face.name:
      raise UserError(
        f"{path}: its coefficients belong to '{motion.face_model}', not to "
        f"'{face.name}'; give that model's file with --face_model"
      )
  done = clip.render(args.output, face, motions, style, args.video, args.audio)
  _LOG.info("%d frames, %.0f frames/s", done["frames"], done["frames_per_s"])
  for path, mean, most in zip(
    args.motion[1:], done.get("error_mm", []), done.get("error_max_mm", [])
  ):
    terminal.note(args, f"{path}: {mean:.3f} mm mean, {most:.3f} mm max")
  terminal.result(args, args.output, **done)


def _export(args) -> None:
  from tdmm_jax.export import files

  if args.list:
    lines = [f"{suffix:11} {what}" for suffix, what in files.FORMATS.items()]
    terminal.result(args, "\n".join(lines), formats=files.FORMATS)
    return
  if args.motion is None or args.output is None:
    raise UserError("export: give MOTION and -o FILE, or --list; see --help")
  files.format_of(args.output)
  from tdmm_jax.face import load_model

  motion = options.read_motion(args)
  face = load_model.load_for(motion, args.face_model)
  said = files.export_motion(
    args.output, face, motion, args.light, not args.mean_head, args.signed
  )
  terminal.note(args, *said)
  terminal.wrote(args, notes=said)


def _cut(args) -> None:
  from tdmm_jax.export import save
  from tdmm_jax.face import motion as motion_lib
  from tdmm_jax.generate import editing

  start, stop = editing.parse_frames(args.frames)
  motion = options.read_motion(args)
  editing.check_frames(motion, start, stop)
  save.save(motion_lib.trim(motion, start, stop), args.output)
  terminal.wrote(args, frames=[start, stop])


def _fit(args) -> None:
  options.check_suffix(args.output, ".npz", "a motion")
  if not args.scale > 0 or (args.fps is not None and not 1 <= args.fps <= 1000):
    raise UserError("--scale must be above 0 and --fps from 1 to 1000; see --help")
  from tdmm_jax.face import load_model
  from tdmm_jax.face import motion as motion_lib
  from tdmm_jax.face.fit import sources

  face = load_model.load_face_model(args.face_model)
  made, said = sources.fit_source(
    args.source,
    face,
    args.face_model,
    args.fps,
    args.scale,
    not args.mean_head,
    neutral=args.neutral,
    person=args.person,
  )
  motion_lib.save_motion(args.output, made)
  terminal.note(args, said)
  terminal.wrote(args, frames=made.num_frames, fps=made.fps, fit=said)


def _retarget(args) -> None:
  if args.character is not None:
    _retarget_character(args)
    return
  if args.eyes != "auto":
    raise UserError("--eyes: is for a --character")
  options.check_suffix(args.output, ".npz", "a motion")
  from tdmm_jax.face import motion as motion_lib
  from tdmm_jax.face.fit import retarget

  motion = options.read_motion(args)
  made = retarget.between_files(motion, args.face_model, args.source, args.motion)
  motion_lib.save_motion(args.output, made)
  terminal.wrote(args, frames=made.num_frames, face_model=made.face_model)


def _retarget_character(args) -> None:
  from tdmm_jax.export import character
  from tdmm_jax.face import load_model

  motion = options.read_motion(args)
  face = load_model.own_model(motion, args.source, args.motion)
  said = character.write_motion(args.output, args.character, face, motion, args.eyes)
  terminal.note(args, *said)
  terminal.wrote(args, frames=motion.num_frames, notes=said)
