"""Bad input: one table of what a user may get wrong, and what each must be told."""

import json
import os
import pickle
import re

import numpy as np
import pytest
import t5_folders
import tiny

from tdmm_jax.cli import main
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.runs import locate

# JAX and absl log lines of their own (I1122 20:06:24 ...).
LOGGED = re.compile(r"[IW]\d{4} ")


class Bomb:
  """Unpickled carelessly, it leaves a file behind."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.system, (f"touch {self.path}",)


def _npz(path, change=lambda arrays: arrays):
  """A motion's arrays, changed, as a file that `save_motion` would refuse to write."""
  motion_lib.save_motion(path, motion_lib.zeros(12))
  with np.load(path) as archive:
    arrays = {name: archive[name] for name in archive.files}
  np.savez(path, **change(arrays))


def _with_nan(arrays):
  arrays["jaw_pose"][3, 1] = np.nan
  return arrays


@pytest.fixture(scope="module")
def files(tmp_path_factory, tiny_run):
  """A folder of broken files."""
  folder = tmp_path_factory.mktemp("broken")
  motion = folder / "good.npz"
  _npz(motion)
  (folder / "cut.npz").write_bytes(motion.read_bytes()[:700])
  np.savez(folder / "layout.npz", vertices=np.zeros((4, 9, 3)))
  np.savez(folder / "landmarks.npz", landmarks_px=np.zeros((4, 478, 2)))
  _npz(folder / "flame.npz", lambda a: a | {"face_model": "flame2020"})
  _npz(folder / "nan.npz", _with_nan)
  _npz(folder / "lengths.npz", lambda a: a | {"jaw_pose": a["jaw_pose"][:-1]})
  _npz(folder / "wide.npz", lambda a: a | {"expression": np.zeros((12, 100))})
  motion_lib.save_motion(folder / "long.npz", motion_lib.zeros(200))
  with (folder / "bomb.pkl").open("wb") as stream:
    pickle.dump({"expression": Bomb(folder / "exploded")}, stream)
  (folder / "empty.npz").write_bytes(b"")
  good = '{"clip_id": "a", "prompt": "She smiles."}\n'
  for name, lines in {
    "broken.jsonl": good + '{"clip_id": "b", "prompt": \n',
    "twice.jsonl": good + good,
    "keyless.jsonl": '{"prompt": "She smiles."}\n',
    "seconds.jsonl": '{"clip_id": "a", "prompt": "She smiles.", "seconds": "long"}\n',
    "escape.jsonl": '{"clip_id": "../a", "prompt": "She smiles."}\n',
    "good.jsonl": good,
    "none.jsonl": "\n",
  }.items():
    (folder / name).write_text(lines)
  (folder / "no_lm").mkdir()
  (folder / "no_lm" / "tokenizer").symlink_to(tiny_run / "tokenizer")
  (folder / "no_tokenizer").mkdir()
  (folder / "no_tokenizer" / "lm").symlink_to(tiny_run / "lm")
  return folder


# Name: (arguments; {run} and {files} are filled in, [what the line must say]).
GENERATE = "generate --run {run} --out {files}/out"
ROWS = {
  "empty prompt": ([*GENERATE.split(), " "], ["prompt: empty", "say what"]),
  "prompt over the limit": (
    [*GENERATE.split(), "a smile and " * 400],
    ["prompt:", "text pieces, the limit is", "shorten"],
  ),
  "seconds 0": ([*GENERATE.split(), "A smile.", "--seconds", "0"], ["--seconds 0"]),
  "seconds nan": (
    [*GENERATE.split(), "A smile.", "--seconds", "nan"],
    ["--seconds nan"],
  ),
  "seconds inf": (
    [*GENERATE.split(), "A smile.", "--seconds", "inf"],
    ["--seconds inf"],
  ),
  "seconds below 0": (
    [*GENERATE.split(), "A smile.", "--seconds", "-2"],
    ["--seconds -2: out of range", "0.04 to 600 s"],
  ),
  "seconds too long": (
    [*GENERATE.split(), "A smile.", "--seconds", "6000"],
    ["--seconds 6000: out of range", "0.04 to 600 s"],
  ),
  "seconds no number": (
    [*GENERATE.split(), "A smile.", "--seconds", "long"],
    ["--seconds", "'long'", "--help"],
  ),
  "num 0": ([*GENERATE.split(), "A smile.", "--num", "0"], ["--num 0"]),
  "top_p 0": ([*GENERATE.split(), "A smile.", "--top_p", "0"], ["--top_p"]),
  "temperature nan": (
    [*GENERATE.split(), "A smile.", "--temperature", "nan"],
    ["--temperature"],
  ),
  "guidance below 0": (
    [*GENERATE.split(), "A smile.", "--guidance", "-1"],
    ["--guidance -1: out of range"],
  ),
  "top_k below 0": ([*GENERATE.split(), "A smile.", "--top_k", "-1"], ["--top_k -1"]),
  "repetition penalty 0": (
    [*GENERATE.split(), "A smile.", "--repetition_penalty", "0"],
    ["--repetition_penalty 0: out of range"],
  ),
  **{
    f"timeline: {name}": ([*GENERATE.split(), "--timeline", text], said)
    for name, text, said in (
      ("overlap", "0-3: a smile; 2-5: a frown", ["starts at 2 s", "3 s", "overlap"]),
      ("gap", "0-3: a smile; 4-5: a frown", ["starts at 4 s", "3 s", "gap"]),
      ("backwards", "3-1: a smile", ["3-1 runs backwards"]),
      ("empty segment", "0-0: a smile", ["0-0 runs backwards"]),
      ("late start", "1-3: a smile", ["starts at 1 s", "0 s"]),
      ("no times", "a smile, then a frown", ["is no segment", "0-3: a slight smile"]),
      ("no prompt", "0-3: ", ["is no segment"]),
      ("bad number", "0-1.2.3: a smile", ["is no segment"]),
      ("nothing", " ; ", ["timeline: empty"]),
      ("too long", "0-9999: a smile", ["out of range", "600"]),
    )
  },
  "timeline and prompt": (
    [*GENERATE.split(), "A smile.", "--timeline", "0-1: a smile"],
    ["PROMPT", "not both"],
  ),
  **{
    f"edit: {name}": (
      ["edit", "{files}/" + file, prompt, "--frames", frames, "--run", "{run}", "-o"]
      + ["{files}/out", *more],
      said,
    )
    for name, file, prompt, frames, more, said in (
      ("outside", "good.npz", "A smile.", "8-13", [], ["8-13", "12 frames"]),
      ("backwards", "good.npz", "A smile.", "8-4", [], ["8-4", "start < stop"]),
      ("no frames", "good.npz", "A smile.", "5-5", [], ["5-5", "start < stop"]),
      ("no range", "good.npz", "A smile.", "many", [], ["'many'", "40-80"]),
      ("negative", "good.npz", "A smile.", "2--4", [], ["'2--4'", "40-80"]),
      ("prompt", "good.npz", " ", "2-4", [], ["prompt: empty"]),
      ("missing", "gone.npz", "A smile.", "2-4", [], ["gone.npz: no such file"]),
      ("other face", "flame.npz", "A smile.", "2-4", [], ["flame.npz:", "flame2020"]),
      (
        "guidance",
        "good.npz",
        "A smile.",
        "2-4",
        ["--guidance", "-1"],
        ["--guidance -1: out of range"],
      ),
    )
  },
  **{
    f"inbetween: {name}": (
      ["inbetween", *(f"{{files}}/{file}" for file in motions), prompt, *more]
      + ["--run", "{run}", "-o", "{files}/out"],
      said,
    )
    for name, motions, prompt, more, said in (
      ("first", ("flame.npz", "good.npz"), "A smile.", [], ["flame.npz:", "flame2020"]),
      (
        "second",
        ("good.npz", "flame.npz"),
        "A smile.",
        [],
        ["flame.npz:", "flame2020"],
      ),
      ("missing", ("good.npz", "gone.npz"), "A smile.", [], ["gone.npz: no such file"]),
      ("prompt", ("good.npz", "good.npz"), " ", [], ["prompt: empty"]),
      (
        "seconds",
        ("good.npz", "good.npz"),
        "A smile.",
        ["--seconds", "0"],
        ["--seconds 0: out of range"],
      ),
    )
  },
  "continue: seconds": (
    ["continue", "{files}/good.npz", "--seconds", "0", "--run", "{run}"],
    ["--seconds 0"],
  ),
  "continue: missing": (
    ["continue", "{files}/gone.npz", "--run", "{run}"],
    ["gone.npz: no such file"],
  ),
  "describe: beams 1e8": (
    ["describe", "{files}/good.npz", "--beams", "100000000", "--run", "{run}"],
    ["num_beams 100000000: out of range", "to 64"],
  ),
  "generate: variants 1e8": (
    [*GENERATE.split(), "She smiles.", "--num", "100000000"],
    ["--num 100000000: out of range", "1 to 10000", "--prompts"],
  ),
  "cut: outside": (
    ["cut", "{files}/good.npz", "--frames", "5-90", "-o", "{files}/out"],
    ["frames 5-90: outside the motion of 12 frames"],
  ),
  "cut: no range": (
    ["cut", "{files}/good.npz", "--frames", "all", "-o", "{files}/out"],
    ["frames 'all': not a range", "40-80"],
  ),
  "export: a picture": (
    ["export", "{files}/good.npz", "-o", "{files}/a.png"],
    ["a.png: cannot write a .png file", "render writes"],
  ),
  "describe: beams 0": (
    ["describe", "{files}/good.npz", "--beams", "0", "--run", "{run}"],
    ["num_beams 0: out of range"],
  ),
  "neither prompt nor prompts": (GENERATE.split(), ["PROMPT", "--prompts FILE"]),
  "both prompt and prompts": (
    [*GENERATE.split(), "A smile.", "--prompts", "{files}/twice.jsonl"],
    ["PROMPT", "not both"],
  ),
  "out is a file": (
    ["generate", "--run", "{run}", "--out", "{files}/good.npz", "A smile.", "--seconds"]
    + ["0.2", "--temperature", "0"],
    ["good.npz"],
  ),
  "manifest missing": (
    [*GENERATE.split(), "--prompts", "{files}/gone.jsonl"],
    ["gone.jsonl: cannot be read"],
  ),
  "manifest line broken": (
    [*GENERATE.split(), "--prompts", "{files}/broken.jsonl"],
    ["broken.jsonl:2: not a prompt", "JSON with clip_id"],
  ),
  "manifest id twice": (
    [*GENERATE.split(), "--prompts", "{files}/twice.jsonl"],
    ["twice.jsonl:2: clip_id 'a' is a duplicate"],
  ),
  "manifest without id": (
    [*GENERATE.split(), "--prompts", "{files}/keyless.jsonl"],
    ["keyless.jsonl:1: not a prompt", "clip_id"],
  ),
  "manifest seconds no number": (
    [*GENERATE.split(), "--prompts", "{files}/seconds.jsonl"],
    ["seconds.jsonl:1: not a prompt", "'long'"],
  ),
  "manifest id leaves the folder": (
    [*GENERATE.split(), "--prompts", "{files}/escape.jsonl"],
    ["escape.jsonl:1: clip_id '../a'"],
  ),
  "manifest empty": (
    [*GENERATE.split(), "--prompts", "{files}/none.jsonl"],
    ["none.jsonl: no prompts in it"],
  ),
  "run missing": (
    ["generate", "A smile.", "--run", "{files}/gone"],
    ["gone: no such run directory", "make train"],
  ),
  "run without language model": (
    ["generate", "A smile.", "--run", "{files}/no_lm"],
    ["no_lm: no trained language model"],
  ),
  "run without tokenizer": (
    ["generate", "A smile.", "--run", "{files}/no_tokenizer"],
    ["tokenizer: no trained tokenizer here"],
  ),
  **{
    f"describe: {what}": (["describe", "{files}/" + name, "--run", "{run}"], said)
    for what, name, said in (
      ("missing", "gone.npz", ["gone.npz: no such file; check the name"]),
      ("empty", "empty.npz", ["empty.npz: is empty"]),
      ("truncated", "cut.npz", ["cut.npz: is damaged", "again"]),
      ("layout", "layout.npz", ["layout.npz: not a motion", "keys: vertices", "give"]),
      ("landmarks", "landmarks.npz", ["landmarks.npz: 2-D landmarks", "fit"]),
      ("other face", "flame.npz", ["flame.npz:", "'flame2020'", "'default_v2'"]),
      ("other width", "wide.npz", ["wide.npz: 100 expression", "50"]),
      ("NaN", "nan.npz", ["nan.npz: 'jaw_pose' is NaN", "index 3", "re-run"]),
      ("lengths", "lengths.npz", ["'jaw_pose' has 11 frames but 'expression' has 12"]),
      ("pickle that runs", "bomb.pkl", ["bomb.pkl:", "system"]),
      ("folder", "", ["cut.npz: is damaged", "again"]),  # its frames are read
    )
  },
  "render: missing": (["render", "{files}/gone.npz", "-o", "a.mp4"], ["no such file"]),
  "render: suffix": (
    ["render", "{files}/good.npz", "-o", "{files}/a.avi", "--size", "64"],
    ["a.avi: cannot write a .avi video", ".mp4, .gif or .png"],
  ),
  "render: odd size": (
    ["render", "{files}/good.npz", "-o", "{files}/a.mp4", "--size", "255"],
    ["--size 255: give an even number"],
  ),
  "render: size 0": (
    ["render", "{files}/good.npz", "-o", "{files}/a.mp4", "--size", "0"],
    ["--size 0"],
  ),
  "render: other face": (
    ["render", "{files}/flame.npz", "-o", "{files}/a.mp4"],
    ["flame.npz:", "'flame2020'", "--face_model"],
  ),
  "render: face model missing": (
    ["render", "{files}/good.npz", "-o", "{files}/a.mp4", "--face_model", "gone.pkl"],
    ["gone.pkl"],
  ),
  "evaluate: no records": (
    ["evaluate", "--run", "{run}", "--records", "{files}"],
    ["no records here", "data_prep.build"],
  ),
  "evaluate: no clips": (
    ["evaluate", "--run", "{run}", "--max_clips", "0"],
    ["--max_clips 0"],
  ),
  "evaluate: no replications": (
    ["evaluate", "--run", "{run}", "--replications", "0"],
    ["--replications 0", "1 at least"],
  ),
  "evaluate: a judge without a name": (
    ["evaluate", "--run", "{run}", "--judge_url", "http://127.0.0.1:9/v1"],
    ["--judge_model"],
  ),
  "evaluate: motions without the true ones": (
    ["evaluate", "--pred", "{files}"],
    ["--pred, --ref", "both"],
  ),
  "no such command": (["dance"], ["dance", "--help"]),
  "command misspelt": (["genrate", "A smile."], ["did you mean generate?"]),
  "option misspelt": (
    ["generate", "A smile.", "--secnds", "2"],
    ["--secnds", "did you mean --seconds?"],
  ),
  "choice misspelt": (
    ["render", "{files}/good.npz", "-o", "a.mp4", "--view", "fornt"],
    ["did you mean front?"],
  ),
  **{
    f"key: {name}": ([*GENERATE.split(), "A smile.", "--key", text], said)
    for name, text, said in (
      ("no time", "neutral", ["--key 'neutral'", "2.0:pose.npz@17"]),
      ("outside the clip", "5:neutral", ["--key 5: outside", "4 s", "0 to 4"]),
      ("unknown words", "1:qwer asdf", ["--key 1:", "lexicon", "eyes closed"]),
      ("which frame", "1:{files}/good.npz", ["which frame", "good.npz@17"]),
      ("no such frame", "1:{files}/good.npz@12", ["no frame 12", "0 to 11"]),
      ("no such file", "1:{files}/none.npz@1", ["none.npz: no such file"]),
      ("another face", "1:{files}/flame.npz@1", ["--key 1: its", "tdmm retarget"]),
      ("a broken file", "1:{files}/cut.npz@1", ["cut.npz: is damaged"]),
    )
  },
  "two keys at one time": (
    [*GENERATE.split(), "A smile.", "--key", "1:neutral", "--key", "1.01:neutral"],
    ["--key 1.01: a second key at frame 25", "move one"],
  ),
  "edit nothing": (
    ["edit", "{files}/good.npz", "A smile.", "--run", "{run}", "-o", "{files}/out"],
    ["--frames: say which", "--keep"],
  ),
  **{
    f"keep {' and '.join(parts)}": (
      ["edit", "{files}/good.npz", "A smile.", "--run", "{run}", "-o", "{files}/out"]
      + [word for part in parts for word in ("--keep", part)],
      said,
    )
    for parts, said in (
      (["mouth"], ["--keep 'mouth': no such part; choose head, face, lips, upper"]),
      (["head", "face"], ["--keep head, face: nothing would be new", "fewer"]),
    )
  },
  "keep of another face": (
    ["edit", "{files}/flame.npz", "A smile.", "--keep", "lips", "--run", "{run}"],
    ["flame.npz: its coefficients belong to 'flame2020'", "tdmm retarget"],
  ),
  "keys of many prompts": (
    [*GENERATE.split(), "--prompts", "{files}/good.jsonl", "--key", "1:neutral"],
    ["--key: for one PROMPT or --timeline"],
  ),
  "quiet and verbose": (["generate", "A smile.", "-q", "-v"], ["not allowed with"]),
  "no such shell": (["completion", "bsh"], ["did you mean bash?"]),
  "no command": ([], ["COMMAND", "--help"]),
  "live to nobody knows what": (
    ["live", "--run", "{run}", "--to", "osc://127.0.0.1:9000"],
    ["--to: 'osc://127.0.0.1:9000' is none of", "ws://HOST:PORT", "choose one"],
  ),
  "live without a port": (
    ["live", "--run", "{run}", "--to", "vmc://127.0.0.1"],
    ["--to: 'vmc://127.0.0.1' lacks a host or a port"],
  ),
}


@pytest.mark.parametrize("name", ROWS)
def test_one_line_says_what_where_and_the_mend(name, tiny_run, files, capsys):
  arguments, said = ROWS[name]
  arguments = [a.format(run=tiny_run, files=files) for a in arguments]
  try:
    code = main.main(arguments)
  except SystemExit as stop:  # argparse
    code = stop.code
  out, err = capsys.readouterr()
  assert code == 2
  assert err.startswith("tdmm: error: ") and err.endswith("\n")
  assert err.count("\n") == 1 and "Traceback" not in err
  for words in said:
    assert words in err
  assert out == ""
  assert not (files / "exploded").exists()  # whatever was read, nothing was run
  assert not (files / "out").exists() and not list(files.glob("*.tmp*"))


def test_the_bomb_is_live(tmp_path):
  """So that its silence in the table means something."""
  pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
  assert (tmp_path / "exploded").exists()


def test_no_run_at_all(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(locate, "RELEASE_DIR", tmp_path / "none")
  assert main.main(["generate", "A smile."]) == 2
  assert "run: not given and runs/train does not exist" in capsys.readouterr().err


def test_debug_shows_where_it_came_from(tmp_path, capsys):
  assert main.main(["describe", str(tmp_path / "gone.npz"), "--debug"]) == 2
  said = capsys.readouterr().err
  assert said.startswith("Traceback") and "\ntdmm: error: " in said


CONFIG = ["--config", "configs/lm_demo.py", "--workdir", "{tmp}"]
TRAIN_ROWS = {
  "unknown key": (["--config.totl_steps=1"], ["totl_steps", "'total_steps'"]),
  "unknown key, like none": (["--config.nonsense=1"], ["nonsense: no such key"]),
  "unknown key inside": (["--config.model.emb_dimm=1"], ["emb_dimm", "'emb_dim'"]),
  "value of another type": (["--config.batch_size=many"], ["batch_size", "many"]),
  "missing file": (["--config=configs/gone.py"], ["configs/gone.py: no such file"]),
  "unknown flag": (["--wrkdir=x"], ["wrkdir", "workdir"]),
  "no workdir": (["--workdir="], ["--config and --workdir are needed"]),
  "no tokenizer": (["--config.tokenizer_dir={tmp}"], ["no trained tokenizer here"]),
  "nothing to start from": (
    ["--config.init_from={tmp}/gone"],
    ["gone/config.json: missing", "spiece.model"],
  ),
  "weights that do not fit": (
    ["--config.init_from={t5}"],
    [
      *("missing decoder.final_layer_norm.weight", "unknown extra.weight"),
      *("encoder.final_layer_norm.weight is [7], not [24]", "same checkpoint"),
    ],
  ),
}
# `python -m tdmm_jax.train` for each command line of argv[1], importing JAX once.
TRAIN_EACH = """
import json, os, sys, traceback
from absl import app
from tdmm_jax.train import __main__ as train
for name, arguments in json.loads(sys.argv[1]).items():
  child = os.fork()
  if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps({"name": name, "status": status}))
    continue
  os.dup2(os.open(os.path.join(sys.argv[2], name), os.O_WRONLY | os.O_CREAT), 2)
  status, sys.argv = 1, ["train", *arguments]
  try:
    train.run()
  except SystemExit as stop:
    status = stop.code
  except BaseException:
    traceback.print_exc()
  sys.stderr.flush()
  os._exit(status)
"""


@pytest.fixture(scope="module")
def train_answers(tmp_path_factory):
  """Name -> (exit code, stderr) of each row."""
  folder = tmp_path_factory.mktemp("train")
  t5_folders.write(folder / "t5", "t5_1_1")
  t5_folders.change_tensors(
    folder / "t5",
    {
      "decoder.final_layer_norm.weight": None,
      "extra.weight": np.zeros(2, np.float32),
      "encoder.final_layer_norm.weight": np.zeros(7, np.float32),
    },
  )
  paths = {"tmp": folder / "workdir", "t5": folder / "t5"}
  commands = {
    name: [a.format(**paths) for a in (*CONFIG, *arguments)]
    for name, (arguments, _) in TRAIN_ROWS.items()
  }
  out = tiny.run_python(TRAIN_EACH, json.dumps(commands), folder, cwd=tiny.REPO)
  answers = map(json.loads, out.splitlines())
  return {a["name"]: (a["status"], (folder / a["name"]).read_text()) for a in answers}


@pytest.mark.parametrize("name", TRAIN_ROWS)
def test_the_training_entry_says_it_in_one_line_too(name, train_answers):
  code, err = train_answers[name]
  said = [line for line in err.splitlines() if not LOGGED.match(line)]
  lines = [line for line in said if not line.endswith(" ...")]  # what takes long
  assert code == 2, err
  assert len(lines) == 1 and lines[0].startswith("train: error: "), err
  for words in TRAIN_ROWS[name][1]:
    assert words in lines[0]
