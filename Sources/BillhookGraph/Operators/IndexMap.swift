internal import BillhookTensor

/// How many elements lie between neighbours along each axis of a row-major tensor.
func rowMajorStrides(_ shape: [Int]) -> [Int] {
  var strides = [Int](repeating: 1, count: shape.count)
  for axis in shape.indices.dropLast().reversed() {
    strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
  }
  return strides
}

/// The flat indices of the elements that lists of positions select, the last axis fastest.
///
/// - Parameter positions: For each axis of `shape` the positions wanted; what has a negative position
///   on any axis gets the index -1.
func crossIndices(_ shape: [Int], _ positions: [[Int]]) -> [Int] {
  let strides = rowMajorStrides(shape)
  var result = [0]
  for axis in shape.indices {
    let heads = result
    result = []
    result.reserveCapacity(heads.count * positions[axis].count)
    for head in heads {
      for position in positions[axis] {
        result.append(head < 0 || position < 0 ? -1 : head + position * strides[axis])
      }
    }
  }
  return result
}

extension Tensor {
  /// The elements at flat indices, under a new shape.
  ///
  /// - Parameters:
  ///   - source: One index an element of the result; -1 takes `filler`.
  ///   - filler: One element of the same type; zero when nil.
  func gathered(_ source: [Int], shape: [Int], filler: Tensor? = nil) -> Tensor {
    // Only the size of an element matters, so four copies of the loop serve all types.
    func gather<Element: IntegerElement>(_ type: Element.Type) -> Tensor {
      let bits = reinterpreted(as: type.elementType)
      let fill: Element =
        filler?.reinterpreted(as: type.elementType).elements(of: type).first ?? 0
      var result = Tensor(zeros: shape, type.elementType)
      bits.withUnsafeElements(of: type) { from in
        result.withUnsafeMutableElements(of: type) { to in
          for (place, index) in source.enumerated() {
            to[place] = index < 0 ? fill : from[index]
          }
        }
      }
      return result.reinterpreted(as: elementType)
    }
    switch elementType.byteCount {
    case 1: return gather(UInt8.self)
    case 2: return gather(UInt16.self)
    case 4: return gather(UInt32.self)
    default: return gather(UInt64.self)
    }
  }
}

/// The lines of a row-major tensor along one axis.
struct Lines {
  /// The number of elements of a line and the distance between them.
  let count: Int
  let stride: Int
  /// The flat index of each line's first element, in row-major order of the other axes.
  let starts: [Int]

  init(_ shape: [Int], axis: Int) {
    count = shape[axis]
    let inner = shape[(axis + 1)...].reduce(1, *)
    stride = inner
    let (outer, step) = (shape[..<axis].reduce(1, *), count * inner)
    starts = (0..<outer).flatMap { block in (0..<inner).map { block * step + $0 } }
  }
}
