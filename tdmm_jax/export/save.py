"""Saves a motion as a file; the suffix chooses the kind.

| suffix | what is written |
|---|---|
| .mp4, .gif, .png | a video of the face, or a contact sheet of it |
| .npz | the motion itself, which every command reads |
| .glb, .usd, .csv, .obj, ... | what `export.files.FORMATS` lists |
| .glb, .vrm, .gltf, with `character` | somebody's character, animated |
"""

import pathlib

from tdmm_jax.errors import UserError
from tdmm_jax.export import flame_layouts
from tdmm_jax.face import head_file
from tdmm_jax.face import motion as motion_lib

PICTURES = (".mp4", ".gif", ".png")


def save(motion: motion_lib.FaceMotion, path, face_model=None, character=None) -> None:
  """Writes the motion; the file appears when it is complete.

  Args:
    motion: FaceMotion.
    path: its suffix chooses the kind; see the table above.
    face_model: the FaceModel of the motion's coefficients; needed to draw a motion
      that is not in the default head's basis.
    character: a .glb, .vrm or .gltf to write with the motion as one more animation;
      see `export.character`, whose `write_motion` also tells what the file lacks.

  Raises:
    UserError: unknown suffix, a broken motion, no face model, no folder to write to; a
      character with nothing that can be moved.
  """
  path = pathlib.Path(path)
  if character is not None:
    from tdmm_jax.export import character as character_lib

    face = _face_of(motion, path, face_model)
    character_lib.write_motion(path, character, face, motion)
    return
  name = path.name.lower()
  if name.endswith(".npz") and not name.endswith((".smirk.npz", ".flame.npz")):
    motion_lib.save_motion(path, motion)
    return
  from tdmm_jax.export import files  # it reaches JAX and the renderer

  if path.suffix.lower() in PICTURES:
    from tdmm_jax.render import clip

    clip.render(path, _face_of(motion, path, face_model), [motion])
    return
  suffix = files.format_of(path, others=PICTURES)
  if suffix in (".smirk.npz", ".flame.npz"):  # coefficients as they are: nothing drawn
    flame_layouts.write_layout(path, motion, suffix.split(".")[1])
    return
  files.export_motion(path, _face_of(motion, path, face_model), motion)


def _face_of(motion, path, face_model):
  if face_model is not None:
    return face_model
  if motion.face_model not in head_file.NAMES:
    raise UserError(
      f"{path}: the motion is in basis '{motion.face_model}', whose model file is "
      "needed to draw it; load it with tdmm_jax.face.load_model.load_face_model and "
      "give it as face_model"
    )
  from tdmm_jax.face import load_model

  return load_model.load_face_model(motion.face_model)


# A method for users, attached here, so that `face` knows nothing of formats.
motion_lib.FaceMotion.save = save
