"""simulated_faces: the embedded default corpus for users of `tfds build`.

`python -m data_prep.build` writes the same records faster, in parallel, resumably and
without TensorFlow; this builder is the form TFDS users know.
"""

import dataclasses

import tensorflow_datasets as tfds

from data_prep import build, manifest, prompts, records, simulate


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
  """A corpus of build.CORPORA; None: prompts.jsonl in TFDS' manual folder."""

  num_clips: int | None = None
  seconds: tuple[float, float] = (4.0, 6.0)
  labels_per_family: int | None = None
  written: float = 0.0


class Builder(tfds.core.GeneratorBasedBuilder):
  """DatasetBuilder of the simulated corpora."""

  VERSION = tfds.core.Version(records.SIMULATED_FACES.version)
  RELEASE_NOTES = {"2.0.0": "Attributes are acts.", "1.0.0": "Initial release."}
  BUILDER_CONFIGS = [
    *(
      Config(
        name=name,
        description=f"{corpus.num_clips} clips of the project's own suite.",
        num_clips=corpus.num_clips,
        seconds=corpus.seconds,
        labels_per_family=corpus.labels_per_family,
        written=corpus.written,
      )
      for name, corpus in build.CORPORA.items()
    ),
    Config(name="prompts", description="Your own prompts.jsonl, acted out."),
  ]
  DEFAULT_BUILDER_CONFIG_NAME = "small"
  MANUAL_DOWNLOAD_INSTRUCTIONS = "For the config 'prompts': put prompts.jsonl here."
  SEED = 0

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=build.feature_spec(simulate.head_basis()), disable_shuffling=True
    )

  def _split_generators(self, dl_manager):
    config = self.builder_config
    if config.num_clips is None:
      rows = manifest.read(dl_manager.manual_dir / "prompts.jsonl")
      plans = [build.plan_of_row(row, self.SEED, config.seconds) for row in rows]
    else:  # nothing is downloaded: the corpus is simulated
      plans = prompts.make_suite(
        config.num_clips,
        self.SEED,
        config.seconds,
        labels_per_family=config.labels_per_family,
        written=config.written,
      )
    by_split = {
      split: [plan for plan in plans if plan.split == split] for split in prompts.SPLITS
    }
    return {
      split: self._generate_examples(mine) for split, mine in by_split.items() if mine
    }

  def _generate_examples(self, plans):
    for plan in plans:
      yield plan.clip_id, build.example_of(plan, simulate.head_basis())
