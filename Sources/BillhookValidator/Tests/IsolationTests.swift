internal import BillhookPlugins
internal import BillhookRuntime
internal import BillhookSDK
internal import Foundation
internal import Glibc

/// Tests of a plugin in a process of its own.
extension ConformanceTest {
  static let isolationTests: [ConformanceTest] = [
    ConformanceTest(
      "iso-equivalence", .core, .everyHook, "BH-10",
      "in a worker, confined and with copies of the tensors, the results are the same bytes"
    ) { subject in
      let here = try subject.plugin()
      guard here.raw.caps & BH_CAP_REQUIRES_INPROC == 0 else {
        throw NotApplicable("the plugin says that it only works in the host's process")
      }
      let exercises = try here.repeatableExercises()
      // Whether threads matter is a test of its own.
      let threads = Threads.count
      Threads.count = 1
      let before = ProcessState.descriptors()
      defer {
        Threads.count = threads
        waitForWorker(since: before)
      }
      try compare(subject, here, exercises)
    }
  ]

  private static func compare(
    _ subject: Subject, _ here: ProbePlugin, _ exercises: [Exercise]
  ) throws {
    let home = try TemporaryHome()
    defer { withExtendedLifetime(home) {} }
    let there = try ProbePlugin(subject, inWorker: PluginSettings(home: home.home))
    for exercise in exercises {
      let ours = try exercise.runAlone(here)
      let theirs = try exercise.runAlone(there)
      // A worker looks at some rules by itself.
      if theirs.isFailure, theirs.described.contains("breaks rule BH-") {
        throw NotApplicable("the worker found what another test reports: \(theirs.described)")
      }
      try subject.requireSame(
        ours, theirs, "\(exercise.label), in this process and in a worker")
    }
  }

  /// Waits until the worker's descriptors are closed, on a thread of the host's: with all tests in
  /// one process the next test would see them go.
  private static func waitForWorker(since before: [String: String]) {
    let kinds = ["pidfd", "socket:", "pipe:", "billhook-control", "billhook-output"]
    for _ in 0..<400 {
      let isLeft = ProcessState.descriptors().contains { number, target in
        before[number] != target && kinds.contains { target.contains($0) }
      }
      if !isLeft { return }
      usleep(10_000)
    }
  }
}

/// A cache and trust file that are gone with the test.
private final class TemporaryHome {
  private let folder: String
  let home: PluginHome

  init() throws {
    folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("billhook-validate-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    home = PluginHome(folder: folder)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }
}
