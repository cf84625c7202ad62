internal import BillhookKernels
internal import Foundation

/// The line of one work item.
struct WorkRecord: Encodable {
  let work: String
  let samples: [Sample]
  let threads: Int
  let calls: Int
  /// Further fields by name, in seconds or as plain numbers.
  let extra: [String: Double]

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { return nil }
  }

  func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(work, forKey: Key("work"))
    try fields.encode("billhook", forKey: Key("peer"))
    let elapsed = samples.map(\.elapsed)
    try fields.encode(median(elapsed), forKey: Key("median_s"))
    try fields.encode(elapsed.min() ?? 0, forKey: Key("min_s"))
    try fields.encode(median(samples.map(\.processor)), forKey: Key("cpu_s"))
    try fields.encode(samples.count, forKey: Key("runs"))
    try fields.encode(threads, forKey: Key("threads"))
    if calls > 1 { try fields.encode(calls, forKey: Key("calls_per_run")) }
    for (name, value) in extra { try fields.encode(value, forKey: Key(name)) }
  }
}

/// The first line: what the numbers were measured on.
struct MachineRecord: Encodable {
  let work = "machine"
  let peer = "billhook"
  /// The instruction set that the vector kernels use.
  let simd: String
  let cores: Int
  let cpu: String
  /// Of the instruction sets that decide the speed, those that the CPU has.
  let features: [String]

  init() {
    simd = String(cString: bh_simd_name())
    cores = ProcessInfo.processInfo.activeProcessorCount
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    func field(_ name: String) -> String? {
      let line = text.split(separator: "\n").first { $0.hasPrefix(name) }
      let value = line?.split(separator: ":", maxSplits: 1).dropFirst().first
      return value?.trimmingCharacters(in: .whitespaces)
    }
    cpu = field("model name") ?? "unknown"
    let flags = Set((field("flags") ?? field("Features") ?? "").split(separator: " "))
    features = [
      "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
      "amx_int8", "asimd", "asimddp", "sve",
    ].filter { flags.contains(Substring($0)) }
  }
}
