internal import BillhookKernels
internal import BillhookTensor
internal import Foundation

/// Numbers from the standard normal distribution, the same for a seed on every machine.
func normalTensor(_ shape: [Int], seed: UInt64) -> Tensor {
  struct Fill {
    var seed: UInt64
    var base: UnsafeMutablePointer<Float>
  }
  var tensor = Tensor(zeros: shape)
  tensor.withUnsafeMutableElements(of: Float.self) { buffer in
    guard let base = buffer.baseAddress else { return }
    var fill = Fill(seed: seed, base: base)
    // Pieces of an even size: two uniform numbers make two normal ones (Box and Muller 1958).
    bh_parallel_for(
      Int64(buffer.count), 1 << 14,
      { begin, end, context in
        let fill = context!.assumingMemoryBound(to: Fill.self).pointee
        let out = fill.base + Int(begin)
        bh_random_uniform_f32(fill.seed, 0, UInt64(begin), out, end - begin)
        for index in stride(from: 0, to: Int(end - begin) - 1, by: 2) {
          let radius = (-2 * log(1 - out[index])).squareRoot()
          let angle = 2 * Float.pi * out[index + 1]
          out[index] = radius * cos(angle)
          out[index + 1] = radius * sin(angle)
        }
      }, &fill)
  }
  return tensor
}

/// Classes from 0 to 9, int32.
func randomLabels(_ count: Int, seed: UInt64) -> Tensor {
  var random = CounterRandom(seed: seed, stream: 1)
  return Tensor((0..<count).map { _ in Int32(random.integer(below: 10)) })
}

/// The largest distance of two tensors, over the largest magnitude of the second.
func relativeDistance(_ found: Tensor, _ expected: Tensor) -> Double {
  guard found.shape == expected.shape else { return .infinity }
  var distance: Float = 0
  var magnitude: Float = 0
  found.withUnsafeElements(of: Float.self) { found in
    expected.withUnsafeElements(of: Float.self) { expected in
      for index in found.indices {
        let difference = abs(found[index] - expected[index])
        // A NaN is no small distance.
        distance = difference <= distance ? distance : difference.isNaN ? .infinity : difference
        magnitude = max(magnitude, abs(expected[index]))
      }
    }
  }
  return Double(distance) / Double(max(magnitude, .leastNormalMagnitude))
}
