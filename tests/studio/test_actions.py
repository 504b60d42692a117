"""The studio without a browser: buttons, files, limits, what it lets be read."""

import json
import zipfile

import numpy as np
import pytest
import tiny

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.studio import actions as actions_lib
from tdmm_jax.studio import server, shelf


def silent(share, text):
  pass


@pytest.fixture(scope="module")
def actions(loaded_run, tmp_path_factory):
  folder = tmp_path_factory.mktemp("shelf")
  face = loaded_run.codec.face
  return actions_lib.Actions(
    loaded_run, shelf.Shelf(folder, face, loaded_run.codec.num_codes)
  )


def test_a_clips_file_holds_the_vertices_to_a_hundredth_of_a_millimetre(actions):
  clip = actions.generate(["She smiles."], 0.4, 0, "Natural", "Default", silent)[0]
  about = json.loads((clip.folder / "clip.json").read_text())
  assert about["frames"] == 10 and about["title"] == "She smiles."
  assert about["tokens"] == clip.tokens.tolist() and len(clip.tokens) == 10
  points = np.fromfile(clip.folder / "clip.bin", "<u2").reshape(10, -1, 3)
  seen = np.array(about["low"]) + points * np.array(about["step"])
  face = actions.shelf.face
  np.testing.assert_allclose(
    seen, face_lib.motion_vertices(face, clip.motion), atol=1e-5
  )
  head = (actions.shelf.folder / "head.bin").read_bytes()
  num_vertices, num_faces = np.frombuffer(head[:8], "<u4")
  assert (num_vertices, num_faces) == (face.num_vertices, len(face.faces))
  assert len(head) == 8 + 4 * num_vertices + 12 * num_faces


def test_curves_are_the_motions_own_in_their_units(actions):
  motion = motion_lib.zeros(5)
  track = np.zeros((5, 3), np.float32)
  track[:, 0] = np.radians([0, 5, 10, 5, 0])
  rows = {
    row["name"]: row
    for row in shelf.curves(actions.shelf.face, motion.replace(jaw_pose=track))
  }
  assert rows["jaw"]["values"] == pytest.approx([0, 5, 10, 5, 0], abs=1e-2)
  assert rows["jaw"]["unit"] == "°" and rows["expression"]["unit"] == "mm"
  assert rows["expression"]["values"][2] > 0.3 > rows["expression"]["values"][0]
  assert rows["head nod"]["high"] - rows["head nod"]["low"] >= 6  # still is flat


def test_the_shelf_keeps_the_newest(actions, monkeypatch):
  monkeypatch.setattr(shelf, "MAX_CLIPS", 2)
  motion = motion_lib.zeros(2)
  first, *others = (actions.shelf.put(motion, str(n), "") for n in range(3))
  assert actions.shelf.get(first.id) is None and not first.folder.exists()
  assert all(actions.shelf.get(clip.id) is clip for clip in others)
  with pytest.raises(UserError, match="dropped for newer ones"):
    actions.clips([first.id])
  monkeypatch.setattr(actions.shelf, "kept", [others[0].id])  # a page opens with it
  newer = [actions.shelf.put(motion, str(n), "") for n in range(3)]
  assert actions.shelf.get(others[0].id) is others[0]
  assert actions.shelf.get(newer[-2].id) is None


def test_a_timeline_is_the_librarys_and_is_read_part_by_part(actions):
  text = "0-0.8: She smiles.\n0.8-2.4: He frowns."
  clip = actions.timeline(text, 3, "Natural", "Default", silent)[0]
  assert clip.motion.num_frames == len(clip.tokens) == 60  # more than it reads at once
  made = actions.face.timeline(text, 3)
  np.testing.assert_array_equal(clip.motion.expression, made.expression)
  parts = [motion_lib.trim(made, *cut) for cut in ((0, 20), (20, 60))]
  said = [actions.face.describe(part, subject="she") for part in parts]
  assert clip.caption.split(" · ") == said


def test_an_upload_is_described_and_named(actions, tiny_run, tmp_path):
  path = tmp_path / "mine.npz"
  motion = motion_lib.trim(tiny.first_motion(tiny_run), 0, 12)
  motion.save(path)
  clip = actions.read(str(path), silent)[0]
  assert clip.title == "mine.npz" and len(clip.tokens) == 12
  assert clip.caption == actions.face.describe(motion)
  question = "What is this face doing?"
  assert (
    actions.ask([clip.id] * 2, question)
    == [actions.face.describe(motion, question)] * 2
  )


def test_a_longer_upload_is_read_in_pieces_and_a_very_long_one_is_refused(
  actions, tmp_path
):
  motion_lib.zeros(100).save(tmp_path / "long.npz")  # 40 frames is what this run reads
  clip = actions.read(str(tmp_path / "long.npz"), silent)[0]
  assert len(clip.caption.split(" · ")) == 3 and len(clip.tokens) == 100
  motion_lib.zeros(800).save(tmp_path / "very.npz")
  with pytest.raises(UserError, match=r"very\.npz: 32 s long, .* up to 30 s"):
    actions.read(str(tmp_path / "very.npz"), silent)
  slow = motion_lib.zeros(100).replace(fps=1.0)  # 2,500 frames, were they made
  motion_lib.save_motion(tmp_path / "slow.npz", slow)
  with pytest.raises(UserError, match=r"slow\.npz: 100 s long, .* cut it$"):
    actions.read(str(tmp_path / "slow.npz"), silent)
  np.save(tmp_path / "bare.npy", np.zeros((90, 56), np.float32))
  with pytest.raises(UserError, match=r"layout.*`tdmm describe` has options"):
    actions.read(str(tmp_path / "bare.npy"), silent)


def test_all_files_come_in_one_zip(actions):
  clips = actions.generate(["She smiles."] * 2, 0.2, 0, "Natural", "Default", silent)
  film, files = actions.films([clip.id for clip in clips], silent)
  with open(film, "rb") as stream:
    assert stream.read(12)[4:8] == b"ftyp"
  with zipfile.ZipFile(files[0]) as archive:
    names = set(archive.namelist())
    asked = json.loads(archive.read(clips[0].path(".json").name))
  suffixes = ("npz", "mp4", "glb", "csv", "json")
  stems = [f"she_smiles_{clip.id[:4]}" for clip in clips]
  assert names == {f"{stem}.{suffix}" for stem in stems for suffix in suffixes}
  assert asked["asked"] == "She smiles." and len(asked["tokens"]) == 5


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory):
  folder = tmp_path_factory.mktemp("bad")
  (folder / "broken.npz").write_bytes(b"PK\x03\x04 nonsense")
  (folder / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
  (folder / "notes.txt").write_text("hello")
  with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    with archive.open("expression.npy", "w") as member:
      for _ in range(110):
        member.write(bytes(1 << 20))
  motion_lib.zeros(4, "flame2020").save(folder / "flame.npz")
  return folder


@pytest.mark.parametrize(
  ("name", "said"),
  [
    ("broken.npz", "broken.npz: is damaged"),
    ("clip.mp4", "clip.mp4: "),
    ("notes.txt", "notes.txt: not a kind of file that is read here"),
    ("bomb.npz", "bomb.npz: too large once unpacked"),
    ("flame.npz", "flame.npz: its coefficients belong to 'flame2020'"),
    ("", "Choose a file first"),
  ],
)
def test_a_bad_upload_says_so_without_the_servers_paths(actions, bad_files, name, said):
  with pytest.raises(UserError) as told:
    actions.read(str(bad_files / name) if name else None, silent)
  assert str(told.value).startswith(said)
  assert str(bad_files) not in str(told.value)


@pytest.mark.parametrize(
  ("ask", "said"),
  [
    (("", 1.0, 0, "Natural"), "prompt: empty"),
    (("smile " * 100, 1.0, 0, "Natural"), "600 characters, the limit is 400"),
    (("She smiles.", 90, 0, "Natural"), "out of range"),
    (("She smiles.", float("nan"), 0, "Natural"), "out of range"),
    (("She smiles.", 1.0, -1, "Natural"), "seed: -1 is out of range"),
    (("She smiles.", 1.0, "x", "Natural"), "no whole number"),
    (("She smiles.", 1.0, 0, "Wild"), "'Wild' is none of Likeliest"),
  ],
)
def test_requests_out_of_bounds_are_refused(actions, ask, said):
  prompt, *others = ask
  with pytest.raises(UserError, match=said):
    actions.generate([prompt], *others, "Default", silent)


def test_a_timeline_meets_its_keys(actions):
  text, placed = "0-1: She smiles.; 1-1.6: He frowns.", "0: neutral\n 1.2: angry ;"
  clip = actions.timeline(text, 3, "Natural", "Default", silent, keys=placed)[0]
  made = actions.face.timeline(text, 3, keys=[(0, "neutral"), (1.2, "angry")])
  np.testing.assert_array_equal(clip.motion.expression, made.expression)
  assert not clip.motion.expression[0].any()
  np.testing.assert_array_equal(clip.tokens, actions.face.encode(made))


@pytest.mark.parametrize(
  "keys, said",
  [
    ("angry", "not a time and a pose"),
    ("3: angry", "key 3: outside the clip"),
    ("0.2: neutral; 0.2: angry", "a second key at frame 5"),
    ("1: /etc/passwd@3", "no files are read here"),
    ("1: pose.npz@3", "no files are read here"),
    ("1: pose.npz", "no files are read here"),
    ("1: neutral;" * 17, "17, the limit is 16"),
  ],
)
def test_keys_that_cannot_be_met_are_refused(actions, keys, said):
  with pytest.raises(UserError, match=said):
    actions.timeline("0-1.6: A smile.", 0, "Natural", "Default", silent, keys=keys)


def test_timelines_out_of_bounds_are_refused(actions):
  with pytest.raises(UserError, match="makes up to 30 s"):
    actions.timeline("0-40: She smiles.", 0, "Natural", "Default", silent)
  with pytest.raises(UserError, match="out of range"):
    actions.timeline("0-20: She smiles.", 0, "Natural", "Default", silent)


def test_a_taken_port_is_the_users_error(loaded_run):
  import socket

  with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    with pytest.raises(UserError, match=r"cannot be used .* choose another"):
      server.serve(loaded_run, port=taken.getsockname()[1])
  with pytest.raises(UserError, match="port 0: out of range"):
    server.serve(loaded_run, port=0)
