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

  /// Runs a network and writes all of its outputs to an NPZ file.
  ///
  /// - Parameter inputs: NPY files by input name.
  public static func run(
    model path: String, inputs files: [(name: String, path: String)], output: String
  ) throws -> InferReport {
    try ModelFile.checkOutput(output, inputs: [path] + files.map(\.path))
    let graph = try ModelFile.readGraph(path, for: "infer")
    var inputs: OrderedDictionary<String, Tensor> = [:]
    for (name, file) in files {
      guard let input = graph.inputs.first(where: { $0.name == name }) else {
        throw PipelineError.unknownInput(
          model: path, input: name, known: graph.inputs.map(\.name))
      }
      guard inputs[name] == nil else { throw PipelineError.inputTwice(input: name) }
      inputs[name] = try converted(try NumpyFile.readArray(path: file), to: input, file: file)
    }
    let missing = graph.inputs.map(\.name).filter { inputs[$0] == nil }
    guard missing.isEmpty else { throw PipelineError.missingInputs(model: path, inputs: missing) }
    let batchSize = try batchSize(graph, inputs, model: path)
    let session = try InferenceSession(graph)
    let results = try session.run(inputs.reduce(into: [:]) { $0[$1.key] = $1.value })
    var outputs: OrderedDictionary<String, Tensor> = [:]
    for info in graph.outputs { outputs[info.name] = results[info.name] }
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

  /// The array in the input's element type: floats are rounded to it, nothing else is changed.
  private static func converted(
    _ tensor: Tensor, to input: ValueInfo, file: String
  ) throws(PipelineError) -> Tensor {
    if tensor.elementType == input.elementType { return tensor }
    guard tensor.elementType.isFloatingPoint,
      let converted = tensor.asFloatingPoint(input.elementType)
    else {
      throw .inputType(
        file: file, input: input.name, found: "\(tensor.elementType)",
        expected: "\(input.elementType)")
    }
    return converted
  }

  /// The size of the batch axis, the same for all inputs, after all shapes were compared.
  private static func batchSize(
    _ graph: Graph, _ inputs: OrderedDictionary<String, Tensor>, model: String
  ) throws(PipelineError) -> Int {
    var batch: (size: Int, input: String)?
    for info in graph.inputs {
      guard let wanted = info.shape, let tensor = inputs[info.name] else { continue }
      let fits =
        tensor.rank == wanted.count
        && zip(tensor.shape, wanted).allSatisfy { $1.size == nil || $1.size == $0 }
      guard fits, tensor.shape.first != 0 else {
        throw .inputShape(
          input: info.name, found: tensor.shape, expected: wanted.map(\.description))
      }
      guard wanted.first != nil, wanted[0].size == nil else { continue }
      if let batch, batch.size != tensor.shape[0] {
        throw .batchesDiffer(
          first: batch.input, firstCount: batch.size, second: info.name,
          secondCount: tensor.shape[0])
      }
      batch = (tensor.shape[0], info.name)
    }
    return batch?.size ?? 1
  }
}
