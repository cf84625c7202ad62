internal import BillhookSDK

/// What the functions and flags about an instance's state demand of each other (BH-30).
struct StateRules {
  let reader: ModuleReader
  let place: String
  let plugin: bh_plugin
  let functions: HookFunctions

  func check() throws(PluginError) {
    let hasSave = plugin.save != nil
    try require(
      hasSave == (plugin.load != nil), hasSave ? "load" : "save", "null",
      "a function, because \"\(hasSave ? "save" : "load")\" is one")
    try require(
      (plugin.state_version == 0) != hasSave, "state_version", "\(plugin.state_version)",
      hasSave ? "at least 1, because \"save\" is a function" : "0 without \"save\"")
    let capabilities = Capabilities(rawValue: plugin.caps)
    var observes = false
    if case .scorer(let scorer) = functions {
      let needs = Needs(rawValue: plugin.needs)
      observes = !needs.isDisjoint(with: .raw)
      if observes {
        try require(
          scorer.observe != nil, "vtable.observe", "null",
          "a function, because \"needs\" has a RAW need")
      }
      if capabilities.contains(.mergeable) {
        try require(
          scorer.merge != nil, "vtable.merge", "null", "a function with BH_CAP_MERGEABLE")
      }
    } else if case .quantizer(let quantizer) = functions {
      observes = quantizer.observes
    }
    if capabilities.contains(.mergeable) {
      try require(hasSave, "save", "null", "a function with BH_CAP_MERGEABLE")
    }
    if observes {
      try require(
        plugin.reset != nil, "reset", "null", "a function, because the plugin observes")
    }
  }

  private func require(
    _ condition: Bool, _ field: String, _ found: String, _ expected: String
  ) throws(PluginError) {
    try reader.require(condition, "BH-30", "\(place).\(field)", found, expected)
  }
}

extension bh_quantizer {
  /// Whether an instance learns from data before it calibrates.
  var observes: Bool { observe != nil }
}
