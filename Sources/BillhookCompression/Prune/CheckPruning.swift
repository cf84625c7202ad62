public import BillhookGraph
public import BillhookPlugins

/// Finds what would end ``prune(_:scorer:settings:data:progress:)`` before its first score: settings,
/// layers, channel groups or a ranking that fit neither the network nor the scorer.
///
/// - Throws: As ``prune(_:scorer:settings:data:progress:)``.
public func checkPruning(_ graph: Graph, scorer: Scorer, settings: PruneSettings) throws {
  try settings.check()
  let graph = try graph.reachingWeights()
  switch settings.granularity {
  case .element, .block:
    try scorer.requireElements(settings)
    _ = try chosenLayers(graph, settings.layers, task: "prune")
    _ = try settings.elementScope(for: scorer)
  case .channel:
    _ = try ChannelPlans(graph.statingSizes(), scorer: scorer, settings: settings)
  }
}
