internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// A network's inputs, from NPY files.
enum NamedArrays {
  /// Reads an array for each input of the network, in the order of the files.
  ///
  /// - Parameter files: NPY files by input name.
  /// - Throws: ``PipelineError`` for an input that is unknown, named twice, missing, or of a wrong
  ///   type; the file's errors.
  static func read(
    _ files: [(name: String, path: String)], for graph: Graph, model: String
  ) throws -> OrderedDictionary<String, Tensor> {
    var inputs: OrderedDictionary<String, Tensor> = [:]
    for (name, file) in files {
      guard let input = graph.inputs.first(where: { $0.name == name }) else {
        throw PipelineError.unknownInput(
          model: model, input: name, known: graph.inputs.map(\.name))
      }
      guard inputs[name] == nil else { throw PipelineError.inputTwice(input: name) }
      inputs[name] = try converted(try NumpyFile.readArray(path: file), to: input, file: file)
    }
    let missing = graph.inputs.map(\.name).filter { inputs[$0] == nil }
    guard missing.isEmpty else { throw PipelineError.missingInputs(model: model, inputs: missing) }
    return inputs
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

  /// The size of the batch axis, that of the first input with an open one, after all shapes were
  /// compared.
  static func batchSize(
    _ graph: Graph, _ inputs: OrderedDictionary<String, Tensor>, model: String
  ) throws(PipelineError) -> Int {
    var batch: (size: Int, input: String)?
    var named: [String: (size: Int, input: String)] = [:]
    for info in graph.inputs {
      guard let wanted = info.shape, let tensor = inputs[info.name] else { continue }
      let fits =
        tensor.rank == wanted.count
        && zip(tensor.shape, wanted).allSatisfy { $1.size == nil || $1.size == $0 }
      guard fits, tensor.shape.first != 0 else {
        throw .inputShape(
          input: info.name, found: tensor.shape, expected: wanted.map(\.description))
      }
      guard case .symbolic(let symbol)? = wanted.first else { continue }
      let size = tensor.shape[0]
      // Axes of one name are of one size; others may differ.
      if !symbol.isEmpty {
        if let known = named[symbol], known.size != size {
          throw .batchesDiffer(
            first: known.input, firstCount: known.size, second: info.name, secondCount: size)
        }
        named[symbol] = (size, info.name)
      }
      if batch == nil { batch = (size, info.name) }
    }
    return batch?.size ?? 1
  }
}
