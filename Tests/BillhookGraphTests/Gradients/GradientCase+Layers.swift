import BillhookGraph
import BillhookTensor
import OrderedCollections

private func text(_ string: String) -> Attribute { .string(Array(string.utf8)) }

extension GradientCase {
  /// Matrix products, convolutions, pooling and normalisation.
  static let layers: [GradientCase] = matrices + lines + convolutions + pools + normalizations

  private static let matrices: [GradientCase] = [
    GradientCase("MatMul", [.random(2, 3), .random(3, 4)]),
    GradientCase("MatMul", "in batches", [.random(2, 1, 2, 3), .random(4, 3, 2)]),
    GradientCase("MatMul", "of vectors", [.random(3), .random(3)]),
    GradientCase("MatMul", "of a row", [.random(3), .random(2, 3, 2)]),
    GradientCase("MatMul", "of a column", [.random(2, 2, 3), .random(3)]),
    GradientCase("Gemm", [.random(2, 3), .random(3, 4), .random(4)]),
    GradientCase(
      "Gemm", "turned", [.random(3, 2), .random(4, 3), .random(2, 1)],
      ["transA": .int(1), "transB": .int(1), "alpha": .float(0.5), "beta": .float(2)]),
    GradientCase("Gemm", "without a bias", [.random(2, 3), .random(3, 4)]),
    GradientCase("Einsum", [.random(2, 3), .random(3, 4)], ["equation": text("ij,jk->ik")]),
    GradientCase(
      "Einsum", "of heads", [.random(2, 3, 2, 2), .random(2, 4, 2, 2)],
      ["equation": text("bqhd,bkhd->bhqk")]),
    GradientCase("Einsum", "of a diagonal", [.random(3, 3)], ["equation": text("ii->i")]),
    GradientCase(
      "Einsum", "of three", [.random(2), .random(2, 3), .random(3)],
      ["equation": text("i,ij,j")]),
    GradientCase(
      "Einsum", "of any axes", [.random(2, 2, 3), .random(3, 2)],
      ["equation": text("...ij,jk->...ik")]),
    GradientCase("Det", [.random(2, 3, 3)]),
    GradientCase("Det", "of one number", [.random(1, 1)]),
    GradientCase(
      "Det", "of a singular matrix", [.numbers(Tensor([1.0, 2, 2, 4], shape: [2, 2]))]),
  ]

  private static let lines: [GradientCase] =
    ["Softmax", "LogSoftmax"].flatMap { op in
      [
        GradientCase(op, [.random(2, 5)]),
        GradientCase(op, "of an axis", [.random(2, 3, 2)], ["axis": .int(1)]),
        GradientCase(op, "from an axis on", [.random(2, 3, 2)], ["axis": .int(1)], opset: 11),
      ]
    } + [
      GradientCase("CumSum", [.random(2, 4), .integers([1], [])]),
      GradientCase(
        "CumSum", "from the end", [.random(3, 4), .integers([0], [])],
        ["reverse": .int(1), "exclusive": .int(1)]),
      GradientCase("LpNormalization", [.random(2, 4)]),
      GradientCase("LpNormalization", "of sums", [.random(3, 4)], ["p": .int(1), "axis": .int(0)]),
      GradientCase(
        "LRN", [.random(2, 5, 3)], ["size": .int(3), "alpha": .float(0.5), "bias": .float(2)]),
      GradientCase("LRN", "of an even size", [.random(1, 5, 2)], ["size": .int(4)]),
      GradientCase("MeanVarianceNormalization", [.random(2, 3, 2, 2)]),
      GradientCase(
        "MeanVarianceNormalization", "of an axis", [.random(3, 4)], ["axes": .ints([1])]),
    ]

  private static let convolutions: [GradientCase] = [
    GradientCase(
      "Conv", [.random(2, 2, 5, 4), .random(3, 2, 3, 3), .random(3)],
      ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
    GradientCase(
      "Conv", "in groups", [.random(1, 4, 5), .random(4, 2, 2)],
      ["group": .int(2), "dilations": .ints([2])]),
    GradientCase(
      "Conv", "of three axes", [.random(1, 1, 3, 3, 3), .random(2, 1, 2, 2, 2)],
      ["auto_pad": text("SAME_UPPER")]),
    GradientCase(
      "ConvTranspose", [.random(1, 2, 3, 3), .random(2, 2, 3, 3), .random(2)],
      ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]), "output_padding": .ints([1, 1])]),
    GradientCase(
      "ConvTranspose", "in groups", [.random(2, 4, 3), .random(4, 1, 2)],
      ["group": .int(2), "dilations": .ints([2])]),
    GradientCase(
      "Col2Im", [.random(1, 8, 4), .integers([4, 3]), .integers([2, 2])],
      ["pads": .ints([0, 0, 0, 1]), "strides": .ints([2, 2])]),
  ]

  private static let pools: [GradientCase] =
    ["MaxPool", "AveragePool", "LpPool"].flatMap { op in
      [
        GradientCase(
          op, [.random(1, 2, 5, 5)],
          ["kernel_shape": .ints([2, 3]), "strides": .ints([2, 1]), "pads": .ints([1, 1, 0, 1])]),
        GradientCase(
          op, "of one axis", [.random(2, 1, 6)],
          ["kernel_shape": .ints([3]), "strides": .ints([3])]),
      ]
    } + [
      GradientCase(
        "AveragePool", "with padding", [.random(1, 2, 4, 4)],
        [
          "kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1]), "count_include_pad": .int(1),
        ]),
      GradientCase(
        "MaxPool", "with places", [.random(1, 1, 4, 4)],
        ["kernel_shape": .ints([2, 2]), "dilations": .ints([2, 2])], outputs: 2),
      GradientCase(
        "LpPool", "of cubes", [.random(1, 1, 5)], ["kernel_shape": .ints([2]), "p": .int(3)]),
      GradientCase("GlobalAveragePool", [.random(2, 3, 2, 2)]),
      GradientCase("GlobalMaxPool", [.random(2, 3, 4)]),
      GradientCase("GlobalLpPool", [.random(2, 3, 2, 2)]),
      GradientCase("GlobalLpPool", "of cubes", [.random(1, 2, 3)], ["p": .int(3)]),
    ]

  private static let normalizations: [GradientCase] = [
    GradientCase(
      "BatchNormalization",
      [.random(2, 3, 4), .random(3), .random(3), .random(3), .positive(3)]),
    GradientCase(
      "BatchNormalization", "of the batch",
      [.random(4, 3, 2), .random(3), .random(3), .fixed([0, 0, 0]), .fixed([1, 1, 1])],
      ["training_mode": .int(1)]),
    GradientCase("InstanceNormalization", [.random(2, 3, 5), .random(3), .random(3)]),
    GradientCase("LayerNormalization", [.random(2, 3, 4), .random(4), .random(4)]),
    GradientCase(
      "LayerNormalization", "of two axes with its statistics",
      [.random(2, 3, 4), .random(3, 4)], ["axis": .int(1), "stash_type": .int(11)], outputs: 3),
    GradientCase(
      "LayerNormalization", "of a spread scale", [.random(2, 3, 4), .random(3, 1), .random(1)],
      ["axis": .int(1)]),
    GradientCase(
      "GroupNormalization", [.random(2, 4, 3), .random(2), .random(2)], ["num_groups": .int(2)]),
    GradientCase(
      "GroupNormalization", "of channels", [.random(2, 4, 3), .random(4), .random(4)],
      ["num_groups": .int(2)], opset: 21),
    GradientCase("RMSNormalization", [.random(2, 3, 4), .random(4)], opset: 23),
    GradientCase(
      "RMSNormalization", "of two axes", [.random(2, 3, 4), .random(3, 4)], ["axis": .int(1)],
      opset: 23),
  ]
}
