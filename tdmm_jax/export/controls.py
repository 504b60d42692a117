"""What can be moved in a character's glTF: blend shapes, VRM's expressions, bones.

Only names and numbers of the JSON are read; meshes may be compressed in any way.

Sources: the glTF 2.0 specification (mesh.extras.targetNames in its implementation note
on morph targets); the VRM 0.x and VRMC_vrm 1.0 specifications.
"""

import dataclasses
import re

from tdmm_jax.face.arkit import SHAPES

# VRM's presets -> ARKit's weights of such a face; `#` stands for both sides.
_PRESETS_BOTH_SIDES = {
  "happy": {"MouthSmile#": 0.9, "CheekSquint#": 0.6, "EyeSquint#": 0.3},
  "angry": {"BrowDown#": 0.9, "NoseSneer#": 0.4, "MouthPress#": 0.4},
  "sad": {"BrowInnerUp": 0.8, "MouthFrown#": 0.7, "MouthShrugLower": 0.3},
  "relaxed": {"MouthSmile#": 0.4, "EyeBlink#": 0.3},
  "surprised": {
    **{"BrowInnerUp": 0.7, "BrowOuterUp#": 0.8},
    **{"EyeWide#": 0.8, "JawOpen": 0.3},
  },
  "aa": {"JawOpen": 0.6, "MouthLowerDown#": 0.2, "MouthUpperUp#": 0.15},
  "ih": {"JawOpen": 0.2, "MouthStretch#": 0.4, "MouthLowerDown#": 0.25},
  "ou": {"JawOpen": 0.15, "MouthPucker": 0.8, "MouthFunnel": 0.2},
  "ee": {"JawOpen": 0.3, "MouthStretch#": 0.25, "MouthLowerDown#": 0.4},
  "oh": {"JawOpen": 0.4, "MouthFunnel": 0.7},
  "blink": {"EyeBlink#": 1.0},
  "blinkLeft": {"EyeBlinkLeft": 1.0},
  "blinkRight": {"EyeBlinkRight": 1.0},
  "lookUp": {"EyeLookUp#": 1.0},
  "lookDown": {"EyeLookDown#": 1.0},
  "lookLeft": {"EyeLookOutLeft": 1.0, "EyeLookInRight": 1.0},
  "lookRight": {"EyeLookInLeft": 1.0, "EyeLookOutRight": 1.0},
}
PRESETS = {
  name: {
    shape.replace("#", side): weight
    for shape, weight in mix.items()
    for side in (("Left", "Right") if "#" in shape else ("",))
  }
  for name, mix in _PRESETS_BOTH_SIDES.items()
}
# VRM 0.x's names of them, in lower case without underscores.
_PRESETS_0 = {
  **{"joy": "happy", "sorrow": "sad", "fun": "relaxed"},
  **{"a": "aa", "i": "ih", "u": "ou", "e": "ee", "o": "oh"},
  **{"blinkl": "blinkLeft", "blinkr": "blinkRight"},
  **{name.lower(): name for name in PRESETS},
}
_BONES = {
  "head": ("head",),
  "leftEye": ("lefteye", "eyeleft", "leye", "eyel"),
  "rightEye": ("righteye", "eyeright", "reye", "eyer"),
}
_BETWEEN = re.compile(r"[^A-Za-z0-9]+")


@dataclasses.dataclass(frozen=True)
class Control:
  """Something with a weight in 0 .. 1.

  Attributes:
    name: the file's.
    meaning: one of SHAPES, of STAND_INS or of PRESETS.
    binds: (node, target, weight at 1).
    binary: only ever 0 or 1.
  """

  name: str
  meaning: str
  binds: tuple[tuple[int, int, float], ...]
  binary: bool = False

  @property
  def exact(self) -> bool:
    return self.meaning in SHAPES


def _squashed(name: str) -> str:
  return _BETWEEN.sub("", name).lower()


def _spellings() -> tuple[dict[str, dict[str, float]], dict[str, str]]:
  """The stand-ins, and squashed name -> shape or stand-in."""
  stand_ins, known = {}, {shape.lower(): shape for shape in SHAPES}
  for shape in SHAPES:
    for side in ("Left", "Right"):
      base = shape.removesuffix(side)
      if shape != base:
        known[f"{base}{side[0]}".lower()] = shape
        # MouthLeft and MouthRight are no two halves of one, nor are the eyes' In's.
        if base not in ("Jaw", "Mouth", "EyeLookIn", "EyeLookOut"):
          stand_ins[base] = {f"{base}Left": 0.5, f"{base}Right": 0.5}
          known[base.lower()] = base
  for shape in ("BrowInnerUp", "CheekPuff"):
    for side in ("Left", "Right"):
      stand_ins[f"{shape}{side}"] = {shape: 1.0}
      known[f"{shape}{side}".lower()] = known[f"{shape}{side[0]}".lower()] = (
        f"{shape}{side}"
      )
  return stand_ins, known


# What is like ARKit's shapes -> the share that it takes of each one's weight.
STAND_INS, _KNOWN = _spellings()


def meaning_of(name: str) -> str | None:
  """What an ARKit name in any common spelling means: one of SHAPES or STAND_INS.

  Case, underscores and a prefix before a separator do not matter: jawOpen, JawOpen,
  jaw_open, blendShape1.jawOpen; a side may be Left, _L or .L. None for any other name,
  and for a correction of two shapes together (eyeBlink_L_eyeSquint_L).
  """
  for start in (0, *(m.end() for m in _BETWEEN.finditer(name))):
    meaning = _KNOWN.get(_squashed(name[start:]))
    if meaning:
      return None if start and meaning_of(name[:start]) else meaning
  return None


def target_names(mesh: dict) -> list[str]:
  """Names of a mesh's morph targets; "" for one without."""
  first = mesh["primitives"][0]
  count = len(first.get("targets", ()))
  for holder in (mesh, *mesh["primitives"]):
    extras = holder.get("extras")
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    if isinstance(names, list) and names:
      return ([str(name) for name in names] + [""] * count)[:count]
  return [""] * count


def nodes_of_mesh(document: dict, mesh: int) -> list[int]:
  nodes = document.get("nodes", ())
  return [i for i, node in enumerate(nodes) if node.get("mesh") == mesh]


def of_targets(document: dict) -> list[Control]:
  """Morph targets with ARKit's names; a stand-in only where its mesh has no better."""
  controls = []
  for number, mesh in enumerate(document.get("meshes", ())):
    nodes = nodes_of_mesh(document, number)
    here = []
    for index, name in enumerate(target_names(mesh)):
      if nodes and (meaning := meaning_of(name)):
        binds = tuple((node, index, 1.0) for node in nodes)
        here.append(Control(name, meaning, binds))
    controls += _without_doubles(here)
  return controls


def of_expressions(document: dict) -> tuple[list[Control], list[Control]]:
  """VRM's expressions that move morph targets: those by ARKit's names, and presets."""
  named, presets = [], {}
  for name, preset, binds, binary in _expressions(document):
    if not binds:
      continue
    if preset in PRESETS:
      presets.setdefault(preset, Control(name, preset, tuple(binds), binary))
    elif meaning := meaning_of(name):
      named.append(Control(name, meaning, tuple(binds), binary))
  if {"blinkLeft", "blinkRight"} <= presets.keys():
    presets.pop("blink", None)
  return _without_doubles(named), list(presets.values())


def _without_doubles(controls: list[Control]) -> list[Control]:
  """The first of each meaning; a stand-in only for shapes that no other has."""
  first = {}
  for control in controls:
    first.setdefault(control.meaning, control)
  return [
    control
    for meaning, control in first.items()
    if control.exact or not STAND_INS[meaning].keys() & first.keys()
  ]


def _expressions(document: dict):
  """Yields name, preset of VRM 1.0 or "", binds, binary, of either version."""
  extensions = document.get("extensions", {})
  one = extensions.get("VRMC_vrm", {}).get("expressions", {})
  for group in ("preset", "custom"):
    for name, about in one.get(group, {}).items():
      binds = [
        (bind["node"], bind["index"], float(bind.get("weight", 1.0)))
        for bind in about.get("morphTargetBinds", ())
      ]
      preset = name if group == "preset" else ""
      yield name, preset, binds, bool(about.get("isBinary"))
  zero = extensions.get("VRM", {}).get("blendShapeMaster", {})
  for about in zero.get("blendShapeGroups", ()):
    binds = [
      (node, bind["index"], float(bind.get("weight", 100.0)) / 100.0)
      for bind in about.get("binds") or ()
      for node in nodes_of_mesh(document, bind["mesh"])
    ]
    name = str(about.get("name", ""))
    preset = _PRESETS_0.get(_squashed(str(about.get("presetName", ""))), "")
    if not preset and _squashed(name) == "surprised":  # 0.x has no preset for it
      preset = "surprised"
    yield name, preset, binds, bool(about.get("isBinary"))


def gaze_of_vrm(document: dict) -> str | None:
  """What a VRM says that turns its eyes: "bones", "shapes", or None."""
  extensions = document.get("extensions", {})
  one = extensions.get("VRMC_vrm", {}).get("lookAt", {}).get("type")
  zero = extensions.get("VRM", {}).get("firstPerson", {}).get("lookAtTypeName")
  kind = str(one or zero or "").lower()
  return {"bone": "bones", "expression": "shapes", "blendshape": "shapes"}.get(kind)


def faces_backwards(document: dict) -> bool:
  """VRM 0.x looks along -z; VRM 1.0 and glTF along +z."""
  extensions = document.get("extensions", {})
  return "VRM" in extensions and "VRMC_vrm" not in extensions


def bones(document: dict) -> dict[str, int]:
  """Nodes of "head", "leftEye", "rightEye", those that are there.

  VRM's humanoid says which; else names do: first those of a skin's joints, and the
  name alone before one with a prefix (mixamorig:Head). A skinned mesh is no bone.
  """
  extensions = document.get("extensions", {})
  human = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
  named = {name: about["node"] for name, about in human.items()}
  human = extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", ())
  named |= {b["bone"]: b["node"] for b in human if b["node"] >= 0}
  joints = {j for skin in document.get("skins", ()) for j in skin["joints"]}
  chosen = {}
  for bone, spellings in _BONES.items():
    best = (9, 0)
    for number, node in enumerate(document.get("nodes", ())):
      rank = _rank(str(node.get("name", "")), spellings)
      if rank is None or "skin" in node:
        continue
      other = 0 if number in joints else 2 if "mesh" not in node else 4
      best = min(best, (rank + other, number))
    if bone in named:
      chosen[bone] = named[bone]
    elif best[0] < 9:
      chosen[bone] = best[1]
  return chosen


def _rank(name: str, spellings: tuple[str, ...]) -> int | None:
  if _squashed(name) in spellings:
    return 0
  rests = (name[m.end() :] for m in _BETWEEN.finditer(name))
  return 1 if any(_squashed(rest) in spellings for rest in rests) else None
