"""What a dashboard shows, read back with TensorBoard's own reader."""

import io
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny
import toy_training
from PIL import Image

from tdmm_jax.evaluation import media
from tdmm_jax.runs import checkpoints
from tdmm_jax.train import metric_logging, speed


def write_all(workdir, tensorboard=True):
  logger = metric_logging.MetricLogger(workdir, tensorboard, batch_size=8)
  logger.write_hparams({"learning_rate": 1e-3, "model": {"emb_dim": 16}})
  logger.write(5, "train", {"loss": 2.5, "mfu": 0.4})
  logger.write(10, "train", {"loss": 1.5, "mfu": 0.5})
  logger.write_scalars(10, {"steps_per_sec": 7.0})
  logger.write_text(10, {"captions/0": "**Prompt:** she smiles"})
  ramp = np.linspace(0, 255, 6 * 20 * 30 * 3).reshape(6, 20, 30, 3).astype(np.uint8)
  logger.write_image(10, "faces", ramp[0])
  logger.write_video(10, "moving", ramp, fps=25.0)
  logger.close()
  return ramp


def test_tensorboard_reads_back_what_was_written(tmp_path):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  ramp = write_all(tmp_path)
  events = event_accumulator.EventAccumulator(str(tmp_path))
  events.Reload()
  tags = events.Tags()["tensors"]
  read = lambda tag: [
    (event.step, tensor_util.make_ndarray(event.tensor_proto))
    for event in events.Tensors(tag)
  ]
  assert [(step, float(x)) for step, x in read("train/loss")] == [(5, 2.5), (10, 1.5)]
  # By example: eight a step.
  assert [step for step, _ in read("train_by_example/mfu")] == [40, 80]
  assert "progress/steps_per_sec" in tags and "_hparams_/session_start_info" in tags
  assert b"she smiles" in read("captions/0")[0][1].item()
  still = read("faces")[0][1]
  picture = np.asarray(Image.open(io.BytesIO(still[2])))
  np.testing.assert_array_equal(picture, ramp[0])
  width, height, gif = read("moving")[0][1]
  assert (int(width), int(height)) == (30, 20) and gif.startswith(b"GIF89a")
  assert Image.open(io.BytesIO(gif)).n_frames == 6
  assert events.SummaryMetadata("moving").plugin_data.plugin_name == "images"


def test_without_tensorflow_there_are_json_lines_and_a_word_about_it(
  tmp_path, monkeypatch, caplog
):
  writer = "clu.metric_writers.tf.summary_writer"
  monkeypatch.delattr(writer, raising=False)  # an earlier import's
  monkeypatch.delitem(sys.modules, writer, raising=False)
  monkeypatch.setitem(sys.modules, "tensorflow", None)
  write_all(tmp_path)
  assert "TensorBoard off" in caplog.text and metric_logging.FILE in caplog.text
  curve = metric_logging.read_curve(tmp_path, "train", "loss")
  assert curve == [(5, 2.5), (10, 1.5)]
  assert [path.name for path in tmp_path.iterdir()] == [metric_logging.FILE]


def test_training_with_tensorboard_goes_through_without_tensorflow(tmp_path):
  """As on a TPU worker, whose requirements have no TensorFlow."""
  missing = "import sys\nsys.modules['tensorflow'] = None\n"
  words = [sys.executable, "-c", missing + toy_training.TOY + toy_training.RUN]
  words += toy_training.flags(12, tmp_path, tensorboard=True, profile_step=3)
  env = os.environ | toy_training.ENV
  done = subprocess.run(words, env=env, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-2000:]
  assert "TensorBoard off" in done.stderr
  assert metric_logging.read_curve(tmp_path, "train", "total_loss")[-1][0] == 12
  assert not list(tmp_path.glob("events*"))
  assert list(tmp_path.rglob("plugins/profile/*/*.xplane.pb"))  # of steps 3 to 7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokenizer", "lm"])
def test_evaluation_shows_faces_beside_the_truth(tiny_run, name):
  config = tiny.config_of(f"{name}_demo", tiny_run, eval_media=2)
  model = checkpoints.restore_model(tiny_run / name)
  show = media.Showcase(config, tiny_run / name)
  examples = show.examples(model["params"], model["collections"])
  assert len(examples) == 2
  for example in examples:
    frames, height, width, _ = example.frames_THW3.shape
    assert frames <= 40 and height == 160 and width > 320
    truth, made = example.frames_THW3[:, :, :160], example.frames_THW3[:, :, -160:]
    for half in (truth, made):
      assert half.std() > 10 and (np.abs(np.diff(half.astype(int), axis=0)) > 3).any()
    assert (truth != made).any()
    assert ("Described" in example.text) == (name == "lm")


def test_model_flops_of_a_layer_counted_by_hand():
  class Model:
    emb_dim, num_heads, head_dim, mlp_dim = 4, 2, 3, 5
    num_encoder_layers, num_decoder_layers = 1, 1
    mlp_activation = "gated-gelu"

  # Encoder: 4 products 4x6, 3 of 4x5; decoder: 6 and 3, and 2 on the encoder; table.
  encoder = (4 * 24 + 3 * 20) * 7 + 2 * 24 * 7
  decoder = (6 * 24 + 3 * 20) * 9 + 4 * 11 * 9
  pairs = 7 * 7 + 9 * 9 + 9 * 7
  expected = 6 * (encoder + decoder) + 12 * 6 * pairs
  assert speed.t5_flops(Model, 11, 7, 9) == expected
  Model.mlp_activation = "relu"  # one matrix less
  assert speed.t5_flops(Model, 11, 7, 9) == expected - 6 * 20 * (7 + 9)


def test_rates_leave_out_evaluation_and_the_first_look(monkeypatch):
  clock = iter([10.0, 12.0, 15.0, 20.0])
  monkeypatch.setattr(speed.time, "monotonic", lambda: next(clock))
  meter = speed.Speedometer(batch_size=4, tokens=10, flops=0.0)
  assert set(meter.look(5)) == {"host_peak_gib"}  # at 10 s
  with meter.excluded():  # 12 to 15 s
    pass
  rates = meter.look(12)  # at 20 s: 7 steps in 10 - 3 s
  assert rates["steps_per_s"] == 1.0 and rates["tokens_per_s"] == 40.0
  assert "mfu" not in rates and rates["host_peak_gib"] > 0.01


def test_a_device_without_a_published_peak_is_measured():
  peak, source = speed.peak_flops()
  assert source == "measured" and peak > 1e8
  assert jax.devices()[0].platform == "cpu"
