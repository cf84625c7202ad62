import BillhookGraph
import BillhookTensor
import OrderedCollections

private func text(_ string: String) -> Attribute { .string(Array(string.utf8)) }

extension GradientCase {
  /// Operators that move elements, and those that make one number of many.
  static let shapes: [GradientCase] = moves + scatters + reductions

  private static let moves: [GradientCase] = [
    GradientCase("CenterCropPad", [.random(3, 4), .integers([5, 2])]),
    GradientCase(
      "Compress", [.random(3, 4), .fixed(Tensor([true, false, true]))], ["axis": .int(0)]),
    GradientCase("Concat", [.random(2, 3), .random(2, 1), .random(2, 2)], ["axis": .int(-1)]),
    GradientCase("DepthToSpace", [.random(1, 8, 2, 3)], ["blocksize": .int(2)]),
    GradientCase(
      "DepthToSpace", "by columns", [.random(1, 8, 2, 3)],
      ["blocksize": .int(2), "mode": text("CRD")]),
    GradientCase("SpaceToDepth", [.random(1, 2, 4, 6)], ["blocksize": .int(2)]),
    GradientCase("Expand", [.random(3, 1), .integers([2, 3, 4])]),
    GradientCase("Flatten", [.random(2, 3, 2)], ["axis": .int(2)]),
    GradientCase("Gather", [.random(4, 3), .integers([3, 0, 3, -1], [2, 2])]),
    GradientCase("Gather", "of columns", [.random(4, 3), .integers([2, 2])], ["axis": .int(1)]),
    GradientCase("Gather", "of a row", [.random(4, 3), .fixed(Tensor(scalar: Int64(2)))]),
    GradientCase(
      "GatherElements", [.random(3, 3), .integers([1, 2, 0, 2, 0, 0], [2, 3])], ["axis": .int(0)]),
    GradientCase("GatherND", [.random(2, 3, 2), .integers([1, 0, 1, 2], [2, 2])]),
    GradientCase(
      "GatherND", "in batches", [.random(2, 3, 2), .integers([1, 2], [2, 1])],
      ["batch_dims": .int(1)]),
    GradientCase(
      "MaxUnpool", [.random(1, 1, 2, 2), .integers([5, 7, 13, 15], [1, 1, 2, 2])],
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
    GradientCase("OneHot", [.integers([1, 2, 0]), .integers([3]), .random(2)]),
    GradientCase(
      "Pad", [.random(2, 3), .integers([1, 0, 0, 2]), .numbers(Tensor(scalar: 0.5))]),
    GradientCase(
      "Pad", "by reflection", [.random(3, 4), .integers([1, 2, 0, 1])], ["mode": text("reflect")]),
    GradientCase(
      "Pad", "by edges", [.random(3, 4), .integers([1, 2, 0, 1])], ["mode": text("edge")]),
    GradientCase("Pad", "that cuts", [.random(3, 4), .integers([-1, 0, 1, -2])]),
    GradientCase("Reshape", [.random(2, 6), .integers([3, -1])]),
    GradientCase(
      "ReverseSequence", [.random(4, 3, 2), .integers([4, 2, 1])],
      ["time_axis": .int(0), "batch_axis": .int(1)]),
    GradientCase(
      "Slice",
      [
        .random(5, 4), .integers([4, 0]), .integers([0, 3]), .integers([0, 1]),
        .integers([-2, 1]),
      ]),
    GradientCase("Split", [.random(2, 5)], ["axis": .int(1)], outputs: 2),
    GradientCase("Split", "into stated parts", [.random(5), .integers([1, 3, 1])], outputs: 3),
    GradientCase("Squeeze", [.random(1, 3, 1), .integers([0])]),
    GradientCase("Unsqueeze", [.random(3, 2), .integers([0, 2])]),
    GradientCase("Tile", [.random(2, 3), .integers([2, 2])]),
    GradientCase("Transpose", [.random(2, 3, 4)], ["perm": .ints([2, 0, 1])]),
    GradientCase("Transpose", "reversed", [.random(2, 3)]),
    GradientCase("Trilu", [.random(2, 3, 4), .integers([1], [])]),
    GradientCase("Trilu", "below", [.random(3, 4)], ["upper": .int(0)]),
    GradientCase(
      "TensorScatter", [.random(2, 4, 2), .random(2, 2, 2), .integers([1, 2])], opset: 24),
    GradientCase(
      "TensorScatter", "around", [.random(2, 4, 2), .random(2, 2, 2), .integers([3, 0])],
      ["mode": text("circular")], opset: 24),
    GradientCase("TopK", [.random(3, 5), .integers([2])], outputs: 2),
    GradientCase(
      "TopK", "smallest of an axis", [.random(4, 3), .integers([2])],
      ["axis": .int(0), "largest": .int(0)], outputs: 2),
  ]

  private static let scatters: [GradientCase] =
    [
      GradientCase(
        "Scatter", [.random(3, 3), .integers([1, 0, 2, 0, 2, 1], [2, 3]), .random(2, 3)], opset: 10),
      GradientCase(
        "ScatterElements", [.random(3, 3), .integers([1, 0, 2, 0, 2, 1], [2, 3]), .random(2, 3)]),
      GradientCase("ScatterND", [.random(4, 2), .integers([2, 0], [2, 1]), .random(2, 2)]),
    ]
    + ["add", "mul", "max", "min"].flatMap { reduction in
      [
        GradientCase(
          "ScatterElements", "by \(reduction)",
          [.random(3, 3), .integers([1, 0, 2, 1, 2, 1], [2, 3]), .random(2, 3)],
          ["reduction": text(reduction)]),
        GradientCase(
          "ScatterND", "by \(reduction)",
          [.random(4, 2), .integers([2, 0, 2], [3, 1]), .random(3, 2)],
          ["reduction": text(reduction)]),
      ]
    }

  private static let reductions: [GradientCase] = [
    "ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
  ].flatMap { op in
    let range = op == "ReduceLogSum" ? 0.3...2 : -1...1.0
    return [
      GradientCase(op, [.random([2, 3, 4], range), .integers([1])]),
      GradientCase(op, "of all", [.random([2, 3], range)], ["keepdims": .int(0)]),
      GradientCase(
        op, "by attributes", [.random([2, 3, 4], range)],
        ["axes": .ints([0, -1]), "keepdims": .int(0)], opset: 12),
      GradientCase(
        op, "of nothing", [.random([2, 3], range)], ["noop_with_empty_axes": .int(1)]),
    ]
  }
}
