internal import BillhookCompression
internal import BillhookPlugins

/// A plugin chosen for a stage, with its parameters checked.
struct ResolvedPlugin {
  var plugin: Plugin
  var values: [String: ParameterValue]
  var use: PluginUse

  init(
    _ choice: PluginChoice, _ hook: PluginDescriptor.Hook, in catalog: PluginCatalog
  ) throws(PluginError) {
    try self.init(
      choice,
      catalog.plugin(
        choice.plugin, hook: hook, isolation: choice.isolation, onCrash: choice.onCrash))
  }

  init(_ choice: PluginChoice, _ plugin: Plugin) throws(PluginError) {
    self.plugin = plugin
    values = choice.values(for: plugin.descriptor)
    let complete = try plugin.checkParameters(values)
    use = PluginUse(plugin, parameters: complete)
  }
}

extension Stage {
  /// The plugin that the stage uses: its place in the recipe, its hook and how it was chosen.
  var plugin: (key: String, hook: PluginDescriptor.Hook, choice: PluginChoice)? {
    switch work {
    case .train(let stage): ("loss", .loss, stage.loss)
    case .prune(let stage): ("scorer", .scorer, stage.scorer)
    case .distill(let stage): ("loss", .loss, stage.loss)
    case .quantize(let stage): ("quantizer", .quantizer, stage.quantizer)
    case .evaluate: nil
    }
  }

  /// The settings in a few words, for the ledger.
  ///
  /// - Parameter record: What was made of them; it tells the scope where the scorer chose it.
  func summary(_ record: StageRecord = .none) -> String {
    switch work {
    case .train(let stage): stage.training.summary
    case .prune(let stage):
      "\(stage.granularity.rawValue)s\(stage.blockShape.map { " of \($0)" } ?? ""), "
        + "\(stage.amount), \(stage.scorer.plugin)"
        + ((record.scope ?? stage.scope?.rawValue).map { ", \($0)" } ?? "")
        + (stage.maskOnly ? ", mask only" : "")
    case .distill(let stage):
      "\(stage.training.summary), \(stage.loss.plugin)"
        + (stage.quantizer.map { ", through \($0.plugin)" } ?? "")
    case .quantize(let stage):
      "\(stage.mode.rawValue), \(stage.quantizer.plugin)"
        + (stage.mode == .static ? ", \(stage.calibration.rawValue)" : "")
    case .evaluate: ""
    }
  }
}

extension TrainingOptions {
  fileprivate var summary: String {
    "\(epochs) epoch\(epochs == 1 ? "" : "s"), \(optimizer.rawValue) \(effectiveLearningRate)"
  }
}

extension StageRecord {
  /// Of a pruning: what its scores were ranked within.
  fileprivate var scope: String? {
    if case .prune(let record) = self { record.scope } else { nil }
  }
}
