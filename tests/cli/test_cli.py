"""The `tdmm` command on a trained run: what it writes, prints and returns."""

import json

import numpy as np
import pytest
import tiny

from tdmm_jax.cli import main, options
from tdmm_jax.face import motion
from tdmm_jax.face.files import read
from tdmm_jax.generate import batch
from tdmm_jax.render import video


def run(capsys, *arguments):
  """(exit code, stdout, stderr) of a command."""
  code = main.main([str(a) for a in arguments])
  return code, *capsys.readouterr()


def test_generate_has_the_exact_length_and_is_its_seeds(tiny_run, tmp_path, capsys):
  made = {}
  for name, seed in (("a", 3), ("b", 3), ("c", 4)):
    code, out, err = run(
      capsys,
      "generate",
      "A woman smiles, then nods.",
      *("--seconds", 0.8, "--seed", seed, "--run", tiny_run, "--out", tmp_path / name),
    )
    assert code == 0 and out == f"{tmp_path / name / 'motion.npz'}\n"
    assert err == "tdmm: understood as: She smiles, then nods.\n"
    made[name] = read.load_motion(tmp_path / name / "motion.npz")
    assert made[name].num_frames == 20 and made[name].fps == 25
  expressions = {name: clip.expression for name, clip in made.items()}
  np.testing.assert_array_equal(expressions["a"], expressions["b"])
  assert (expressions["a"] != expressions["c"]).any()


def test_generate_many_variants(tiny_run, tmp_path, capsys):
  code, out, _ = run(
    capsys,
    *("generate", "He frowns.", "--num", 3, "--seconds", 0.4),
    *("--run", tiny_run, "--out", tmp_path),
  )
  names = [f"motion_{i}.npz" for i in range(3)]
  assert code == 0 and out.split() == [str(tmp_path / name) for name in names]
  clips = [read.load_motion(tmp_path / name).expression for name in names]
  assert all(len(clip) == 10 for clip in clips)
  assert (clips[0] != clips[1]).any() and (clips[1] != clips[2]).any()


def test_generate_a_manifest(tiny_run, tmp_path, capsys):
  rows = [
    {"clip_id": "smile", "prompt": "She smiles.", "seconds": 0.48},
    {"clip_id": "frown", "prompt": "He frowns.", "captions": [], "attributes": {}},
  ]
  manifest = tmp_path / "prompts.jsonl"
  manifest.write_text("\n".join(map(json.dumps, rows)) + "\n")
  code, _, _ = run(
    capsys,
    *("generate", "--prompts", manifest, "--seconds", 1.2),
    *("--run", tiny_run, "--out", tmp_path / "out"),
  )
  assert code == 0
  clips = {p.name: read.load_motion(p) for p in (tmp_path / "out").glob("*.npz")}
  frames = {name: clip.num_frames for name, clip in clips.items()}
  assert frames == {"smile.npz": 12, "frown.npz": 30}


def test_a_manifest_goes_on_where_it_was_interrupted(
  tiny_run, tmp_path, capsys, monkeypatch
):
  """Killed after a batch, and again while a line is written: the same files."""
  manifest = tmp_path / "prompts.jsonl"
  rows = [
    {"clip_id": f"c{i}", "prompt": f"She smiles {i} times.", "seconds": 0.2 + i % 3 / 5}
    for i in range(20)
  ]
  manifest.write_text("\n".join(map(json.dumps, rows)))
  command = ("generate", "--prompts", manifest, "--run", tiny_run, "-q", "--out")
  assert run(capsys, *command, tmp_path / "whole")[0] == 0
  real, batches = batch.draw, []

  def one_batch(*arguments):
    for codes in real(*arguments):
      batches.append(sorted(codes))
      yield codes
      raise KeyboardInterrupt

  monkeypatch.setattr(batch, "draw", one_batch)
  assert run(capsys, *command, tmp_path / "cut")[0] == 130
  assert len(list((tmp_path / "cut").glob("*.npz"))) == 16
  log = tmp_path / "cut" / "generated.jsonl"
  log.write_text(log.read_text()[:-9])  # as a crash leaves it
  assert run(capsys, *command, tmp_path / "cut")[0] == 130
  monkeypatch.setattr(batch, "draw", real)
  before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut").glob("*.npz")}
  assert run(capsys, *command, tmp_path / "cut")[0] == 0
  for i in range(20):
    whole, cut = (tmp_path / name / f"c{i}.npz" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
  assert all((tmp_path / "cut" / n).stat().st_mtime_ns == t for n, t in before.items())
  # Another seed is another request.
  assert run(capsys, *command, tmp_path / "cut", "--seed", 1)[0] == 0
  assert (tmp_path / "cut" / "c0.npz").read_bytes() != (
    tmp_path / "whole" / "c0.npz"
  ).read_bytes()


def test_timeline_edit_and_continue(tiny_run, tmp_path, capsys):
  made = tmp_path / "motion.npz"
  code, out, _ = run(
    capsys,
    *("generate", "--timeline", "0-1: a slight smile; 1-2.4: surprise, nodding"),
    *("--run", tiny_run, "--out", tmp_path),
  )
  assert code == 0 and out == f"{made}\n" and read.load_motion(made).num_frames == 60
  edited = tmp_path / "edited.npz"
  code, out, _ = run(
    capsys,
    *(
      "edit",
      made,
      "She frowns.",
      "--frames",
      "20-40",
      "--run",
      tiny_run,
      "-o",
      edited,
    ),
  )
  assert code == 0 and out == f"{edited}\n"
  before, after = read.load_motion(made), read.load_motion(edited)
  same = (before.expression == after.expression).all(-1)
  assert same[:20].all() and same[40:].all() and not same[20:40].any()
  longer = tmp_path / "longer.npz"
  command = ("continue", made, "--seconds", 0.8, "--run", tiny_run, "-o", longer)
  code, out, _ = run(capsys, *command, "--json")
  assert code == 0 and json.loads(out)["seconds"] == 3.2
  np.testing.assert_array_equal(read.load_motion(longer).jaw_pose[:60], before.jaw_pose)
  whole = tmp_path / "whole.npz"
  command = ("inbetween", made, edited, "--seconds", 0.4, "She smiles.")
  code, out, err = run(capsys, *command, "--run", tiny_run, "-o", whole, "--json")
  assert code == 0 and json.loads(out)["frames"] == [60, 70]
  assert "not taught to lead" in err and "blend" in err
  jaw = read.load_motion(whole).jaw_pose
  np.testing.assert_array_equal(jaw[:60], before.jaw_pose)
  np.testing.assert_array_equal(jaw[70:], after.jaw_pose)


def test_keys_are_met_and_understood(tiny_run, tmp_path, capsys):
  motion.save_motion(tmp_path / "pose.npz", tiny.first_motion(tiny_run))
  pose = read.load_motion(tmp_path / "pose.npz")
  command = ("generate", "She smiles.", "--seconds", 1.2, "--run", tiny_run)
  keys = ("--key", f"1.0:{tmp_path}/pose.npz@7", "--key", "0:angry")
  struck = None  # the same words are the same pose
  for more in ((), ("--takes", 2), ("--num", 2)):
    out_dir = tmp_path / "".join(map(str, more))
    code, out, err = run(
      capsys, *command, *keys, *more, "--out", out_dir, "--json", "--guidance", 1
    )
    assert code == 0 and "key 0 understood as: She looks angry." in err
    for row in json.loads(out)["motions"]:
      assert row["keys"] == list(keys[1::2])
      made = read.load_motion(row["file"])
      np.testing.assert_array_equal(made.expression[25], pose.expression[7])
      struck = made.expression[0] if struck is None else struck
      np.testing.assert_array_equal(made.expression[0], struck)


def test_parts_are_kept(tiny_run, tmp_path, capsys):
  clip = tiny.first_motion(tiny_run)
  motion.save_motion(tmp_path / "take.npz", clip)
  new = tmp_path / "new.npz"
  command = ("edit", tmp_path / "take.npz", "She frowns.", "--run", tiny_run, "-o", new)
  code, out, _ = run(capsys, *command, "--keep", "head", "--keep", "lips", "--json")
  answer = json.loads(out)
  assert code == 0 and answer["keep"] == ["head", "lips"]
  assert answer["frames"] == [0, clip.num_frames]
  made = read.load_motion(new)
  np.testing.assert_array_equal(made.head_pose, clip.head_pose)
  np.testing.assert_array_equal(made.jaw_pose, clip.jaw_pose)
  assert not np.array_equal(made.eye_pose, clip.eye_pose)


def test_describe_by_beam_search(tiny_run, tmp_path, capsys):
  path = tmp_path / "motion.npz"
  motion.save_motion(path, tiny.first_motion(tiny_run))
  code, out, _ = run(capsys, "describe", path, "--run", tiny_run, "--beams", 3)
  assert code == 0 and len(out.splitlines()) == 1


def test_a_prompt_of_unknown_words_is_served_with_a_warning(tiny_run, tmp_path, capsys):
  code, out, err = run(
    capsys,
    *("generate", "Smyling quietlee", "--seconds", 0.4),
    *("--run", tiny_run, "--out", tmp_path),
  )
  assert code == 0 and read.load_motion(out.strip()).num_frames == 10
  assert err.count("\n") == 1 and err.startswith("tdmm: warning: ")
  assert "'Smyling quietlee'" in err and "smiling" in err
  code, _, err = run(
    capsys, "generate", "Smyling", "--strict", "--out", tmp_path / "no"
  )
  assert code == 2 and "no word of 'Smyling'" in err and not (tmp_path / "no").exists()


def test_describe_prints_one_line(tiny_run, tmp_path, capsys):
  path = tmp_path / "motion.npz"
  motion.save_motion(path, tiny.first_motion(tiny_run))
  code, out, err = run(capsys, "describe", path, "--run", tiny_run)
  assert code == 0 and len(out.splitlines()) == 1 and err == ""
  again = run(capsys, "describe", path, "--run", tiny_run)
  assert again == (code, out, err)
  question = ("--question", "What is this face doing?")
  code, out, _ = run(capsys, "describe", path, "--run", tiny_run, *question)
  assert code == 0 and len(out.splitlines()) == 1


def test_cut_and_long_motions_in_parts(tiny_run, tmp_path, capsys):
  """This run reads 1.6 s at once."""
  whole, part = tmp_path / "take.01.npz", tmp_path / "part.02.npz"
  clip = tiny.first_motion(tiny_run)
  long = motion.zeros(100, num_expression=clip.num_expression).replace(
    expression=np.resize(clip.expression, (100, clip.num_expression))
  )
  motion.save_motion(whole, long)
  code, out, _ = run(capsys, "cut", whole, "--frames", "30-70", "-o", part)
  assert code == 0 and out == f"{part}\n"
  np.testing.assert_array_equal(
    motion.load_npz(part).expression, long.expression[30:70]
  )
  code, out, _ = run(capsys, "describe", whole, "--run", tiny_run)
  assert code == 0 and out.count(" · ") == 2 and out.count("\n") == 1


def test_render_writes_a_video(tiny_run, tmp_path, capsys):
  path, clip = tmp_path / "motion.npz", tmp_path / "clip.mp4"
  motion.save_motion(path, motion.trim(tiny.first_motion(tiny_run), 0, 10))
  code, out, _ = run(
    capsys, "render", path, "-o", clip, "--size", 96, "--caption", "She smiles."
  )
  assert code == 0 and out == f"{clip}\n"
  frames, fps = video.read_video(clip)
  assert len(frames) == 10 and fps == 25 and frames.shape[2] == 96
  assert frames.std() > 10  # a head, not a blank


@pytest.mark.slow
def test_evaluate_gives_the_promised_keys(tiny_run, tmp_path, capsys):
  path = tmp_path / "scores.json"
  code, out, err = run(capsys, "evaluate", "--run", tiny_run, "--quick", "--json", path)
  assert code == 0
  scores = json.loads(path.read_text())
  promised = {
    "tokenizer": "face_error_mm constant_face_error_mm head_error_deg lip_error_mm "
    "constant_head_error_deg jitter_ratio num_codes codebook_used perplexity",
    "m2l": "emotion_family_accuracy intensity_accuracy head_motion_accuracy "
    "micro_action_f1 cor_e cor_m cor_i bleu_1 bleu_4 rouge_l cider",
    "l2m": "emotion_family_accuracy classifier_ceiling token_accuracy loop_consistency "
    "l2 fd fid text_top3 motion_top1 mm_dist diversity cor_e cor_m_classifier",
  }
  for part, keys in promised.items():
    assert part in out
    for key in keys.split():
      assert np.isfinite(scores[part][key]), key
      assert key in out
      for beside in ("ceiling", "floor"):
        if (beside, key) == ("ceiling", "cor_e"):
          continue  # a regression of the label, which --quick leaves out
        assert scores[part].get(beside, {}).get(key, 0) is not None, (beside, key)
  for part in ("m2l", "l2m"):
    shares = [v for k, v in scores[part].items() if k.endswith(("accuracy", "_f1"))]
    assert shares and all(0 <= value <= 1 for value in shares)
  assert scores["tokenizer"]["num_codes"] == 24
  assert scores["split"] == "test" and "reconstructing" in err
  assert scores["l2m"]["cor_e_classifier"] is None  # a quick one does not say it ...
  assert scores["unavailable"].keys() == {"cor_e_classifier", "bertscore"}  # and why
  assert "Traceback" not in err


COMMANDS = (
  *("generate", "edit", "continue", "describe", "render", "evaluate", "completion"),
  *("encode", "decode", "codebook", "inbetween"),
)


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS]])
def test_help_says_what_it_does(command, capsys):
  with pytest.raises(SystemExit) as stop:
    main.main([*command, "--help"])
  out = capsys.readouterr().out
  assert stop.value.code == 0 and out.startswith(f"usage: tdmm {' '.join(command)}")
  assert all(name in out for name in (COMMANDS if not command else ("--debug",)))


def test_ctrl_c_is_130(monkeypatch, capsys):
  def interrupt(args):
    raise KeyboardInterrupt

  monkeypatch.setattr(options, "load", interrupt)
  assert main.main(["generate", "A smile."]) == 130
  assert capsys.readouterr().err == "tdmm: interrupted; run it again\n"
