internal import BillhookKernels
internal import BillhookPlugins
internal import BillhookTensor

/// Scores of 100,000 elements through the ABI, beside the bare kernel.
///
/// The record's `bare_s` is the kernel without a plugin, `fixed_s` a plugin call over one element:
/// what a call costs whatever its size.
func timePluginCall(_ bench: Bench) throws {
  let work = "plugin-call-overhead"
  guard bench.wants(work) else { return }
  let scorer = try PluginCatalog().plugin("magnitude", hook: .scorer).makeScorer()
  let weight = normalTensor([100, 1000], seed: 0)
  let single = normalTensor([1, 1], seed: 0)
  let layer = LayerContext(
    role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
  func scores(_ weight: Tensor) throws -> Tensor? {
    try scorer.score(layer, granularity: .element, weight: weight)
  }
  var bare = Tensor(zeros: [0])
  func bareScores() {
    bare = Tensor(zeros: weight.shape)
    weight.withUnsafeElements(of: Float.self) { x in
      bare.withUnsafeMutableElements(of: Float.self) {
        bh_abs_f32(x.baseAddress, Int64(x.count), $0.baseAddress)
      }
    }
  }
  let calls = 200
  var found: Tensor?
  try bench.time(work, calls: calls) {
    found = try scores(weight)
  } extra: {
    let bareTimes = try bench.measure(runs: 7, warmUpRuns: 2, calls: calls, bareScores)
    let fixedTimes = try bench.measure(runs: 7, warmUpRuns: 2, calls: calls) {
      _ = try scores(single)
    }
    return [
      "bare_s": median(bareTimes.map(\.elapsed)), "fixed_s": median(fixedTimes.map(\.elapsed)),
    ]
  } check: {
    bareScores()
    guard found == bare else { throw WrongResult("the plugin's scores are not the kernel's") }
  }
}
