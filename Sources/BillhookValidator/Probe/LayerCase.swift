internal import BillhookPlugins
internal import BillhookSDK

/// A layer for a call.
struct LayerCase: Sendable {
  var shape: [Int]
  var outAxis = 0
  var inAxis = 1
  var groups = 1
  var index = 0
  var role = UInt32(BH_ROLE_WEIGHT)
  /// First element of a piece.
  var begin = 0
  var samples = (begin: 0, total: 0)

  init(_ shape: [Int], groups: Int = 1) {
    self.shape = shape
    self.groups = groups
    outAxis = shape.isEmpty ? -1 : 0
    inAxis = shape.count < 2 ? -1 : 1
  }

  var count: Int { shape.reduce(1, *) }
  var outputCount: Int? { shape.indices.contains(outAxis) ? shape[outAxis] : nil }
  var inputCount: Int? { shape.indices.contains(inAxis) ? shape[inAxis] * groups : nil }
  /// Weights of one output channel.
  var inputsPerOutput: Int { outputCount.map { $0 == 0 ? 0 : count / $0 } ?? 0 }
  var op: String { shape.count > 2 ? "Conv" : "Gemm" }
  var name: String { "layer \(index)" }

  /// What the host keeps of it: the key of random numbers.
  var context: LayerContext {
    LayerContext(
      role: role == UInt32(BH_ROLE_WEIGHT) ? .weight : .activation, index: index, name: name,
      op: op, outAxis: outAxis, inAxis: inAxis, groups: groups)
  }

  func structure(_ arena: ProbeArena) throws -> UnsafeMutablePointer<bh_layer> {
    var layer = bh_layer()
    layer.role = role
    layer.index = UInt64(index)
    layer.name = try arena.text(name)
    layer.op = try arena.text(op)
    layer.out_axis = Int32(outAxis)
    layer.in_axis = Int32(inAxis)
    layer.groups = Int64(groups)
    layer.ndim = Int64(shape.count)
    if !shape.isEmpty {
      let sizes = try arena.array(shape.map { Int64($0) })
      layer.shape = sizes
    }
    layer.element_begin = Int64(begin)
    layer.sample_begin = Int64(samples.begin)
    layer.sample_total = Int64(samples.total)
    if arena.surroundings.isNewer { layer.next = arena.unknownNext() }
    return try arena.structure(layer)
  }
}
