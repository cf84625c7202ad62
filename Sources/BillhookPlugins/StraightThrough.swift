internal import BillhookTensor

/// The gradient of affine quantization by the straight-through rule: 1 where a value lands within
/// the integers, 0 where it is clipped.
struct StraightThrough {
  /// The smallest and the largest value that is not clipped, by scale.
  private let bounds: [ClosedRange<Float>]
  private let index: ScaleIndex

  init(_ layout: QuantizationLayout, _ parameters: QuantizationParameters, _ shape: [Int]) {
    index = layout.scaleIndex(shape)
    let zeros = parameters.zeroPoint.integers() ?? []
    bounds = zip(parameters.scale.elements(of: Float.self), zeros).map { scale, zero in
      // Half an integer beyond the last one still rounds to it.
      let low = (Float(layout.minimum - zero) - 0.5) * scale
      let high = (Float(layout.maximum - zero) + 0.5) * scale
      return low...high
    }
  }

  func gradient(_ values: Tensor, _ gradient: Tensor) -> Tensor {
    var result = Tensor(zeros: values.shape)
    result.withUnsafeMutableElements(of: Float.self) { out in
      values.withUnsafeElements(of: Float.self) { x in
        gradient.withUnsafeElements(of: Float.self) { dy in
          // All are only used while the pieces run; each piece writes its own range.
          nonisolated(unsafe) let (out, x, dy) = (out, x, dy)
          _ = ParallelPieces.map(count: x.count, grain: 1 << 14) { range in
            if bounds.count == 1 {
              let bound = bounds[0]
              for i in range {
                out[i] = x[i] >= bound.lowerBound && x[i] <= bound.upperBound ? dy[i] : 0
              }
            } else {
              for i in range { out[i] = bounds[index[i]].contains(x[i]) ? dy[i] : 0 }
            }
            return 0
          }
        }
      }
    }
    return result
  }
}
