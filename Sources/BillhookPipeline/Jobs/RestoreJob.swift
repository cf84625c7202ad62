internal import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
public import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

/// A checkpoint's quantized weights, as floats again.
public struct RestoreReport: Sendable, Codable, Equatable {
  /// A weight that was quantized.
  public struct Weight: Sendable, Codable, Equatable {
    public var name: String
    public var shape: [Int]
    /// The id of the plugin that quantized it.
    public var plugin: String
    /// Of all its tensors in the checkpoint: integers, scales, zero points and table.
    public var storedBytes: Int
    /// As float32.
    public var restoredBytes: Int
  }
  public var input: String
  /// The network that got the weights, if one was named.
  public var network: String?
  public var output: String
  public var inputBytes: Int
  public var outputBytes: Int
  /// In the checkpoint's order.
  public var weights: [Weight]
  /// Those without which a weight could not be read.
  public var plugins: [PluginUse]
  public var warnings: [String]

  /// Reads what `quantize --mode weight-only` wrote to safetensors.
  ///
  /// - Parameters:
  ///   - path: The quantized checkpoint.
  ///   - output: The file to write: safetensors with every tensor of the checkpoint, the quantized
  ///     ones as float32; or ONNX when there is a network.
  ///   - network: An ONNX file. Its weights become the checkpoint's tensors, which must all be in it
  ///     by name and have the same shapes; its metadata then says how the checkpoint came to be.
  ///   - quantizer: The id or path of the plugin that reads what the layout does not explain;
  ///     nil for the one that the file names.
  ///   - parameters: Its parameters where they are not the ones in the file.
  /// - Throws: ``PipelineError``, `FormatError`, `CompressionError`, `PluginError`; then nothing is
  ///   written.
  public static func run(
    packed path: String, output: String, network: String? = nil, quantizer: String? = nil,
    parameters: [PluginChoice.Parameter] = [], catalog: PluginCatalog
  ) throws -> RestoreReport {
    try ModelFile.checkOutput(output, inputs: [path] + (network.map { [$0] } ?? []))
    guard ModelFile.isCheckpoint(output) == (network == nil) else {
      throw PipelineError.restoredKind(output: output, network: network)
    }
    var file = try SafetensorsFile.read(path: path)
    let layouts = try file.storedLayouts(path: path)
    let quantizers = try StoredQuantizers(
      file, path: path, chosen: quantizer, parameters: parameters, catalog: catalog)
    let weights = file.tensors.keys.compactMap { name in
      layouts[name].map { weight(name, $0, file.tensors) }
    }
    file.tensors = try restoreCheckpoint(file.tensors, layouts: layouts) {
      try quantizers.quantizer($0)
    }
    quantizers.finish()
    file.metadata[SafetensorsFile.quantizationKey] = nil
    if let network {
      var graph = try ModelFile.readGraph(network, for: "restore --network", computes: false)
      try put(file.tensors, into: &graph, network: network)
      for (key, value) in file.metadata where Provenance.Key.all.contains(key) {
        graph.metadata[key] = value
      }
      try ONNXFile.write(graph, to: output)
    } else {
      try file.write(to: output)
    }
    return RestoreReport(
      input: path, network: network, output: output, inputBytes: try ModelFile.byteCount(path),
      outputBytes: try ModelFile.byteCount(output), weights: weights, plugins: quantizers.used,
      warnings: quantizers.warnings)
  }

  private static func weight(
    _ name: String, _ layout: StoredLayout, _ tensors: OrderedDictionary<String, Tensor>
  ) -> Weight {
    let parts = ["", ".scale", ".zero_point", ".table"]
    let count = Tensor.elementCount(of: layout.shape, elementType: .float32) ?? 0
    return Weight(
      name: name, shape: layout.shape, plugin: layout.plugin,
      storedBytes: parts.reduce(0) { $0 + (tensors[name + $1]?.byteCount ?? 0) },
      restoredBytes: count * ElementType.float32.byteCount)
  }

  /// Makes tensors the constants of a network that have their names.
  ///
  /// - Parameter network: The name of its file, for errors.
  static func put(
    _ tensors: OrderedDictionary<String, Tensor>, into graph: inout Graph, network: String
  ) throws(PipelineError) {
    for (name, tensor) in tensors {
      guard let old = graph.constant(name) else {
        throw .weightMissing(
          network: network, name: name, known: graph.constantTensors().keys.sorted())
      }
      // A checkpoint's float16 weights come back as float32.
      let new = tensor.asFloatingPoint(old.elementType) ?? tensor
      guard new.shape == old.shape, new.elementType == old.elementType,
        tensor.elementType.isFloatingPoint == old.elementType.isFloatingPoint
      else {
        throw .weightDiffers(
          network: network, name: name, found: "\(tensor.elementType) \(tensor.shape)",
          expected: "\(old.elementType) \(old.shape)")
      }
      graph.setConstant(name, new)
    }
  }

  public func text() -> String {
    var table = TextTable([
      ("weight", .left), ("shape", .left), ("quantizer", .left), ("stored", .right),
      ("float32", .right),
    ])
    for weight in weights {
      table.add([
        weight.name, "\(weight.shape)", weight.plugin, NumberText.bytes(weight.storedBytes),
        NumberText.bytes(weight.restoredBytes),
      ])
    }
    var text = table.text() + "\nwritten: \(output) (\(NumberText.bytes(outputBytes)))\n"
    if !warnings.isEmpty {
      text += "\nWarnings\n\n" + warnings.map { "- \($0)\n" }.joined()
    }
    return text
  }
}
