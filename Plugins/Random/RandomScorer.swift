internal import BillhookPluginKit
internal import BillhookSDK

/// Scores by the host's counter-based generator: a score depends on the run's seed, the layer and
/// the position alone, so calls may overlap and a layer may come in pieces.
final class RandomScorer: ScorerHook {
  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure) {
    guard let out = scores.pointer(to: Float.self) else { return }
    // Small enough for the cache.
    let piece = 4096
    let words = try call.scratch(UInt32.self, count: piece)
    for start in stride(from: 0, to: scores.count, by: piece) {
      let count = min(piece, scores.count - start)
      try call.random(
        stream: 0, offset: UInt64(layer.element_begin) + UInt64(start), into: words, count: count)
      // 24 bits are what a float holds: multiples of 2^-24, from 0 up to but not 1.
      for index in 0..<count { out[start + index] = Float(words[index] >> 8) * 0x1p-24 }
    }
  }
}
