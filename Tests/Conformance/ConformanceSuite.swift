internal import BillhookFormats
internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import Foundation

/// What became of one case.
struct ConformanceResult: Sendable {
  enum Outcome: Sendable, Equatable {
    /// Every output has the expected values.
    case passed
    /// The expected values are another library's random numbers; type, shape and distribution are
    /// right.
    case passedRandom
    case failed(String)
    /// Billhook does not claim to run it, and says so: the reason.
    case unsupported(String)
  }

  var name: String
  /// The operators of the model, each once.
  var operators: Set<String>
  var outcome: Outcome

  var hasFailed: Bool { if case .failed = outcome { true } else { false } }
}

/// A folder of ONNX's test cases: each a model with files of inputs and expected outputs.
struct ConformanceSuite {
  /// Where Debian's package `libonnx-testdata` puts the cases.
  static let installedPath = "/usr/share/libonnx-testdata/data"

  private let folders: [URL]

  /// - Throws: When the folder cannot be listed.
  init(data: String, folder: String, filter: String = "") throws {
    let root = URL(fileURLWithPath: data).appendingPathComponent(folder)
    folders = try FileManager.default.contentsOfDirectory(atPath: root.path).sorted()
      .filter { filter.isEmpty || $0.contains(filter) }
      .map { root.appendingPathComponent($0) }
      .filter {
        FileManager.default.fileExists(atPath: $0.appendingPathComponent("model.onnx").path)
      }
  }

  func run() -> [ConformanceResult] { folders.map { ConformanceCase(folder: $0).run() } }
}

/// One case.
struct ConformanceCase {
  let folder: URL

  private var name: String {
    let name = folder.lastPathComponent
    return name.hasPrefix("test_") ? String(name.dropFirst(5)) : name
  }

  func run() -> ConformanceResult {
    var operators: Set<String> = []
    do {
      let path = folder.appendingPathComponent("model.onnx").path
      let graph = try ONNXFile.read(path: path)
      operators = graph.operatorNames
      if let difference = try Self.roundTripDifference(graph) {
        return ConformanceResult(name: name, operators: operators, outcome: .failed(difference))
      }
      for set in try dataSets() {
        let session = try InferenceSession(try loosened(graph, set))
        if let difference = try difference(session, graph, set) {
          return ConformanceResult(name: name, operators: operators, outcome: .failed(difference))
        }
      }
      let isRandom = RandomCase(name) != nil
      return ConformanceResult(
        name: name, operators: operators, outcome: isRandom ? .passedRandom : .passed)
    } catch {
      return ConformanceResult(
        name: name, operators: operators, outcome: UnsupportedReason(error).outcome)
    }
  }

  private func dataSets() throws -> [URL] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasPrefix("test_data_set") }.map { folder.appendingPathComponent($0) }
  }

  /// What is wrong with the outputs for one set of inputs; nil when they are right.
  private func difference(
    _ session: InferenceSession, _ graph: Graph, _ set: URL
  ) throws -> String? {
    let inputs = try tensors(set, "input", graph.inputs)
    let expected = try tensors(set, "output", graph.outputs)
    let found = try session.run(inputs)
    let types = try graph.inferTypes()
    if let random = RandomCase(name) { return random.difference(found, expected, inputs, graph) }
    for output in graph.outputs {
      guard let expected = expected[output.name] else { continue }
      guard let found = found[output.name] else { return "no output \"\(output.name)\"" }
      if let difference = found.difference(from: expected) {
        return "\(output.name): \(difference)"
      }
      if let type = types[output.name], !type.fits(found) {
        return "\(output.name): inferred \(type), but the result is \(ValueType(of: found))"
      }
    }
    return nil
  }

  /// The graph without the shapes of inputs that the case's own data contradict, as those of a few
  /// cases do.
  private func loosened(_ graph: Graph, _ set: URL) throws -> Graph {
    let inputs = try tensors(set, "input", graph.inputs)
    var result = graph
    for (index, input) in graph.inputs.enumerated() {
      guard let tensor = inputs[input.name], let shape = input.shape else { continue }
      let fits =
        shape.count == tensor.rank
        && zip(shape, tensor.shape).allSatisfy { $0.size == nil || $0.size == $1 }
      if !fits { result.inputs[index].shape = nil }
    }
    return result
  }

  private func tensors(
    _ set: URL, _ kind: String, _ infos: [ValueInfo]
  ) throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (index, info) in infos.enumerated() where !info.name.isEmpty {
      let file = set.appendingPathComponent("\(kind)_\(index).pb").path
      guard FileManager.default.fileExists(atPath: file) else { continue }
      let tensor = try ONNXFile.readTensor(path: file)
      // NumPy has no bfloat16, so that old cases hold its bits as uint16.
      let isBits = info.elementType == .bfloat16 && tensor.elementType == .uint16
      result[info.name] = isBits ? tensor.reinterpreted(as: .bfloat16) : tensor
    }
    return result
  }

  /// Reading, writing and reading again must give the same graph.
  private static func roundTripDifference(_ graph: Graph) throws -> String? {
    let once = try ONNXFile.encode(graph)
    let again = try ONNXFile.encode(try ONNXFile.decode(once, name: "written again"))
    return once == again ? nil : "import, export and import again give another graph"
  }
}

extension Graph {
  /// The operators of the graph and its subgraphs.
  fileprivate var operatorNames: Set<String> {
    nodes.reduce(into: []) { names, node in
      names.insert(node.op)
      for graph in node.subgraphs { names.formUnion(graph.operatorNames) }
    }
  }
}

extension ValueType {
  /// True when a tensor does not contradict what was inferred of it.
  fileprivate func fits(_ tensor: Tensor) -> Bool {
    elementType == tensor.elementType && shape.count == tensor.rank
      && zip(shape, tensor.shape).allSatisfy { $0.size == nil || $0.size == $1 }
  }
}

/// Why Billhook does not run a case.
private struct UnsupportedReason {
  let outcome: ConformanceResult.Outcome

  init(_ error: any Error) {
    let text = "\(error)"
    func reason(_ found: String) -> String {
      if found.contains("equence") { return "sequences" }
      if found.contains("ptional") { return "optional values" }
      if found.contains("tring") || found.contains("TfIdf") { return "strings" }
      return found
    }
    switch error {
    case FormatError.unsupported(_, _, _, let found, _):
      outcome = .unsupported(reason(found))
    case RuntimeError.graph(.unsupportedOperator(let op, let domain, _, _)):
      outcome = .unsupported(
        domain.contains("training") ? "training operators" : reason(domain + op))
    default: outcome = .failed(text)
    }
  }
}
