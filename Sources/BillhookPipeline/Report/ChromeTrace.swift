internal import BillhookRuntime
internal import Foundation

/// The operations of one run as a trace that chrome://tracing, Perfetto and speedscope show.
///
/// Source: *Trace Event Format*, complete events ("X"), times in microseconds.
struct ChromeTrace: Encodable {
  private struct Event: Encodable {
    var name: String
    var cat: String
    var ph = "X"
    var ts: Double
    var dur: Double
    var pid = 1
    var tid = 1
    var args: [String: String]
  }
  private var traceEvents: [Event]
  private var displayTimeUnit = "ms"
  private var otherData: [String: String]

  init(_ spans: [Profiler.Span], model: String) {
    let origin = spans.first?.start ?? .zero
    traceEvents = spans.map { span in
      let operation = span.operation
      let operators = ([operation.op] + operation.fused).joined(separator: " + ")
      return Event(
        name: operation.node.isEmpty ? operation.kernel : operation.node, cat: operation.kernel,
        ts: (span.start - origin).inSeconds * 1e6, dur: span.duration.inSeconds * 1e6,
        args: ["kernel": operation.kernel, "operators": operators])
    }
    otherData = ["model": model]
  }

  func json() throws -> Data { try reportJSON(self) }
}
