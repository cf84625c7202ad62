internal import BillhookKernels
internal import BillhookTensor

/// What memory gives at best: the roof over the work that reads and writes large tensors.
func timeMemory(_ bench: Bench) throws {
  guard bench.wants("copy-256MiB", "read-256MiB") else { return }
  let source = normalTensor([64 * 1024 * 1024], seed: 0)
  var target = Tensor(zeros: source.shape)
  try bench.time("copy-256MiB") {
    copy(source, to: &target)
  } check: {
    guard relativeDistance(target, source) == 0 else {
      throw WrongResult("the copy differs from the original")
    }
  }
  var range: (low: Float, high: Float) = (0, 0)
  try bench.time("read-256MiB") {
    source.withUnsafeElements(of: Float.self) {
      bh_min_max_f32($0.baseAddress, Int64($0.count), &range.low, &range.high)
    }
  } check: {
    var expected: (low: Float, high: Float) = (0, 0)
    source.withUnsafeElements(of: Float.self) {
      bh_min_max_f32_scalar($0.baseAddress, Int64($0.count), &expected.low, &expected.high)
    }
    guard range == expected else {
      throw WrongResult("the range is \(range), by the scalar reference \(expected)")
    }
  }
}

private func copy(_ source: Tensor, to target: inout Tensor) {
  struct Ends {
    var source: UnsafeRawPointer
    var target: UnsafeMutableRawPointer
  }
  source.withUnsafeBytes { from in
    target.withUnsafeMutableBytes { to in
      var ends = Ends(source: from.baseAddress!, target: to.baseAddress!)
      bh_parallel_for(
        Int64(from.count), 1 << 20,
        { begin, end, context in
          let ends = context!.assumingMemoryBound(to: Ends.self).pointee
          (ends.target + Int(begin)).copyMemory(
            from: ends.source + Int(begin), byteCount: Int(end - begin))
        }, &ends)
    }
  }
}
