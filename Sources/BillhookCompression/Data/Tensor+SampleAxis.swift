internal import BillhookGraph
internal import BillhookTensor

extension Tensor {
  /// The same numbers with one axis in another place; the others keep their order.
  func movingAxis(_ axis: Int, to place: Int) -> Tensor {
    axis == place ? self : transposed(Array(0..<rank).moving(axis, to: place))
  }

  /// The tensor of a shape that has its samples along an axis, from its numbers sample by sample.
  func withSamples(along axis: Int, shape: [Int]) -> Tensor {
    axis == 0 ? reshaped(shape) : reshaped(shape.moving(axis, to: 0)).movingAxis(0, to: axis)
  }

  /// The first samples of a batch that was filled up; a tensor that has no samples there as it is.
  func firstSamples(_ count: Int, of filled: Int, along axis: Int) -> Tensor {
    guard count < filled, axis < rank, shape[axis] == filled else { return self }
    return movingAxis(axis, to: 0).rows(0..<count).movingAxis(0, to: axis)
  }

  /// The samples of this tensor, then those of another.
  func followed(by other: Tensor, along axis: Int) -> Tensor {
    guard axis < rank, other.rank == rank, other.elementType == elementType,
      shape.indices.allSatisfy({ $0 == axis || shape[$0] == other.shape[$0] })
    else { return self }
    if axis > 0 {
      return movingAxis(axis, to: 0).followed(by: other.movingAxis(axis, to: 0), along: 0)
        .movingAxis(0, to: axis)
    }
    var joined = Tensor(zeros: [shape[0] + other.shape[0]] + shape.dropFirst(), elementType)
    let size = byteCount
    withUnsafeBytes { first in
      other.withUnsafeBytes { second in
        joined.withUnsafeMutableBytes { bytes in
          bytes[..<size].copyBytes(from: first)
          bytes[size...].copyBytes(from: second)
        }
      }
    }
    return joined
  }
}

extension Array {
  /// The elements with one of them in another place.
  func moving(_ index: Int, to place: Int) -> [Element] {
    var result = self
    result.insert(result.remove(at: index), at: place)
    return result
  }
}
