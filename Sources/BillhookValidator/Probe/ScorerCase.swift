internal import BillhookPlugins
internal import BillhookSDK

/// One way to ask a scorer.
struct ScorerCase: Sendable {
  var layer: LayerCase
  var granularity = UInt32(BH_GRANULARITY_ELEMENT)
  var block: (Int, Int) = (0, 0)
  /// Needs that are left unmet.
  var withheld: UInt64 = 0
  /// Calls of `observe` before the score, with this many samples each; for RAW needs.
  var batches = [4, 3]
  /// Element type of the weights.
  var weightType = UInt32(BH_CODE_FLOAT) | 32 << 8
  /// Multiplies weights and their gradient's inverse.
  var scale: Float = 1

  init(_ layer: LayerCase) { self.layer = layer }

  static let names = ["element", "output channel", "input channel", "block"]

  var label: String {
    let groups = layer.groups == 1 ? "" : " in \(layer.groups) groups"
    let blocks = granularity == UInt32(BH_GRANULARITY_BLOCK) ? " \(block.0)x\(block.1)" : ""
    return "\(Self.names[Int(granularity)])\(blocks) scores of \(layer.shape)\(groups)"
  }

  static func granularities(_ plugin: ProbePlugin) -> [UInt32] {
    (0..<4).filter { plugin.raw.granularities & (1 << $0) != 0 }
  }

  static func ordinary(_ plugin: ProbePlugin) -> [ScorerCase] {
    cases(plugin, [LayerCase([6, 5, 3, 3]), LayerCase([12, 16])])
  }

  static func odd(_ plugin: ProbePlugin) -> [ScorerCase] {
    cases(
      plugin,
      [
        LayerCase([0, 4]), LayerCase([4, 0]), LayerCase([1, 1]), LayerCase([7, 11, 1, 5]),
        LayerCase([1, 9]), LayerCase([9, 1]), LayerCase([13]), LayerCase([3, 5, 7]),
        LayerCase([8, 1, 3, 3], groups: 8), LayerCase([6, 2, 3, 3], groups: 3),
      ])
  }

  private static func cases(_ plugin: ProbePlugin, _ layers: [LayerCase]) -> [ScorerCase] {
    granularities(plugin).flatMap { granularity in
      layers.compactMap { layer in
        var item = ScorerCase(layer)
        item.granularity = granularity
        if granularity == UInt32(BH_GRANULARITY_BLOCK) { item.block = (4, 2) }
        // The host asks for channels only where there are some, and for statistics likewise.
        let hasChannels = layer.outputCount != nil && layer.inputCount != nil
        guard hasChannels || (granularity == 0 && plugin.raw.needs & Self.channelNeeds == 0)
        else { return nil }
        return item
      }
    }
  }

  private static let channelNeeds =
    BH_NEED_IN_ABS_MEAN | BH_NEED_IN_SQ_NORM | BH_NEED_OUT_ABS_MEAN | BH_NEED_OUT_ZERO_FRACTION
    | BH_NEED_IN_GRAM | rawNeeds

  static let rawNeeds = BH_NEED_RAW_IN | BH_NEED_RAW_OUT | BH_NEED_RAW_GRAD_OUT

  func exercise(_ numbers: Numbers) -> Exercise {
    Exercise(label: label, kind: granularity) { instance, surroundings in
      let observed = try observe(instance, numbers, surroundings)
      if let observed, observed.isFailure { return observed }
      var scored = try score(instance, numbers, surroundings)
      if let observed { scored.record = observed.record + scored.record }
      return scored
    }
  }

  /// The shape that the granularity gives the scores.
  var scoreShape: [Int] {
    switch Int32(granularity) {
    case BH_GRANULARITY_OUT_CHANNEL: [layer.outputCount ?? 0]
    case BH_GRANULARITY_IN_CHANNEL: [layer.inputCount ?? 0]
    case BH_GRANULARITY_BLOCK:
      [
        ((layer.outputCount ?? 0) + block.0 - 1) / block.0,
        (layer.inputsPerOutput + block.1 - 1) / block.1,
      ]
    default: layer.shape
    }
  }

  func weights(_ numbers: Numbers) -> [Float] {
    numbers.signed(layer.count, stream: 1 + UInt64(layer.index) * 100).map { $0 * scale }
  }

  func score(
    _ instance: ProbeInstance, _ numbers: Numbers, _ surroundings: Surroundings
  ) throws -> Observation {
    let whole = weights(numbers)
    return try score(
      instance, numbers, surroundings, piece: 0..<whole.count, of: whole)
  }

  /// Scores all elements, or with CHUNKED the elements of a piece.
  func score(
    _ instance: ProbeInstance, _ numbers: Numbers, _ surroundings: Surroundings,
    piece: Range<Int>, of whole: [Float]?, values: [Float]? = nil
  ) throws -> Observation {
    let isWhole = piece.count == layer.count
    let given = values ?? whole.map { Array($0[piece]) } ?? []
    func part(_ stream: UInt64) -> [Float] {
      let count = whole?.count ?? given.count
      let all = numbers.signed(count, stream: stream)
      return whole == nil ? all : Array(all[piece])
    }
    let arena = ProbeArena(surroundings)
    var layer = layer
    layer.begin = piece.lowerBound
    let shape = isWhole ? layer.shape : [piece.count]
    let outShape = isWhole ? scoreShape : [piece.count]
    let outputs = layer.outputCount ?? 0
    let inputs = layer.inputCount ?? 0
    let needs = instance.plugin.raw.needs & ~withheld
    func needed(_ need: UInt64, _ values: () -> [Float], _ shape: [Int]) throws
      -> UnsafePointer<bh_tensor>?
    {
      needs & need == 0 ? nil : try arena.input(values(), shape: shape)
    }
    var input = bh_score_in()
    input.granularity = granularity
    input.weight = try weight(given, shape, arena)
    input.grad = try needed(
      BH_NEED_WEIGHT_GRAD,
      { part(2).map { $0 / max(scale, 1e-20) } }, shape)
    input.mask = try needed(
      BH_NEED_PREV_MASK,
      { part(3).map { $0 < -0.5 ? 0 : 1 } }, shape)
    input.in_abs_mean = try needed(
      BH_NEED_IN_ABS_MEAN, { numbers.positive(inputs, stream: 4) }, [inputs])
    input.in_sq_norm = try needed(
      BH_NEED_IN_SQ_NORM, { numbers.positive(inputs, stream: 5) }, [inputs])
    input.out_abs_mean = try needed(
      BH_NEED_OUT_ABS_MEAN, { numbers.positive(outputs, stream: 6) }, [outputs])
    input.out_zero_fraction = try needed(
      BH_NEED_OUT_ZERO_FRACTION,
      { numbers.positive(outputs, stream: 7).map { ($0 - 0.1) * 0.9 } }, [outputs])
    let inputsOfOne = layer.inputsPerOutput
    input.in_gram = try needed(
      BH_NEED_IN_GRAM, { gram(numbers, inputsOfOne) }, [layer.groups, inputsOfOne, inputsOfOne])
    input.n_samples = needs == 0 ? 0 : 64
    if granularity == UInt32(BH_GRANULARITY_BLOCK) {
      input.block = (Int64(block.0), Int64(block.1))
    }
    if surroundings.isNewer { input.next = arena.unknownNext() }
    let structure = try arena.structure(input)
    let cLayer = try layer.structure(arena)
    let out = try arena.output("scores", shape: outShape)
    arena.seal()
    let table = instance.plugin.table(bh_scorer())
    guard let function = table.score else { throw NotApplicable("there is no \"score\"") }
    var observation = instance.call(surroundings, layer: layer.context) { call in
      function(instance.pointer, call, cLayer, structure, out)
    }
    observation.outputs = arena.results()
    return observation
  }

  /// Scores a piece of a layer too large to exist.
  func scorePiece(
    _ instance: ProbeInstance, _ numbers: Numbers, _ surroundings: Surroundings, begin: Int,
    _ values: [Float]
  ) throws -> Observation {
    try score(
      instance, numbers, surroundings, piece: begin..<begin + values.count, of: nil,
      values: values)
  }

  private func weight(
    _ values: [Float], _ shape: [Int], _ arena: ProbeArena
  ) throws -> UnsafePointer<bh_tensor> {
    let bits = values.map(\.bitPattern)
    switch (Int32(weightType & 0xff), weightType >> 8) {
    case (BH_CODE_FLOAT, 16):
      return try arena.input(values.map { Self.half($0) }, shape: shape)
    case (BH_CODE_BFLOAT, 16):
      return try arena.input(bits.map { UInt16($0 >> 16) }, shape: shape, code: BH_CODE_BFLOAT)
    default: return try arena.input(values, shape: shape)
    }
  }

  /// Bits of the nearest smaller half-precision number; ours are never near its limits.
  private static func half(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(bits >> 16) & 0x8000
    let exponent = Int(bits >> 23 & 0xff) - 127 + 15
    guard exponent > 0 else { return sign }
    return sign | UInt16(min(exponent, 30)) << 10 | UInt16(bits >> 13 & 0x3ff)
  }

  /// Sums of x xᵀ are positive definite; so is this.
  private func gram(_ numbers: Numbers, _ size: Int) -> [Float] {
    let rows = numbers.signed(layer.groups * size, stream: 8)
    var result: [Float] = []
    for group in 0..<layer.groups {
      for row in 0..<size {
        for column in 0..<size {
          let product = rows[group * size + row] * rows[group * size + column]
          result.append(row == column ? product + 1 : product)
        }
      }
    }
    return result
  }

  /// Hands the calibration data over; nil when the plugin does not want it.
  func observe(
    _ instance: ProbeInstance, _ numbers: Numbers, _ surroundings: Surroundings,
    batches chosen: [Int]? = nil
  ) throws -> Observation? {
    let needs = instance.plugin.raw.needs & ~withheld
    guard needs & Self.rawNeeds != 0,
      let function = instance.plugin.table(bh_scorer()).observe
    else { return nil }
    let isStreaming = instance.plugin.raw.caps & BH_CAP_STREAMING != 0
    let total = batches.reduce(0, +)
    let sizes = isStreaming ? batches : [total]
    let starts = sizes.indices.map { sizes[..<$0].reduce(0, +) }
    let (inShape, outShape) = sampleShapes
    var last: Observation?
    for batch in chosen ?? Array(sizes.indices) {
      let arena = ProbeArena(surroundings)
      var layer = layer
      layer.samples = (starts[batch], total)
      func tensor(_ need: UInt64, _ shape: [Int], _ stream: UInt64) throws
        -> UnsafePointer<bh_tensor>?
      {
        guard needs & need != 0 else { return nil }
        let one = shape.reduce(1, *)
        let all = numbers.signed(total * one, stream: stream)
        let from = starts[batch] * one
        return try arena.input(
          Array(all[from..<from + sizes[batch] * one]), shape: [sizes[batch]] + shape)
      }
      let input = try tensor(BH_NEED_RAW_IN, inShape, 11)
      let output = try tensor(BH_NEED_RAW_OUT, outShape, 12)
      let gradient = try tensor(BH_NEED_RAW_GRAD_OUT, outShape, 13)
      let cLayer = try layer.structure(arena)
      arena.seal()
      var observation = instance.call(surroundings, layer: layer.context) { call in
        function(instance.pointer, call, cLayer, input, output, gradient)
      }
      observation.outputs = arena.results()
      if observation.isFailure { return observation }
      last = observation
    }
    return last
  }

  /// Input and output of one sample: images of 6 × 6 for a convolution, rows for a matrix.
  private var sampleShapes: ([Int], [Int]) {
    let inputs = layer.inputCount ?? 1
    let outputs = layer.outputCount ?? 1
    let space = layer.shape.count > 2 ? [Int](repeating: 6, count: layer.shape.count - 2) : []
    return ([inputs] + space, [outputs] + space)
  }
}
