import BillhookGraph
import BillhookPlugins
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct ComparedOutputTests {
  /// A network with the last nodes given; they make "y" of "x".
  private func network(_ shape: [Dimension], _ nodes: [Node] = [], opset: Int = 17) -> Graph {
    var graph = Graph.testing(
      inputs: ["x": shape],
      nodes.isEmpty ? [Node("Identity", name: "id", inputs: ["x"], outputs: ["y"])] : nodes)
    graph.opsets[""] = opset
    return graph
  }

  private func rows(_ graph: Graph, _ tensor: Tensor) throws -> Tensor {
    let compared = try ComparedOutput(graph, nil)
    return try compared.layout(tensor.shape, samples: tensor.shape[0]).rows(tensor)
  }

  @Test func `a classifier's samples are the rows`() throws {
    let tensor = Tensor.counting([2, 3])
    #expect(try rows(network(["N", 3]), tensor) == tensor)
    #expect(try rows(network(["N", 3, 1, 1]), .counting([2, 3, 1, 1])) == tensor)
  }

  @Test func `positions of a line are the rows`() throws {
    #expect(
      try rows(network(["N", 2, 3]), .counting([2, 2, 3])) == .counting([4, 3]))
  }

  @Test func `pixels are the rows, and channels their classes`() throws {
    // Channels 1 2 and 3 4 of two pixels.
    let tensor = Tensor([1, 2, 3, 4] as [Float], shape: [1, 2, 1, 2])
    #expect(
      try rows(network(["N", 2, 1, 2]), tensor)
        == Tensor([1, 3, 2, 4] as [Float], shape: [2, 2]))
  }

  @Test func `a number alone is the logit of a yes`() throws {
    let wanted = Tensor([0, 5, 0, -6] as [Float], shape: [2, 2])
    for shape: [Dimension] in [["N"], ["N", 1]] {
      let tensor = Tensor([5, -6] as [Float], shape: shape.count == 1 ? [2] : [2, 1])
      #expect(try rows(network(shape), tensor) == wanted)
    }
  }

  @Test func `a softmax or sigmoid at the end is taken off`() throws {
    func compared(_ nodes: [Node], opset: Int = 17) throws -> ComparedOutput {
      try ComparedOutput(network(["N", 4, 5], nodes, opset: opset), nil)
    }
    let squeezed = [
      Node("Relu", name: "relu", inputs: ["x"], outputs: ["z"]),
      Node("Sigmoid", name: "sigmoid", inputs: ["z"], outputs: ["p"]),
      Node("Identity", name: "id", inputs: ["p"], outputs: ["y"]),
    ]
    let yes = try compared(squeezed)
    #expect(yes.name == "y" && yes.logits == "z" && yes.ending == .sigmoid)
    #expect(try yes.layout([2, 4, 5], samples: 2).rowCount == 40)
    func softmax(_ axis: Int) -> [Node] {
      [Node("Softmax", name: "s", inputs: ["x"], outputs: ["y"], attributes: ["axis": .int(axis)])]
    }
    let classes = try compared(softmax(1))
    #expect(classes.logits == "x" && classes.ending == .softmax(axis: 1))
    #expect(try classes.layout([2, 4, 5], samples: 2).columnCount == 4)
    // Before operator set 13 all axes from the first on were one.
    #expect(try compared(softmax(1), opset: 12).logits == "y")
    #expect(try compared(softmax(2), opset: 12).ending == .softmax(axis: -1))
  }

  @Test(arguments: [[2, 3], [2, 2, 3], [1, 2, 2, 2], [3], [2, 1, 2, 2]])
  func `a gradient goes back to where its rows came from`(shape: [Int]) throws {
    let compared = try ComparedOutput(network(["N"]), nil)
    let tensor = Tensor.counting(shape)
    let layout = try compared.layout(shape, samples: shape[0])
    #expect(layout.gradient(ofRows: layout.rows(tensor)) == tensor)
  }

  @Test func `the first floating-point output is taken, or the one that is named`() throws {
    var graph = network(
      ["N", 2],
      [
        Node("Cast", name: "cast", inputs: ["x"], outputs: ["ids"], attributes: ["to": .int(7)]),
        Node("Relu", name: "relu", inputs: ["x"], outputs: ["a"]),
        Node("Neg", name: "neg", inputs: ["a"], outputs: ["y"]),
      ])
    graph.outputs = [
      ValueInfo("ids", .int64, shape: nil), ValueInfo("a", shape: nil), ValueInfo("y", shape: nil),
    ]
    #expect(try ComparedOutput(graph, nil).name == "a")
    #expect(try ComparedOutput(graph, "y").name == "y")
    #expect { try ComparedOutput(graph, "b") } throws: {
      "\($0)" == "The network has no output \"b\". Outputs: \"ids\", \"a\", \"y\"."
    }
    #expect { try ComparedOutput(graph, "ids") } throws: {
      "\($0)" == """
        The network's output "ids" holds no floating-point numbers, which are needed to compare \
        networks; choose another output.
        """
    }
  }

  @Test func `an output whose first axis is not the samples' is refused`() throws {
    let compared = try ComparedOutput(network(["N", 2]), nil)
    #expect { try compared.layout([2, 8, 128], samples: 8) } throws: {
      "\($0)" == """
        The output "y" has the shape [2, 8, 128] for 8 samples; its first axis must be that of the \
        samples, or another one that the network's shapes show to be. Choose another output with \
        --network-output (in a recipe network_output).
        """
    }
  }

  /// A network whose output has the steps of its input first, with a layer in front if it is to learn.
  private func stepsFirst(
    _ shape: [Dimension] = ["N", 3, 4], seed: UInt64? = nil, _ end: Node? = nil
  ) -> Graph {
    var nodes = [
      Node(
        "Transpose", name: "turn", inputs: [seed == nil ? "x" : "d"],
        outputs: [end == nil ? "y" : "t"], attributes: ["perm": .ints([1, 0, 2])])
    ]
    if let end { nodes.append(end) }
    guard let seed else { return Graph.testing(inputs: ["x": shape], nodes) }
    let dense = Node("MatMul", name: "dense", inputs: ["x", "w"], outputs: ["d"])
    return Graph.testing(
      inputs: ["x": shape], [dense] + nodes, ["w": .seeded([4, 5], seed: seed, "w")])
  }

  @Test(arguments: [["N", 3, 4], ["", 3, 4], [2, 3, 4]] as [[Dimension]])
  func `rows come sample by sample where the steps are the first axis`(
    shape: [Dimension]
  ) throws {
    let tensor = Tensor.counting([2, 3, 4])
    let compared = try ComparedOutput(stepsFirst(shape), nil)
    let layout = try compared.layout([3, 2, 4], samples: 2)
    let turned = tensor.transposed([1, 0, 2])
    #expect(layout.rows(turned) == tensor.reshaped([6, 4]))
    #expect(layout.gradient(ofRows: tensor.reshaped([6, 4])) == turned)
    #expect(!layout.isPlain)
  }

  @Test func `as many steps as samples are no samples`() throws {
    let tensor = Tensor.counting([3, 3, 4])
    let layout = try ComparedOutput(stepsFirst(), nil).layout([3, 3, 4], samples: 3)
    #expect(layout.rows(tensor.transposed([1, 0, 2])) == tensor.reshaped([9, 4]))
  }

  @Test func `a softmax keeps its axis where the steps are the first one`() throws {
    // Three classes for each of two samples and four places.
    let softmax = Node(
      "Softmax", name: "s", inputs: ["t"], outputs: ["y"], attributes: ["axis": .int(0)])
    let compared = try ComparedOutput(stepsFirst(["N", 3, 4], softmax), nil)
    let layout = try compared.layout([3, 2, 4], samples: 2)
    #expect(layout.columnCount == 3 && layout.rowCount == 8)
    let tensor = Tensor.counting([2, 3, 4])
    #expect(
      layout.rows(tensor.transposed([1, 0, 2]))
        == tensor.transposed([0, 2, 1]).reshaped([8, 3]))
  }

  @Test func `reshapes to the only batch size there is leave its axis to be seen`() throws {
    var graph = Graph.testing(
      inputs: ["x": [1, 6]],
      [Node("Reshape", name: "steps", inputs: ["x", "to"], outputs: ["y"])],
      ["to": Tensor([3, 1, 2] as [Int64])])
    graph.opsets[""] = 17
    let layout = try ComparedOutput(graph, nil).layout([3, 1, 2], samples: 1)
    #expect(layout.rowCount == 3 && layout.columnCount == 2)
  }

  @Test func `a student learns the same whether it gives samples or steps first`() throws {
    let data = try Dataset(name: "d", inputs: ["x": .seeded([16, 3, 4], seed: 5, "x")])
    var record: [Float] = []
    try recordTeacher(stepsFirst(seed: 1), on: data, batchSize: 5) { rows in
      #expect(Array(rows.shape.dropFirst()) == [3, 5])
      record += rows.floats()
    }
    let samplesFirst = Graph.testing(
      inputs: ["x": ["N", 3, 4]],
      [Node("MatMul", name: "dense", inputs: ["x", "w"], outputs: ["y"])],
      ["w": .seeded([4, 5], seed: 2, "w")])
    let weights = try [stepsFirst(seed: 2), samplesFirst].map { student in
      let outcome = try train(
        student, loss: loss(["alpha": .double(0)]),
        settings: TrainSettings(
          epochs: 3, batchSize: 8, optimizer: .adam(), schedule: LearningRateSchedule(base: 0.05)),
        data: data, teacher: RecordedRows(count: 16, shape: [3, 5], all: record))
      #expect(outcome.record.rowsPerSample == 3)
      return outcome.graph.constant("w")!.floats()
    }
    for (a, b) in zip(weights[0], weights[1]) { #expect(abs(a - b) <= 1e-4) }
  }

  @Test func `networks that give steps first are compared in batches of any size`() throws {
    let data = try Dataset(name: "d", inputs: ["x": .seeded([5, 3, 4], seed: 5, "x")])
    let free = stepsFirst(seed: 1)
    // Batches of four and of two: the last ones are filled up, and two make one of the other's.
    let result = try compare(
      stepsFirst([4, 3, 4], seed: 1), stepsFirst([2, 3, 4], seed: 1), on: data)
    #expect(result.maximumDifference < 1e-5 && result.count == 5)
    let other = try compare(free, stepsFirst([2, 3, 4], seed: 1), on: data)
    #expect(other.maximumDifference < 1e-5 && abs(other.cosine - 1) < 1e-6)
  }

  @Test func `outputs of any shape are compared`() throws {
    let data = try Dataset(name: "d", inputs: ["x": .counting([2, 2, 3])])
    let doubled = network(
      ["N", 2, 3], [Node("Add", name: "add", inputs: ["x", "x"], outputs: ["y"])])
    let result = try compare(network(["N", 2, 3]), doubled, on: data)
    // Twice as long in the same direction, and no classes to agree on.
    #expect(abs(result.relativeDifference! - 1) < 1e-12)
    #expect(abs(result.cosine - 1) < 1e-12)
    #expect(result.top1 == nil && result.rows == 0)
    #expect(result.maximumDifference == 12)
  }

  @Test func `a student of token vectors follows its teacher without labels`() throws {
    func encoder(_ seed: UInt64) -> Graph {
      Graph.testing(
        inputs: ["x": ["N", 3, 4]],
        [Node("MatMul", name: "dense", inputs: ["x", "w"], outputs: ["y"])],
        ["w": .seeded([4, 5], seed: seed, "w")])
    }
    let data = try Dataset(name: "d", inputs: ["x": .seeded([16, 3, 4], seed: 5, "x")])
    let (teacher, student) = (encoder(1), encoder(2))
    var record: [Float] = []
    try recordTeacher(teacher, on: data, batchSize: 5) { rows in
      #expect(Array(rows.shape.dropFirst()) == [3, 5])
      record += rows.floats()
    }
    let outcome = try train(
      student, loss: loss(["alpha": .double(0)]),
      settings: TrainSettings(
        epochs: 20, batchSize: 8, optimizer: .adam(), schedule: LearningRateSchedule(base: 0.05)),
      data: data, teacher: RecordedRows(count: 16, shape: [3, 5], all: record))
    #expect(outcome.record.rowsPerSample == 3 && outcome.record.output == "y")
    #expect(outcome.record.epochs[19].meanLoss < 0.2 * outcome.record.epochs[0].meanLoss)
  }

  @Test func `labels do not fit an output with several rows a sample`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3, 4]],
      [Node("MatMul", name: "dense", inputs: ["x", "w"], outputs: ["y"])],
      ["w": .seeded([4, 5], seed: 1, "w")])
    let data = try Dataset(
      name: "d", inputs: ["x": .seeded([2, 3, 4], seed: 5, "x")], labels: [0, 1])
    let cross = try loss(["alpha": .double(1)])
    #expect(
      sentence {
        _ = try train(
          graph, loss: cross,
          settings: TrainSettings(
            epochs: 1, batchSize: 2, schedule: LearningRateSchedule(base: 0.1)), data: data)
      } == """
        The data "d" has one label a sample, but the network's output tells 3 rows of classes for \
        each; leave the labels out.
        """)
  }
}

/// A teacher's rows in memory.
private struct RecordedRows: TeacherOutputs {
  var count: Int
  var shape: [Int]
  var all: [Float]
  let views = 1
  let augmentation: Augmentation? = nil
  let augmentationSeed: UInt64 = 0

  func rows(_ indices: [Int], views: [Int]) throws -> Tensor {
    let size = shape.reduce(1, *)
    return Tensor(
      indices.flatMap { all[$0 * size..<($0 + 1) * size] }, shape: [indices.count] + shape)
  }
}
