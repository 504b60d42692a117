"""Films of motions: side by side, painted by error, with sound; and what is refused."""

import wave

import av
import numpy as np
import pytest

from tdmm_jax.cli import files as cli_files
from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.face import load_model, motion
from tdmm_jax.render import clip, heat_map, scene, video

SMALL = {"size": 96}


@pytest.fixture(scope="module")
def face():
  return load_model.default_head()


@pytest.fixture(scope="module")
def pair():
  """Four frames at rest, and six whose jaw opens."""
  still = motion.zeros(4)
  jaw = np.zeros((6, 3), np.float32)
  jaw[:, 0] = np.linspace(0, 0.3, 6)
  return [still, motion.zeros(6).replace(jaw_pose=jaw)]


def test_error_is_painted_where_it_is(face, pair, tmp_path):
  path = tmp_path / "e.mp4"
  style = clip.Style(error=True, labels=("Truth", "Opened"), **SMALL)
  done = clip.render(path, face, pair, style)
  assert done["frames"] == 6 and done["frames_per_s"] > 0
  (mean,), (most,) = done["error_mm"], done["error_max_mm"]
  assert 0 < mean < most < 30  # 0.3 rad at the chin
  frames, _ = video.read_video(path)
  colored = np.ptp(frames.astype(int), axis=-1) > 40
  width = 96 + 8
  assert not colored[:, :, :90].any()  # the truth stays grey
  assert colored[0, :, width : width + 96].any()  # no error is a colour, too
  blue = frames[..., 2].astype(int) - frames[..., 1]
  head = blue[3, -96:, width : width + 96]
  chin, crown = head[70:85, 40:56].mean(), head[10:25, 40:56].mean()
  assert chin < crown - 20  # violet is 0; the chin is greener
  assert colored[:, :, -76:].any()  # the bar


def test_bar_ends_at_a_number_that_can_be_read():
  for value, end in ((0.7, 1), (1.0, 1), (1.2, 2), (3.4, 5), (7, 10), (0.03, 0.05)):
    assert heat_map.round_up(value) == pytest.approx(end)


def test_wireframe_draws_lines_on_the_head_only(face):
  draw = lambda **option: scene.render_frames(
    face, np.asarray(face.v_template)[None], (96, 96), **option
  )[0].astype(int)
  plain, lines = draw(), draw(wireframe=True)
  assert (lines <= plain).all() and (lines < plain - 20).mean() > 0.1
  assert (lines[plain == 255] == 255).all()


def test_every_view_shows_another_picture(face):
  pictures = {
    view: scene.render_frames(
      face, np.asarray(face.v_template)[None], (96, 96), view
    ).tobytes()
    for view in scene.VIEWS
  }
  assert len(set(pictures.values())) == len(scene.VIEWS)
  assert tuple(scene.VIEWS) == cli_files.VIEWS


def test_command_line_with_video_sound_and_sheet(pair, tmp_path, capsys):
  for name, made in zip("ab", pair):
    motion.save_motion(tmp_path / f"{name}.npz", made)
  real = np.full((12, 48, 64, 3), 90, np.uint8)
  video.write_video(tmp_path / "real.mp4", real, fps=50)
  with wave.open(str(tmp_path / "tone.wav"), "wb") as sound:
    sound.setnchannels(1)
    sound.setsampwidth(2)
    sound.setframerate(16000)
    sound.writeframes((8000 * np.sin(np.arange(16000) / 6)).astype("<i2").tobytes())
  files = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
  out = tmp_path / "out.mp4"
  options = ["--size", "96", "--video", str(tmp_path / "real.mp4")]
  options += ["--audio", str(tmp_path / "tone.wav"), "--caption", "Both."]
  assert main.main(["render", *files, "-o", str(out), *options]) == 0
  frames, fps = video.read_video(out)
  assert fps == 25 and len(frames) == 6 and frames.shape[2] == 128 + 2 * (96 + 8)
  assert np.abs(frames[0, 40:56, 20:100].astype(int) - 90).max() < 12  # the real one
  with av.open(out) as film:
    assert film.streams.audio[0].codec_context.name == "aac"
    assert film.duration / av.time_base == pytest.approx(0.24, abs=0.05)
  sheet = tmp_path / "sheet.png"
  options = ["--size", "96", "--frames", "3", "--label", "A", "--label", "B"]
  assert main.main(["render", *files, "-o", str(sheet), *options]) == 0
  assert sheet.read_bytes().startswith(b"\x89PNG")
  capsys.readouterr()


@pytest.mark.parametrize(
  ("path", "style", "count", "audio", "said"),
  [
    ("a.avi", {}, 1, None, r"a\.avi: .*\.mp4, \.gif or \.png"),
    ("a.mp4", {"labels": ("x",)}, 2, None, "labels: 1 given for 2"),
    ("a.mp4", {"error": True}, 1, None, "error: .*at least two"),
    ("a.mp4", {"error_max_mm": -1.0}, 2, None, "error_max_mm -1"),
    ("a.mp4", {"view": "back"}, 1, None, "view back: choose one of front"),
    ("a.gif", {}, 1, "x.wav", "audio: .gif is silent"),
    ("a.mp4", {}, 1, "gone.wav", "gone.wav: no such sound"),
    ("a.png", {"sheet_frames": 0}, 1, None, "sheet_frames 0"),
  ],
)
def test_refused_before_the_work(path, style, count, audio, said):
  with pytest.raises(UserError, match=said):
    clip.check(path, clip.Style(**style), count, audio)


def test_a_file_without_sound_is_named(face, pair, tmp_path):
  silent = video.write_video(
    tmp_path / "silent.mp4", np.zeros((3, 32, 32, 3), np.uint8)
  )
  with pytest.raises(UserError, match=r"silent\.mp4: no sound"):
    clip.render(tmp_path / "a.mp4", face, pair[:1], clip.Style(**SMALL), audio=silent)
  assert [p.name for p in tmp_path.iterdir()] == ["silent.mp4"]
