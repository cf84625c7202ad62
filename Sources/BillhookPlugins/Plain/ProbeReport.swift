internal import Glibc

/// Memory that the probing process writes and the host reads.
///
/// Safety: plain words in shared memory; the host reads them after the other process has ended, and
/// believes none of them.
struct ProbeReport {
  enum Stage: Int {
    case preparing, calling, checking, failed, done
  }
  /// The blocks of one call, for naming the one that was overrun.
  private static let regionLimit = 24
  private static let textOffset = 2048
  static let byteCount = 8192

  /// At least ``byteCount`` bytes.
  let words: UnsafeMutablePointer<Int>

  func clear() { memset(words, 0, Self.byteCount) }

  var stage: Stage {
    get { Stage(rawValue: words[0]) ?? .preparing }
    nonmutating set { words[0] = newValue.rawValue }
  }
  /// The number of values of the call, and the role of its function.
  var count: Int {
    get { words[1] }
    nonmutating set { words[1] = newValue }
  }
  var role: Int {
    get { words[2] }
    nonmutating set { words[2] = newValue }
  }
  /// Which of the manifest's plugins is tried.
  var plugin: Int {
    get { words[6] }
    nonmutating set { words[6] = newValue }
  }
  /// Where a forbidden access went; 0 for none.
  var address: Int {
    get { words[3] }
    nonmutating set { words[3] = newValue }
  }

  var text: String {
    let bytes = UnsafeRawPointer(words) + Self.textOffset
    return String(
      decoding: UnsafeRawBufferPointer(start: bytes, count: min(max(words[4], 0), 4096)),
      as: UTF8.self)
  }

  func fail(_ reason: String) {
    let bytes = Array(reason.utf8.prefix(4096))
    memcpy(UnsafeMutableRawPointer(words) + Self.textOffset, bytes, bytes.count)
    words[4] = bytes.count
    stage = .failed
  }

  func forgetRegions() { words[5] = 0 }

  func add(_ block: GuardedBlock, _ tensor: PlainTensor, isInput: Bool) {
    guard words[5] < Self.regionLimit else { return }
    let place = words + 7 + 6 * words[5]
    place[0] = Int(bitPattern: block.region.lowerBound)
    place[1] = Int(bitPattern: block.region.upperBound)
    place[2] = Int(bitPattern: block.data)
    place[3] = block.byteCount
    place[4] = tensor.index
    place[5] = isInput ? 1 : 0
    words[5] += 1
  }

  /// What a forbidden access was about, in words; nil when it was about no block.
  private var accessed: String? {
    let tensors = PlainTensor.allCases
    guard address != 0 else { return nil }
    for index in 0..<min(max(words[5], 0), Self.regionLimit) {
      let place = words + 7 + 6 * index
      guard address >= place[0], address < place[1], tensors.indices.contains(place[4]) else {
        continue
      }
      let name = tensors[place[4]].name
      if address < place[2] { return "it touched memory before the start of \"\(name)\"" }
      if address >= place[2] &+ place[3] {
        return "it touched memory behind the end of \"\(name)\""
      }
      if place[5] == 1 { return "it wrote to \"\(name)\", which is an input" }
    }
    return nil
  }

  /// What the functions of a manifest did wrong; nil when they did not, or were not even called.
  func failure(of record: PlainRecord, _ ending: PlainProbe.Ending) -> PluginError? {
    guard record.plugins.indices.contains(plugin) else { return nil }
    let reason: String
    switch ending {
    case .returned:
      guard stage == .failed else { return nil }
      reason = text
    case .signal(SIGALRM):
      reason = "it did not return within \(PlainProbe.secondLimit) seconds"
    case .signal, .exit:
      guard stage == .calling || stage == .checking else { return nil }
      switch ending {
      case .signal(let number):
        let what = "signal \(number), \(String(cString: strsignal(number)))"
        reason = accessed.map { "\($0) (\(what))" } ?? "it crashed (\(what))"
      case .exit(let code): reason = "it ended the process with exit code \(code)"
      case .returned: return nil
      }
    }
    let roles = PlainRole.allCases
    let calls = record.plugins[plugin].calls
    let call =
      (roles.indices.contains(role) ? calls.first { $0.role == roles[role] } : nil) ?? calls[0]
    return .failedProbe(signature: call.signature.description, count: count, reason: reason)
  }
}
