internal import BillhookTensor

extension OperatorDefinition {
  /// Conv that reads each tap at a place moved by an offset, between elements, times a mask.
  ///
  /// Source: Zhu, Hu, Lin and Dai, *Deformable ConvNets v2*, 2018, section 3.
  static let deformConv = OperatorDefinition(
    "DeformConv", inputs: 3...5,
    attributes: windowAttributes + [.int("group"), .int("offset_group")],
    infer: { (context) throws(GraphError) in
      let input = try context.floatingPoint(0)
      for index in 1...4 where context.optionalType(index) != nil {
        _ = try context.sameElements(index)
      }
      let shape = try context.convolved(0, weight: 1, bias: 3)
      guard shape.count == 4, let kernel = try context.type(1).sizes?[2...].reduce(1, *) else {
        throw context.wrongShape(0, expected: "[N, C, H, W]")
      }
      let groups = context.node.int("offset_group", default: 1)
      guard groups >= 1, (input.shape[1].size ?? groups) % groups == 0 else {
        throw context.wrongAttribute("offset_group", groups, expected: "a divisor of the channels")
      }
      for (index, count) in [(2, 2), (4, 1)] {
        guard let found = context.optionalType(index)?.shape else { continue }
        let channels = try context.product(try context.product(groups, kernel), count)
        let expected = [shape[0], .fixed(channels), shape[2], shape[3]]
        guard found.count == 4, zip(found, expected).allSatisfy({ !$0.contradicts($1) }) else {
          throw context.wrongShape(index, expected: "\(expected)")
        }
      }
      return [ValueType(input.elementType, shape)]
    },
    evaluate: { (context, types) throws(GraphError) in
      let (x, w, offsets) = (try context.numbers(0), try context.numbers(1), try context.numbers(2))
      let (bias, mask) = (
        context.optionalTensor(3)?.numbers(), context.optionalTensor(4)?.numbers()
      )
      let (inShape, weightShape) = (try context.sizes(0), try context.sizes(1))
      let shape = types[0].sizes ?? []
      let window = try Window(
        context.node, kernel: Array(weightShape[2...]), input: Array(inShape[2...]))
      let group = context.node.int("group", default: 1)
      let offsetGroups = context.node.int("offset_group", default: 1)
      let (height, width) = (inShape[2], inShape[3])
      let (taps, area) = (weightShape[2] * weightShape[3], shape[2] * shape[3])
      func sample(_ image: Int, _ row: Double, _ column: Double) -> Double {
        guard row > -1, row < Double(height), column > -1, column < Double(width) else { return 0 }
        let (top, left) = (row.rounded(.down), column.rounded(.down))
        var sum = 0.0
        for (r, rowWeight) in [(Int(top), 1 - (row - top)), (Int(top) + 1, row - top)] {
          for (c, weight) in [(Int(left), 1 - (column - left)), (Int(left) + 1, column - left)] {
            guard (0..<height).contains(r), (0..<width).contains(c) else { continue }
            sum += x[image + r * width + c] * rowWeight * weight
          }
        }
        return sum
      }
      var y = (0..<shape.reduce(1, *)).map { bias?[$0 / max(area, 1) % shape[1]] ?? 0 }
      for n in 0..<shape[0] {
        for place in 0..<area {
          let (row, column) = (place / shape[3], place % shape[3])
          for c in 0..<inShape[1] {
            let offsetGroup = c / (inShape[1] / offsetGroups)
            let image = (n * inShape[1] + c) * height * width
            for tap in 0..<taps {
              let first = (n * offsetGroups + offsetGroup) * taps + tap
              let offset = first * 2 * area + place
              let (r, k) = (tap / weightShape[3], tap % weightShape[3])
              let y0 = row * window.strides[0] - window.padsBegin[0] + r * window.dilations[0]
              let x0 = column * window.strides[1] - window.padsBegin[1] + k * window.dilations[1]
              let read = sample(
                image, Double(y0) + offsets[offset], Double(x0) + offsets[offset + area])
              let value = read * (mask?[first * area + place] ?? 1)
              let perGroup = weightShape[0] / group
              let ownGroup = c / weightShape[1]
              for m in ownGroup * perGroup..<(ownGroup + 1) * perGroup {
                let filter = (m * weightShape[1] + c % weightShape[1]) * taps + tap
                y[(n * shape[1] + m) * area + place] += value * w[filter]
              }
            }
          }
        }
      }
      return [Tensor(rounding: y, shape: shape, types[0].elementType)]
    })
}
