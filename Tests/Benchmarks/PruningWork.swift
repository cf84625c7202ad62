internal import BillhookCompression
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

/// Global L1 pruning of 16 matrices of 2048×2048 to one half, as `billhook prune` does it to a
/// checkpoint, from memory to memory.
func timePruning(_ bench: Bench) throws {
  let work = "prune-l1-global-64Mi"
  guard bench.wants(work) else { return }
  let scorer = try PluginCatalog().plugin("magnitude", hook: .scorer).makeScorer()
  var layers: OrderedDictionary<String, Tensor> = [:]
  for index in 0..<16 {
    layers["layer\(index).weight"] = normalTensor([2048, 2048], seed: UInt64(index))
  }
  let settings = PruneSettings(ratio: 0.5, scope: .global)
  var pruned: [Tensor] = []
  try bench.time(work, runs: 3, warmUpRuns: 1) {
    pruned = []
    pruned.reserveCapacity(layers.count)
    _ = try pruneCheckpoint(layers, scorer: scorer, settings: settings) { _, tensor in
      pruned.append(tensor)
    }
  } check: {
    try checkPruned(pruned, of: Array(layers.values))
  }
}

/// Half of the elements are zero, the others as before, and none that is kept is smaller than one
/// that is gone.
private func checkPruned(_ pruned: [Tensor], of originals: [Tensor]) throws {
  var zeros = 0
  var changed = 0
  var total = 0
  var largestRemoved: Float = 0
  var smallestKept = Float.infinity
  for (original, result) in zip(originals, pruned) {
    total += original.count
    original.withUnsafeElements(of: Float.self) { before in
      result.withUnsafeElements(of: Float.self) { after in
        for index in before.indices {
          if after[index] == 0 {
            zeros += 1
            largestRemoved = max(largestRemoved, abs(before[index]))
          } else {
            if after[index] != before[index] { changed += 1 }
            smallestKept = min(smallestKept, abs(before[index]))
          }
        }
      }
    }
  }
  guard pruned.count == originals.count, zeros == total / 2 else {
    throw WrongResult("\(zeros) of \(total) elements are zero, not one half")
  }
  guard changed == 0 else { throw WrongResult("\(changed) kept elements have changed") }
  guard largestRemoved <= smallestKept else {
    throw WrongResult("\(largestRemoved) was removed but \(smallestKept) kept")
  }
}
