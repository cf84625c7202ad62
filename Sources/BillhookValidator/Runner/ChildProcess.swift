internal import Foundation
internal import Glibc

/// This program started again in a process group of its own, so that whatever a plugin does, it
/// does there.
///
/// The child's answer and its output are files without a name: nothing that stays open elsewhere
/// can keep the parent waiting, which waits for the process alone.
final class ChildProcess {
  /// The descriptor under which the child finds its answer file.
  static let answerDescriptor: Int32 = 3

  enum Ending: Equatable {
    case exited(code: Int32)
    case killed(signal: Int32)
    case timedOut
  }

  let identifier: pid_t
  private let answerFile: Int32
  private let outputFile: Int32
  private let deadline: ContinuousClock.Instant
  let started: ContinuousClock.Instant

  init(executable: String, arguments: [String], timeout: Duration) throws {
    answerFile = try Self.namelessFile()
    outputFile = try Self.namelessFile()

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, outputFile, 1)
    posix_spawn_file_actions_adddup2(&actions, outputFile, 2)
    posix_spawn_file_actions_adddup2(&actions, answerFile, Self.answerDescriptor)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)

    // A backtracer would outlive a crashed child; threads that spin would slow the other child.
    let environment = ProcessInfo.processInfo.environment.merging([
      "SWIFT_BACKTRACE": "enable=no", "OMP_WAIT_POLICY": "passive",
    ]) { $1 }
    let variables = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") }
    let words = ([executable] + arguments).map { strdup($0) }
    defer { for text in variables + words { free(text) } }

    var child: pid_t = 0
    let code = posix_spawn(
      &child, executable, &actions, &attributes, words + [nil], variables + [nil])
    started = .now
    deadline = started + timeout
    identifier = child
    guard code == 0 else {
      close(answerFile)
      close(outputFile)
      throw ValidatorError.cannotStart(
        program: executable, reason: String(cString: strerror(code)))
    }
  }

  deinit {
    close(answerFile)
    close(outputFile)
  }

  /// How the child ended; nil while it runs. A child that is over time is killed with its group.
  func ending() -> Ending? {
    var information = siginfo_t()
    // Left unreaped, so that its number, which is the group's, cannot be given to anybody else
    // before the group is gone.
    let options = WEXITED | WNOHANG | WNOWAIT
    while waitid(P_PID, id_t(identifier), &information, options) != 0 && errno == EINTR {}
    let hasEnded = information.si_signo == SIGCHLD
    guard hasEnded || ContinuousClock.now >= deadline else { return nil }
    kill(-identifier, SIGKILL)
    var status: Int32 = 0
    while waitpid(identifier, &status, 0) < 0 && errno == EINTR {}
    guard hasEnded else { return .timedOut }
    let signal = status & 0x7f
    return signal == 0 ? .exited(code: (status >> 8) & 0xff) : .killed(signal: signal)
  }

  /// What the child answered.
  func answer() -> Data { Self.contents(answerFile) }

  /// The end of what the child printed.
  func output() -> String {
    String(decoding: Self.contents(outputFile).suffix(2048), as: UTF8.self)
  }

  private static func namelessFile() throws -> Int32 {
    let folder = NSTemporaryDirectory()
    var name = Array("\(folder)/billhook-XXXXXX".utf8CString)
    let descriptor = mkstemp(&name)
    unlink(name)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    guard descriptor >= 0 else {
      throw ValidatorError.cannotWrite(
        path: folder, reason: String(cString: strerror(errno)))
    }
    return descriptor
  }

  private static func contents(_ descriptor: Int32) -> Data {
    var data = Data()
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = pread(descriptor, &piece, piece.count, off_t(data.count))
      guard count > 0 else { return data }
      data.append(contentsOf: piece[..<count])
    }
  }
}
