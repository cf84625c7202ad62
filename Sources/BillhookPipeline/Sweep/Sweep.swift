internal import BillhookPlugins
internal import Foundation

/// A comparison of scorers: every scorer at every pruning ratio, on one network and one data set.
public struct Sweep: Sendable, Equatable {
  /// The network, an ONNX file.
  public var model: String
  /// At least one; no two the same.
  public var scorers: [PluginChoice]
  /// Each above 0 and below 1; no two the same.
  public var ratios: [Double]
  /// What the prunings have in common; its scorer and ratio are replaced. Without a scope the
  /// elements are ranked over all layers when every scorer's scores compare across layers, else
  /// within each, so that all scorers are judged alike.
  public var prune: PruneStage
  /// Labelled; the accuracies are measured on it.
  public var data: DataSource
  /// For the scorers' statistics, for batch norms after pruning, and for distillation.
  public var calibration: DataSource?
  /// Steps of distillation against the unpruned network after each pruning; nil for none.
  public var distillSteps: Int?
  /// The highest learning rate of distillation.
  public var learningRate: Double
  public var seed: UInt64
  /// The folder that gets sweep.csv, sweep.json and sweep.svg.
  public var output: String

  public init(
    model: String, scorers: [PluginChoice], ratios: [Double], prune: PruneStage, data: DataSource,
    calibration: DataSource? = nil, distillSteps: Int? = nil, learningRate: Double = 0.01,
    seed: UInt64 = 0, output: String
  ) {
    self.model = model
    self.scorers = scorers
    self.ratios = ratios
    self.prune = prune
    self.data = data
    self.calibration = calibration
    self.distillSteps = distillSteps
    self.learningRate = learningRate
    self.seed = seed
    self.output = output
  }

  /// Checks everything that needs no file.
  ///
  /// - Throws: ``PipelineError/stage(name:problems:)``.
  public func check() throws(PipelineError) {
    var problems: [String] = []
    if scorers.isEmpty { problems.append("No scorer is named; name one or more with --scorer.") }
    if ratios.isEmpty { problems.append("No ratio is named; try --ratio 0.5,0.7,0.9.") }
    if let problem = prune.shapeProblem(hasRatio: true) { problems.append(problem.sentence) }
    for ratio in ratios {
      var stage = prune
      stage.ratio = ratio
      do {
        try Stage(.prune(stage)).checkNumbers()
      } catch {
        guard case .stage(_, let found) = error else { throw error }
        problems += found
      }
    }
    for (index, scorer) in scorers.enumerated() where scorers[..<index].contains(scorer) {
      problems.append("The scorer \"\(scorer.text)\" is named twice; name it once.")
    }
    for (index, ratio) in ratios.enumerated() where ratios[..<index].contains(ratio) {
      problems.append("The ratio \(ratio) is named twice; name it once.")
    }
    if let distillSteps {
      if distillSteps < 1 {
        problems.append(
          "The number of distillation steps is \(distillSteps) but must be at least 1.")
      }
      if distillSteps > 1 << 31 {
        problems.append(
          "The number of distillation steps is \(distillSteps) but must be at most \(1 << 31).")
      }
      if !(learningRate > 0 && learningRate.isFinite) {
        problems.append("The learning rate is \(learningRate) but must be above 0, such as 0.01.")
      }
      if calibration == nil {
        problems.append(
          "Distillation needs data to learn from, other than what is measured on: name it with "
            + "--calibration.")
      }
    }
    guard problems.isEmpty else { throw .stage(name: "sweep", problems: problems) }
  }

  /// The prunings in the order in which they are done: scorer by scorer, ratio by ratio.
  func stages(scope: PruneStage.Scope?) -> [PruneStage] {
    scorers.flatMap { scorer in
      ratios.map { ratio in
        var stage = prune
        stage.scorer = scorer
        stage.ratio = ratio
        stage.scope = scope
        return stage
      }
    }
  }

  /// The name of each scorer in tables and plots: as short as it can be without being mistaken.
  var labels: [String] {
    let short = scorers.map(\.label)
    return scorers.indices.map { index in
      short.count { $0 == short[index] } == 1 ? short[index] : scorers[index].text
    }
  }
}

extension PluginChoice {
  /// Reads `ID`, `PATH` or `ffi:…`, then optionally `?KEY=VALUE&KEY=VALUE`.
  ///
  /// - Throws: ``PipelineError/stage(name:problems:)`` for a parameter without "=".
  public init(text: String) throws(PipelineError) {
    guard let mark = text.lastIndex(of: "?") else {
      self.init(text)
      return
    }
    var parameters: [Parameter] = []
    for pair in text[text.index(after: mark)...].split(
      separator: "&", omittingEmptySubsequences: false)
    {
      guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
        throw .stage(
          name: "use the plugin \"\(text)\"",
          problems: [
            "\"\(pair)\" behind the question mark is no parameter; write NAME?KEY=VALUE&KEY=VALUE."
          ])
      }
      parameters.append(
        Parameter(
          key: String(pair[..<equals]), values: [String(pair[pair.index(after: equals)...])],
          isList: false))
    }
    self.init(String(text[..<mark]), parameters: parameters)
  }

  /// The text that reads back as the same choice.
  var text: String { plugin + query }

  /// The text with a library's path cut down to its name.
  fileprivate var label: String {
    guard plugin.contains("/") || plugin.hasSuffix(".so"), !plugin.hasPrefix("ffi:") else {
      return text
    }
    return URL(fileURLWithPath: plugin).deletingPathExtension().lastPathComponent + query
  }

  private var query: String {
    guard !parameters.isEmpty else { return "" }
    return "?"
      + parameters.map { "\($0.key)=\($0.values.joined(separator: ","))" }.joined(separator: "&")
  }
}
