internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections

/// Compares a network with zeroed channels with the network without them.
///
/// Both must compute the same: the largest difference of any output may be 1e-4 of the outputs'
/// range (with 0 in it). More than rounding means that a channel was cut in one tensor and
/// not in another. Of a network that gives integers alone, classes or the places of boxes, the numbers
/// are compared that it makes them of.
///
/// - Throws: ``CompressionError/notEquivalent(difference:range:samples:)``.
func checkEquivalence(
  _ masked: Graph, _ shrunk: Graph, data: Dataset?, settings: PruneSettings,
  progress: (any ProgressReporting)?
) throws -> PruneRecord.Equivalence {
  let (masked, shrunk) = (try masked.givingNumbers(), try shrunk.givingNumbers())
  // A cut that does not fit shows in every sample; more of them only cost time.
  let limit = 64
  let used = try data?.prefix(limit) ?? runnableInputs(masked, settings)
  let agreement = try compare(
    masked, shrunk, on: used, batchSize: min(settings.batchSize, used.count), progress: progress)
  let result = PruneRecord.Equivalence(
    maximumDifference: agreement.maximumDifference, outputRange: agreement.outputRange,
    samples: used.count, inputs: data == nil ? "random inputs" : "data")
  guard result.maximumDifference <= equivalenceTolerance * result.outputRange else {
    throw CompressionError.notEquivalent(
      difference: result.maximumDifference, range: result.outputRange, samples: used.count)
  }
  return result
}

extension Graph {
  /// The graph with the last floating-point values in front of its outputs as outputs, where it has no
  /// floating-point output.
  fileprivate func givingNumbers() throws -> Graph {
    guard !outputs.contains(where: { $0.elementType.isFloatingPoint }) else { return self }
    let types = try inferTypes()
    let producers = producers()
    var open = outputs.map(\.name)
    var seen = Set(open)
    var found: [ValueInfo] = []
    while let value = open.popLast() {
      guard let index = producers[value] else { continue }
      for input in nodes[index].inputs where seen.insert(input).inserted {
        guard producers[input] != nil, constant(input) == nil else { continue }
        if let type = types[input]?.elementType, type.isFloatingPoint {
          found.append(ValueInfo(input, type, shape: nil))
        } else {
          open.append(input)
        }
      }
    }
    guard !found.isEmpty else { return self }
    var result = self
    result.outputs = found
    return result
  }
}

/// The share of the outputs' range by which masked and shrunk network may differ.
let equivalenceTolerance = 1e-4

/// Random inputs of a size that the network takes. Whatever halves its images a few times still has
/// something left of 64; a table of positions may be shorter.
private func runnableInputs(_ graph: Graph, _ settings: PruneSettings) throws -> Dataset {
  for openSize in [64, 16, 8] {
    let inputs = try randomInputs(graph, count: 8, openSize: openSize, seed: settings.seed)
    let runs = try? compare(graph, graph, on: inputs, batchSize: settings.batchSize)
    if runs != nil { return inputs }
  }
  return try randomInputs(graph, count: 8, openSize: 2, seed: settings.seed)
}

/// Seeded numbers in −1..<1 for every input.
///
/// - Parameter openSize: Of the axes that the network leaves open.
private func randomInputs(
  _ graph: Graph, count: Int, openSize: Int, seed: UInt64
) throws -> Dataset {
  var inputs: OrderedDictionary<String, Tensor> = [:]
  let batch = graph.inputs.first?.shape?.first
  for input in graph.inputs {
    var shape = (input.shape ?? []).map { $0.size ?? openSize }
    if let own = input.shape?.first {
      // A first axis of another size than the batch holds no samples.
      if own.size == nil || own == batch { shape[0] = count }
      for (axis, dimension) in (input.shape ?? []).enumerated().dropFirst()
      where dimension.size == nil && dimension == batch && dimension != .symbolic("") {
        shape.remove(at: axis)
        shape.insert(count, at: 0)
      }
    }
    var random = CounterRandom(seed: seed, stream: "equivalence.\(input.name)")
    let numbers = (0..<shape.reduce(1, *)).map { _ in random.uniform() * 2 - 1 }
    let tensor = Tensor(numbers, shape: shape)
    inputs[input.name] =
      switch input.elementType {
      case .float32: tensor
      case .int64: Tensor(numbers.map { _ in Int64(0) }, shape: shape)
      case .int32: Tensor(numbers.map { _ in Int32(0) }, shape: shape)
      default: Tensor(zeros: shape, input.elementType)
      }
  }
  return try Dataset(name: "random inputs", inputs: inputs)
}
