internal import BillhookKernels
internal import Foundation
internal import Glibc

/// What a library must leave as it finds it (BH-08, BH-09).
struct ProcessState {
  var floatingPoint: UInt64
  var threads: Set<String>
  var descriptors: [String: String]
  var folder: String
  var filesHere: Set<String>
  var environment: [String: String]
  var locale: String
  var fileMode: String
  var signals: [Int: UInt]
  var blockedSignals: String

  init() {
    floatingPoint = bh_fp_state()
    threads = Self.threads()
    descriptors = Self.descriptors()
    folder = FileManager.default.currentDirectoryPath
    filesHere = Set((try? FileManager.default.contentsOfDirectory(atPath: ".")) ?? [])
    environment = Self.environment()
    locale = setlocale(LC_ALL, nil).map { String(cString: $0) } ?? ""
    let status = (try? String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)) ?? ""
    fileMode = Self.line("Umask:", status)
    blockedSignals = Self.line("SigBlk:", status)
    signals = [:]
    for number in 1..<Int(32) where number != Int(SIGKILL) && number != Int(SIGSTOP) {
      var action = sigaction()
      guard sigaction(Int32(number), nil, &action) == 0 else { continue }
      signals[number] = withUnsafeBytes(of: action.__sigaction_handler) {
        $0.load(as: UInt.self)
      }
    }
  }

  static func threads() -> Set<String> {
    Set((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? [])
  }

  static func descriptors() -> [String: String] {
    var result: [String: String] = [:]
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    for name in names {
      // The descriptor that listed this folder is gone by now.
      guard
        let target = try? FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/self/fd/\(name)")
      else { continue }
      // Somebody else may take away the name of a file that this process has inherited.
      let suffix = " (deleted)"
      result[name] = target.hasSuffix(suffix) ? String(target.dropLast(suffix.count)) : target
    }
    return result
  }

  /// Memory in use, in bytes.
  static func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * ProbeBuffer.pageBytes
  }

  private static func environment() -> [String: String] {
    var result: [String: String] = [:]
    // By its address, because Swift's own `environ` traps once a plugin has called clearenv.
    guard let place = dlsym(nil, "environ"),
      var entry = place.load(as: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?.self)
    else { return result }
    while let text = entry.pointee {
      let parts = String(cString: text).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      result[String(parts[0])] = parts.count > 1 ? String(parts[1]) : ""
      entry += 1
    }
    return result
  }

  private static func line(_ key: String, _ text: String) -> String {
    text.split(separator: "\n").first { $0.hasPrefix(key) }
      .map { $0.dropFirst(key.count).trimmingCharacters(in: .whitespaces) } ?? ""
  }

  /// What is different later, in words; empty when nothing is.
  ///
  /// - Parameter ignoringThreads: For calls, in which the host may start its own pool.
  func changes(to later: ProcessState, ignoringThreads: Bool = false) -> [String] {
    var found: [String] = []
    if floatingPoint != later.floatingPoint {
      found.append(
        "the floating-point mode was 0x\(String(floatingPoint, radix: 16)) and is "
          + "0x\(String(later.floatingPoint, radix: 16))")
    }
    let newThreads = later.threads.subtracting(threads).count
    if newThreads > 0 && !ignoringThreads { found.append("\(newThreads) threads are new") }
    for (number, target) in later.descriptors.sorted(by: { $0.key < $1.key })
    where descriptors[number] != target {
      found.append("descriptor \(number) is open on \(target)")
    }
    for number in descriptors.keys.sorted() where later.descriptors[number] == nil {
      found.append("descriptor \(number) is closed")
    }
    if folder != later.folder { found.append("the working folder is \(later.folder)") }
    for name in later.filesHere.subtracting(filesHere).sorted() {
      found.append("the file \"\(name)\" is new")
    }
    for key in Set(environment.keys).union(later.environment.keys).sorted()
    where environment[key] != later.environment[key] {
      found.append("the environment variable \(key) changed")
    }
    if locale != later.locale { found.append("the locale was \(locale) and is \(later.locale)") }
    if fileMode != later.fileMode { found.append("the file mode mask is \(later.fileMode)") }
    if blockedSignals != later.blockedSignals { found.append("signals are blocked") }
    for (number, action) in signals.sorted(by: { $0.key < $1.key })
    where later.signals[number] != action {
      found.append("signal \(number) has another handler")
    }
    return found
  }
}
