import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

private func text(_ string: String) -> Attribute { .string(Array(string.utf8)) }

private func names(_ strings: [String]) -> Attribute { .strings(strings.map { Array($0.utf8) }) }

private func lengths(_ numbers: [Int32]) -> GradientCase.Input { .fixed(Tensor(numbers)) }

extension GradientCase {
  /// Attention, recurrent layers and subgraphs.
  static let sequences: [GradientCase] = attention + recurrent + controlFlow

  private static let attention: [GradientCase] =
    [
      GradientCase(
        "Attention", [.random(2, 2, 3, 4), .random(2, 2, 5, 4), .random(2, 2, 5, 3)], opset: 23),
      GradientCase(
        "Attention", "of shared heads, causal",
        [.random(1, 3, 8), .random(1, 3, 4), .random(1, 3, 4)],
        ["q_num_heads": .int(4), "kv_num_heads": .int(2), "is_causal": .int(1)], opset: 23),
      GradientCase(
        "Attention", "with a mask and a cap",
        [.random(1, 2, 3, 2), .random(1, 2, 4, 2), .random(1, 2, 4, 2), .random(3, 4)],
        ["scale": .float(0.7), "softcap": .float(1.5)], opset: 23),
      GradientCase(
        "Attention", "that hides everything from one query",
        [
          .random(1, 1, 2, 2), .random(1, 1, 2, 2), .random(1, 1, 2, 2),
          .fixed(Tensor([true, false, false, false], shape: [2, 2])),
        ], opset: 23),
      GradientCase(
        "Attention", "with what was there before",
        [
          .random(1, 1, 2, 2), .random(1, 1, 2, 2), .random(1, 1, 2, 3), .none,
          .random(1, 1, 3, 2), .random(1, 1, 3, 3),
        ], ["is_causal": .int(1)], outputs: 3, opset: 23),
    ]
    + (0...3).map { mode in
      GradientCase(
        "Attention", "giving products of kind \(mode)",
        [.random(1, 1, 2, 2), .random(1, 1, 3, 2), .random(1, 1, 3, 2)],
        ["qk_matmul_output_mode": .int(mode), "softcap": .float(2)], outputs: 4, opset: 23)
    }

  private static let recurrent: [GradientCase] =
    [("RNN", 1, 2), ("GRU", 3, 2), ("LSTM", 4, 3)]
    .flatMap { op, gates, outputs in
      let cell: [Input] = op == "LSTM" ? [.random(1, 2, 2)] : []
      let cells: [Input] = op == "LSTM" ? [.random(2, 2, 2), .random(2, 6)] : []
      return [
        GradientCase(
          op, [.random(3, 2, 3), .random(1, gates * 2, 3), .random(1, gates * 2, 2)],
          ["hidden_size": .int(2)], outputs: outputs),
        GradientCase(
          op, "backwards with a state",
          [
            .random(3, 2, 3), .random(1, gates * 2, 3), .random(1, gates * 2, 2),
            .random(1, gates * 4), .none, .random(1, 2, 2),
          ] + cell, ["hidden_size": .int(2), "direction": text("reverse")], outputs: outputs),
        GradientCase(
          op, "both ways over sequences of several lengths",
          [
            .random(3, 2, 2), .random(2, gates * 2, 2), .random(2, gates * 2, 2),
            .random(2, gates * 4), lengths([2, 3]), .random(2, 2, 2),
          ] + cells,
          ["hidden_size": .int(2), "direction": text("bidirectional")], outputs: outputs),
        GradientCase(
          op, "batch first",
          [
            .random(2, 3, 2), .random(1, gates * 2, 2), .random(1, gates * 2, 2),
            .random(1, gates * 4), lengths([3, 0]),
          ], ["hidden_size": .int(2), "layout": .int(1)], outputs: outputs),
      ]
    } + [
      GradientCase(
        "GRU", "whose product comes first",
        [.random(3, 1, 2), .random(1, 6, 2), .random(1, 6, 2), .random(1, 12)],
        ["hidden_size": .int(2), "linear_before_reset": .int(1)], outputs: 2),
      GradientCase(
        "LSTM", "that forgets what it does not enter",
        [.random(2, 1, 2), .random(1, 8, 2), .random(1, 8, 2)],
        ["hidden_size": .int(2), "input_forget": .int(1), "clip": .float(0.6)], outputs: 3),
      GradientCase(
        "LSTM", "of other functions",
        [.random(2, 1, 2), .random(1, 8, 2), .random(1, 8, 2)],
        [
          "hidden_size": .int(2), "activations": names(["HardSigmoid", "Softsign", "ScaledTanh"]),
          "activation_alpha": .floats([0.3, 1.5]), "activation_beta": .floats([0.4, 0.7]),
        ], outputs: 3),
    ]
    + ["Relu", "Softplus", "Affine", "LeakyRelu", "ThresholdedRelu", "Elu", "Sigmoid"].map { name in
      GradientCase(
        "RNN", "of \(name)", [.random(2, 1, 2), .random(1, 2, 2), .random(1, 2, 2)],
        ["hidden_size": .int(2), "activations": names([name])], outputs: 2)
    }

  private static let controlFlow: [GradientCase] = [
    GradientCase("If", "then", [.fixed(Tensor(scalar: true))], branches, captured: ["a", "b"]),
    GradientCase("If", "else", [.fixed(Tensor(scalar: false))], branches, captured: ["a", "b"]),
    GradientCase(
      "Loop", [.integers([3], []), .none, .random(2)], ["body": .graph(turn)], outputs: 2,
      captured: ["a"]),
    GradientCase(
      "Loop", "that ends by its condition",
      [.none, .fixed(Tensor(scalar: true)), .numbers(Tensor([0.9, 0.5]))],
      ["body": .graph(turn)], outputs: 2, captured: ["a"]),
    GradientCase(
      "Scan", [.random(2), .random(3, 2)],
      ["body": .graph(slice), "num_scan_inputs": .int(1)], outputs: 2, captured: ["a"]),
    GradientCase(
      "Scan", "backwards along other axes", [.random(2), .random(2, 3)],
      [
        "body": .graph(slice), "num_scan_inputs": .int(1), "scan_input_axes": .ints([1]),
        "scan_input_directions": .ints([1]), "scan_output_axes": .ints([1]),
        "scan_output_directions": .ints([1]),
      ], outputs: 2, captured: ["a"]),
  ]

  private static let branches: OrderedDictionary<String, Attribute> = [
    "then_branch": .graph(
      .testing(
        inputs: [:], [Node("Mul", name: "m", inputs: ["a", "b"], outputs: ["t"])], outputs: ["t"])),
    "else_branch": .graph(
      .testing(
        inputs: [:],
        [
          Node("Exp", name: "e", inputs: ["b"], outputs: ["e"]),
          Node("Sub", name: "s", inputs: ["e", "e2"], outputs: ["f"]),
        ], ["e2": Tensor([0.5, 1.5])], outputs: ["f"])),
  ]

  /// `state ← tanh(state · a)`, which also is a slice of the second output; on while its first
  /// element is above 0.2.
  private static let turn: Graph = {
    var graph = Graph.testing(
      inputs: [:],
      [
        Node("Mul", name: "mul", inputs: ["state", "a"], outputs: ["product"]),
        Node("Tanh", name: "tanh", inputs: ["product"], outputs: ["next"]),
        Node("Gather", name: "first", inputs: ["next", "zero"], outputs: ["first"]),
        Node("Greater", name: "greater", inputs: ["first", "bound"], outputs: ["isAbove"]),
        Node("Or", name: "or", inputs: ["isAbove", "isCounted"], outputs: ["on"]),
        Node("Identity", name: "copy", inputs: ["next"], outputs: ["slice"]),
        Node("Less", name: "less", inputs: ["turn", "two"], outputs: ["isCounted0"]),
      ],
      [
        "zero": Tensor(scalar: Int64(0)), "bound": Tensor(scalar: 0.2),
        "two": Tensor(scalar: Int64(2)),
      ], outputs: [])
    // The count keeps the first turns going whatever the numbers are.
    graph.nodes.insert(graph.nodes.removeLast(), at: 0)
    graph.nodes[0].outputs = ["isCounted"]
    graph.inputs = [
      ValueInfo("turn", .int64, shape: []), ValueInfo("before", .bool, shape: []),
      ValueInfo("state", .float64, shape: [2]),
    ]
    graph.outputs = [
      ValueInfo("on", .bool, shape: []), ValueInfo("next", .float64, shape: [2]),
      ValueInfo("slice", .float64, shape: [2]),
    ]
    return graph
  }()

  /// `state ← state · a + x`, and its sine.
  private static let slice: Graph = {
    var graph = Graph.testing(
      inputs: [:],
      [
        Node("Mul", name: "mul", inputs: ["state", "a"], outputs: ["product"]),
        Node("Add", name: "add", inputs: ["product", "x"], outputs: ["next"]),
        Node("Sin", name: "sin", inputs: ["next"], outputs: ["slice"]),
      ], outputs: [])
    graph.inputs = ["state", "x"].map { ValueInfo($0, .float64, shape: [2]) }
    graph.outputs = ["next", "slice"].map { ValueInfo($0, .float64, shape: [2]) }
    return graph
  }()
}
