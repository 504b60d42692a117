"""Characters animated in place, read back by pygltflib and by hand."""

import json
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.export import character, controls, gltf
from tdmm_jax.face import arkit, load_model, motion

REPO = pathlib.Path(__file__).parents[2]
VALIDATE = """
const validator = require(process.argv[1]);
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes).then(r => console.log(JSON.stringify(r.issues)));
"""
FRAMES = 4
ROOT = Rotation.from_euler("xyz", [-90, 20, 10], degrees=True)
REST = Rotation.from_euler("xyz", [15, -40, 70], degrees=True)
FACE, BOX, HEAD, LEFT_EYE, TEETH = 1, 2, 4, 5, 7  # nodes
# One pixel, so that a texture is in the buffer.
PNG = bytes.fromhex(
  "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944"
  "4154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def mesh(out, names, holder="mesh", **more):
  """A triangle with a target for each name."""
  rng = np.random.default_rng(len(names))
  row = lambda: out.dense(rng.normal(size=(3, 3)), gltf.FLOAT, bounds=True)
  primitive = {"attributes": {"POSITION": row()}, "material": 0}
  primitive["targets"] = [{"POSITION": row()} for _ in names]
  made = {"primitives": [primitive], **more}
  (made if holder == "mesh" else primitive)["extras"] = {"targetNames": names}
  return made


def build(names, **extensions):
  """JSON and data: a face under a turned, scaled root, and things beside it."""
  out = gltf.Writer(b"")
  pixels = out.view(np.frombuffer(PNG, np.uint8))
  quaternion = lambda turn: turn.as_quat().tolist()
  document = {
    "asset": {"version": "2.0", "generator": "a test", "extras": {"name": "Zoë"}},
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [
      {"name": "root", "rotation": quaternion(ROOT), "scale": [2, 2, 2]}
      | {"children": [FACE, BOX, 3, TEETH], "translation": [1, 2, 3]},
      {"name": "Head", "mesh": 0},
      {"name": "box", "mesh": 1},
      {"name": "Spine", "children": [HEAD], "rotation": quaternion(REST * ROOT)},
      {"name": "Rig_Head", "children": [5, 6], "rotation": quaternion(REST)},
      {"name": "Rig_eye_L", "rotation": quaternion(REST)},
      {"name": "Rig_eye_R"},
      {"name": "teeth", "mesh": 2},
    ],
    "meshes": [
      mesh(out, names, weights=[0.25] * len(names)),
      mesh(out, ["fat"]),
      mesh(out, ["", "Teeth.jaw_open"], holder="primitive"),
    ],
    "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    "textures": [{"source": 0}],
    "images": [{"bufferView": pixels, "mimeType": "image/png"}],
    "animations": [
      {
        "name": "motion",
        "channels": [{"sampler": 0, "target": {"node": BOX, "path": "translation"}}],
        "samplers": [
          {
            "input": out.dense([0.0, 1.0], gltf.FLOAT, bounds=True),
            "output": out.dense(np.ones((2, 3)), gltf.FLOAT),
          }
        ],
      }
    ],
    "extras": {"kept": [1, 2.5, None, "é"]},
  }
  for attributes in (m["primitives"][0]["attributes"] for m in document["meshes"]):
    attributes["TEXCOORD_0"] = out.dense(np.zeros((3, 2)), gltf.FLOAT)
  document |= {"accessors": out.accessors, "bufferViews": out.views}
  document["buffers"] = [{"byteLength": len(out.data)}]
  if extensions:
    document |= {"extensions": extensions, "extensionsUsed": list(extensions)}
  return document, bytes(out.data)


NAMES = [
  *("fat", "jawOpen", "MouthSmile_L", "blendShape1.mouth_smile_right", "browDown"),
  *("eyeBlink_L_eyeSquint_L", "CheekPuff.L", "cheekPuffRight"),
]


@pytest.fixture
def hero(tmp_path):
  document, data = build(NAMES)
  gltf.write_container(tmp_path / "hero.glb", document, data, [(b"XTRA", b"more")])
  return tmp_path / "hero.glb"


def made_curves(**shapes):
  """Random weights and angles, or only the given shapes, rising to the last frame."""
  rng = np.random.default_rng(0)
  weights = rng.uniform(size=(FRAMES, 52))
  if shapes:
    weights = np.zeros((FRAMES, 52))
    for shape, most in shapes.items():
      weights[:, arkit.SHAPES.index(shape)] = np.linspace(0, most, FRAMES)
  angles = rng.uniform(-0.5, 0.5, size=(FRAMES, 9))
  return arkit.ArkitCurves(
    weights.astype(np.float32), angles[:, :3], angles[:, 3:], 25.0
  )


def chunks(path):
  """JSON, and the rest of a GLB's chunks by their kinds."""
  content = path.read_bytes()
  assert struct.unpack_from("<4sII", content) == (b"glTF", 2, len(content))
  start, parts = 12, {}
  while start < len(content):
    size, kind = struct.unpack_from("<I4s", content, start)
    parts[kind] = content[start + 8 : start + 8 + size]
    start += 8 + size
  return json.loads(parts.pop(b"JSON")), parts


class Reader:
  """The last animation of a GLB, by pygltflib."""

  def __init__(self, path):
    text = path.suffix == ".gltf"
    load = pygltflib.GLTF2.load if text else pygltflib.GLTF2.load_binary
    self.gltf = load(str(path))
    animation = self.gltf.animations[-1]
    self.name, self.tracks = animation.name, {}
    for channel in animation.channels:
      sampler = animation.samplers[channel.sampler]
      assert sampler.interpolation == "LINEAR"
      times = self.array(sampler.input)[:, 0]
      np.testing.assert_allclose(times, np.arange(FRAMES) / 25.0, atol=1e-7)
      values = self.array(sampler.output).reshape(len(times), -1)
      self.tracks[channel.target.node, channel.target.path] = values

  def array(self, index):
    accessor = self.gltf.accessors[index]
    view = self.gltf.bufferViews[accessor.bufferView]
    data = (
      self.gltf.get_data_from_buffer_uri(self.gltf.buffers[view.buffer].uri)
      if self.gltf.buffers[view.buffer].uri
      else self.gltf.binary_blob()
    )
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
    values = np.frombuffer(data, "<f4", accessor.count * width, view.byteOffset)
    return values.reshape(-1, width)

  def world(self, node, frame=None):
    """Rotation of a node in the world, at rest or at a frame."""
    turn = Rotation.from_quat(self.gltf.nodes[node].rotation or [0, 0, 0, 1])
    if frame is not None and (node, "rotation") in self.tracks:
      turn = Rotation.from_quat(self.tracks[node, "rotation"][frame])
    for parent, other in enumerate(self.gltf.nodes):
      if node in (other.children or []):
        return self.world(parent, frame) * turn
    return turn


def degrees_between(one, other):
  return np.degrees((one * other.inv()).magnitude())


def weight_of(curves, *shapes):
  rows = [arkit.SHAPES.index(shape) for shape in shapes]
  return np.mean(curves.weights_TA[:, rows], axis=1)


def test_targets_by_arkits_names_get_their_curves(hero, tmp_path):
  curves = made_curves()
  said = " ".join(character.write(tmp_path / "out.glb", hero, curves))
  reader = Reader(tmp_path / "out.glb")
  assert set(reader.tracks) == {
    *((FACE, "weights"), (TEETH, "weights")),
    *((n, "rotation") for n in (HEAD, LEFT_EYE, LEFT_EYE + 1)),
  }
  seen = dict(zip(NAMES, reader.tracks[FACE, "weights"].T, strict=True))
  for name, shapes in {
    "jawOpen": ("JawOpen",),
    "MouthSmile_L": ("MouthSmileLeft",),
    "blendShape1.mouth_smile_right": ("MouthSmileRight",),
    "browDown": ("BrowDownLeft", "BrowDownRight"),
    "CheekPuff.L": ("CheekPuff",),
    "cheekPuffRight": ("CheekPuff",),
  }.items():
    np.testing.assert_allclose(seen[name], weight_of(curves, *shapes), atol=1e-6)
  for name in ("fat", "eyeBlink_L_eyeSquint_L"):  # nobody's: as the mesh says
    np.testing.assert_array_equal(seen[name], 0.25)
  teeth = reader.tracks[TEETH, "weights"]
  np.testing.assert_allclose(teeth[:, 1], weight_of(curves, "JawOpen"), atol=1e-6)
  assert not teeth[:, 0].any()
  assert reader.name == "motion_2"
  assert "browDown stands in for browDownLeft, browDownRight" in said
  assert "3 of ARKit's 52 shapes" in said and "tongueOut" in said


def test_bones_turn_as_the_head_does_in_the_world(hero, tmp_path):
  curves = made_curves()
  character.write(tmp_path / "out.glb", hero, curves)
  reader = Reader(tmp_path / "out.glb")
  for t in range(FRAMES):
    head = Rotation.from_euler("YXZ", curves.head_T3[t])
    assert degrees_between(reader.world(HEAD, t), head * reader.world(HEAD)) < 1e-3
    for i in range(2):
      eye = head * Rotation.from_euler("YXZ", curves.eyes_T6[t, 3 * i : 3 * i + 3])
      rest = reader.world(LEFT_EYE + i)
      assert degrees_between(reader.world(LEFT_EYE + i, t), eye * rest) < 1e-3
  turns = reader.tracks[HEAD, "rotation"]
  assert (np.sum(turns[1:] * turns[:-1], axis=1) > 0).all()


def test_a_bone_given_by_a_matrix_is_animated_too(tmp_path):
  document, data = build(NAMES)
  node = document["nodes"][HEAD]
  matrix = np.eye(4)
  matrix[:3, :3] = Rotation.from_quat(node.pop("rotation")).as_matrix() * 3.0
  matrix[:3, 3] = 1, 2, 3
  node["matrix"] = matrix.T.reshape(-1).tolist()
  gltf.write_container(tmp_path / "a.glb", document, data)
  curves = made_curves()
  character.write(tmp_path / "out.glb", tmp_path / "a.glb", curves)
  reader = Reader(tmp_path / "out.glb")
  node = reader.gltf.nodes[HEAD]
  assert node.matrix is None
  np.testing.assert_allclose(node.translation, [1, 2, 3])
  np.testing.assert_allclose(node.scale, 3.0)
  assert degrees_between(Rotation.from_quat(node.rotation), REST) < 1e-6
  head = Rotation.from_euler("YXZ", curves.head_T3[2])
  assert degrees_between(reader.world(HEAD, 2), head * reader.world(HEAD)) < 1e-3


def test_everything_else_stays_as_it_was(hero, tmp_path):
  out = tmp_path / "out.glb"
  character.write(out, hero, made_curves())
  (before, old), (after, new) = chunks(hero), chunks(out)
  grown = ("accessors", "bufferViews", "animations")
  assert before.keys() == after.keys()
  for key in before.keys() - {"buffers", *grown}:
    assert after[key] == before[key], key
  for key in grown:
    assert after[key][: len(before[key])] == before[key]
  assert len(after["animations"]) == 2 and len(after["buffers"]) == 1
  assert new[b"BIN\0"].startswith(old[b"BIN\0"]) and new[b"XTRA"] == b"more"
  twice = tmp_path / "twice.glb"
  character.write(twice, out, made_curves())  # over and over
  assert [a["name"] for a in chunks(twice)[0]["animations"]] == [
    *("motion", "motion_2", "motion_3")
  ]
  one, other = (
    json.loads(pygltflib.GLTF2.load_binary(str(path)).to_json()) for path in (hero, out)
  )
  for name in ("meshes", "materials", "images", "textures", "nodes", "extras"):
    assert one[name] and one[name] == other[name]


def expressions_1(weight=0.5):
  bind = lambda index: [{"node": FACE, "index": index, "weight": weight}]
  return {
    "specVersion": "1.0",
    "humanoid": {"humanBones": {"head": {"node": 3}, "leftEye": {"node": LEFT_EYE}}},
    "lookAt": {"type": "bone"},
    "expressions": {
      "preset": {
        "happy": {"morphTargetBinds": bind(0)},
        "aa": {"morphTargetBinds": bind(1)},
        "blinkLeft": {"morphTargetBinds": bind(2), "isBinary": True},
        "blinkRight": {"morphTargetBinds": bind(3)},
        "blink": {"morphTargetBinds": [*bind(2), *bind(3)]},
        "lookUp": {"morphTargetBinds": []},
      },
      "custom": {"CheekPuff": {"morphTargetBinds": bind(4)}},
    },
  }


PLAIN = ["Fcl_ALL_Joy", "Fcl_MTH_A", "Fcl_EYE_Close_L", "Fcl_EYE_Close_R", "Puffed"]


def mixture(preset, scale):
  return {name: scale * weight for name, weight in controls.PRESETS[preset].items()}


@pytest.mark.parametrize("version", [0, 1])
def test_vrms_expressions_are_fitted(version, tmp_path):
  if version:
    document, data = build(PLAIN, VRMC_vrm=expressions_1())
  else:
    group = lambda name, preset, index: {
      "name": name,
      "presetName": preset,
      "binds": [{"mesh": 0, "index": index, "weight": 50}],
      "isBinary": preset == "blink_l",
    }
    zero = {
      "humanoid": {"humanBones": [{"bone": "head", "node": 3}]}
      | {"humanBones": [{"bone": "head", "node": 3}, {"bone": "jaw", "node": -1}]},
      "firstPerson": {"lookAtTypeName": "Bone"},
      "blendShapeMaster": {
        "blendShapeGroups": [
          *(group("Joy", "joy", 0), group("A", "a", 1)),
          *(group("Blink_L", "blink_l", 2), group("Blink_R", "blink_r", 3)),
          *(group("cheek_puff", "unknown", 4), group("Neutral", "neutral", 0)),
        ]
      },
    }
    document, data = build(PLAIN, VRM=zero)
  gltf.write_container(tmp_path / "hero.vrm", document, data)
  acted = made_curves(**mixture("happy", 0.8), EyeBlinkLeft=1.0, CheekPuff=0.6)
  said = " ".join(character.write(tmp_path / "out.vrm", tmp_path / "hero.vrm", acted))
  reader = Reader(tmp_path / "out.vrm")
  rising = np.linspace(0, 1, FRAMES)
  joy, a, left, right, puffed = reader.tracks[FACE, "weights"].T / 0.5
  np.testing.assert_allclose(joy, 0.8 * rising, atol=0.02)
  np.testing.assert_allclose(puffed, 0.6 * rising, atol=1e-6)
  np.testing.assert_array_equal(left, rising > 0.5)  # as binary as the file says
  assert a.max() < 0.02 and right.max() < 0.02
  assert "carry 9" in said or "carry 100" in said
  head = Rotation.from_euler("YXZ", acted.head_T3[1])
  if not version:  # it looks along -z: nods and tilts go the other way round
    about = Rotation.from_euler("y", 180, degrees=True)
    head = about * head * about.inv()
  assert degrees_between(reader.world(3, 1), head * reader.world(3)) < 1e-3
  assert (LEFT_EYE, "rotation") in reader.tracks


def test_eyes_turn_once(tmp_path):
  looks = [f"eyeLook{way}_{side}" for way in ("In", "Out", "Up") for side in "LR"]
  document, data = build(["jawOpen", *looks])
  gltf.write_container(tmp_path / "a.glb", document, data)
  for eyes, bones, shapes in (
    ("auto", False, True),
    ("shapes", False, True),
    ("bones", True, False),
    ("both", True, True),
  ):
    character.write(tmp_path / "out.glb", tmp_path / "a.glb", made_curves(), eyes)
    reader = Reader(tmp_path / "out.glb")
    assert ((LEFT_EYE, "rotation") in reader.tracks) == bones
    assert reader.tracks[FACE, "weights"][:, 1:].any() == shapes


@pytest.mark.parametrize(
  "name, meaning",
  {
    "jawOpen": "JawOpen",
    "JawOpen": "JawOpen",
    "jaw_open": "JawOpen",
    "JAW_OPEN": "JawOpen",
    "blendShape1.eyeLookInLeft": "EyeLookInLeft",
    "head_blendShape|eye_look_in_left": "EyeLookInLeft",
    "eyeLookIn_L": "EyeLookInLeft",
    "EyeLookInL": "EyeLookInLeft",
    "Wolf3D_Head.mouthLeft": "MouthLeft",
    "jaw_R": "JawRight",
    "browInnerUp": "BrowInnerUp",
    "browInnerUp_L": "BrowInnerUpLeft",
    "mouthSmile": "MouthSmile",
    "eyeLookIn": None,
    "mouth": None,
    "mouthOpen": None,
    "Face.M_F00_000_00_Fcl_MTH_A": None,
    "eyeBlink_L_eyeSquint_L": None,
    "": None,
  }.items(),
)
def test_spellings(name, meaning):
  assert controls.meaning_of(name) == meaning


def test_all_52_shapes_are_known_in_five_spellings():
  snake = lambda s: "".join(f"_{c.lower()}" if c.isupper() else c for c in s)[1:]
  for shape in arkit.SHAPES:
    short = shape.replace("Left", "_L").replace("Right", "_R")
    for name in (
      shape,
      shape[0].lower() + shape[1:],
      snake(shape),
      short,
      "m." + short,
    ):
      assert controls.meaning_of(name) == shape, name


def test_a_text_gltf_with_files_beside_it(tmp_path):
  document, data = build(NAMES)
  document["buffers"][0]["uri"] = "hero.bin"
  (tmp_path / "hero.bin").write_bytes(data)
  (tmp_path / "hero.gltf").write_text(json.dumps(document))
  curves = made_curves()
  character.write(tmp_path / "out.gltf", tmp_path / "hero.gltf", curves)
  after = json.loads((tmp_path / "out.gltf").read_text())
  assert after["buffers"][0] == document["buffers"][0] and len(after["buffers"]) == 2
  seen = Reader(tmp_path / "out.gltf").tracks[FACE, "weights"][:, 1]
  np.testing.assert_allclose(seen, weight_of(curves, "JawOpen"), atol=1e-6)
  with pytest.raises(UserError, match=r"files beside it \(hero\.bin .*same folder"):
    character.write(tmp_path / "far/out.gltf", tmp_path / "hero.gltf", curves)
  with pytest.raises(UserError, match=r"text glTF; end the name in \.gltf"):
    character.write(tmp_path / "out.glb", tmp_path / "hero.gltf", curves)


def test_compressed_meshes_need_not_be_read(tmp_path):
  document, data = build(NAMES)
  draco = "KHR_draco_mesh_compression"
  document |= {"extensionsUsed": [draco], "extensionsRequired": [draco]}
  primitive = document["meshes"][0]["primitives"][0]
  primitive["extensions"] = {draco: {"bufferView": 0, "attributes": {"POSITION": 0}}}
  document["accessors"][primitive["attributes"]["POSITION"]].pop("bufferView")
  gltf.write_container(tmp_path / "a.glb", document, data)
  character.write(tmp_path / "out.glb", tmp_path / "a.glb", made_curves())
  assert (FACE, "weights") in Reader(tmp_path / "out.glb").tracks


def unnamed(document):
  for mesh in document["meshes"]:
    for holder in (mesh, *mesh["primitives"]):
      holder.pop("extras", None)


@pytest.mark.parametrize(
  "change, message",
  [
    (lambda d: d.pop("meshes"), "it has no morph targets; looked for ARKit's 52"),
    (
      lambda d: d["meshes"].pop(0) and d["meshes"].pop(1),
      r"targets \(fat \.\.\.\) are",
    ),
    (unnamed, r"its 11 morph targets have no names \(mesh\.extras\.targetNames\)"),
    (lambda d: d["asset"].update(version="1.0"), "not a glTF 2.0 file"),
    (lambda d: d.pop("asset"), "not a glTF 2.0 file"),
    (lambda d: d.update(meshes="none"), "is damaged"),
    (lambda d: d["nodes"][0].update(scale=[0, 0, 0]), "is damaged"),
    (lambda d: d["nodes"][0].update(children=[[]]), "is damaged"),
  ],
)
def test_bad_characters_get_one_line(change, message, tmp_path):
  document, data = build(NAMES)
  change(document)
  gltf.write_container(tmp_path / "a.glb", document, data)
  with pytest.raises(UserError, match=message):
    character.write(tmp_path / "out.glb", tmp_path / "a.glb", made_curves())
  assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


def test_other_files_get_one_line(hero, tmp_path):
  curves, out = made_curves(), tmp_path / "out.glb"
  (tmp_path / "a.fbx").write_bytes(b"Kaydara FBX Binary")
  (tmp_path / "cut.glb").write_bytes(hero.read_bytes()[:500])
  for name in ("a.fbx", "cut.glb"):
    with pytest.raises(UserError, match=r"is not a glTF 2\.0 file, or damaged"):
      character.write(out, tmp_path / name, curves)
  with pytest.raises(UserError, match="no such file"):
    character.write(out, tmp_path / "none.glb", curves)
  with pytest.raises(UserError, match=r"end the name in \.glb, \.vrm or \.gltf"):
    character.write(tmp_path / "out.npz", hero, curves)
  with pytest.raises(UserError, match="eyes: 'no'"):
    character.write(out, hero, curves, "no")
  assert not out.exists()


def test_khronos_validator_finds_nothing(tmp_path):
  module = REPO / ".node/node_modules/gltf-validator"
  if shutil.which("node") is None or not module.is_dir():
    pytest.skip("no node with Khronos' gltf-validator; `make test` installs it by npm")
  document, data = build(NAMES)
  gltf.write_container(tmp_path / "hero.glb", document, data)
  character.write(tmp_path / "out.glb", tmp_path / "hero.glb", made_curves())
  counts = []
  for name in ("hero.glb", "out.glb"):
    command = ["node", "-e", VALIDATE, str(module), str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    issues = json.loads(done.stdout)
    assert issues["numErrors"] == 0, issues["messages"]
    counts.append(issues["numWarnings"])
  assert counts[0] == counts[1]


def test_the_command_and_the_method(hero, tmp_path, capsys):
  made = motion.zeros(FRAMES)
  units = arkit.shape_parameters()["expression"][arkit.SHAPES.index("MouthSmileLeft")]
  made = made.replace(
    expression=np.linspace(0, 1, FRAMES)[:, None] * units,
    head_pose=np.linspace(0, 0.3, FRAMES)[:, None] * [0.0, 1.0, 0.0],
  )
  motion.save_motion(tmp_path / "m.npz", made)
  out = tmp_path / "out.glb"
  command = ["retarget", str(tmp_path / "m.npz"), "-o", str(out)]
  assert main.main([*command, "--character", str(hero)]) == 0
  printed = capsys.readouterr()
  assert printed.out.strip() == str(out) and "missing: " in printed.err
  curves, _ = arkit.from_motion(load_model.default_head(), made)
  smile, other = Reader(out).tracks[FACE, "weights"][:, [2, 3]].T
  np.testing.assert_allclose(smile, weight_of(curves, "MouthSmileLeft"), atol=1e-6)
  assert smile[-1] > 0.8 and other.max() < 0.1
  from tdmm_jax.export import save  # noqa: F401 gives motions their `save`

  made.save(tmp_path / "again.glb", character=hero)
  assert (tmp_path / "again.glb").read_bytes() == out.read_bytes()
  document, data = build(["a", "b"])
  document["meshes"].pop()
  document["nodes"].pop()
  document["nodes"][0]["children"].pop()
  gltf.write_container(tmp_path / "bare.glb", document, data)
  assert main.main([*command, "--character", str(tmp_path / "bare.glb")]) == 2
  said = capsys.readouterr().err
  assert "looked for ARKit's 52 shapes" in said and said.count("\n") == 1
  more = ["--face_model", "default_v2", "--eyes", "bones"]
  assert main.main([*command, *more]) == 2
  assert "--eyes: is for a --character" in capsys.readouterr().err
