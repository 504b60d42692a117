"""A glTF player of a page: what the specification says, on what pygltflib reads."""

import numpy as np
import pygltflib
from scipy.spatial.transform import Rotation

_DTYPES = {5126: "<f4", 5125: "<u4", 5123: "<u2", 5121: "u1"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Player:
  """Vertices of a GLB at a time: morph targets, then skinning (3.7 of the standard)."""

  def __init__(self, path):
    self.gltf = pygltflib.GLTF2().load(str(path))
    self.data = self.gltf.binary_blob()
    primitive = self.gltf.meshes[0].primitives[0]
    self.names = self.gltf.meshes[0].extras["targetNames"]
    attributes = primitive.attributes
    self.positions = self.array(attributes.POSITION)
    self.targets = np.stack([self.array(t["POSITION"]) for t in primitive.targets])
    self.joints = self.array(attributes.JOINTS_0)
    self.weights = self.array(attributes.WEIGHTS_0)
    self.triangles = self.array(primitive.indices).reshape(-1, 3)
    animation = self.gltf.animations[0]
    self.tracks = {}
    for channel in animation.channels:
      sampler = animation.samplers[channel.sampler]
      times, values = self.array(sampler.input)[:, 0], self.array(sampler.output)
      self.tracks[channel.target.node, channel.target.path] = times, values
    self.times = max((times for times, _ in self.tracks.values()), key=len)

  def array(self, index):
    accessor = self.gltf.accessors[index]
    values = np.zeros((accessor.count, _WIDTHS[accessor.type]))
    if accessor.bufferView is not None:
      values[:] = self.view(accessor.bufferView, accessor.componentType, values.shape)
    if accessor.sparse is not None:
      count, sparse = accessor.sparse.count, accessor.sparse
      rows = self.view(
        sparse.indices.bufferView, sparse.indices.componentType, (count,)
      )
      values[rows] = self.view(
        sparse.values.bufferView, accessor.componentType, (count, values.shape[1])
      )
    return values

  def view(self, index, component, shape):
    view = self.gltf.bufferViews[index]
    return np.frombuffer(
      self.data, _DTYPES[component], int(np.prod(shape)), view.byteOffset
    ).reshape(shape)

  def value(self, node, path, time):
    times, values = self.tracks[node, path]
    values = values.reshape(len(times), -1)
    return np.stack([np.interp(time, times, column) for column in values.T])

  def world(self, node, time):
    """4 x 4 of a node, its parents' included."""
    local = np.eye(4)
    local[:3, :3] = Rotation.from_quat(self.value(node, "rotation", time)).as_matrix()
    local[:3, 3] = self.value(node, "translation", time)
    for parent, other in enumerate(self.gltf.nodes):
      if node in (other.children or []):
        return self.world(parent, time) @ local
    return local

  def vertices(self, time):
    morphed = self.positions + np.tensordot(
      self.value(0, "weights", time), self.targets, axes=1
    )
    skin = self.gltf.skins[0]
    inverse = self.array(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
    matrices = np.stack(
      [self.world(n, time) @ inverse[i] for i, n in enumerate(skin.joints)]
    )
    blended = np.einsum("vk,vkab->vab", self.weights, matrices[self.joints.astype(int)])
    homogeneous = np.concatenate([morphed, np.ones((len(morphed), 1))], axis=1)
    return np.einsum("vab,vb->va", blended, homogeneous)[:, :3]
