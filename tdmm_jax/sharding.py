"""Where every array lives: the device mesh and the one table of sharding rules.

The only module that names PartitionSpec. Parameters and activations carry logical
axis names; the table below maps them to mesh axes. One CPU device is a mesh of one.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tdmm_jax.errors import UserError

MESH_AXES = ("data", "fsdp", "tensor")

LOGICAL_AXIS_RULES = (
  ("act_batch", ("data", "fsdp")),
  ("act_length", None),
  ("act_embed", None),
  ("act_mlp", "tensor"),
  ("act_heads", "tensor"),
  ("act_kv", None),
  ("act_vocab", "tensor"),
  ("vocab", "tensor"),
  ("embed", "fsdp"),
  ("mlp", "tensor"),
  ("heads", "tensor"),
  ("kv", None),
  ("layers", None),  # the leading axis that scanned layers add
  ("rank", None),  # of a kernel's low-rank factors
  ("relpos_buckets", None),
  ("features", None),  # motion features and FLAME parameters: tens of rows, replicated
  ("text", None),  # rows of a pretrained text encoder's matrices: replicated
  ("codes", None),  # FSQ latents and VQ codebooks: small, replicated
)


def make_mesh(data: int = -1, fsdp: int = 1, tensor: int = 1, devices=None) -> Mesh:
  """Returns a mesh over all devices; one axis may be -1 (what is left).

  Where the devices are those of several TPU slices, `data` alone runs between slices:
  their network (DCN) is far slower than the links within one.

  Args:
    devices: other devices than this process', as those of a described TPU topology.

  Raises:
    ValueError: if the sizes do not multiply to the number of devices, or `data` is no
      multiple of the number of slices.
  """
  sizes = [data, fsdp, tensor]
  devices = jax.devices() if devices is None else devices
  num_devices = len(devices)
  if -1 in sizes:
    known = int(np.prod([s for s in sizes if s != -1]))
    sizes[sizes.index(-1)] = num_devices // known
  if int(np.prod(sizes)) != num_devices:
    raise ValueError(
      f"mesh {dict(zip(MESH_AXES, sizes))} does not cover {num_devices} devices"
    )
  # Auto by hand: make_mesh defaults to Explicit, under which constraints are asserts.
  auto = (AxisType.Auto,) * 3
  if num_slices(devices) > 1:
    return Mesh(_across_slices(sizes, devices), MESH_AXES, axis_types=auto)
  return jax.make_mesh(tuple(sizes), MESH_AXES, axis_types=auto, devices=devices)


def num_slices(devices) -> int:
  """How many TPU slices the devices are of; 1 for others, whatever their hosts."""
  return (
    len({getattr(d, "slice_index", 0) for d in devices if d.platform == "tpu"}) or 1
  )


def _across_slices(sizes: list[int], devices) -> np.ndarray:
  """Devices [data, fsdp, tensor]: those of a slice are neighbours along `data`.

  Raises:
    ValueError: `data` is no multiple of the number of slices.
  """
  slices = num_slices(devices)
  data, fsdp, tensor = sizes
  if data % slices:
    raise ValueError(
      f"mesh {dict(zip(MESH_AXES, sizes))}: data must be a multiple of {slices}, the "
      "number of slices; fsdp and tensor stay within a slice"
    )
  return mesh_utils.create_hybrid_device_mesh(
    (data // slices, fsdp, tensor), (slices, 1, 1), devices
  )


def _spec(names: Sequence[str | None]) -> PartitionSpec:
  rules = dict(LOGICAL_AXIS_RULES)
  # A misspelt name must not silently replicate: KeyError names it.
  return PartitionSpec(*(None if name is None else rules[name] for name in names))


def _outside_mesh() -> bool:
  """Nothing is sharded by name: no mesh is in use, or each device runs on its own."""
  mesh = jax.sharding.get_abstract_mesh()
  return mesh.empty or mesh.axis_names != MESH_AXES


def for_cpus() -> bool:
  """Whether what is traced now runs on CPUs: the mesh's devices, or this process's.

  XLA's CPU backend is taken around its weaknesses there (docs/performance.md has a
  list). A process on CPUs may trace for the mesh of a TPU slice (launch.compile_check).
  """
  device = jax.sharding.get_abstract_mesh().abstract_device
  return (device.platform if device else jax.default_backend()) == "cpu"


def constrain(x: jax.Array, *names: str | None) -> jax.Array:
  """Constrains an activation's sharding; without a mesh it returns x unchanged."""
  if _outside_mesh():
    return x
  return jax.lax.with_sharding_constraint(x, _spec(names))


def can_share_rows(num_rows: int, params) -> bool:
  """Whether `share_rows` can run: several devices here, and nothing is tied to one."""
  devices = jax.local_device_count()
  alone = jax.process_count() == 1 and jax.sharding.get_abstract_mesh().empty
  free = not any(getattr(x, "committed", False) for x in jax.tree.leaves(params))
  return alone and free and 1 < devices <= num_rows and num_rows % devices == 0


def share_rows(fn, whole: Sequence[Any], rows: Sequence[jax.Array]):
  """`fn(*whole, *rows)`, each device of this process with its share of the rows.

  The devices do not communicate, so each may leave a loop when it is done.

  Args:
    whole: trees of arrays that every device is given.
    rows: arrays whose first axis is shared out; so is the result's.
  """
  mesh = _mesh_of_rows()
  specs = (PartitionSpec(),) * len(whole) + (PartitionSpec("rows"),) * len(rows)
  shared = jax.shard_map(
    fn, mesh=mesh, in_specs=specs, out_specs=PartitionSpec("rows"), check_vma=False
  )
  return shared(*whole, *rows)


def on_every_device(tree):
  """The tree on each device of this process; CPU devices all read the same memory.

  A host's cores share a cache, and a copy for each would fill it.
  """
  if jax.default_backend() == "cpu":
    tree = jax.tree.map(np.asarray, tree)  # no copy, nor does device_put make one
  return jax.device_put(tree, NamedSharding(_mesh_of_rows(), PartitionSpec()))


def _mesh_of_rows() -> Mesh:
  devices = (jax.local_device_count(),)
  return jax.make_mesh(devices, ("rows",), axis_types=(AxisType.Auto,))


def gathered(kernel: jax.Array, *names: str) -> jax.Array:
  """A kernel as a matrix product takes it: whole along fsdp, split along tensor.

  Kernels are stored in shards and gathered just before use, in the layers' dtype. This
  is done by hand because the TPU compiler, left to itself, cuts each product into a
  ring of small ones. The gradient goes back to where the kernel rests: each device sums
  its shard.
  """
  if _outside_mesh():
    return kernel
  in_use = [None if dict(LOGICAL_AXIS_RULES)[n] == "fsdp" else n for n in names]

  @jax.custom_vjp
  def gather(kernel):
    return constrain(kernel, *in_use)

  gather.defvjp(
    lambda kernel: (gather(kernel), None),
    lambda _, gradient: (constrain(gradient, *names),),
  )
  return gather(kernel)


def per_shard(fn, in_names: Sequence[Sequence[str]], out_names: Sequence[str]):
  """`fn` as each device runs it on its own shards; without a mesh, `fn` itself.

  For programs that the compiler cannot take apart. The gradient of an input is summed
  over the mesh axes that its names leave out.

  Args:
    in_names: logical axes of each of fn's arrays.
    out_names: those of its one result.
  """
  if _outside_mesh():
    return fn
  specs = tuple(_spec(names) for names in in_names)
  return jax.shard_map(fn, in_specs=specs, out_specs=_spec(out_names), check_vma=False)


def partitioned(init, *names: str):
  """Wraps an initialiser so that its parameter carries logical axis names."""
  _spec(names)
  return nn.with_logical_partitioning(init, names)


def state_shardings(abstract_state: Any, mesh: Mesh) -> Any:
  """Maps a tree of boxed abstract arrays to a tree of NamedShardings.

  What the optimiser keeps in place of a whole parameter (Adafactor's row and column
  sums, and the single zero where it has none) carries that parameter's names but not
  its axes; it is small, and replicated.
  """

  def whole(leaf):
    if not isinstance(leaf, nn.LogicallyPartitioned):
      return leaf
    # Muon's masked parameters are boxes around no array.
    shape = getattr(leaf.value, "shape", None)
    replicated = shape is None or len(shape) != len(leaf.names) or shape == (1,)
    return leaf.value if replicated else leaf

  abstract_state = jax.tree.map(
    whole, abstract_state, is_leaf=lambda x: isinstance(x, nn.LogicallyPartitioned)
  )
  specs = nn.get_partition_spec(abstract_state)
  return nn.logical_to_mesh_sharding(specs, mesh, LOGICAL_AXIS_RULES)


def unbox(tree: Any) -> Any:
  """Removes the logical-axis boxes; plain arrays remain."""
  return nn.meta.unbox(tree)


def cache_shardings(cache: Any, mesh: Mesh) -> Any:
  """Shardings of a decoding cache: keys and values [B, H, M, K], and a scalar."""
  names = ("act_batch", "act_heads", "act_length", "act_kv")
  return jax.tree.map(lambda x: NamedSharding(mesh, _spec(names[: x.ndim])), cache)


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """How a batch lies: its examples over the data and fsdp axes."""
  return NamedSharding(mesh, _spec(("act_batch",)))


def host_rows(mesh: Mesh, batch_size: int) -> np.ndarray:
  """Which rows of a global batch this process's devices hold, int[R], ascending.

  Where the batch is not split over processes (they differ along `tensor` only), all.

  Raises:
    UserError: the batch does not divide over the mesh's data and fsdp axes.
  """
  shards = mesh.shape["data"] * mesh.shape["fsdp"]
  if batch_size % shards:
    raise UserError(
      f"config.batch_size {batch_size}: does not divide over {shards} shards (mesh "
      f"data x fsdp); take a multiple of {shards}"
    )
  indices = batch_sharding(mesh).addressable_devices_indices_map((batch_size,)).values()
  everything = np.arange(batch_size)
  return np.unique(np.concatenate([everything[index] for index in indices]))


def to_global(
  batch: dict[str, np.ndarray], mesh: Mesh, batch_size: int | None = None
) -> dict[str, jax.Array]:
  """Assembles each host's rows (see `host_rows`) into arrays sharded over the mesh.

  Args:
    batch: this process's rows of the batch, in order.
    mesh: the device mesh.
    batch_size: rows of the global batch; needed with several processes.
  """
  return {
    key: jax.make_array_from_process_local_data(
      batch_sharding(mesh),
      value,
      None if batch_size is None else (batch_size, *value.shape[1:]),
    )
    for key, value in batch.items()
  }
