internal import BillhookGraph
internal import BillhookTensor

extension Tensor {
  /// Whether no element is NaN or infinite; of a tensor of any floating-point type.
  var isFinite: Bool {
    elementType == .float32 ? hasOnlyFiniteFloats : asFloat32().hasOnlyFiniteFloats
  }

  /// Checks a weight before it is scored: a plugin would be blamed for what the file holds.
  ///
  /// - Throws: ``CompressionError/weightNotFinite(layer:place:value:)`` for the first element.
  func requireFiniteWeight(of layer: String) throws(CompressionError) {
    guard !isFinite else { return }
    let values = floats()
    guard let first = values.firstIndex(where: { !$0.isFinite }) else { return }
    var place: [Int] = []
    var rest = first
    for size in shape.reversed() {
      place.insert(rest % size, at: 0)
      rest /= size
    }
    throw .weightNotFinite(layer: layer, place: place, value: "\(values[first])")
  }
}

extension Graph {
  /// Checks that training left every tensor finite that was finite before: a constant of a network
  /// may be infinite by intent, as in a mask.
  ///
  /// - Throws: ``CompressionError/trainedNotFinite(tensor:rate:)``.
  func requireFinite(since before: Graph, rate: Float) throws(CompressionError) {
    let tensors = constantTensors()
    for name in tensors.keys.sorted() {
      guard let tensor = tensors[name], tensor.elementType.isFloatingPoint, !tensor.isFinite else {
        continue
      }
      if let old = before.constant(name), !old.isFinite { continue }
      throw .trainedNotFinite(tensor: name, rate: rate)
    }
  }
}
