"""Adds a motion to somebody's character: a glTF 2.0 or VRM head, animated in place.

Nothing of the file changes but for one more animation and the numbers that it needs at
the end of the buffer; see `controls` for what is looked for.

Shape letters: T frames, A 52 shapes, K morph targets of a mesh, P expressions.
"""

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.export import controls, gltf
from tdmm_jax.export.controls import Control
from tdmm_jax.face import arkit, motion
from tdmm_jax.face.arkit import SHAPES, ArkitCurves
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.files import gltf_motion
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

EYES = ("auto", "shapes", "bones", "both")
_LOOKS = np.array([shape.startswith("EyeLook") for shape in SHAPES])
# Where several expressions would do, the smaller weights.
_RIDGE = 1e-2
_STILL_RAD = 1e-3  # what is turned less is not worth a word
_TRS = ("translation", "rotation", "scale")


@dataclasses.dataclass
class _Character:
  """A file's JSON, what surrounds it, and what can be moved in it.

  Attributes:
    name: the file's.
    document: the JSON.
    data: the binary chunk, if there is one; others: (kind, content) of further ones.
    binary: a .glb or .vrm, not a .gltf.
    direct: what has ARKit's names; presets: VRM's expressions.
  """

  name: str
  document: dict
  data: bytes | None
  others: Sequence[tuple[bytes, bytes]]
  binary: bool
  direct: list[Control] = ()
  presets: list[Control] = ()


def write_motion(
  path: str | os.PathLike,
  character: str | os.PathLike,
  face: FaceModel,
  clip: FaceMotion,
  eyes: str = "auto",
) -> list[str]:
  """`write` of the ARKit curves that are fitted to a motion.

  Args:
    face: the motion's own face model.
    clip: T frames.
  """
  opened = _open(path, character, eyes)  # the fit takes a while
  curves, fit = arkit.from_motion(face, clip)
  return [
    f"ARKit fit: off by {fit['residual_mm']:.2f} mm in the mean; the face moves "
    f"{fit['motion_mm']:.2f} mm in the mean",
    *_animate(path, opened, curves, eyes),
  ]


def write(
  path: str | os.PathLike,
  character: str | os.PathLike,
  curves: ArkitCurves,
  eyes: str = "auto",
) -> list[str]:
  """Writes a character with one more animation, linear, a key a frame.

  Args:
    path: the file to write, of the character's kind; an existing one is replaced.
    character: .glb, .vrm or .gltf whose face looks along +z (VRM 0.x: -z), with morph
      targets by ARKit's names or VRM's expressions.
    curves: T frames.
    eyes: what turns the eyes: "shapes" (EyeLook..., VRM's look...), "bones", or "both",
      for shapes that move nothing but the lids; "auto": what a VRM says itself, else
      shapes where there are any, else bones.

  Returns:
    Sentences to show: what is driven, what stands in for what, what is missing.

  Raises:
    UserError: not a glTF, nothing known in it, a name of another kind of file, or
      files beside it that would be lost.
  """
  return _animate(path, _open(path, character, eyes), curves, eyes)


def _open(path, character, eyes) -> _Character:
  """The character, after everything that can be wrong with the request."""
  _check(path, character, eyes)
  opened = _read(os.fspath(character))
  _check_kind(path, opened)
  with _damage_told(opened.name):
    opened.direct, opened.presets = _controls(opened.document)
    if not opened.direct and not opened.presets:
      raise UserError(f"{character}: {_nothing_known(opened.document)}")
  return opened


@contextlib.contextmanager
def _damage_told(name):
  try:
    yield
  except (LookupError, TypeError, ValueError, AttributeError) as error:
    raise UserError(
      f"{name}: is damaged ({type(error).__name__}: {error}); export it again"
    ) from error


def _check(path, character, eyes) -> None:
  if eyes not in EYES:
    raise UserError(f"eyes: '{eyes}' is not known; give one of {', '.join(EYES)}")
  if not os.path.isfile(character):
    raise UserError(f"{character}: no such file; give a .glb, .vrm or .gltf")
  if not str(path).lower().endswith((".glb", ".vrm", ".gltf")):
    raise UserError(
      f"{path}: a character is written as it was read; end the name in .glb, .vrm or "
      ".gltf"
    )


def _read(path) -> _Character:
  if os.path.getsize(path) > motion.MAX_BYTES:
    raise UserError(f"{path}: larger than 1 GiB; export the head alone")
  content = pathlib.Path(path).read_bytes()
  binary = content[:4] == b"glTF"
  try:
    if binary:
      document, chunks = gltf_motion.split_glb(content)
      data = chunks.pop(0)[1] if chunks and chunks[0][0] == b"BIN\0" else None
    else:
      document, data, chunks = json.loads(content), None, ()
    if not str(document["asset"]["version"]).startswith("2."):
      raise ValueError("another version of glTF")
  except (LookupError, TypeError, ValueError, RecursionError) as error:
    raise UserError(
      f"{path}: is not a glTF 2.0 file, or damaged ({error}); export the character as "
      ".glb or .vrm (Blender: File > Export > glTF 2.0)"
    ) from error
  return _Character(path, document, data, chunks, binary)


def _check_kind(path, loaded: _Character) -> None:
  suffixes = (".glb", ".vrm") if loaded.binary else (".gltf",)
  if not str(path).lower().endswith(suffixes):
    raise UserError(
      f"{path}: {loaded.name} is a {'binary' if loaded.binary else 'text'} glTF; end "
      f"the name in {' or '.join(suffixes)}"
    )
  with _damage_told(loaded.name):
    beside = [
      item["uri"]
      for kind in ("buffers", "images")
      for item in loaded.document.get(kind, ())
      if "uri" in item and not item["uri"].startswith(("data:", "http"))
    ]
  folder = lambda name: pathlib.Path(name).absolute().parent.resolve()
  if beside and folder(path) != folder(loaded.name):
    raise UserError(
      f"{path}: {loaded.name} needs the files beside it ({beside[0]} ...); write into "
      "the same folder"
    )


def _animate(path, loaded: _Character, curves, eyes) -> list[str]:
  with _damage_told(loaded.name):
    document = dict(loaded.document)
    bones = controls.bones(document)
    driven = loaded.direct + loaded.presets
    eyes = _gaze(document, driven, bones, eyes)
    if eyes == "shapes":
      bones = {bone: node for bone, node in bones.items() if bone == "head"}
    wanted_TA = np.array(curves.weights_TA, np.float64)
    if eyes == "bones":
      wanted_TA[:, _LOOKS] = 0.0
    weights, share = _weights(wanted_TA, loaded.direct, loaded.presets)
    tracks = [
      *_weight_tracks(document, weights),
      *_turns(document, curves, bones),
    ]
    _append(path, loaded, document, tracks, curves.fps)
  names = {bone: document["nodes"][n].get("name", n) for bone, n in bones.items()}
  return _sentences(loaded, share, names, curves)


def _controls(document) -> tuple[list[Control], list[Control]]:
  """Those by ARKit's names, and VRM's presets."""
  targets = controls.of_targets(document)
  named, presets = controls.of_expressions(document)
  have = _shapes_of(targets)
  return targets + [c for c in named if not have & _shapes_of([c])], presets


def _mix(control: Control) -> dict[str, float]:
  if control.exact:
    return {control.meaning: 1.0}
  tables = controls.STAND_INS, controls.PRESETS
  return next(t[control.meaning] for t in tables if control.meaning in t)


def _shapes_of(some: list[Control]) -> set[str]:
  return {shape for control in some for shape in _mix(control)}


def _nothing_known(document) -> str:
  meshes = document.get("meshes", ())
  names = [name for mesh in meshes for name in controls.target_names(mesh)]
  if not names:
    has = "it has no morph targets"
  elif not any(names):
    has = f"its {len(names)} morph targets have no names (mesh.extras.targetNames)"
  else:
    some = ", ".join([name for name in names if name][:3])
    has = f"its {len(names)} morph targets ({some} ...) are not known"
  return (
    f"{has}; looked for ARKit's 52 shapes (jawOpen, mouthSmileLeft or mouthSmile_L, "
    "...) and VRM's expressions (happy, aa, blink, ...) with morph targets: name the "
    "head's so"
  )


def _gaze(document, driven, bones, eyes) -> str:
  if eyes != "auto":
    return eyes
  can = {
    "shapes": any(shape.startswith("EyeLook") for shape in _shapes_of(driven)),
    "bones": "leftEye" in bones or "rightEye" in bones,
  }
  asked = controls.gaze_of_vrm(document)
  if asked and can[asked]:
    return asked
  return "shapes" if can["shapes"] or not can["bones"] else "bones"


def _weights(wanted_TA, direct, presets) -> tuple[list, float]:
  """Each control with its weight over time, and the share that presets carry.

  A shape with a control of its own gets its curve. VRM's presets, whole faces, are
  fitted to the other curves, frame by frame with weights in 0 .. 1.
  """
  column = {shape: i for i, shape in enumerate(SHAPES)}
  rest_TA = wanted_TA.copy()
  weights = []
  for control in direct:
    mix = _mix(control)
    curve_T = sum(wanted_TA[:, column[shape]] * share for shape, share in mix.items())
    weights.append((control, curve_T))
    rest_TA[:, [column[shape] for shape in mix]] = 0.0
  if not presets:
    return weights, 0.0
  faces_PA = np.zeros((len(presets), len(SHAPES)))
  for row, control in enumerate(presets):
    for shape, weight in _mix(control).items():
      faces_PA[row, column[shape]] = weight
  system = np.concatenate([faces_PA.T, np.sqrt(_RIDGE) * np.eye(len(presets))])
  none = np.zeros(len(presets))
  fitted_TP = np.array(
    [
      scipy.optimize.lsq_linear(system, [*row, *none], (0.0, 1.0), method="bvls").x
      if row.any()
      else none
      for row in rest_TA
    ]
  )
  weights += zip(presets, fitted_TP.T)
  square = np.sum(rest_TA**2)
  left = np.sum((rest_TA - fitted_TP @ faces_PA) ** 2)
  return weights, float(1.0 - left / square) if square else 1.0


def _weight_tracks(document, weights) -> list[tuple]:
  """(node, "weights", float[T, K]); targets that nothing drives keep their weight."""
  meshes, nodes = document["meshes"], document["nodes"]
  tracks, driven = {}, set()
  for control, curve_T in weights:
    curve_T = (curve_T > 0.5) * 1.0 if control.binary else curve_T
    for node, target, weight in control.binds:
      if node not in tracks:
        mesh = meshes[nodes[node]["mesh"]]
        count = len(controls.target_names(mesh))
        still = nodes[node].get("weights") or mesh.get("weights") or [0.0] * count
        tracks[node] = np.tile(np.array(still, np.float64), (len(curve_T), 1))
      if (node, target) not in driven:
        tracks[node][:, target] = 0.0
        driven.add((node, target))
      tracks[node][:, target] += curve_T * weight
  for node, target in driven:
    tracks[node][:, target] = np.clip(tracks[node][:, target], 0.0, 1.0)
  return [(node, "weights", track_TK) for node, track_TK in sorted(tracks.items())]


def _turns(document, curves: ArkitCurves, bones: dict[str, int]) -> list[tuple]:
  """(node, "rotation", float[T, 4]): the rest turned as the motion's head in the world.

  An eye's is relative to the head, which carries it. A bone that is given by a matrix
  is rewritten as translation, rotation and scale, for only those can be animated.
  """
  angles = {
    "head": curves.head_T3,
    "leftEye": curves.eyes_T6[:, :3],
    "rightEye": curves.eyes_T6[:, 3:],
  }
  if bones:
    document["nodes"] = list(document["nodes"])
  tracks = []
  for bone, number in bones.items():
    turn_T3 = transform.Rotation.from_euler("YXZ", angles[bone]).as_rotvec()
    if controls.faces_backwards(document):
      turn_T3 = turn_T3 * [-1.0, 1.0, -1.0]
    above = _above(document, number)
    node = _without_matrix(document["nodes"][number])
    document["nodes"][number] = node
    rest = transform.Rotation.from_quat(node.get("rotation", [0.0, 0.0, 0.0, 1.0]))
    world_T33 = transform.Rotation.from_rotvec(turn_T3).as_matrix()
    local_T = (
      transform.Rotation.from_matrix(np.linalg.inv(above) @ world_T33 @ above) * rest
    )
    quaternions_T4 = local_T.as_quat()
    # q and -q are one rotation, but players go from key to key by the numbers.
    jumps = np.sum(quaternions_T4[1:] * quaternions_T4[:-1], axis=1) < 0
    quaternions_T4[1:] *= np.cumprod(np.where(jumps, -1.0, 1.0))[:, None]
    tracks.append((number, "rotation", quaternions_T4))
  return tracks


def _above(document, number: int) -> np.ndarray:
  """3 x 3 of all of a node's parents, scales included."""
  parents = {
    child: parent
    for parent, node in enumerate(document["nodes"])
    for child in node.get("children", ())
  }
  matrix = np.eye(3)
  for _ in document["nodes"]:  # not `while`: a damaged file may go in circles
    if number not in parents:
      break
    number = parents[number]
    node = _without_matrix(document["nodes"][number])
    turn = transform.Rotation.from_quat(
      node.get("rotation", [0.0, 0.0, 0.0, 1.0])
    ).as_matrix()
    matrix = turn @ np.diag(node.get("scale", [1.0, 1.0, 1.0])) @ matrix
  return matrix


def _without_matrix(node: dict) -> dict:
  if "matrix" not in node:
    return node
  matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T  # column-major
  scale = np.linalg.norm(matrix[:3, :3], axis=0)
  scale[0] *= np.sign(np.linalg.det(matrix[:3, :3]))
  turn = transform.Rotation.from_matrix(matrix[:3, :3] / scale).as_quat()
  parts = dict(zip(_TRS, (x.tolist() for x in (matrix[:3, 3], turn, scale))))
  return {key: value for key, value in node.items() if key != "matrix"} | parts


def _append(path, loaded: _Character, document, tracks, fps) -> None:
  """Writes the file with one more animation, its numbers after all others."""
  buffers = list(document.get("buffers", ()))
  grows = loaded.data is not None and buffers and "uri" not in buffers[0]
  buffer = 0 if grows else len(buffers)
  out = gltf.Writer(
    loaded.data if grows else b"",
    document.get("bufferViews", ()),
    document.get("accessors", ()),
    buffer,
  )
  times_T = np.arange(len(tracks[0][2]), dtype=np.float64) / fps
  clock = out.dense(times_T, gltf.FLOAT, bounds=True)
  channels, samplers = [], []
  for node, kind, values in tracks:
    width = 1 if kind == "weights" else values.shape[1]
    output = out.dense(values.reshape(-1, width), gltf.FLOAT)
    samplers.append({"input": clock, "interpolation": "LINEAR", "output": output})
    target = {"node": node, "path": kind}
    channels.append({"sampler": len(samplers) - 1, "target": target})
  animations = list(document.get("animations", ()))
  taken = [animation.get("name") for animation in animations]
  names = ("motion", *(f"motion_{i}" for i in range(2, len(taken) + 2)))
  name = next(name for name in names if name not in taken)
  animations.append({"name": name, "channels": channels, "samplers": samplers})
  if grows:
    buffers[0] = {**buffers[0], "byteLength": len(out.data)}
  else:
    code = base64.b64encode(out.data).decode()
    uri = f"data:application/octet-stream;base64,{code}"
    buffers.append({"byteLength": len(out.data), "uri": uri})
  document |= {
    "accessors": out.accessors,
    "bufferViews": out.views,
    "buffers": buffers,
    "animations": animations,
  }
  if loaded.binary:
    data = bytes(out.data) if grows else loaded.data
    gltf.write_container(path, document, data, loaded.others)
  else:
    files.write_text(path, json.dumps(document))


def _sentences(loaded: _Character, share, bones, curves) -> list[str]:
  spelt = lambda some: ", ".join(s[0].lower() + s[1:] for s in SHAPES if s in some)
  direct, presets = loaded.direct, loaded.presets
  exact = {control.meaning for control in direct if control.exact}
  have = _shapes_of(direct)
  said = [f"{loaded.name}: {len(exact)} of ARKit's {len(SHAPES)} shapes"]
  for control in direct:
    if replaced := _shapes_of([control]) - exact:
      said.append(f"{control.name} stands in for {spelt(replaced)}")
  if have and len(have) < len(SHAPES):
    said.append(f"missing: {spelt(set(SHAPES) - have)}")
  if presets and len(have) < len(SHAPES):
    said.append(
      f"VRM's {', '.join(control.meaning for control in presets)} are fitted to "
      f"{'the missing' if have else 'ARKit'} curves and carry {share:.0%} of their "
      "squares"
    )
  said += [f"{bone}: turns '{name}'" for bone, name in bones.items()]
  if "head" not in bones and np.abs(curves.head_T3).max() > _STILL_RAD:
    said.append("no bone called head: its rotation is left out")
  sees = len(bones) > 1 or any(
    shape.startswith("EyeLook") for shape in have | _shapes_of(presets)
  )
  if not sees and np.abs(curves.eyes_T6).max() > _STILL_RAD:
    said.append("no shapes and no bones of the eyes: the gaze is left out")
  return said
