internal import ArgumentParser
internal import BillhookRuntime
internal import Foundation

/// The command `billhook-benchmark`: times the work items of docs/benchmarks.md and checks each
/// result.
@main
struct BenchmarkCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "billhook-benchmark",
    abstract: "Times Billhook's work items, one JSON object a line.",
    discussion: """
      The first line describes the machine. Every result that is timed is checked against another \
      way of computing it; a wrong one is reported on standard error and makes the exit code 1.
      """)

  @Option(help: "Only work items whose name contains this; may be repeated.")
  var only: [String] = []

  @Option(help: "Threads to use.")
  var threads = 2

  @Option(help: "Timed runs of each work item. Default: 3 to 15, by how long one takes.")
  var runs: Int?

  @Option(
    help: .init(
      "A folder of ONNX files NAME.onnx and NAME.int8.onnx to time instead of generated networks.",
      valueName: "folder"))
  var models: String?

  func validate() throws {
    guard (1...1024).contains(threads) else {
      throw ValidationError("--threads is \(threads) but must be 1 to 1024.")
    }
    if let runs, !(1...100_000).contains(runs) {
      throw ValidationError("--runs is \(runs) but must be 1 to 100000.")
    }
  }

  func run() throws {
    Threads.count = threads
    let bench = Bench(only: only, runs: runs)
    bench.write(MachineRecord())
    try timeMemory(bench)
    try timePruning(bench)
    try timeQuantization(bench)
    try timeLoss(bench)
    try timeDistillation(bench)
    try timeTraining(bench)
    try timeInference(bench, models: models)
    try timePluginCall(bench)
    try timePlainCalls(bench)
    try timeWorker(bench)
    try timePluginLoading(bench)
    if bench.failureCount > 0 { throw ExitCode.failure }
    guard bench.recordCount > 0 else {
      throw ValidationError(
        "No work item's name contains \(only.map { "\"\($0)\"" }.joined(separator: " or ")).")
    }
  }
}
