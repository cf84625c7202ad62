internal import BillhookSandbox
internal import Foundation

/// How plugins are looked for, where they run, and what they may use.
public struct PluginSettings: Sendable {
  public var home: PluginHome
  /// Where plugins given by path run; nil leaves it to the trust file. Built-ins too, when it is
  /// stricter than what they have.
  public var isolation: Isolation?
  /// Only the built-ins: nothing is looked for, nothing is loaded by path.
  public var onlyBuiltIns = false
  /// Only plugins whose id matches, with `*` for any text and `?` for a character.
  public var onlyMatching: String?
  public var limits = WorkerLimits()
  public var crashPolicy = CrashPolicy.stop
  /// The program of the worker process.
  public var workerPath: String
  /// Decides about a library given by path when the trust file says `ask`; without it, no.
  public var ask: (@Sendable (_ path: String, _ sha256: String) -> Bool)?

  public init(
    home: PluginHome = .standard, isolation: Isolation? = nil, workerPath: String? = nil
  ) {
    self.home = home
    self.isolation = isolation
    self.workerPath = workerPath ?? Self.standardWorkerPath
  }

  var quarantine: Quarantine { Quarantine(home: home) }

  /// Beside this program (a build tree), in `../libexec/billhook` (installed), or what
  /// `BILLHOOK_WORKER` says, which a program with more rights than its user's ignores.
  public static let standardWorkerPath: String = {
    if bh_runs_privileged() == 0,
      let given = ProcessInfo.processInfo.environment["BILLHOOK_WORKER"], given.hasPrefix("/")
    {
      return given
    }
    let folder = URL(fileURLWithPath: executablePath).deletingLastPathComponent()
    let beside = folder.appendingPathComponent("billhook-worker").path
    let installed = folder.deletingLastPathComponent()
      .appendingPathComponent("libexec/billhook/billhook-worker").path
    return access(beside, X_OK) == 0 || access(installed, X_OK) != 0 ? beside : installed
  }()

  /// This program's file, without symbolic links; "" when the system does not say.
  static let executablePath: String = {
    guard let path = realpath("/proc/self/exe", nil) else { return "" }
    defer { free(path) }
    return String(cString: path)
  }()

  /// Tells one build of this program from another: what is kept about a plugin holds for one build.
  static let hostBuild: String = {
    var status = stat()
    _ = stat(executablePath, &status)
    let time = status.st_mtim
    let text = "\(executablePath) \(status.st_size) \(time.tv_sec).\(time.tv_nsec)"
    return String(LibraryFile.digest(of: [UInt8](text.utf8)).prefix(16))
  }()

  /// True when the name passes `onlyMatching`.
  func allows(id: String) -> Bool {
    guard let pattern = onlyMatching else { return true }
    return fnmatch(pattern, id, 0) == 0
  }
}
