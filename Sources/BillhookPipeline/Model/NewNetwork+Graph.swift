internal import BillhookFormats
public import BillhookGraph
internal import BillhookPlugins
internal import OrderedCollections

extension NewNetwork {
  /// The network with fresh weights.
  ///
  /// - Throws: As ``checkOptions()``.
  public func graph(defaultSeed: UInt64) throws -> Graph {
    var graph = try template().make(
      width: width, channels: channels, classes: classes, image: image, seed: seed ?? defaultSeed)
    graph.metadata[Provenance.Key.version] = billhookVersion
    graph.metadata[Provenance.Key.seed] = "\(seed ?? defaultSeed)"
    return graph
  }

  /// Checks the options without making the network.
  ///
  /// - Throws: ``PipelineError/unknownArchitecture(_:known:)``, `GraphError` for sizes that the
  ///   architecture cannot have.
  public func checkOptions() throws {
    try template().checkOptions(width: width, channels: channels, classes: classes, image: image)
  }

  private func template() throws -> NetworkTemplate {
    guard let template = NetworkTemplate(rawValue: architecture) else {
      throw PipelineError.unknownArchitecture(
        architecture, known: NetworkTemplate.allCases.map(\.rawValue))
    }
    return template
  }

  /// Writes the network with fresh weights to an ONNX file and describes it.
  public func write(to path: String) throws -> InspectReport {
    try ModelFile.checkOutput(path, inputs: [])
    try ONNXFile.write(graph(defaultSeed: 0), to: path)
    return try InspectReport(path: path)
  }

  /// The architectures with a line about each.
  public static var architectures: [(name: String, summary: String)] {
    NetworkTemplate.allCases.map { ($0.rawValue, $0.summary) }
  }
}
