internal import BillhookCompression
internal import BillhookGraph
internal import BillhookPlugins

/// A recipe whose every part was found to fit: the network, the data and the plugins are there.
struct CheckedRecipe {
  var file: RecipeFile
  /// The network that the recipe starts from.
  var graph: Graph
  var train: LoadedData?
  var test: LoadedData?
  var calibration: LoadedData?
  /// The plugin of each stage; nil for stages without one.
  var plugins: [PluginUse?]

  var recipe: Recipe { file.recipe }

  /// The hash of the recipe's settings, without the folder it writes to.
  var recipeSHA256: String {
    var bare = recipe
    bare.output = ""
    return Digest.of(bare)
  }

  /// The hash of all data.
  var dataSHA256: String {
    var digest = Digest()
    for (role, data) in [("train", train), ("test", test), ("calibration", calibration)] {
      if let data { digest.add(role, data.sha256) }
    }
    return digest.text()
  }

  var dataSummaries: [Report.DataSummary] {
    [("train", train), ("test", test), ("calibration", calibration)].compactMap { role, data in
      guard let data else { return nil }
      return Report.DataSummary(
        role: role, source: data.source.description, samples: data.dataset.count,
        labelled: data.dataset.isLabelled, sha256: data.sha256)
    }
  }
}
