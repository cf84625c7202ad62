internal import BillhookTensor

/// Adds up how far two networks' outputs are from each other.
struct OutputDistance {
  private let compared: ComparedOutput
  private var rows = 0
  private var agreeing = 0
  private var largest = 0.0
  // 0 belongs to the range, so that a constant output has one.
  private var low: Float = 0
  private var high: Float = 0
  private var squaredDifference = 0.0
  private var squaredSize = 0.0
  private var cosines = 0.0
  private var vectors = 0

  init(_ compared: ComparedOutput) { self.compared = compared }

  /// The numbers of one output of both networks.
  mutating func addNumbers(_ first: Tensor, _ second: Tensor) {
    for (x, y) in zip(first.floats(), second.floats()) {
      // A NaN on either side is a difference that no tolerance covers.
      let difference = Double(abs(x - y))
      largest = difference.isNaN ? .infinity : max(largest, difference)
      low = min(low, x)
      high = max(high, x)
    }
  }

  /// The compared output of both networks for some samples; one without an axis of the samples counts
  /// as one vector, without classes.
  mutating func addRows(_ first: Tensor, _ second: Tensor, samples: Int) {
    let layout = try? compared.layout(first.shape, samples: samples, isOutput: true)
    if let layout, compared.tellsClasses(layout) {
      rows += layout.rowCount
      agreeing += zip(compared.answers(first, layout), compared.answers(second, layout)).count {
        $0 == $1
      }
    }
    let axis = layout?.sampleAxis ?? 0
    let a = first.movingAxis(axis, to: 0).floats()
    let b = second.movingAxis(axis, to: 0).floats()
    // A single number has no direction.
    let each = layout == nil ? a.count : a.count / samples
    let size = each == 1 ? a.count : each
    guard size > 0 else { return }
    for start in stride(from: 0, to: a.count, by: size) {
      var products = 0.0
      var squares = (0.0, 0.0)
      for index in start..<start + size {
        let (x, y) = (Double(a[index]), Double(b[index]))
        products += x * y
        squares.0 += x * x
        squares.1 += y * y
        squaredDifference += (x - y) * (x - y)
      }
      squaredSize += squares.0
      vectors += 1
      // Two vectors of zeros have the same direction.
      let length = (squares.0 * squares.1).squareRoot()
      cosines += length > 0 ? products / length : squares.0 == squares.1 ? 1 : 0
    }
  }

  func agreement(samples: Int) -> Agreement {
    Agreement(
      count: samples, rows: rows, agreeing: agreeing, maximumDifference: largest,
      outputRange: Double(high) - Double(low),
      relativeDifference: squaredSize > 0
        ? (squaredDifference / squaredSize).squareRoot() : nil,
      cosine: vectors > 0 ? cosines / Double(vectors) : 1)
  }
}
