/// Where a plugin's code runs.
public enum Isolation: String, Sendable, Codable, CaseIterable, Comparable {
  /// In this process, with all of its rights.
  case inproc
  /// In a process of its own, confined as far as the kernel can.
  case worker
  /// As ``worker``, and refused when the kernel cannot confine it fully.
  case workerStrict = "worker-strict"

  /// Stricter is greater.
  public static func < (left: Isolation, right: Isolation) -> Bool {
    (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
  }
}

/// What confines a worker: as much as the kernel offers.
public struct Confinement: Sendable, Codable, Equatable, CustomStringConvertible {
  /// The Landlock version in force, which limits files; 0 for none.
  public var landlockVersion: Int
  /// True when a filter limits system calls.
  public var filtersSystemCalls: Bool
  /// Addresses that the process may use, in bytes.
  public var memoryBytes: UInt64

  /// The Landlock version that `worker-strict` needs: from 3 on, truncating files is covered.
  public static let strictLandlockVersion = 3

  /// What `worker-strict` misses, in words; nil when it misses nothing.
  public var missingForStrict: String? {
    if landlockVersion < Self.strictLandlockVersion {
      return "Landlock version \(Self.strictLandlockVersion) (found \(landlockVersion))"
    }
    return filtersSystemCalls ? nil : "a filter of system calls"
  }

  public var description: String {
    let parts = [
      landlockVersion > 0 ? "Landlock \(landlockVersion)" : "no Landlock",
      filtersSystemCalls ? "system call filter" : "no system call filter",
      "\(memoryBytes >> 20) MiB of addresses",
    ]
    return parts.joined(separator: ", ")
  }
}

/// What a worker may use up.
public struct WorkerLimits: Sendable, Equatable {
  /// Wall time of one call.
  public var callSeconds: Double
  /// Time between asking a call to stop and killing it.
  public var graceSeconds: Double
  /// Wall time of ending an instance, when that is less than ``callSeconds``.
  public var endSeconds: Double
  /// Wall time of loading a library.
  public var loadSeconds: Double
  /// Memory of the plugin, in bytes; tensors come on top.
  public var memoryBytes: UInt64

  public init(
    callSeconds: Double = 600, graceSeconds: Double = 2, endSeconds: Double = 10,
    loadSeconds: Double = 60, memoryBytes: UInt64 = 4 << 30
  ) {
    self.callSeconds = callSeconds
    self.graceSeconds = graceSeconds
    self.endSeconds = endSeconds
    self.loadSeconds = loadSeconds
    self.memoryBytes = memoryBytes
  }

  /// The usual limits with another time of one call: who expects calls to be shorter than a library
  /// may take to load does not want to wait longer for that either.
  public init(callTimeout seconds: Double) {
    self.init(callSeconds: seconds)
    loadSeconds = min(loadSeconds, seconds)
  }
}

/// What happens to a run when a plugin in a worker crashes or hangs.
public enum CrashPolicy: String, Sendable, Codable, CaseIterable {
  /// The stage ends with an error; finished stages are kept.
  case stop
  /// The layer stays as it was, as if the plugin had declined it; a warning says so.
  case skipLayer = "skip-layer"
}
