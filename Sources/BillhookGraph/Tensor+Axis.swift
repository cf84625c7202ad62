public import BillhookTensor

extension Tensor {
  /// The tensor without some indices of one axis.
  ///
  /// - Parameters:
  ///   - positions: Indices along `axis`; those outside are ignored.
  public func removing(_ positions: [Int], axis: Int) -> Tensor {
    let gone = Set(positions)
    let kept = (0..<shape[axis]).filter { !gone.contains($0) }
    var newShape = shape
    newShape[axis] = kept.count
    let run = shape[(axis + 1)...].reduce(1, *) * elementType.byteCount
    var result: [UInt8] = []
    result.reserveCapacity(run * kept.count * shape[..<axis].reduce(1, *))
    withUnsafeBytes { bytes in
      for outer in 0..<shape[..<axis].reduce(1, *) {
        for index in kept {
          let start = (outer * shape[axis] + index) * run
          result += bytes[start..<start + run]
        }
      }
    }
    return Tensor(bytes: result, shape: newShape, elementType)
  }

  /// The tensor with zeros at some indices of one axis.
  public func zeroing(_ positions: [Int], axis: Int) -> Tensor {
    let run = shape[(axis + 1)...].reduce(1, *) * elementType.byteCount
    let outerCount = shape[..<axis].reduce(1, *)
    let size = shape[axis]
    var result = self
    result.withUnsafeMutableBytes { bytes in
      for outer in 0..<outerCount {
        for index in positions where index >= 0 && index < size {
          let start = (outer * size + index) * run
          for byte in start..<start + run { bytes[byte] = 0 }
        }
      }
    }
    return result
  }
}
