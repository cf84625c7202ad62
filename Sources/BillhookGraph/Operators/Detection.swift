internal import BillhookTensor

extension OperatorDefinition {
  /// The best boxes of each class, those that overlap a better one left out: rows of batch, class and
  /// box.
  static let nonMaxSuppression = OperatorDefinition(
    "NonMaxSuppression", inputs: 2...5, attributes: [.int("center_point_box")],
    infer: { (context) throws(GraphError) in
      let boxes = try context.floatingPoint(0).shape
      let scores = try context.floatingPoint(1).shape
      guard boxes.count == 3, scores.count == 3, !boxes[2].contradicts(4),
        !boxes[0].contradicts(scores[0]), !boxes[1].contradicts(scores[2])
      else { throw context.incompatible(0, 1, expected: "[N, boxes, 4] and [N, classes, boxes]") }
      let isKnown = context.inputs.indices.allSatisfy {
        context.inputs[$0] == nil || context.constants[$0] != nil
      }
      let count = isKnown ? Dimension.fixed(try selectedBoxes(context).count) : .symbolic("")
      return [ValueType(.int64, [count, 3])]
    },
    evaluate: { (context, types) throws(GraphError) in
      let rows = try selectedBoxes(context).flatMap { $0 }
      return [Tensor(rows.map { Int64($0) }, shape: types[0].sizes ?? [])]
    })
}

private func selectedBoxes(_ context: NodeContext) throws(GraphError) -> [[Int]] {
  let (corners, scores) = (try context.numbers(0), try context.numbers(1))
  let shape = try context.sizes(1)
  let limit = try context.optionalInteger(2) ?? 0
  let overlap = context.optionalTensor(3)?.numbers().first ?? 0
  let threshold = context.optionalTensor(4)?.numbers().first
  let isCentered = try context.flag("center_point_box")
  var result: [[Int]] = []
  for n in 0..<shape[0] {
    let boxes = (0..<shape[2]).map { box in
      let start = (n * shape[2] + box) * 4
      return Box(Array(corners[start..<start + 4]), isCentered: isCentered)
    }
    for category in 0..<shape[1] {
      let own = Array(
        scores[(n * shape[1] + category) * shape[2]..<(n * shape[1] + category + 1) * shape[2]])
      let candidates = own.indices.filter { threshold == nil || own[$0] > threshold! }
        .sorted { own[$0] > own[$1] || (own[$0] == own[$1] && $0 < $1) }
      var kept: [Int] = []
      for box in candidates where kept.count < limit {
        if kept.allSatisfy({ boxes[$0].overlap(with: boxes[box]) <= overlap }) { kept.append(box) }
      }
      result += kept.map { [n, category, $0] }
    }
  }
  return result
}

private struct Box {
  private let low: (y: Double, x: Double)
  private let high: (y: Double, x: Double)

  /// - Parameter numbers: Two opposite corners (y, x, y, x), or center and size (x, y, w, h).
  init(_ numbers: [Double], isCentered: Bool) {
    if isCentered {
      low = (numbers[1] - numbers[3] / 2, numbers[0] - numbers[2] / 2)
      high = (numbers[1] + numbers[3] / 2, numbers[0] + numbers[2] / 2)
    } else {
      low = (min(numbers[0], numbers[2]), min(numbers[1], numbers[3]))
      high = (max(numbers[0], numbers[2]), max(numbers[1], numbers[3]))
    }
  }

  private var area: Double { (high.y - low.y) * (high.x - low.x) }

  /// The common area as a part of the area of both together.
  func overlap(with other: Box) -> Double {
    let height = min(high.y, other.high.y) - max(low.y, other.low.y)
    let width = min(high.x, other.high.x) - max(low.x, other.low.x)
    guard height > 0, width > 0 else { return 0 }
    return height * width / (area + other.area - height * width)
  }
}
