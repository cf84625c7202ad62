internal import BillhookKernels
internal import BillhookPlugins
internal import BillhookTensor

/// Scores of 100,000 elements through the ABI, as a pruning stage asks for them: piece by piece, into
/// a selection that looks for NaN on its way. `bare_s` is the same loop with the kernel called in
/// place of the plugin, `fixed_s` a plugin call over one whole layer of one element.
func timePluginCall(_ bench: Bench) throws {
  let work = "plugin-call-overhead"
  guard bench.wants(work) else { return }
  let scorer = try PluginCatalog().plugin("magnitude", hook: .scorer).makeScorer()
  let weight = normalTensor([100, 1000], seed: 0)
  let single = normalTensor([1, 1], seed: 0)
  let layer = LayerContext(
    role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
  let granule = Scorer.pieceElementCount
  let pieces = (weight.count + granule - 1) / granule
  func selection() throws -> StreamingSelection {
    guard
      let selection = StreamingSelection(
        total: weight.count, lowest: weight.count / 2, pieces: pieces)
    else { throw WrongResult("there is no selection") }
    return selection
  }
  func pass(_ body: (StreamingSelection) throws -> Void) throws -> Float {
    let selection = try selection()
    while case .needed = selection.nextPass() { try body(selection) }
    return selection.threshold
  }
  func throughPlugin() throws -> Float {
    try pass { selection in
      try scorer.scoreChunks(
        layer, weight: weight,
        spend: { first, _, scores in selection.spend(piece: first / granule, scores) })
    }
  }
  let loop = InlinedLoop(weight)
  func inlined() throws -> Float { try pass { loop.run($0) } }

  let calls = 200
  var found: Float = 0
  var bare: Float = 1
  try bench.time(work, calls: calls) {
    found = try throughPlugin()
  } extra: {
    // In turns, so that what slows the machine down slows both.
    var ratios: [Double] = []
    var bareTimes: [Double] = []
    for _ in 0..<15 {
      let ours = try bench.measure(runs: 1, warmUpRuns: 0, calls: calls) {
        found = try throughPlugin()
      }
      let theirs = try bench.measure(runs: 1, warmUpRuns: 0, calls: calls) {
        bare = try inlined()
      }
      ratios.append(ours[0].elapsed / theirs[0].elapsed)
      bareTimes.append(theirs[0].elapsed)
    }
    let fixedTimes = try bench.measure(runs: 7, warmUpRuns: 2, calls: calls) {
      _ = try scorer.score(layer, granularity: .element, weight: single)
    }
    return [
      "bare_s": median(bareTimes), "fixed_s": median(fixedTimes.map(\.elapsed)),
      "ratio": median(ratios),
    ]
  } check: {
    bare = try inlined()
    guard found == bare else { throw WrongResult("the plugin's scores are not the kernel's") }
  }
}

/// What a host without plugins would do: the kernel on each piece, into the selection.
///
/// Safety of `@unchecked`: each thread has a buffer of its own.
private final class InlinedLoop: @unchecked Sendable {
  private let weight: Tensor
  private let buffers: [UnsafeMutableBufferPointer<Float>]
  private var selection: StreamingSelection?

  init(_ weight: Tensor) {
    self.weight = weight
    buffers = (0..<Int(bh_thread_count())).map { _ in
      .allocate(capacity: Scorer.pieceElementCount)
    }
  }

  deinit { for buffer in buffers { buffer.deallocate() } }

  func run(_ selection: StreamingSelection) {
    self.selection = selection
    bh_parallel_for(
      Int64(weight.count), Int64(Scorer.pieceElementCount),
      { begin, end, data in
        Unmanaged<InlinedLoop>.fromOpaque(data!).takeUnretainedValue().run(begin, end)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  private func run(_ begin: Int64, _ end: Int64) {
    let scores = UnsafeMutableBufferPointer(
      rebasing: buffers[Int(bh_thread_index())][..<Int(end - begin)])
    weight.withUnsafeElements(of: Float.self) { x in
      bh_abs_f32(x.baseAddress! + Int(begin), end - begin, scores.baseAddress)
    }
    selection?.add(piece: Int(begin) / Scorer.pieceElementCount, UnsafeBufferPointer(scores))
  }
}
