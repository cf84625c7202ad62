public import BillhookGraph
public import BillhookTensor
public import OrderedCollections

/// Samples in memory, made into network inputs batch by batch.
public struct Dataset: Sendable {
  /// How the data was named, for messages and records.
  public var name: String
  /// By input name: `[count, ...]`, uint8 or float32 (other types are fed as they are). An image is
  /// `[count, C, H, W]` or `[count, H, W]`. An array whose first axis is 1, or a single number, is the
  /// same for all samples; so is one that has no axis for the samples, which only a network can tell.
  public private(set) var inputs: OrderedDictionary<String, Tensor>
  /// The class of each sample, -100 where it is unknown; nil for unlabelled data.
  public private(set) var labels: [Int32]?
  /// Nil means the network's own: what its metadata states, for uint8 data.
  public var normalization: Normalization?
  /// The number of samples.
  public let count: Int
  /// How the samples lie in each input that a network wants in another way than side by side along
  /// its first axis.
  private(set) var places: [String: Place] = [:]

  /// The floating-point types other than float32 that a network wants inputs in.
  private(set) var elementTypes: [String: ElementType] = [:]

  /// Where an input has its samples.
  enum Place: Equatable, Sendable {
    /// Along another axis.
    case axis(Int)
    /// Nowhere: a run takes the array as it is.
    case whole
  }

  /// - Throws: ``CompressionError`` when there is no input, no sample, or the first axes differ.
  public init(
    name: String, inputs: OrderedDictionary<String, Tensor>, labels: [Int32]? = nil,
    normalization: Normalization? = nil
  ) throws(CompressionError) {
    guard !inputs.isEmpty else { throw .dataWithoutInputs(data: name) }
    let count = Self.sampleCount(inputs, labels)
    guard count > 0 else { throw .dataEmpty(data: name) }
    if let labels, labels.count != count {
      throw .dataCountsDiffer(
        data: name, first: inputs.first { $0.value.shape.first == count }?.key ?? inputs.keys[0],
        firstCount: count, second: "labels",
        secondCount: labels.count)
    }
    if let normalization {
      guard normalization.mean.count == normalization.std.count,
        !normalization.mean.isEmpty, normalization.std.allSatisfy({ $0 != 0 && $0.isFinite }),
        normalization.mean.allSatisfy({ $0.isFinite })
      else {
        throw .normalizationInvalid(
          data: name, mean: normalization.mean, std: normalization.std)
      }
    }
    self.name = name
    self.inputs = inputs
    self.labels = labels
    self.normalization = normalization
    self.count = count
  }

  /// What most arrays have as their first axis; the larger number of two that are as frequent.
  private static func sampleCount(
    _ inputs: OrderedDictionary<String, Tensor>, _ labels: [Int32]?
  ) -> Int {
    var votes: OrderedDictionary<Int, Int> = [:]
    for size in inputs.values.map({ $0.shape.first ?? 1 }) where size != 1 {
      votes[size, default: 0] += 1
    }
    if let labels, votes[labels.count] != nil { return labels.count }
    return votes.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key ?? 1
  }

  private init(
    name: String, inputs: OrderedDictionary<String, Tensor>, labels: [Int32]?,
    normalization: Normalization?, count: Int, places: [String: Place],
    elementTypes: [String: ElementType]
  ) {
    self.name = name
    self.inputs = inputs
    self.labels = labels
    self.normalization = normalization
    self.count = count
    self.places = places
    self.elementTypes = elementTypes
  }

  public var isLabelled: Bool { labels != nil }

  /// The first `limit` samples, or all of them when there are fewer.
  public func prefix(_ limit: Int) -> Dataset {
    let kept = max(1, min(limit, count))
    return Dataset(
      name: name, inputs: inputs.mapValues { $0.shape.first == count ? $0.rows(0..<kept) : $0 },
      labels: labels.map { Array($0.prefix(kept)) }, normalization: normalization, count: kept,
      places: places, elementTypes: elementTypes)
  }

  /// `limit` samples drawn without repetition, in ascending order, by a seed; all of them when
  /// there are fewer.
  public func sampleIndices(_ limit: Int, seed: UInt64) -> [Int] {
    guard limit < count else { return Array(0..<count) }
    var random = CounterRandom(seed: seed, stream: "dataset.sample")
    return random.permutation(count).prefix(max(limit, 1)).sorted()
  }

  /// The classes of some samples, `[indices.count]`, int32; nil for unlabelled data.
  public func labels(_ indices: [Int]) -> Tensor? {
    labels.map { all in Tensor(indices.map { all[$0] }) }
  }

  /// This data with its inputs named and shaped as a network wants them.
  ///
  /// A single input takes the network's name; an axis of size 1 for the channels is added to
  /// `[N, H, W]`; a normalisation that was not given is taken from the network's metadata when the
  /// data is uint8.
  ///
  /// - Throws: ``CompressionError`` when an input is missing or its shape does not fit.
  public func fitted(to graph: Graph) throws(CompressionError) -> Dataset {
    var fitted: OrderedDictionary<String, Tensor> = [:]
    var places: [String: Place] = [:]
    var elementTypes: [String: ElementType] = [:]
    let single = graph.inputs.count == 1 && inputs.count == 1
    var count = count
    if let first = graph.inputs.first,
      let tensor = inputs[first.name] ?? (single ? inputs.elements[0].value : nil),
      let size = tensor.shape.first, size > 1
    {
      count = size
    }
    if let labels, labels.count != count {
      throw .dataCountsDiffer(
        data: name, first: graph.inputs[0].name, firstCount: count, second: "labels",
        secondCount: labels.count)
    }
    for input in graph.inputs {
      guard var tensor = inputs[input.name] ?? (single ? inputs.elements[0].value : nil) else {
        throw .dataInputMissing(
          data: name, input: input.name, found: Array(inputs.keys),
          network: graph.inputs.map(\.name))
      }
      if !input.elementType.isFloatingPoint {
        tensor = tensor.asInteger(input.elementType)
      } else {
        // Batches are normalised in float32, and converted then; float64 would lose digits by that.
        let isKept = tensor.elementType == .float64 && input.elementType == .float64
        if tensor.elementType.isFloatingPoint, !isKept { tensor = tensor.asFloat32() }
        if input.elementType != .float32 { elementTypes[input.name] = input.elementType }
      }
      if let (placed, place) = placed(tensor, as: input, in: graph, count: count) {
        places[input.name] = place
        fitted[input.name] = placed
        continue
      }
      guard [1, count].contains(tensor.shape.first ?? 1) else {
        throw .dataCountsDiffer(
          data: name, first: graph.inputs[0].name, firstCount: count, second: input.name,
          secondCount: tensor.shape.first ?? 0)
      }
      fitted[input.name] = try shaped(tensor, as: input)
    }
    var result = Dataset(
      name: name, inputs: fitted, labels: labels, normalization: normalization, count: count,
      places: places, elementTypes: elementTypes)
    if normalization == nil, fitted.values.contains(where: { $0.elementType == .uint8 }) {
      result.normalization = try Normalization(metadataOf: graph)
    }
    if let normalization = result.normalization {
      for (key, tensor) in fitted where tensor.rank >= 2 {
        let channels = tensor.shape[1]
        if normalization.mean.count != 1 && normalization.mean.count != channels {
          throw .normalizationChannels(
            data: name, input: key, channels: channels, found: normalization.mean.count)
        }
      }
    }
    return result
  }

  /// Checks that the data fits a network's inputs, and that its labels are classes of the network.
  public func check(against graph: Graph) throws(CompressionError) { _ = try fitted(to: graph) }

  /// The inputs' shapes for a batch of this size, for data that was fitted to a network.
  func shapes(batchSize: Int) -> [String: [Int]] {
    batch([Int](repeating: 0, count: batchSize)).mapValues(\.shape)
  }

  /// An input whose samples the network wants elsewhere than along the first axis, or nowhere; nil for
  /// all others.
  ///
  /// A state like `[2, N, 128]` is given as `[count, 2, 128]`, as the network states it, or without
  /// the axis of the samples: the same for all of them. A number for all samples, or an array that the
  /// network states in full, is taken as it is.
  private func placed(
    _ tensor: Tensor, as input: ValueInfo, in graph: Graph, count: Int
  ) -> (Tensor, Place)? {
    guard let wanted = input.shape, input.name != graph.inputs[0].name else { return nil }
    func fits(_ shape: some Collection<Int>, _ dimensions: [Dimension]) -> Bool {
      shape.count == dimensions.count
        && zip(shape, dimensions).allSatisfy { $1.size == nil || $1.size == $0 }
    }
    if wanted.isEmpty { return tensor.count == 1 ? (tensor.reshaped([]), .whole) : nil }
    if let axis = sampleAxis(wanted, in: graph) {
      var others = wanted
      others.remove(at: axis)
      let sizes: Set = [1, count]
      if let first = tensor.shape.first, sizes.contains(first),
        fits(tensor.shape.dropFirst(), others)
      {
        return (tensor, .axis(axis))
      }
      if fits(tensor.shape, others) { return (tensor.reshaped([1] + tensor.shape), .axis(axis)) }
      if fits(tensor.shape, wanted), sizes.contains(tensor.shape[axis]) {
        return (tensor.movingAxis(axis, to: 0), .axis(axis))
      }
    }
    if let size = wanted[0].size, graph.inputs[0].shape?.first != .fixed(size),
      size == 1 || size != count, fits(tensor.shape, wanted)
    {
      return (tensor, .whole)
    }
    return nil
  }

  /// The axis other than the first that an input has its samples along: the one of the same name as the
  /// first input's samples, else the only open axis behind a first one of fixed size.
  private func sampleAxis(_ wanted: [Dimension], in graph: Graph) -> Int? {
    guard let batch = graph.inputs[0].shape?.first else { return nil }
    if wanted[0] == batch { return nil }
    if batch != .symbolic(""),
      let axis = wanted.indices.dropFirst().first(where: { wanted[$0] == batch })
    {
      return axis
    }
    let open = wanted.indices.filter { wanted[$0].size == nil }
    return batch.size == nil && open.count == 1 && open[0] > 0 ? open[0] : nil
  }

  private func shaped(_ tensor: Tensor, as input: ValueInfo) throws(CompressionError) -> Tensor {
    guard let wanted = input.shape else { return tensor }
    func fits(_ shape: [Int]) -> Bool {
      shape.count == wanted.count
        && zip(shape.dropFirst(), wanted.dropFirst()).allSatisfy { found, dimension in
          dimension.size == nil || dimension.size == found
        }
    }
    if fits(tensor.shape) { return tensor }
    if tensor.rank + 1 == wanted.count, tensor.rank >= 1 {
      let withChannel = [tensor.shape[0], 1] + tensor.shape.dropFirst()
      if fits(withChannel) { return tensor.reshaped(withChannel) }
    }
    // An image into a network that starts with a fully connected layer.
    if wanted.count == 2, let features = wanted[1].size, tensor.shape[0] > 0,
      tensor.count / tensor.shape[0] == features
    {
      return tensor.reshaped([tensor.shape[0], features])
    }
    throw .dataShape(
      data: name, input: input.name, found: tensor.shape,
      expected: wanted.map { $0.description })
  }
}

extension Tensor {
  /// Whole numbers in another integer type, such as token ids in 32 bits; any other tensor as it is.
  fileprivate func asInteger(_ type: ElementType) -> Tensor {
    guard elementType != type, elementType != .bool, let numbers = integers() else { return self }
    switch type {
    case .int64: return Tensor(numbers.map { Int64($0) }, shape: shape)
    case .int32:
      let exact = numbers.compactMap { Int32(exactly: $0) }
      return exact.count == numbers.count ? Tensor(exact, shape: shape) : self
    default: return self
    }
  }
}
