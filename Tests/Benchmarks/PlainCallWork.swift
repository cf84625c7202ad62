internal import BillhookPlugins
internal import BillhookTensor

/// Functions of the C library and of OpenBLAS, called without the SDK.
///
/// The calls per item are elements or rows, so that the times are those of one call of the function:
/// of one number, of numbers of two types, and through libffi with an array.
func timePlainCalls(_ bench: Bench) throws {
  let names = ["plain-scalar", "plain-scalar-mixed", "plain-array-libffi"]
  guard names.contains(where: { bench.wants($0) }) else { return }
  let count = 1_000_000
  let weight = normalTensor([1, count], seed: 0)
  let rows = normalTensor([100_000, 8], seed: 0)
  let layer = LayerContext(
    role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
  func time(
    _ work: String, _ function: String, _ granularity: Granularity, _ weight: Tensor, calls: Int,
    _ expected: (Int) -> Float
  ) throws {
    guard bench.wants(work) else { return }
    let scorer = try PluginCatalog().plugin(function, hook: .scorer).makeScorer()
    var found: Tensor?
    try bench.time(work) {
      found = try scorer.score(layer, granularity: granularity, weight: weight)
    } extra: {
      let times = try bench.measure(runs: 7, warmUpRuns: 1) {
        _ = try scorer.score(layer, granularity: granularity, weight: weight)
      }
      return ["call_ns": median(times.map(\.elapsed)) / Double(calls) * 1e9]
    } check: {
      let scores = found?.elements(of: Float.self) ?? []
      for index in 0..<calls where abs(scores[index] - expected(index)) > 1e-4 {
        throw WrongResult("score \(index) is \(scores[index]), not \(expected(index))")
      }
    }
  }
  let x = weight.elements(of: Float.self)
  try time(names[0], "ffi:libm.so.6:float fabsf(float)", .element, weight, calls: count) {
    abs(x[$0])
  }
  try time(
    names[1], "ffi:libm.so.6:float ldexpf(float, int)|element,const:1", .element, weight,
    calls: count
  ) { 2 * x[$0] }
  let y = rows.elements(of: Float.self)
  try time(
    names[2],
    "ffi:libopenblas.so.0:float cblas_sasum(int, const float*, int)|row.count,row.data,1",
    .outputChannel, rows, calls: rows.shape[0]
  ) { row in (0..<8).reduce(0) { $0 + abs(y[8 * row + $1]) } }
}
