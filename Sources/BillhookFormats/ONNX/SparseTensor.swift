internal import BillhookGraph
internal import BillhookTensor

/// The bytes that sparse tensors of one model may take when they are dense.
///
/// A sparse tensor of a few bytes names a shape of any size. What a model holds must fit a file when
/// it is written again.
final class SparseBudget {
  static let maximumByteCount = 1 << 31
  private var byteCount = 0

  /// False when there is no room for so many more.
  func take(_ count: Int) -> Bool {
    guard count <= Self.maximumByteCount - byteCount else { return false }
    byteCount += count
    return true
  }
}

extension ONNXDecoder {
  /// Decodes a sparse tensor into a dense one, with zeros where it has no values.
  ///
  /// The places may be in any order, each of them once.
  func initializer(
    _ proto: Onnx_SparseTensorProto, at location: String
  ) throws(FormatError) -> Initializer {
    var values = try ofWholeMessages.initializer(proto.values, at: "the values of \(location)")
    let type = values.tensor.elementType
    let shape = proto.dims.map { Int($0) }
    guard let count = Tensor.elementCount(of: shape, elementType: type) else {
      throw malformed(location, "shape \(shape)", "sizes of 0 or more that fit into memory")
    }
    guard sparseBudget.take(count * type.byteCount) else {
      throw unsupported(
        location, "\(count * type.byteCount) bytes for shape \(shape) of \(type)",
        "sparse tensors of \(SparseBudget.maximumByteCount) bytes in all when they are dense")
    }
    let places = try self.places(of: proto, values.tensor, shape, count, at: location)
    let sorted = places.sorted()
    for (place, next) in zip(sorted, sorted.dropFirst()) where place == next {
      throw malformed(location, "two values for element \(place)", "one at most")
    }
    var dense = Tensor(zeros: shape, type)
    values.tensor.withUnsafeBytes { source in
      dense.withUnsafeMutableBytes { target in
        let size = type.byteCount
        for (index, place) in places.enumerated() {
          let element = UnsafeRawBufferPointer(rebasing: source[index * size..<(index + 1) * size])
          target[place * size..<(place + 1) * size].copyBytes(from: element)
        }
      }
    }
    values.tensor = dense
    return values
  }

  /// The element of the dense tensor that each value belongs to.
  private func places(
    of proto: Onnx_SparseTensorProto, _ values: Tensor, _ shape: [Int], _ count: Int,
    at location: String
  ) throws(FormatError) -> [Int] {
    let indices = try ofWholeMessages.initializer(
      proto.indices, at: "the indices of \(location)"
    ).tensor
    let isLinear = indices.rank == 1
    guard indices.elementType == .int64, values.rank == 1,
      indices.shape == (isLinear ? values.shape : values.shape + [shape.count])
    else {
      throw malformed(
        location,
        "values of shape \(values.shape) at indices of \(indices.elementType) \(indices.shape)",
        "values [n] at indices of int64 [n] or [n, \(shape.count)]")
    }
    let numbers = indices.integers() ?? []
    var places: [Int] = []
    places.reserveCapacity(values.count)
    let sizes = isLinear ? [count] : shape
    for index in 0..<values.count {
      let position = numbers[index * sizes.count..<(index + 1) * sizes.count]
      var place = 0
      for (axis, size) in zip(position, sizes) {
        guard axis >= 0, axis < size else {
          throw malformed(
            location, "value \(index) at \(Array(position))",
            isLinear ? "0..<\(count)" : "a place in shape \(shape)")
        }
        place = place * size + axis
      }
      places.append(place)
    }
    return places
  }
}
