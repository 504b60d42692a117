"""simulated_faces: the embedded default corpus for users of `tfds build`.

`python -m data_prep.build` writes the same records faster, in parallel, resumably and
without TensorFlow; this builder is the form TFDS users know.
"""

import tensorflow_datasets as tfds

from data_prep import build, prompts, records, simulate


class Builder(tfds.core.GeneratorBasedBuilder):
  """DatasetBuilder of the `small` corpus."""

  VERSION = tfds.core.Version(records.SIMULATED_FACES.version)
  RELEASE_NOTES = {"1.0.0": "Initial release."}
  NUM_CLIPS = build.CORPORA["small"].num_clips
  SEED = 0

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=build.feature_spec(simulate.head_basis()), disable_shuffling=True
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing is downloaded: the corpus is simulated
    seconds = build.CORPORA["small"].seconds
    plans = prompts.make_suite(self.NUM_CLIPS, self.SEED, seconds)
    return {
      split: self._generate_examples([plan for plan in plans if plan.split == split])
      for split in prompts.SPLITS
    }

  def _generate_examples(self, plans):
    for plan in plans:
      yield plan.clip_id, build.example_of(plan, simulate.head_basis())
