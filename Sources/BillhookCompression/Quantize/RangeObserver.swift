internal import BillhookTensor

/// The range of one value over the calibration data, in constant memory.
struct RangeObserver {
  private let calibration: QuantizeSettings.Calibration
  private(set) var smallest: Float = .infinity
  private(set) var largest: Float = -.infinity
  private(set) var isFinite = true
  private var histogram = StreamingHistogram()

  init(_ calibration: QuantizeSettings.Calibration) { self.calibration = calibration }

  /// Takes one batch of the value.
  mutating func add(_ values: UnsafeBufferPointer<Float>) {
    var low = smallest
    var high = largest
    // Sums of differences are NaN as soon as one value is NaN or infinite.
    var check: Float = 0
    for value in values {
      check += value - value
      low = value < low ? value : low
      high = value > high ? value : high
    }
    guard check == 0 else {
      isFinite = false
      return
    }
    smallest = low
    largest = high
    if case .percentile = calibration { histogram.add(values, magnitude: max(-low, high)) }
  }

  /// The calibrated range; `(0, 0)` when nothing was seen.
  var range: (minimum: Float, maximum: Float) {
    guard smallest <= largest else { return (0, 0) }
    guard case .percentile(let percentage) = calibration else { return (smallest, largest) }
    let (low, high) = histogram.range(holding: percentage / 100)
    return (max(low, smallest), min(high, largest))
  }
}

/// Counts of values in equal bins over −R..<R, where R is a power of two that doubles when a larger
/// value comes.
///
/// Doubling merges neighbouring bins in pairs, so the counts are those that the larger range would
/// have given from the start: the result does not depend on the order of the values.
struct StreamingHistogram {
  /// Bins on each side of zero: the result is exact to R / 8192.
  static let half = 8192
  /// R is 2 to this power; nil before the first value that is not zero.
  private var exponent: Int?
  private var counts = [Int](repeating: 0, count: 2 * half)
  private(set) var count = 0

  /// Takes values, none of which is larger than `magnitude`, which may be the largest of all so far.
  mutating func add(_ values: UnsafeBufferPointer<Float>, magnitude: Float) {
    grow(to: magnitude)
    let scale = Float(sign: .plus, exponent: -(exponent ?? 0), significand: 1)
    counts.withUnsafeMutableBufferPointer { counts in
      for value in values {
        // Two steps, so that neither factor leaves the range of normal numbers.
        let position = (value * scale * Float(Self.half)).rounded(.down)
        let bin = Int(position) + Self.half
        counts[min(max(bin, 0), 2 * Self.half - 1)] += 1
      }
    }
    count += values.count
  }

  private mutating func grow(to magnitude: Float) {
    guard magnitude > 0 else { return }
    // The smallest power of two above the magnitude, so that the value itself falls in a bin;
    // ranges below 2^-100 serve no network and would leave the normal numbers.
    let wanted = max(Int(magnitude.exponent) + 1, -100)
    guard var current = exponent else {
      exponent = wanted
      return
    }
    while current < wanted {
      var merged = [Int](repeating: 0, count: 2 * Self.half)
      for (bin, count) in counts.enumerated() where count > 0 {
        merged[((bin - Self.half) >> 1) + Self.half] += count
      }
      counts = merged
      current += 1
    }
    exponent = current
  }

  /// The narrowest range of whole bins outside of which lies at most `(1 − share) / 2` of the values
  /// on each side.
  ///
  /// - Parameter share: 0.5...1.
  func range(holding share: Double) -> (low: Float, high: Float) {
    guard let exponent, count > 0 else { return (0, 0) }
    let allowed = Int((Double(count) * (1 - share) / 2).rounded(.down))
    var low = 0
    var below = 0
    while low < counts.count - 1, below + counts[low] <= allowed {
      below += counts[low]
      low += 1
    }
    var high = counts.count - 1
    var above = 0
    while high > low, above + counts[high] <= allowed {
      above += counts[high]
      high -= 1
    }
    let width = Float(sign: .plus, exponent: exponent, significand: 1) / Float(Self.half)
    return (Float(low - Self.half) * width, Float(high - Self.half + 1) * width)
  }
}
