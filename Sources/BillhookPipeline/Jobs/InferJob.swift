internal import BillhookFormats
internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import OrderedCollections

/// One run of a network on arrays from files.
public struct InferReport: Sendable, Codable, Equatable {
  public struct Array: Sendable, Codable, Equatable {
    public var name: String
    public var elementType: String
    public var shape: [Int]
  }
  public var model: String
  public var output: String
  public var batchSize: Int
  public var inputs: [Array]
  public var outputs: [Array]

  /// Runs a network and writes all of its outputs to an NPZ file, bfloat16 ones as float32.
  ///
  /// - Parameter inputs: NPY files by input name.
  public static func run(
    model path: String, inputs files: [(name: String, path: String)], output: String
  ) throws -> InferReport {
    try ModelFile.checkOutput(output, inputs: [path] + files.map(\.path))
    guard !output.hasSuffix(".npy") else {
      throw PipelineError.outputKind(
        path: output, content: "all outputs of the network, which are an NPZ archive",
        needed: ".npz")
    }
    let graph = try ModelFile.readGraph(path, for: "infer")
    let inputs = try NamedArrays.read(files, for: graph, model: path)
    let batchSize = try NamedArrays.batchSize(graph, inputs, model: path)
    let names = graph.outputs.map(\.name)
    let given = inputs.reduce(into: [:]) { $0[$1.key] = $1.value }
    // The plan is the only one that needs the graph, so its weights need not stay.
    let results = try InferencePlan(consume graph, for: given).run(given)
    var outputs: OrderedDictionary<String, Tensor> = [:]
    for name in names {
      // NumPy has no bfloat16, and float32 holds each of its numbers.
      outputs[name] = results[name].map { $0.elementType == .bfloat16 ? $0.asFloat32() : $0 }
    }
    try NumpyArchive.write(outputs, to: output)
    return InferReport(
      model: path, output: output, batchSize: batchSize, inputs: inputs.map(describe),
      outputs: outputs.map(describe))
  }

  public func text() -> String {
    var table = TextTable([("array", .left), ("name", .left), ("type", .left), ("shape", .left)])
    for (kind, arrays) in [("input", inputs), ("output", outputs)] {
      for array in arrays { table.add([kind, array.name, array.elementType, "\(array.shape)"]) }
    }
    return table.text() + "\nwritten: \(output)\n"
  }

  private static func describe(_ name: String, _ tensor: Tensor) -> Array {
    Array(name: name, elementType: "\(tensor.elementType)", shape: tensor.shape)
  }

}
