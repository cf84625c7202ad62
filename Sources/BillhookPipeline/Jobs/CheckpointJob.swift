internal import BillhookCompression
internal import BillhookFormats
internal import BillhookPlugins
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

/// Element pruning and weight-only quantization of a safetensors checkpoint: tensors without a
/// network.
struct CheckpointJob {
  let job: StageJob

  init(_ job: StageJob) { self.job = job }

  func run() throws -> JobReport {
    try ModelFile.checkOutput(job.output, inputs: [job.input])
    let clock = ContinuousClock()
    let start = clock.now
    var result: (record: StageRecord, use: PluginUse, warnings: [String])
    switch job.stage.work {
    case .prune(let stage) where stage.granularity != .channel: result = try prune(stage)
    case .quantize(let stage) where stage.mode == .weightOnly: result = try quantize(stage)
    default: throw PipelineError.needsGraph(path: job.input, task: taskName)
    }
    let seconds = (clock.now - start).inSeconds
    let before = try CheckpointCost(path: job.input)
    let after = try CheckpointCost(path: job.output)
    let row = StageReport(
      index: nil, stage: job.stage.name, summary: job.stage.summary(result.record),
      isTeacher: false,
      file: job.output, bytes: try ModelFile.byteCount(job.output), evaluation: nil,
      changeAgainstTeacher: nil, agreementWithTeacher: nil, parameters: after.parameters, macs: 0,
      sparsity: after.sparsity, latencyBatch1: nil, latencyBatch128: nil, seconds: seconds,
      isResumed: false, layers: after.layers, record: result.record, plugins: [result.use],
      warnings: result.warnings)
    return JobReport(
      input: job.input, inputBytes: try ModelFile.byteCount(job.input),
      inputParameters: before.parameters, inputMACs: 0, stage: row)
  }

  private var taskName: String {
    switch job.stage.work {
    case .prune: "channel pruning"
    case .quantize: "quantization of activations"
    default: "\"\(job.stage.name)\""
    }
  }

  private func prune(
    _ stage: PruneStage
  ) throws -> (record: StageRecord, use: PluginUse, warnings: [String]) {
    try ModelFile.checkKind(job.output, holdsNetwork: false)
    let plugin = try ResolvedPlugin(stage.scorer, .scorer, in: job.catalog)
    let scorer = try plugin.plugin.makeScorer(plugin.values, seed: job.seed)
    let file = try SafetensorsFile.read(path: job.input)
    let entries = file.tensors.map { name, tensor in
      SafetensorsEntry(name: name, elementType: tensor.elementType, shape: tensor.shape)
    }
    let writer = try SafetensorsWriter(
      path: job.output, entries: entries, metadata: metadata(file.metadata, plugin.use))
    let record = try pruneCheckpoint(
      file.tensors, scorer: scorer, settings: stage.settings(seed: job.seed),
      progress: job.progress
    ) { _, tensor in try writer.append(tensor) }
    try writer.finish()
    return (.prune(record), plugin.use, record.notes)
  }

  private func quantize(
    _ stage: QuantizeStage
  ) throws -> (record: StageRecord, use: PluginUse, warnings: [String]) {
    try ModelFile.checkKind(job.output, holdsNetwork: false)
    let file = try SafetensorsFile.read(path: job.input)
    // A file has one table of layouts, which says by one plugin how its tensors are stored.
    let isQuantized = file.metadata[SafetensorsFile.quantizationKey] != nil
    let quantized = isQuantized ? try file.storedLayouts(path: job.input).keys.sorted() : []
    guard quantized.isEmpty else {
      throw refused(
        "\"\(job.input)\" holds quantized tensors already: \(quantized.prefix(3).joined(separator: ", "))"
          + "\(quantized.count > 3 ? " and \(quantized.count - 3) more" : ""). Quantize all that is "
          + "wanted at once, or run billhook restore on it first.")
    }
    let packed = PackedWeights(catalog: job.catalog, seed: job.seed, progress: job.progress)
    let (record, plugin) = try packed.write(
      stage, to: job.output, metadata: { metadata(file.metadata, $0) },
      clash: { name in
        refused(
          "\"\(job.input)\" has a tensor \"\(name)\", which is also what a quantized tensor needs: "
            + "rename it, or leave one of both alone with --exclude.")
      },
      work: { quantizer, settings, write in
        try quantizeCheckpoint(
          file.tensors, quantizer: quantizer, settings: settings, progress: job.progress,
          write: write)
      })
    return (.quantize(record), plugin.use, record.warnings)
  }

  private func refused(_ problem: String) -> PipelineError {
    .stage(name: job.stage.name, problems: [problem])
  }

  private func metadata(
    _ old: OrderedDictionary<String, String>, _ use: PluginUse
  ) -> OrderedDictionary<String, String> {
    var recipe = Recipe(
      model: .file(job.input), data: RecipeData(), seed: job.seed, output: "", stages: [job.stage])
    recipe.output = ""
    let provenance = Provenance(
      recipeSHA256: Digest.of(recipe), dataSHA256: Digest().text(), seed: job.seed, plugins: [use])
    var metadata = old
    for (key, value) in provenance.entries { metadata[key] = value }
    return metadata
  }
}

/// Tensors of a checkpoint as if they were layers.
///
/// A quantized tensor has as many parameters as it has values, however they are packed, and what
/// belongs to it (scales, zero points, a table) are none: they can be compared with those before.
struct CheckpointCost {
  var parameters = 0
  var sparsity: Double
  var layers: [LayerCost] = []

  init(path: String) throws(FormatError) {
    var elements = 0
    var allZeros = 0
    let file = try SafetensorsFile.read(path: path)
    // Who cannot read the layouts still sees the tensors.
    let layouts = (try? file.storedLayouts(path: path)) ?? [:]
    let parts = Set(layouts.keys.flatMap { ["\($0).scale", "\($0).zero_point", "\($0).table"] })
    for (name, tensor) in file.tensors {
      let count =
        parts.contains(name)
        ? 0 : layouts[name].flatMap { Self.elementCount($0.shape) } ?? tensor.count
      // Of what is packed the zeros cannot be seen.
      let zeros = count == tensor.count ? Self.zeroCount(tensor) : 0
      parameters += count
      elements += count
      allZeros += zeros
      layers.append(
        LayerCost(
          name: name, op: "", shape: tensor.shape, elementType: "\(tensor.elementType)",
          parameters: count, macs: 0, zeros: zeros))
      tensor.discardPages()
    }
    sparsity = elements > 0 ? Double(allZeros) / Double(elements) : 0
  }

  /// The elements of a shape; nil for one that no tensor has: the file may say anything.
  private static func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
      let (product, isTooLarge) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !isTooLarge, product < 1 << 47 else { return nil }
      count = product
    }
    return count
  }

  /// Elements whose bits are all zero, or that are negative zero.
  private static func zeroCount(_ tensor: Tensor) -> Int {
    switch tensor.elementType {
    case .float32: tensor.withUnsafeElements(of: Float.self) { $0.count { $0 == 0 } }
    case .int8: tensor.withUnsafeElements(of: Int8.self) { $0.count { $0 == 0 } }
    case .float16, .bfloat16:
      tensor.reinterpreted(as: .uint16).withUnsafeElements(of: UInt16.self) {
        $0.count { $0 & 0x7FFF == 0 }
      }
    default: tensor.floats().count { $0 == 0 }
    }
  }
}

extension SafetensorsFile {
  /// The metadata entry that says how quantized tensors are stored: a JSON object by tensor name.
  static let quantizationKey = "billhook.quantization"

  /// How the quantized tensors are stored, by name.
  ///
  /// - Parameter path: Of the file, for errors.
  /// - Throws: ``PipelineError/notQuantized(path:)`` without the entry,
  ///   `FormatError.malformed` when it is not what ``metadataText()`` writes.
  func storedLayouts(path: String) throws -> [String: StoredLayout] {
    guard let text = metadata[Self.quantizationKey] else {
      throw PipelineError.notQuantized(path: path)
    }
    do {
      return try JSONDecoder().decode([String: StoredLayout].self, from: Data(text.utf8))
    } catch let error as DecodingError {
      let (keys, found) = error.place
      throw FormatError.malformed(
        path: path, format: .safetensors,
        location: (["metadata \"\(Self.quantizationKey)\""] + keys).joined(separator: ", "),
        found: found, expected: "a layout for each quantized tensor")
    }
  }
}

extension DecodingError {
  /// The keys on the way to what cannot be read, and what is there.
  fileprivate var place: (keys: [String], found: String) {
    func keys(_ context: Context) -> [String] {
      context.codingPath.map { "\"\($0.stringValue)\"" }
    }
    switch self {
    case .keyNotFound(let key, let context):
      return (keys(context), "no \"\(key.stringValue)\"")
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return (keys(context), "a value of another type")
    case .dataCorrupted(let context) where context.codingPath.isEmpty: return ([], "no JSON")
    case .dataCorrupted(let context): return (keys(context), "an unknown value")
    @unknown default: return ([], "something else")
    }
  }
}

extension [String: StoredLayout] {
  /// As JSON with sorted keys, so that the same layouts are the same bytes.
  func metadataText() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
