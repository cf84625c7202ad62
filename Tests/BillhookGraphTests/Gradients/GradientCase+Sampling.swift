import BillhookGraph
import BillhookTensor
import OrderedCollections

private func text(_ string: String) -> Attribute { .string(Array(string.utf8)) }

extension GradientCase {
  /// Operators that read between elements, Fourier transforms, losses and scales.
  static let sampling: [GradientCase] = resizes + grids + transforms + losses

  private static let resizes: [GradientCase] = [
    GradientCase("Resize", [.random(1, 2, 3, 4), .none, .fixed(scales(1, 1, 2, 1.5))]),
    GradientCase(
      "Resize", "linear", [.random(1, 1, 3, 4), .none, .fixed(scales(1, 1, 2, 0.75))],
      ["mode": text("linear")]),
    GradientCase(
      "Resize", "cubic to sizes", [.random(1, 1, 4, 5), .none, .none, .integers([1, 1, 6, 3])],
      [
        "mode": text("cubic"), "coordinate_transformation_mode": text("align_corners"),
        "exclude_outside": .int(1),
      ]),
    GradientCase(
      "Resize", "without aliases", [.random(1, 1, 6, 6), .none, .none, .integers([3, 4])],
      ["mode": text("linear"), "antialias": .int(1), "axes": .ints([2, 3])]),
    GradientCase(
      "Resize", "of a region",
      [
        .random(1, 1, 4, 4), .fixed([0, 0, 0.2, -0.3, 1, 1, 0.8, 1.2]), .none,
        .integers([1, 1, 3, 4]),
      ],
      [
        "mode": text("linear"), "coordinate_transformation_mode": text("tf_crop_and_resize"),
        "extrapolation_value": .float(2),
      ]),
    GradientCase("Upsample", [.random(1, 1, 2, 3), .fixed(scales(1, 1, 2, 2))], opset: 9),
    GradientCase(
      "Upsample", "linear", [.random(1, 1, 2, 3), .fixed(scales(1, 1, 2, 3))],
      ["mode": text("linear")], opset: 9),
  ]

  private static func scales(_ numbers: Float...) -> Tensor { Tensor(numbers) }

  private static let grids: [GradientCase] =
    ["linear", "nearest", "cubic"].flatMap { mode in
      ["zeros", "border", "reflection"].map { padding in
        GradientCase(
          "GridSample", "\(mode) with \(padding)",
          [.random(2, 2, 3, 4), .random([2, 2, 3, 2], -1.6...1.6)],
          ["mode": text(mode), "padding_mode": text(padding)], opset: 20)
      }
    } + [
      GradientCase(
        "GridSample", "of corners", [.random(1, 1, 3, 4), .random([1, 3, 3, 2], -1.4...1.4)],
        [
          "mode": text("linear"), "padding_mode": text("reflection"), "align_corners": .int(1),
        ], opset: 20),
      GradientCase(
        "GridSample", "of three axes", [.random(1, 1, 3, 2, 3), .random(1, 2, 1, 2, 3)],
        opset: 20),
      GradientCase("AffineGrid", [.random(2, 2, 3), .integers([2, 1, 2, 3])], opset: 20),
      GradientCase(
        "AffineGrid", "of three axes", [.random(1, 3, 4), .integers([1, 1, 2, 2, 3])],
        ["align_corners": .int(1)], opset: 20),
      GradientCase(
        "RoiAlign",
        [
          .random(2, 2, 5, 5),
          .fixed(Tensor([0.2, 0.6, 3.7, 4.1, 1.3, 0.4, 4.4, 2.2], shape: [2, 4])),
          .integers([1, 0]),
        ], ["output_height": .int(2), "output_width": .int(3)]),
      GradientCase(
        "RoiAlign", "of the largest",
        [
          .random(1, 1, 5, 5), .fixed(Tensor([0.2, 0.6, 3.7, 4.1], shape: [1, 4])), .integers([0]),
        ],
        [
          "output_height": .int(2), "output_width": .int(2), "mode": text("max"),
          "sampling_ratio": .int(2),
        ]),
      GradientCase(
        "DeformConv",
        [
          .random(1, 2, 4, 4), .random(3, 2, 2, 2), .random([1, 8, 3, 3], -0.9...0.9), .random(3),
          .random(1, 4, 3, 3),
        ], opset: 19),
      GradientCase(
        "DeformConv", "in groups",
        [.random(1, 4, 4, 3), .random(2, 2, 2, 2), .random([1, 16, 2, 2], -0.9...0.9)],
        ["group": .int(2), "offset_group": .int(2), "strides": .ints([2, 1])], opset: 19),
    ]

  private static let transforms: [GradientCase] = [
    GradientCase("DFT", [.random(1, 5, 2)], ["axis": .int(1)]),
    GradientCase("DFT", "of reals", [.random(2, 6, 1)], ["onesided": .int(1)]),
    GradientCase("DFT", "inverse", [.random(1, 3, 4, 2)], ["axis": .int(2), "inverse": .int(1)]),
    GradientCase("DFT", "longer", [.random(1, 4, 1), .integers([6], [])]),
    GradientCase(
      "DFT", "from one side", [.random(1, 4, 2)], ["inverse": .int(1), "onesided": .int(1)],
      opset: 26),
    GradientCase(
      "STFT", [.random(2, 10, 1), .integers([2], []), .random(4), .integers([4], [])]),
    GradientCase(
      "STFT", "of complex numbers", [.random(1, 8, 2), .integers([3], []), .random(5)],
      ["onesided": .int(0)]),
    GradientCase(
      "RotaryEmbedding", [.random(2, 2, 3, 4), .random(2, 3, 2), .random(2, 3, 2)], opset: 23),
    GradientCase(
      "RotaryEmbedding", "interleaved, of some channels",
      [
        .random(1, 3, 12), .random(5, 2), .random(5, 2), .integers([4, 0, 4], [1, 3]),
      ],
      ["interleaved": .int(1), "num_heads": .int(2), "rotary_embedding_dim": .int(4)], opset: 23),
  ]

  private static let losses: [GradientCase] =
    ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"].flatMap { op in
      [
        GradientCase(op, [.random(3, 4), .integers([1, 3, 1])]),
        GradientCase(
          op, "of weighted classes",
          [.random(2, 3, 2), .integers([1, 2, 0, 2], [2, 2]), .positive(3)],
          ["ignore_index": .int(0)]),
        GradientCase(
          op, "summed", [.random(3, 4), .integers([0, 3, 1]), .positive(4)],
          ["reduction": text("sum")]),
        GradientCase(
          op, "of each", [.random(3, 4), .integers([0, 3, 1]), .positive(4)],
          ["reduction": text("none")]),
      ]
    } + [
      GradientCase(
        "SoftmaxCrossEntropyLoss", "with logarithms", [.random(3, 4), .integers([1, 3, 1])],
        outputs: 2),
      GradientCase("Dropout", [.random(3, 4)], outputs: 2),
      GradientCase(
        "Dropout", "in training",
        [.random(3, 4), .fixed(Tensor(scalar: Float(0.4))), .fixed(Tensor(scalar: true))],
        ["seed": .int(3)]),
      GradientCase(
        "DequantizeLinear", [.fixed(Tensor([Int8(3), -5, 100, 7])), .numbers(Tensor([0.5]))],
        opset: 19, step: 0.25),
    ]
}
