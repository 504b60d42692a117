"""docs/real/README.md: written from a run and clips, and what it may not hold."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

from benchmarks import real_world, results
from tdmm_jax.data import records
from tdmm_jax.face import face_model
from tdmm_jax.language import lexicon
from tdmm_jax.render import video

PROMPTS = {
  "one": "A man speaks, a faint zesty sad look.",
  "two": "She grins wildly, nodding.",
}
WIDTH, HEIGHT = 832, 480
CENTRE = (WIDTH / 2, HEIGHT / 2, 0)


@pytest.fixture(scope="module")
def real(loaded_run, tiny_run, tmp_path_factory):
  """Clips as real ones lie: simulated motions, drawn as landmarks, and grey videos."""
  folder = tmp_path_factory.mktemp("real") / "open3dfacevid_clips"
  folder.mkdir()
  source, face = records.open_split(tiny_run / "records", "test"), loaded_run.codec.face
  rows = []
  for i, (clip_id, prompt) in enumerate(PROMPTS.items()):
    motion = records.to_motion(source[i])
    seen = face_model.landmarks(face, face_model.motion_vertices(face, motion))
    points = np.zeros((motion.num_frames, 478, 3), np.float32)
    points[:, face.landmark_ids] = np.asarray(seen) * [1500, -1500, -1500] + CENTRE
    row = {"clip_id": clip_id, "prompt": prompt, "video": f"{clip_id}.mp4"}
    rows.append(row | {"landmarks": f"{clip_id}.landmarks.npz"})
    np.savez(
      folder / rows[-1]["landmarks"],
      landmarks_px=points,
      detected=np.ones(len(points), bool),
      fps=motion.fps,
      width=WIDTH,
      height=HEIGHT,
    )
    size = (motion.num_frames, HEIGHT, WIDTH, 3)
    video.write_video(folder / f"{clip_id}.mp4", np.full(size, 90, np.uint8), 25.0)
  lines = "\n".join(map(json.dumps, rows))
  (folder / "prompts.jsonl").write_text(f"{lines}\n")
  return folder.parent


def run(real, tiny_run, *options) -> int:
  words = ["--run", tiny_run, "--real", real, "--seeds", 2, *options]
  return real_world.main([str(word) for word in words])


@pytest.fixture(scope="module")
def written(real, tiny_run, tmp_path_factory):
  """A page and its folder, written into prose."""
  folder = tmp_path_factory.mktemp("page")
  page = folder / "real.md"
  page.write_text("# Real\n\n{}\nold\n{}\n\nProse.\n".format(*real_world.MARKS))
  assert run(real, tiny_run, "--out", folder / "real", "--page", page) == 0
  return page


@pytest.mark.slow
def test_the_page_shows_every_prompt_and_clip_and_keeps_the_prose(written):
  page = written.read_text()
  assert page.startswith("# Real\n") and page.endswith("\n\nProse.\n")
  assert "old" not in page
  found = json.loads((written.parent / "real" / real_world.JSON).read_text())
  for clip_id in PROMPTS:
    for kind, rows in (("prompt", 1), ("clip", 2)):
      assert f"![{clip_id}](real/{kind}_{clip_id}.png)" in page
      with Image.open(written.parent / "real" / f"{kind}_{clip_id}.png") as picture:
        assert picture.height > rows * 144
    for group in ("prompts", "clips"):
      item = found[group][clip_id]
      assert f"{item['says']} | {item['cor_e']:.2f} |" in page
    assert found["clips"][clip_id]["landmark_error"] < 0.05
  assert "| `one` | sad (sadness) 1; speaking |" in page


@pytest.mark.slow
def test_a_page_to_hand_on_holds_no_frame_and_no_prompt(
  written, real, tiny_run, tmp_path
):
  files = [written, *(written.parent / "real").iterdir()]
  for text in (*PROMPTS.values(), "She grins wildly"):
    assert not any(text.encode() in path.read_bytes() for path in files)
  assert run(real, tiny_run, "--frames", "--out", tmp_path) == 0
  page = (tmp_path / "page.md").read_text()
  for clip_id, prompt in PROMPTS.items():
    assert f"![{clip_id}](clip_{clip_id}.png)" in page
    assert page.count(f"Its prompt: *{prompt}*") == 2
    with Image.open(tmp_path / f"clip_{clip_id}.png") as picture:
      shown = np.asarray(picture.convert("RGB")).astype(int)
    assert (abs(shown - 90) < 4).mean() > 0.15  # the video's grey
  assert written.read_text() != page


def test_bad_requests_are_one_line(real, tiny_run, tmp_path, capsys, monkeypatch):
  monkeypatch.delenv("TDMM_REAL_DATA", raising=False)
  monkeypatch.chdir(tmp_path)
  told = lambda: capsys.readouterr().err
  assert real_world.main([]) == 2
  assert told().startswith("real_world: error: --real: not given")
  assert run(real, tiny_run, "--seeds", 0) == 2
  assert "--seeds 0: give 1 at least" in told()
  assert run(real, tiny_run, "--frames", "--out", "docs/real") == 2
  assert "frames are not ours to hand on" in told()
  assert run(real, tiny_run) == 2
  assert "docs/real/README.md: no such page" in told()
  (tmp_path / "page.md").write_text("# No marks\n")
  assert run(real, tiny_run, "--page", "page.md") == 2
  assert "page.md: no '<!-- Prompts" in told()
  assert not (tmp_path / "docs").exists()


def test_a_reading_names_everything_in_order():
  read = lambda text: real_world.reading(lexicon.parse(text))
  assert read("A man.") == "neutral 3; silent"
  assert read("He is slightly sad, then very angry.") == (
    "sad (sadness) 2, then angry (anger) 4; silent"
  )
  assert read("She speaks loudly, calm, raising her head and her eyebrows.") == (
    "calm 3; look up; speaking (loud)"
  )


def test_the_committed_page_is_what_the_committed_file_says():
  page = (tiny.REPO / real_world.PAGE).read_text()
  found = json.loads((tiny.REPO / real_world.FOLDER / real_world.JSON).read_text())
  made = real_world.markdown(found, "")
  assert results.rewritten(page, made, "page", real_world.MARKS) == page
  assert all("prompt" not in item for item in found["clips"].values())
